package templates

import (
	"html/template"
	"io"
	"net/url"
	"strings"
	"time"
)

// Ceremony asks the browser's authenticator, by script, and posts `token` and `response`, with `flow` and `next`, to Action.
type Ceremony struct {
	Action      string
	Options     string // for navigator.credentials, as JSON
	Token       string
	Conditional bool // offer passkeys in the autofill of the user name too
}

// Place is where a step leads on to: a waiting flow, or a path.
type Place struct{ Flow, Next string }

// FactorPage asks for a second factor. It posts `code`, `flow` and `next` to Action.
type FactorPage struct {
	Shell
	Place
	Action  string
	App     string // being opened, may be empty
	Error   string
	Code    bool      // the person has an authenticator app
	Codes   bool      // the person has recovery codes
	Passkey *Ceremony // nil: no passkey or security key
	Switch  string    // "Use another account"
	Cancel  bool      // `cancel` may be posted
}

// Factor writes the page that asks for a second factor.
func Factor(w io.Writer, p FactorPage) error { return render(w, "factor", p) }

// EnrolPage lets a person choose a second factor to set up.
type EnrolPage struct {
	Shell
	Place
	App         string    // that needs it, may be empty
	Error       string    // of the passkey
	AppHref     string    // sets up an authenticator app
	Passkey     *Ceremony // nil: see NoPasskeys
	NoPasskeys  string    // why there are none, may be empty
	Name        string    // suggested for the passkey
	LaterAction string    // puts it off; empty: not allowed
	LaterUntil  time.Time
	Cancel      Link   // back to where the person came from, shown when set
	CancelFlow  string // action that takes `flow` and `cancel`; empty: no flow waits
}

// Enrol writes that page.
func Enrol(w io.Writer, p EnrolPage) error { return render(w, "enrol", p) }

// EnrolAppPage shows the seed of an authenticator app and asks for its first code. It posts `code`, `name`, `token`, `flow` and
// `next` to Action.
type EnrolAppPage struct {
	Shell
	Place
	Action string
	QR     string // QR code of the otpauth URI, as an SVG path
	Size   int    // of its side
	Secret string // base32
	URI    string
	Token  string
	Name   string
	Errors Errors
	Back   string
}

// EnrolApp writes that page.
func EnrolApp(w io.Writer, p EnrolAppPage) error { return render(w, "enrol_app", p) }

// Framed is the side of the QR code with the four light squares around it that readers need.
func (p EnrolAppPage) Framed() int { return p.Size + 8 }

// Link opens the authenticator app on the same device.
func (p EnrolAppPage) Link() template.URL {
	if !strings.HasPrefix(p.URI, "otpauth://") {
		return "#"
	}
	return template.URL(p.URI)
}

// Groups is the secret in groups of four, to type in.
func (p EnrolAppPage) Groups() string {
	var b strings.Builder
	for i, r := range p.Secret {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// RecoveryPage shows fresh recovery codes, once.
type RecoveryPage struct {
	Shell
	Codes    []string
	Added    string // the factor that was set up before, may be empty
	Continue string
	User     string
}

// Recovery writes that page.
func Recovery(w io.Writer, p RecoveryPage) error { return render(w, "recovery", p) }

// Download is the codes as a text file.
func (p RecoveryPage) Download() template.URL {
	text := "Recovery codes of " + p.User + " for " + p.Org.Name + "\nEach works once.\n\n" + strings.Join(p.Codes, "\n") + "\n"
	return template.URL("data:text/plain;charset=utf-8," + url.PathEscape(text))
}

// FactorRow is one way to sign in. RenameAction posts `name`; empty actions are not shown.
type FactorRow struct {
	ID, Kind, Name string // Kind: "totp", "passkey" or "recovery"
	Created, Used  time.Time
	Left           int // recovery codes
	RenameAction   string
	RemoveHref     string
	RenewHref      string
}

// KindWords is what it is, in words.
func (f FactorRow) KindWords() string {
	return map[string]string{"totp": "Authenticator app", "passkey": "Passkey or security key", "recovery": "Recovery codes"}[f.Kind]
}

// FactorSection is the part of a person's account page about ways to sign in.
type FactorSection struct {
	Factors   []FactorRow
	AddHref   string // empty: none may be added
	RenewHref string // makes recovery codes; empty: there are some, or nothing that they would stand in for
	Note      string // what does not work here, may be empty
}
