package idptest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// SMTPOptions vary the mail server. The zero value speaks plain SMTP to everybody.
type SMTPOptions struct {
	TLS            string // "", "starttls" (which it then requires) or "smtps"
	User, Password string // empty: nobody signs in
}

// SMTP is aiosmtpd, a mail server that nobody here wrote, which keeps what it is given.
type SMTP struct {
	Port    int
	Roots   *x509.CertPool // of its certificate, which is for mail.example.org and 127.0.0.1
	folder  string
	process *process
}

// Mail is one mail as the mail server got it.
type Mail struct {
	From          string   `json:"from"` // of the envelope
	To            []string `json:"to"`
	Subject       string   `json:"subject"`
	Sender        string   `json:"sender"` // of the header From
	Recipient     string   `json:"recipient"`
	Headers       []string `json:"headers"`
	Text          string   `json:"text"`
	HTML          string   `json:"html"`
	Raw           string   `json:"raw"`
	Encrypted     bool     `json:"encrypted"`
	Authenticated bool     `json:"authenticated"`
}

// StartSMTP starts the mail server on 127.0.0.1 for the length of the test.
func StartSMTP(t testing.TB, o SMTPOptions) *SMTP {
	t.Helper()
	Need(t, ToolSMTP)
	source, err := peerFolder("aiosmtpd")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	s := &SMTP{Port: freePort(t), folder: filepath.Join(dir, "mails"), Roots: x509.NewCertPool()}
	certificate, key := mailCertificate(t)
	s.Roots.AppendCertsFromPEM(certificate)
	if err := os.Mkdir(s.folder, 0o700); err != nil {
		t.Fatal(err)
	}
	cert, keyFile, config := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), filepath.Join(dir, "smtp.json")
	writeFiles(t, dir, 0o600, map[string][]byte{"cert.pem": certificate, "key.pem": key, "smtp.json": encode(t, map[string]any{
		"port": s.Port, "folder": s.folder, "tls": o.TLS, "cert": cert, "key": keyFile, "user": o.User, "password": o.Password,
	})})
	s.process = startProcess(t, exec.Command(debianPython, filepath.Join(source, "server.py"), config))
	for deadline := time.Now().Add(peerStart); ; time.Sleep(30 * time.Millisecond) {
		conn, err := net.Dial("tcp", s.address())
		if err == nil {
			conn.Close()
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the mail server does not answer: %v\n%s", err, s.process.output())
		}
	}
}

func (s *SMTP) address() string { return loopback(s.Port) }

// URL is the value of smtp.url for it.
func (s *SMTP) URL(scheme, credentials string) string {
	if credentials != "" {
		credentials += "@"
	}
	return scheme + "://" + credentials + s.address()
}

// Mails are those that came so far, the oldest first.
func (s *SMTP) Mails(t testing.TB) []Mail {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.folder, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	var mails []Mail
	for _, name := range files {
		var mail Mail
		content, err := os.ReadFile(name)
		if err == nil {
			err = json.Unmarshal(content, &mail)
		}
		if err != nil {
			t.Fatal(err)
		}
		mails = append(mails, mail)
	}
	return mails
}

// Wait returns the nth mail to an address, counted from 1, once it is there.
func (s *SMTP) Wait(t testing.TB, to string, n int) Mail {
	t.Helper()
	var found []Mail
	eventually(t, fmt.Sprintf("no mail %d to %s came", n, to), func() bool {
		found = s.To(t, to)
		return len(found) >= n
	})
	return found[n-1]
}

// About waits for a mail with a subject.
func (s *SMTP) About(t testing.TB, to, subject string) (found Mail) {
	t.Helper()
	eventually(t, fmt.Sprintf("no mail %q to %s came", subject, to), func() bool {
		mails := s.To(t, to)
		i := slices.IndexFunc(mails, func(m Mail) bool { return m.Subject == subject })
		if i >= 0 {
			found = mails[i]
		}
		return i >= 0
	})
	return found
}

// To are the mails to an address.
func (s *SMTP) To(t testing.TB, to string) []Mail {
	t.Helper()
	return slices.DeleteFunc(s.Mails(t), func(m Mail) bool { return !slices.Contains(m.To, to) })
}

var mailedLink = regexp.MustCompile(`https?://\S+/link\?key=\S+`)

// Link is the one-time link in a mail; the text and the HTML must hold the same.
func (m Mail) Link(t testing.TB) string {
	t.Helper()
	link := mailedLink.FindString(m.Text)
	if link == "" || !strings.Contains(m.HTML, `href="`+link+`"`) {
		t.Fatalf("no link in %q, or another one in %q", m.Text, m.HTML)
	}
	return link
}

// SendsMail sets a server's mail server to this one.
func (s *Server) SendsMail(t testing.TB, mails *SMTP, more map[string]string) {
	t.Helper()
	set := map[string]string{"smtp.url": mails.URL("smtp", ""), "smtp.from": "gatehouse@example.org", "name": "Example Ltd"}
	for key, value := range more {
		set[key] = value
	}
	if _, err := s.API.SetSettings(t.Context(), api.Change{Set: set}); err != nil {
		t.Fatal(err)
	}
}

// mailCertificate makes a self-signed certificate.
func mailCertificate(t testing.TB) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail.example.org"}, DNSNames: []string{"mail.example.org"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, &template, &template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded})
}
