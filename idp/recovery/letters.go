package recovery

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/idp/outbound"
)

// Letter is a mail in plain words: paragraphs, perhaps a link after them, and more paragraphs.
type Letter struct {
	Subject string
	Before  []string
	Link    string
	After   []string
}

// org is replaced by the organisation's name; no text of a person can hold it.
const org = "\x00"

func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 MST") }

func reset(user *directory.User, link string) Letter {
	return Letter{
		Subject: "Choose a new password for " + org,
		Before: []string{
			"Somebody, probably you, asked for a new password for the account " + user.Name + " at " + org + ". Choose one here:",
		},
		Link:  link,
		After: []string{"The link works once, for 30 minutes.", "If you did not ask for it, do nothing: your password stays as it is."},
	}
}

func invite(user *directory.User, link string, expires time.Time) Letter {
	return Letter{
		Subject: "Your account at " + org,
		Before:  []string{"There is an account for you at " + org + ". Your user name is " + user.Name + ". Choose your password here:"},
		Link:    link,
		After:   []string{"The link works once, until " + moment(expires) + ". If it is over, choose “Forgot your password?” where you sign in, or ask for a new invitation."},
	}
}

func keptElsewhere() Letter {
	return Letter{
		Subject: "Your password for " + org,
		Before: []string{
			"Somebody, probably you, asked for a new password at " + org + ".",
			"Your password is not kept there: it belongs to your organisation's directory, or to another service that you sign in with. Change it where you change it at other times, or ask the people who look after it.",
		},
	}
}

func linkUsed(browser Browser, at time.Time) Letter {
	return Letter{
		Subject: "Your password for " + org + " was replaced",
		Before: []string{
			"The link that you were sent was used to choose a new password for " + org + ", on " + moment(at) + ".",
			"You are signed out everywhere. " + browser.words(),
			"If that was not you, somebody reads your mail: tell the people who look after " + org + " at once.",
		},
	}
}

// PasswordChanged tells a person that their password is another one; by an administrator, or by themselves.
func PasswordChanged(browser Browser, at time.Time, byAdmin bool) Letter {
	how := browser.words()
	if byAdmin {
		how = "It was done by an administrator."
	}
	return Letter{
		Subject: "Your password for " + org + " was changed",
		Before: []string{
			"Your password for " + org + " was changed on " + moment(at) + ".", how,
			"If you know nothing of it, choose “Forgot your password?” where you sign in, and tell the people who look after " + org + ".",
		},
	}
}

// NewDevice tells a person that they signed in with a browser that was not seen before.
func NewDevice(browser Browser, at time.Time) Letter {
	return Letter{
		Subject: "A new sign-in to " + org,
		Before: []string{
			"Your account at " + org + " was signed in to with a browser that you have not used before, on " + moment(at) + ".",
			browser.words(),
			"If that was you, there is nothing to do. If not, change your password and sign out everywhere on your account page, and tell the people who look after " + org + ".",
		},
	}
}

// FactorAdded tells a person of a new way to sign in, by its name.
func FactorAdded(name string, browser Browser, at time.Time, byAdmin bool) Letter {
	return waysChanged("A way to sign in to "+org+" was added", "“"+name+"” was added to your ways to sign in to "+org, browser, at, byAdmin)
}

// FactorRemoved tells a person that a way to sign in is gone, by its name.
func FactorRemoved(name string, browser Browser, at time.Time) Letter {
	return waysChanged("A way to sign in to "+org+" was removed", "“"+name+"” was removed from your ways to sign in to "+org, browser, at, false)
}

// FactorsReset tells a person that an administrator removed their second factors and passkeys.
func FactorsReset(at time.Time) Letter {
	return waysChanged("Your second factors for "+org+" were removed", "All your second factors and passkeys for "+org+" were removed, and you are signed out everywhere,", Browser{}, at, true)
}

// CodesMade tells a person that they have new recovery codes.
func CodesMade(browser Browser, at time.Time) Letter {
	return waysChanged("New recovery codes for "+org, "New recovery codes were made for your account at "+org, browser, at, false)
}

// CodeUsed tells a person that one of their recovery codes was used, and how many are left.
func CodeUsed(left int, browser Browser, at time.Time) Letter {
	letter := waysChanged("A recovery code for "+org+" was used", "One of your recovery codes was used to sign in to "+org, browser, at, false)
	letter.After = []string{fmt.Sprintf("Codes that are left: %d. Make new ones on your account page before they run out.", left)}
	return letter
}

func waysChanged(subject, what string, browser Browser, at time.Time, byAdmin bool) Letter {
	how := browser.words()
	if byAdmin {
		how = "It was done by an administrator."
	}
	return Letter{Subject: subject, Before: []string{
		what + " on " + moment(at) + ".", how,
		"If you know nothing of it, change your password and sign out everywhere on your account page, and tell the people who look after " + org + ".",
	}}
}

func trial() Letter {
	return Letter{Subject: "A test from " + org, Before: []string{"This is a test. Mail from " + org + " arrives."}}
}

var page = template.Must(template.New("letter").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Subject}}</title></head>
<body style="font-family:system-ui,sans-serif;font-size:16px;line-height:1.5;max-width:36em">
{{range .Before}}<p>{{.}}</p>
{{end}}{{with .Link}}<p><a href="{{.}}">{{.}}</a></p>
{{end}}{{range .After}}<p>{{.}}</p>
{{end}}{{with .Support}}<p>Help: {{.}}</p>
{{end}}</body></html>
`))

// message writes the letter out, as text and as the simplest HTML.
func (l Letter) message(to string, settings *directory.Settings) (outbound.Message, error) {
	name := func(texts []string) []string {
		var named []string
		for _, text := range texts {
			named = append(named, strings.ReplaceAll(text, org, settings.Sender()))
		}
		return named
	}
	l.Subject, l.Before, l.After = strings.ReplaceAll(l.Subject, org, settings.Sender()), name(l.Before), name(l.After)
	text := strings.Join(l.Before, "\n\n") + "\n"
	if l.Link != "" {
		text += "\n" + l.Link + "\n"
	}
	if len(l.After) > 0 {
		text += "\n" + strings.Join(l.After, "\n\n") + "\n"
	}
	if settings.SupportContact != "" {
		text += fmt.Sprintf("\nHelp: %s\n", settings.SupportContact)
	}
	var html bytes.Buffer
	err := page.Execute(&html, struct {
		Letter
		Support string
	}{l, settings.SupportContact})
	return outbound.Message{To: to, Subject: l.Subject, Text: text, HTML: html.String()}, err
}
