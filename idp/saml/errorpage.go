package saml

import (
	"net/http"
	"regexp"
	"strconv"
	"time"

	"gatehouse/idp/web"
	"gatehouse/templates"
)

// errorPath is our errorURL (metadata 2.4.3) with the placeholders of the REFEDS error template, which apps fill in.
const (
	errorPath  = "/saml/error"
	errorQuery = "?code=ERRORURL_CODE&ts=ERRORURL_TS&rp=ERRORURL_RP&tid=ERRORURL_TID&ctx=ERRORURL_CTX"
)

// errorWords are what happened and what to do, by the template's code; the empty one is for any other.
var errorWords = map[string]struct{ heading, text, next string }{
	"IDENTIFICATION_FAILURE": {"The app did not learn who you are", "It needs something about you that was missing, such as an e-mail address.", "Ask your administrator to complete your account, or to let the app have it."},
	"AUTHENTICATION_FAILURE": {"The app asks for another sign-in", "It needs a stronger or a fresher sign-in than the one it got.", "Open the app again and sign in in the way it asks for. If that is not offered, ask your administrator."},
	"AUTHORIZATION_FAILURE":  {"The app does not let you in", "You are signed in, but the app says that you may not use what you opened.", "Ask for access to it, or ask your administrator."},
	"":                       {"Something went wrong at the app", "You came here from an app that could not go on.", "Open the app again from your apps. If it happens again, tell your administrator."},
}

// referenceForm is of a code that an app gives for its own logs. Only what looks like one is shown, so that no link can put words
// on the page.
var referenceForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// errorPage is where apps send people whom they cannot serve: GET /saml/error.
func (h *Handlers) errorPage(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	words, known := errorWords[query.Get("code")]
	if !known {
		words = errorWords[""]
	}
	text := words.text
	app, err := h.appOf(r.Context(), query.Get("rp"))
	if err != nil {
		return err
	}
	if app != nil {
		text += " The app is " + app.Definition.Name + "."
	}
	if seconds, err := strconv.ParseInt(query.Get("ts"), 10, 64); err == nil && seconds > 0 && seconds < 1<<40 {
		text += " It happened at " + time.Unix(seconds, 0).UTC().Format("15:04 on 2 January 2006") + " UTC."
	}
	if tid := query.Get("tid"); tid != "ERRORURL_TID" && referenceForm.MatchString(tid) {
		text += " Its reference is " + tid + "."
	}
	page := templates.MessagePage{
		Shell: h.Kit.Shell(r, words.heading), Tone: "warn", Text: text, Next: words.next, Links: []templates.Link{{Label: "Your apps", Href: "/"}},
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Message(b, page) })
}
