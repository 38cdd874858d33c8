package templates

import (
	"io"
	"slices"
	"time"
)

// SignInPage asks for name and password. It posts `name`, `password`, `flow` and `next` to Action; where an app waits, also
// `cancel` and `flow` alone.
type SignInPage struct {
	Shell
	Action     string
	Name       string // prefilled
	Error      string // the one sentence of the summary; empty at first
	Code       string // trace code that belongs to Error, if any
	App        string // name of the app being opened, may be empty
	About      AppAbout
	Flow       string    // id of the waiting flow, may be empty
	Next       string    // path to go on to where no flow waits, may be empty
	ReauthNote string    // why a signed-in person is asked again; then Name cannot be edited
	SwitchHref string    // "Not you?", shown with ReauthNote when set
	NoPassword bool      // people sign in elsewhere alone
	Passkey    *Ceremony // nil: no passkeys here
	Remember   bool      // the browser is to keep the name; the form posts `remember`
	Forgot     string    // where to go with a forgotten password; empty: nowhere
	Upstreams  []SignInUpstream
}

// AppAbout is what else is shown of the app that is being opened.
type AppAbout struct {
	Lang        string // of the app's name, where it is not the page's
	LogoURL     string
	Information string // address of a page about it, may be empty
	Privacy     string // of its privacy statement, may be empty
	Terms       string // of its terms of service, may be empty
	Host        string // by which the app goes, where nobody here named it; empty: it has a name of ours
}

// SignInUpstream is another identity provider to choose; its button posts `flow` and `next` to Action.
type SignInUpstream struct{ Title, Action string }

// SignIn writes the sign-in page.
func SignIn(w io.Writer, p SignInPage) error { return render(w, "signin", p) }

// ConsentPage tells a person what an app will be told about them. It posts `flow`, `session` and each of Asks as `ask` to
// Action, or `cancel` and `flow`.
type ConsentPage struct {
	Shell
	Action      string
	Flow        string // id of the waiting flow
	Session     string // handle of the session that the page is shown to
	App         string
	About       AppAbout
	Description string    // of the app, may be empty
	Person      string    // who is signed in
	May         bool      // Asks say what the app may do, not what it is told
	Asks        []string  // what the app will be told
	Agreed      time.Time // when the person agreed to less than this; zero: never
	Device      *ConsentDevice
}

// ConsentDevice is the device that a person is asked to connect, where the app asks from one that has no browser.
type ConsentDevice struct {
	Code    string // that it shows
	Address string // from where it asked
}

// Consent writes the consent page.
func Consent(w io.Writer, p ConsentPage) error { return render(w, "consent", p) }

// DevicePage asks for the code that a device shows. It posts `user_code` to Action.
type DevicePage struct {
	Shell
	Action string
	Code   string // as typed, or as the device's link says
	Error  string
}

// Device writes the page that asks for a device's code.
func Device(w io.Writer, p DevicePage) error { return render(w, "device", p) }

// MessagePage is any page of one sentence: errors, an expired flow, "you can close this window".
type MessagePage struct {
	Shell
	Tone    string // "info", "ok", "warn" or "danger"; empty: info
	Heading string // empty: Title
	Text    string // what happened
	Next    string // what to do, may be empty
	Code    string // trace code with a copy button, may be empty
	Links   []Link // the first is the main one
	Support bool   // name the organisation's support contact as the one to give Code to
}

// Message writes a message page.
func Message(w io.Writer, p MessagePage) error { return render(w, "message", p) }

// ConfirmPage asks one question with one button, for example before a cross-site launch or GET /logout.
type ConfirmPage struct {
	Shell
	Question string
	Detail   string
	Action   string
	Button   string
	Danger   bool              // the button is a danger button
	Hidden   map[string]string // posted as they are
	Cancel   Link              // shown when set
}

// Confirm writes a confirmation page.
func Confirm(w io.Writer, p ConfirmPage) error { return render(w, "confirm", p) }

// SignedOutPage is shown after signing out, and on the way while apps are told one after the other.
type SignedOutPage struct {
	Shell
	SignInHref string
	Apps       []SignedOutApp
	Next       string   // leads the browser to the next app; empty: the sign-out is over
	Probe      string   // address of that app: whether the browser reaches it decides how it is told
	Frame      string   // tells that app in a frame, for when the browser cannot tell whether it would come back; empty: cannot
	Skip       string   // goes on without it
	Frames     []string // addresses that tell apps when they are shown in frames, before going on to Next
}

// SignedOutApp is one app's part in a sign-out.
type SignedOutApp struct {
	Name  string
	State string // "out", "told", "failed", "untold" or "waiting"
}

// Incomplete tells whether the person may still be signed in somewhere.
func (p SignedOutPage) Incomplete() bool {
	return slices.ContainsFunc(p.Apps, func(a SignedOutApp) bool { return a.State != "out" })
}

// SignedOut writes the page after signing out.
func SignedOut(w io.Writer, p SignedOutPage) error { return render(w, "signedout", p) }

// ForgotPage helps somebody who has forgotten a password. It posts `name` to Action.
type ForgotPage struct {
	Shell
	Action string
	Back   string // to the sign-in
	Name   string // user name or e-mail address, as typed
	Error  string
	Sent   bool // what was typed was taken; whether anybody is called so is not said
}

// Forgot writes the page for a forgotten password.
func Forgot(w io.Writer, p ForgotPage) error { return render(w, "forgot", p) }

// LinkPage is where a one-time link leads: it chooses a password. It posts `key`, `new` and `repeat` to Action, to set up also
// `name` and `email`.
type LinkPage struct {
	Shell
	Action   string
	Key      string    // the link's secret
	Purpose  string    // "setup", "invite" or "reset"
	Expires  time.Time // of the link
	Name     string    // user name, fixed unless it is to set up
	Email    string    // as typed, to set up
	Greeting string    // display name, may be empty
	Rules    string    // what a password needs, one sentence
	Errors   Errors
}

// OneTimeLink writes the page of a one-time link.
func OneTimeLink(w io.Writer, p LinkPage) error { return render(w, "link", p) }
