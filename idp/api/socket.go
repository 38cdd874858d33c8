package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// SocketName is the socket's file name inside the data directory; SocketHost is the only Host that its server answers to.
const (
	SocketName = "gatehouse.sock"
	SocketHost = "gatehouse.sock"
)

// maxSocketPath is what a socket address holds on every system, less the closing zero byte.
const maxSocketPath = 103

// ErrRunning says that another server answers on the socket already.
var ErrRunning = errors.New("another Gatehouse runs with this data directory")

// Listen makes DIR/gatehouse.sock, mode 0600. A socket that nobody answers on is replaced, one that answers gives
// ErrRunning, and any other file in its place is left alone. Connections of users other than root and the server's own are
// closed at once, so that the moment before the mode is set is no gap.
func Listen(dir string) (net.Listener, error) {
	path := filepath.Join(dir, SocketName)
	if err := clearStale(dir, path); err != nil {
		return nil, err
	}
	address, done, err := socketAddress(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: address, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	l.SetUnlinkOnClose(false) // the address may name a file descriptor that is closed by then
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &listener{UnixListener: l, path: path}, nil
}

func clearStale(dir, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%s is not a socket: move it away", path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	conn, err := dialSocket(ctx, dir)
	if err == nil {
		return errors.Join(ErrRunning, conn.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Remove(path)
}

func dialSocket(ctx context.Context, dir string) (net.Conn, error) {
	address, done, err := socketAddress(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", address)
}

// socketAddress is an address of the directory's socket that fits into a socket address, however deep the directory is:
// a long path is reached through an open directory. It holds until done is called.
func socketAddress(dir string) (address string, done func(), err error) {
	path := filepath.Join(dir, SocketName)
	if len(path) <= maxSocketPath {
		return path, func() {}, nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return fmt.Sprintf("/proc/self/fd/%d/%s", d.Fd(), SocketName), func() { _ = d.Close() }, nil
}

type listener struct {
	*net.UnixListener
	path   string
	remove sync.Once
}

// Close stops listening and removes the socket's file.
func (l *listener) Close() error {
	err := l.UnixListener.Close()
	l.remove.Do(func() { err = errors.Join(err, os.Remove(l.path)) })
	return err
}

// Accept returns connections whose peer is root or the server's own user.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		uid, err := peerUID(c)
		if err == nil && (uid == 0 || uid == os.Geteuid()) {
			return &peerConn{UnixConn: c, uid: uid}, nil
		}
		_ = c.Close() // a stranger is told nothing
	}
}

type peerConn struct {
	*net.UnixConn
	uid int
}

type peerKey struct{}

// ConnContext is for http.Server.ConnContext of the socket's server: it lets Peer know who connected.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if p, ok := c.(*peerConn); ok {
		return context.WithValue(ctx, peerKey{}, p.uid)
	}
	return ctx
}

// Peer returns the user id of the process at the other end of the socket; false for a request that came otherwise.
func Peer(ctx context.Context) (uid int, ok bool) {
	uid, ok = ctx.Value(peerKey{}).(int)
	return uid, ok
}

// FromBrowser tells whether a web page could have caused a request on the socket: it names an origin or a referrer, or is
// for another host than SocketHost.
func FromBrowser(r *http.Request) bool {
	h := r.Header
	return r.Host != SocketHost || h.Get("Origin") != "" || h.Get("Referer") != "" || h.Get("Sec-Fetch-Site") != ""
}
