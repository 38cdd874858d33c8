package idptest

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/crewjam/saml"
	"github.com/crewjam/saml/samlsp"
)

const (
	peerStart = time.Minute     // how long a peer may take until it answers, also beside others that start
	peerStop  = 5 * time.Second // how long it may take to end before it is killed
)

// Key is a peer's RSA-2048 key with a self-signed certificate, as files and as PEM.
type Key struct {
	Private     []byte // PEM, PKCS #8
	Certificate []byte // PEM
}

// NewKey makes a key whose certificate names name.
func NewKey(t testing.TB, name string) Key {
	t.Helper()
	key, err := partyKeys.take(t)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(5, 0, 0)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Key{
		Private:     pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		Certificate: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}),
	}
}

// certificateText is the certificate as base64 on one line, as metadata carries it.
func (k Key) certificateText() string {
	block, _ := pem.Decode(k.Certificate)
	return base64.StdEncoding.EncodeToString(block.Bytes)
}

// PEMCertificates returns the signing certificates of an identity provider's metadata, as PEM.
func PEMCertificates(t testing.TB, idpMetadata []byte) []string {
	t.Helper()
	var certs []string
	for _, key := range idpRole(t, idpMetadata).KeyDescriptors {
		if key.Use == "encryption" {
			continue
		}
		for _, cert := range key.KeyInfo.X509Data.X509Certificates {
			der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(cert.Data), ""))
			if err != nil {
				t.Fatalf("certificate in the identity provider's metadata: %v", err)
			}
			certs = append(certs, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
		}
	}
	return certs
}

// ssoURL returns where metadata wants AuthnRequests sent by binding.
func ssoURL(t testing.TB, idpMetadata []byte, binding string) string {
	t.Helper()
	for _, endpoint := range idpRole(t, idpMetadata).SingleSignOnServices {
		if endpoint.Binding == binding {
			return endpoint.Location
		}
	}
	t.Fatalf("the identity provider's metadata has no SingleSignOnService for %s", binding)
	return ""
}

func idpRole(t testing.TB, idpMetadata []byte) saml.IDPSSODescriptor {
	t.Helper()
	entity, err := samlsp.ParseMetadata(idpMetadata)
	if err != nil {
		t.Fatalf("identity provider's metadata: %v", err)
	}
	if len(entity.IDPSSODescriptors) != 1 {
		t.Fatalf("identity provider's metadata has %d IDPSSODescriptors, want 1", len(entity.IDPSSODescriptors))
	}
	return entity.IDPSSODescriptors[0]
}

// handedOut are the ports that freePort gave to somebody, who may give one up and take it again.
var handedOut sync.Map

// freePort returns a loopback port that is free now and stays the caller's for the run, for a server that can only be told its port or
// that comes back to it. It lies below the ports that the kernel hands out by itself, so that no connection and no other listener of
// the run takes it while nobody listens there.
func freePort(t testing.TB) int {
	t.Helper()
	const lowest, ephemeral = 15_000, 32_768 // ip(7), ip_local_port_range
	for range 100 {
		port := lowest + mathrand.IntN(ephemeral-lowest)
		if _, taken := handedOut.LoadOrStore(port, true); taken {
			continue
		}
		if listener, err := net.Listen("tcp", loopback(port)); err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal("a hundred ports below the kernel's own are taken")
	return 0
}

// loopback is the address of a port on this machine.
func loopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// worldFolder makes a temporary folder that other users may read, for servers that drop root.
func worldFolder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gatehouse-peer-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writeFiles writes files into dir.
func writeFiles(t testing.TB, dir string, mode os.FileMode, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, mode); err != nil {
			t.Fatal(err)
		}
	}
}

// process is a peer's server.
type process struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// startProcess runs cmd until the test ends or stop is called.
func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.out, &p.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", filepath.Base(cmd.Path), err)
	}
	go func() { cmd.Wait(); close(p.done) }()
	t.Cleanup(p.stop)
	return p
}

// stop ends the server and its children, gently first. It may be called more than once.
func (p *process) stop() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(peerStop):
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// output is what the server printed; it is read only after its end, because the buffer is not locked.
func (p *process) output() string {
	p.stop()
	return p.out.String()
}

// fetch waits until the server answers url with 200 and returns the body.
func (p *process) fetch(t testing.TB, url string) []byte {
	t.Helper()
	for deadline := time.Now().Add(peerStart); time.Now().Before(deadline); time.Sleep(30 * time.Millisecond) {
		select {
		case <-p.done:
			t.Fatalf("%s ended at start:\n%s", filepath.Base(p.cmd.Path), p.output())
		default:
		}
		if body, err := get(url); err == nil {
			return body
		}
	}
	t.Fatalf("%s does not answer %s:\n%s", filepath.Base(p.cmd.Path), url, p.output())
	return nil
}

func get(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return io.ReadAll(response.Body)
}
