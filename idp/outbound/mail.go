package outbound

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// Account is the mail server to send through, and as whom.
type Account struct {
	URL      string // smtp://USER@HOST:PORT or smtps://…, without the password
	Password string
	From     string // address
	Name     string // of the sender, may be empty
}

// Message is one mail to one person.
type Message struct {
	To, Subject, Text, HTML string
}

// Mailer sends mail by SMTP (RFC 5321). The zero value is ready to use.
type Mailer struct {
	Roots *x509.CertPool                                                       // nil: the system's
	Dial  func(ctx context.Context, network, address string) (net.Conn, error) // nil: net.Dialer's
}

// sendTimeout is how long one mail may take, below the outbox's own limit.
const sendTimeout = 12 * time.Second

// errLines refuses what would begin another header.
var errLines = errors.New("an address or a subject of a mail is one line")

// Deliver hands a message to the mail server, which has taken it when the error is nil. Passwords and mails travel encrypted:
// smtps:// from the first byte, smtp:// by STARTTLS, which must be there unless the server is this machine.
func (m *Mailer) Deliver(ctx context.Context, account Account, message Message) error {
	mailed, err := compose(account, message)
	if err != nil {
		return err
	}
	client, err := m.client(account)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return client.DialAndSendWithContext(ctx, mailed)
}

// compose makes the message. Addresses are parsed, words are encoded (RFC 5322, RFC 2047) and lines cannot be smuggled in.
func compose(account Account, message Message) (*mail.Msg, error) {
	for _, line := range []string{account.From, account.Name, message.To, message.Subject} {
		if strings.ContainsAny(line, "\r\n\x00") {
			return nil, errLines
		}
	}
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := msg.FromFormat(account.Name, account.From); err != nil {
		return nil, fmt.Errorf("the sender %q: %w", account.From, err)
	}
	if err := msg.To(message.To); err != nil {
		return nil, fmt.Errorf("the recipient: %w", err)
	}
	msg.Subject(message.Subject)
	msg.SetDate()
	msg.SetMessageIDWithValue(rand.Text() + account.From[strings.LastIndexByte(account.From, '@'):])
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no vacation notes in return
	msg.SetBodyString(mail.TypeTextPlain, message.Text)
	if message.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, message.HTML)
	}
	return msg, nil
}

// client is made for each mail: few are sent, and a setting that changes holds at once.
func (m *Mailer) client(account Account) (*mail.Client, error) {
	u, port, err := ParseMailServer(account.URL)
	if err != nil {
		return nil, err
	}
	options := []mail.Option{mail.WithPort(port), mail.WithTimeout(sendTimeout)}
	config := &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12, RootCAs: m.Roots}
	switch local := isLoopback(u.Hostname()); {
	case u.Scheme == "smtps":
		options = append(options, mail.WithSSL(), mail.WithTLSPolicy(mail.TLSMandatory))
	case local:
		config.InsecureSkipVerify = true // the peer is this machine: a self-signed certificate proves as much as none
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	options = append(options, mail.WithTLSConfig(config))
	if name := u.User.Username(); name != "" {
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(name), mail.WithPassword(account.Password))
	}
	if m.Dial != nil {
		options = append(options, mail.WithDialContextFunc(m.Dial))
	}
	return mail.NewClient(u.Hostname(), options...)
}

// ParseMailServer reads the address of a mail server; the port is 587 for smtp and 465 for smtps unless it says another one.
func ParseMailServer(text string) (*url.URL, int, error) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, 0, errors.New("a mail server is written like smtp://user:password@mail.example.org:587 or smtps://mail.example.org")
	}
	port := map[string]int{"smtp": 587, "smtps": 465}[u.Scheme]
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil || port < 1 || port > 65535 {
			return nil, 0, fmt.Errorf("%q is no port of a mail server: it is a number from 1 to 65535", u.Port())
		}
	}
	return u, port, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
