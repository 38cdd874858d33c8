package idptest

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/idp/outbound"
	"gatehouse/store"
)

// TestMailer sends through a mail server that nobody here wrote, as its settings and certificate allow.
func TestMailer(t *testing.T) {
	t.Parallel()
	starttls := StartSMTP(t, SMTPOptions{TLS: "starttls", User: "gate", Password: "p@ss:word/1"})
	smtps := StartSMTP(t, SMTPOptions{TLS: "smtps"})
	plain := StartSMTP(t, SMTPOptions{})
	// mail.example.org is one of the servers here, so that the rules for servers elsewhere hold
	elsewhere := func(s *SMTP) func(context.Context, string, string) (net.Conn, error) {
		return func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.address())
		}
	}
	message := outbound.Message{To: "ana@example.org", Subject: "Grüße, “Ana”", Text: "One\n", HTML: "<p>One</p>"}
	for name, one := range map[string]struct {
		mailer  outbound.Mailer
		url     string
		pass    string
		into    *SMTP
		problem string
	}{
		"starttls elsewhere":               {outbound.Mailer{Roots: starttls.Roots, Dial: elsewhere(starttls)}, "smtp://gate@mail.example.org", "p@ss:word/1", starttls, ""},
		"a wrong password":                 {outbound.Mailer{Roots: starttls.Roots, Dial: elsewhere(starttls)}, "smtp://gate@mail.example.org", "wrong", nil, "AUTH"},
		"a certificate that nobody trusts": {outbound.Mailer{Dial: elsewhere(starttls)}, "smtp://gate@mail.example.org", "p@ss:word/1", nil, "certificate"},
		"a certificate of another name":    {outbound.Mailer{Roots: starttls.Roots, Dial: elsewhere(starttls)}, "smtp://gate@other.example.org", "p@ss:word/1", nil, "certificate"},
		"no starttls elsewhere":            {outbound.Mailer{Dial: elsewhere(plain)}, "smtp://mail.example.org", "", nil, "STARTTLS"},
		"starttls on this machine":         {outbound.Mailer{}, starttls.URL("smtp", "gate"), "p@ss:word/1", starttls, ""},
		"plain on this machine":            {outbound.Mailer{}, plain.URL("smtp", ""), "", plain, ""},
		"smtps":                            {outbound.Mailer{Roots: smtps.Roots}, smtps.URL("smtps", ""), "", smtps, ""},
		"smtps that nobody trusts":         {outbound.Mailer{}, smtps.URL("smtps", ""), "", nil, "certificate"},
		"nobody listens":                   {outbound.Mailer{}, "smtp://127.0.0.1:1", "", nil, "refused"},
		"another scheme":                   {outbound.Mailer{}, "http://127.0.0.1", "", nil, "is written like"},
	} {
		t.Run(name, func(t *testing.T) {
			before := 0
			if one.into != nil {
				before = len(one.into.Mails(t))
			}
			err := one.mailer.Deliver(t.Context(), outbound.Account{URL: one.url, Password: one.pass, From: "gatehouse@example.org", Name: "Exämple, Ltd"}, message)
			if one.into == nil {
				if err == nil || !strings.Contains(err.Error(), one.problem) || one.pass != "" && strings.Contains(err.Error(), one.pass) {
					t.Errorf("%v, want %q", err, one.problem)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			mails := one.into.Mails(t)
			if len(mails) != before+1 {
				t.Fatalf("%d mails came", len(mails)-before)
			}
			got := mails[before]
			if got.Subject != message.Subject || !strings.Contains(got.Sender, "gatehouse@example.org") || !strings.Contains(got.Sender, "Exämple, Ltd") || strings.TrimSpace(got.Text) != "One" ||
				strings.TrimSpace(got.HTML) != "<p>One</p>" || got.Encrypted != (one.into != plain) || got.Authenticated != (one.pass != "") || !slices.Contains(got.Headers, "Auto-Submitted") {
				t.Errorf("%+v", got)
			}
		})
	}
	if n := len(plain.Mails(t)); n != 1 {
		t.Errorf("%d mails came in the clear", n)
	}
}

// TestMailHeaderInjection: no text of a person or an administrator begins another header, or reaches another mailbox.
func TestMailHeaderInjection(t *testing.T) {
	t.Parallel()
	sink := StartSMTP(t, SMTPOptions{})
	good := outbound.Message{To: "ana@example.org", Subject: "Hello", Text: "One\n"}
	account := outbound.Account{URL: sink.URL("smtp", ""), From: "gatehouse@example.org", Name: "Example"}
	for _, evil := range []string{"\r\nBcc: eve@example.org", "\nBcc: eve@example.org", "\rBcc: eve@example.org", "\x00", "\r\n\r\nbody"} {
		for _, place := range []func(*outbound.Message, *outbound.Account){
			func(m *outbound.Message, _ *outbound.Account) { m.To += evil },
			func(m *outbound.Message, _ *outbound.Account) { m.Subject += evil },
			func(_ *outbound.Message, a *outbound.Account) { a.From += evil },
			func(_ *outbound.Message, a *outbound.Account) { a.Name += evil },
		} {
			m, a := good, account
			place(&m, &a)
			if err := (&outbound.Mailer{}).Deliver(t.Context(), a, m); err == nil {
				t.Errorf("sent: %q", sink.Mails(t)[len(sink.Mails(t))-1].Raw)
			}
		}
	}
	for _, to := range []string{"ana@example.org, eve@example.org", "ana@example.org eve@example.org", "<ana@example.org> eve@example.org", ""} {
		m := good
		m.To = to
		if err := (&outbound.Mailer{}).Deliver(t.Context(), account, m); err == nil {
			t.Errorf("sent to %q", to)
		}
	}
	if n := len(sink.Mails(t)); n != 0 {
		t.Errorf("%d mails came", n)
	}
}

// TestMailSettings: the password of the mail server is nowhere to be seen, and a mail tells at once whether the settings are right.
func TestMailSettings(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	sink := StartSMTP(t, SMTPOptions{TLS: "starttls", User: "gate", Password: "s3cret-of-mail"})
	refusedBy(t, s.API.TestMail(t.Context(), "ada@example.org"), "no mail server is set up")
	s.SendsMail(t, sink, map[string]string{"smtp.url": sink.URL("smtp", "gate:wrong-of-mail")})
	refusedBy(t, s.API.TestMail(t.Context(), "ada@example.org"), "The mail was not sent")
	s.SendsMail(t, sink, map[string]string{"smtp.url": sink.URL("smtp", "gate:s3cret-of-mail")})
	if err := s.API.TestMail(t.Context(), "ada@example.org"); err != nil {
		t.Fatal(err)
	}
	if mail := sink.Wait(t, "ada@example.org", 1); !mail.Encrypted || !mail.Authenticated || mail.Subject != "A test from Example Ltd" || !strings.Contains(mail.Text, "Mail from Example Ltd arrives.") {
		t.Errorf("%+v", mail)
	}
	refusedBy(t, s.API.TestMail(t.Context(), "refused@example.org"), "No such mailbox here")
	refusedBy(t, s.API.TestMail(t.Context(), "nobody"), "is no e-mail address")
	_, err := s.API.SetSettings(t.Context(), api.Change{Set: map[string]string{"smtp.url": "smtp://gate@evil.example.org"}})
	refusedBy(t, err, "Give the password too")
	list, err := s.API.Settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range list.Items {
		if setting.Key == "smtp.url" && setting.Value != sink.URL("smtp", "gate") {
			t.Errorf("smtp.url is shown as %q", setting.Value)
		}
	}
	entries := s.Audit(t)
	if !slices.ContainsFunc(entries, func(e api.AuditEntry) bool { return e.Kind == "mail.test" && e.Outcome == "failed" }) {
		t.Error("the audit does not show the failed test")
	}
	s.leaks(t, "s3cret-of-mail", "wrong-of-mail")
}

// refusedBy demands an error that says so.
func refusedBy(t *testing.T, err error, sentence string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), sentence) {
		t.Errorf("%v, want %q", err, sentence)
	}
}

// leaks demands that the database file holds none of the secrets, not even in a page that is free again.
func (s *Server) leaks(t *testing.T, secrets ...string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(s.Dir, "gatehouse.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if secret == "" || bytes.Contains(content, []byte(secret)) {
			t.Errorf("the database holds the secret %q", secret)
		}
	}
}

// outboxEmpty tells whether nothing waits to be sent.
func (s *Server) outboxEmpty(t *testing.T) (empty bool) {
	t.Helper()
	err := s.Store.View(t.Context(), func(tx store.Tx) error {
		n, err := outbound.Rows.Count(tx, store.Page{}, 1)
		empty = n == 0
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return empty
}
