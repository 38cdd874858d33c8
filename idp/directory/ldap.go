package directory

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-ldap/ldap/v3"

	"gatehouse/store"
)

// LDAP asks the servers of sources. All fields must be set; safe for concurrent use.
type LDAP struct {
	// Open unseals a bind password.
	Open func(context string, sealed []byte) ([]byte, error)
	// Told is called in the transaction that changes a person because of a source: it writes the audit entry and ends the sessions of
	// who is disabled.
	Told func(tx store.Tx, change PersonChange) error
	Now  func() time.Time

	mu    sync.Mutex
	lines map[string]*line // by the source's name
}

// Bounds of talking to a server.
const (
	connectTime = 3 * time.Second
	searchTime  = 10 * time.Second
	signInTime  = 15 * time.Second // from connecting to the answer
	syncTime    = 15 * time.Minute

	signInBytes = 4 << 20 // that a server may send
	syncBytes   = 1 << 30

	atOnce    = 16              // sign-ins at one server; others wait
	waitSlot  = 2 * time.Second // for one of them to end
	downAfter = 3               // failures in a row, after which
	downFor   = 15 * time.Second
)

// SourceError says that a source could not be asked or did not answer sensibly. Text is for administrators.
type SourceError struct {
	Source, Text string
	Err          error
}

func (e *SourceError) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// line is what is known of one server: how many talk to it, and whether it answers.
type line struct {
	slots    chan struct{}
	syncing  sync.Mutex
	failures int
	until    time.Time // not asked before
}

func (l *LDAP) line(source string) *line {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lines == nil {
		l.lines = map[string]*line{}
	}
	one := l.lines[source]
	if one == nil {
		one = &line{slots: make(chan struct{}, atOnce)}
		l.lines[source] = one
	}
	return one
}

// down tells whether a source is known not to answer. The first who asks after a while is let through to see.
func (l *LDAP) down(source string, now time.Time) bool {
	one := l.line(source)
	l.mu.Lock()
	defer l.mu.Unlock()
	if one.failures < downAfter {
		return false
	}
	if now.Before(one.until) {
		return true
	}
	one.until = now.Add(connectTime + searchTime)
	return false
}

func (l *LDAP) note(source string, now time.Time, err error) {
	one := l.line(source)
	l.mu.Lock()
	defer l.mu.Unlock()
	var failed *SourceError
	if !errors.As(err, &failed) {
		one.failures = 0
		return
	}
	one.failures++
	one.until = now.Add(downFor)
}

// ask runs fn on a connection that is bound as the source's own account, for a sign-in: briefly, and not at all while the server
// is known to be down. Its errors are *SourceError, the context's or fn's.
func (l *LDAP) ask(ctx context.Context, s *Source, fn func(*link) error) error {
	if l.down(s.Name, l.Now()) {
		return &SourceError{Source: s.Name, Text: "The server did not answer a moment ago, and is not asked again yet."}
	}
	slots := l.line(s.Name).slots
	waiting := time.NewTimer(waitSlot)
	defer waiting.Stop()
	select {
	case slots <- struct{}{}:
	case <-waiting.C:
		return &SourceError{Source: s.Name, Text: "Too many sign-ins wait for the server."}
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-slots }()
	err := l.talk(ctx, s, signInTime, signInBytes, fn)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	l.note(s.Name, l.Now(), err)
	return err
}

// link is a connection to a source's server, bound as the source's own account.
type link struct {
	source *Source
	conn   *ldap.Conn
}

// talk connects, binds and runs fn; nothing of it lasts longer than the limit.
func (l *LDAP) talk(ctx context.Context, s *Source, limit time.Duration, bytes int64, fn func(*link) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	conn, err := connect(ctx, s, limit, bytes)
	if err != nil {
		return s.worded("connecting to", err)
	}
	defer func() { _ = conn.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	if s.BindDN != "" {
		password, err := l.Open(s.SealContext(), s.Password)
		if err != nil {
			return &SourceError{Source: s.Name, Err: err, Text: "The bind password cannot be unsealed: set it again with --bind-password-stdin."}
		}
		if len(password) == 0 {
			return &SourceError{Source: s.Name, Text: "There is no bind password: set it with --bind-password-stdin."}
		}
		if err := conn.Bind(s.BindDN, string(password)); err != nil {
			return s.worded("signing in as "+s.BindDN+" at", err)
		}
	}
	return fn(&link{s, conn})
}

// connect opens an encrypted connection, unless the source is set to be plain.
func connect(ctx context.Context, s *Source, limit time.Duration, bytes int64) (*ldap.Conn, error) {
	host, port, withTLS, startTLS := s.server()
	dialer := &net.Dialer{Timeout: connectTime, Control: control}
	raw, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, err
	}
	bounded := &boundedConn{Conn: raw, left: bytes}
	config := &tls.Config{ServerName: host, RootCAs: s.roots(), MinVersion: tls.VersionTLS12}
	if err := raw.SetDeadline(time.Now().Add(connectTime)); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	var conn *ldap.Conn
	if withTLS {
		encrypted := tls.Client(bounded, config)
		if err := encrypted.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, raw.Close())
		}
		conn = ldap.NewConn(encrypted, true)
	} else {
		conn = ldap.NewConn(bounded, false)
	}
	conn.Start()
	conn.SetTimeout(searchTime)
	if startTLS {
		if err := conn.StartTLS(config); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
	}
	return conn, raw.SetDeadline(time.Now().Add(limit))
}

var errAddress = errors.New("no address that an LDAP server can have")

// control refuses addresses that no directory has and that hand out secrets to whoever asks (169.254.169.254). Private networks
// are where directories are, and only an owner sets an address, so they are not refused.
func control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := target.Addr().Unmap()
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || ip.String() == "fd00:ec2::254" {
		return errAddress
	}
	return nil
}

// boundedConn ends with an error when the server sends more than it may.
type boundedConn struct {
	net.Conn
	left int64
}

var errTooMuch = errors.New("the server sent too much")

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// worded gives what went wrong a sentence for administrators. A refusal that is the server's answer about a person is not for here.
func (s *Source) worded(doing string, err error) *SourceError {
	host, port, _, startTLS := s.server()
	e := &SourceError{Source: s.Name, Err: err}
	where := net.JoinHostPort(host, port)
	var certificate *tls.CertificateVerificationError
	var network net.Error
	var answered *ldap.Error
	switch {
	case errors.As(err, &certificate), strings.Contains(err.Error(), "x509:"), strings.Contains(err.Error(), "certificate"):
		e.Text = fmt.Sprintf("The certificate of %s is not trusted for that name: give the authority that signed it with ca=@FILE, and the name in it as the address.", where)
	case errors.Is(err, errAddress):
		e.Text = fmt.Sprintf("%s is no address that a directory can have: check url.", where)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials):
		e.Text = fmt.Sprintf("%s refused %s: check bind_dn and set the bind password again.", where, s.BindDN)
	case ldap.IsErrorWithCode(err, ldap.LDAPResultNoSuchObject):
		e.Text = fmt.Sprintf("%s knows no such place: check base_dn and group_base.", where)
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultTimeLimitExceeded, ldap.LDAPResultAdminLimitExceeded):
		e.Text = fmt.Sprintf("%s stopped before it had told everything: let %s read without limits there, or set a smaller page_size.", where, s.BindDN)
	case errors.As(err, &network) && network.Timeout(), errors.Is(err, context.DeadlineExceeded), strings.Contains(err.Error(), "timed out"):
		e.Text = fmt.Sprintf("%s did not answer in time.", where)
	case errors.As(err, &answered) && answered.ResultCode < ldap.ErrorNetwork:
		e.Text = fmt.Sprintf("%s answered %q while %s it.", where, ldap.LDAPResultCodeMap[answered.ResultCode], doing)
	case startTLS:
		e.Text = fmt.Sprintf("%s could not be talked to over StartTLS: check url, and that a directory listens there.", where)
	default:
		e.Text = fmt.Sprintf("%s could not be talked to: check url, and that a directory listens there.", where)
	}
	return e
}
