package idptest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Nginx is a running nginx, to which the names of its servers lead without any name server.
type Nginx struct {
	Port    int
	process *process
}

// nginxBinary is Debian's, unpacked and not installed: its package would start a service.
func nginxBinary() string { return unpackFolder() + "/usr/sbin/nginx" }

// StartNginx starts Debian's nginx with server blocks, in which 443 became its port, for the length of the test. Dir is where its files
// are; other users may read it.
func StartNginx(t testing.TB, dir string, port int, servers string) *Nginx {
	t.Helper()
	Need(t, ToolNginx)
	config := "daemon off;\nworker_processes 1;\nerror_log stderr;\npid " + dir + "/pid;\nevents {}\nhttp {\naccess_log off;\n"
	for _, folder := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		config += fmt.Sprintf("%s_temp_path %s/%s;\n", folder, dir, folder)
	}
	writeFiles(t, dir, 0o600, map[string][]byte{"nginx.conf": []byte(config + servers + "}\n")})
	peer := &Nginx{Port: port, process: startProcess(t, exec.Command(nginxBinary(), "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf")))}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	for deadline := time.Now().Add(peerStart); time.Now().Before(deadline); time.Sleep(30 * time.Millisecond) {
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			return peer
		}
	}
	t.Fatalf("nginx does not listen:\n%s", peer.process.output())
	return nil
}

// Transport leads every name to nginx, from an address of loopback, with the certificate of a client or none.
func (n *Nginx) Transport(t testing.TB, from string, server *x509.Certificate, client ...tls.Certificate) *http.Transport {
	t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(server)
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: client},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", n.Port))
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}
