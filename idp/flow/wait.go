package flow

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"

	"gatehouse/idp/audit"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// Bounds of what may wait, so that strangers cannot fill the disk.
const (
	maxWaiting           = 100_000
	maxWaitingPerNetwork = 200
)

// waitingCount is about how many requests wait: counted by Recount, raised by every new one.
type waitingCount struct{ atomic.Int64 }

// stepPaths is where the browser goes for a step; each gets ?flow=TOKEN and comes back to /flow/TOKEN.
var stepPaths = map[StepKind]string{StepSignIn: "/login", StepFactor: "/login/factor", StepEnrol: "/login/enrol", StepConsent: "/consent"}

// blind tells whether the browser could not show its cookies: a cross-site POST arrives without them (SameSite=Lax).
func (e *Engine) blind(r *http.Request) bool {
	return r.Method == http.MethodPost && e.Cookies.Get(r, web.SessionCookie) == "" && e.Cookies.Get(r, web.BrowserCookie) == ""
}

// bounce stores the request unbound, sets no cookie, and lets the browser come back by GET with its cookies.
func (e *Engine) bounce(w http.ResponseWriter, r *http.Request, request *Request) error {
	token, err := e.keep(r, request)
	if err != nil {
		return err
	}
	web.SeeOther(w, "/flow/"+token)
	return nil
}

// wait sends the browser to a step; a request that is not stored yet is stored and bound to the browser first. A visit to a
// built-in app is only a path of ours: the browser keeps it, and the page asks again when it is opened.
func (e *Engine) wait(w http.ResponseWriter, r *http.Request, request *Request, token string, step Step) error {
	if token == "" && request.Protocol == BuiltinProtocol {
		web.SeeOther(w, stepPaths[step.Kind]+"?next="+url.QueryEscape(string(request.Payload)))
		return nil
	}
	if token == "" {
		request.Browser = e.Browser(w, r)
		var err error
		if token, err = e.keep(r, request); err != nil {
			return err
		}
	}
	web.SeeOther(w, stepPaths[step.Kind]+"?flow="+url.QueryEscape(token))
	return nil
}

// keep stores a request under a fresh token, within the bounds. Only what a person opened in a window of its own may wait:
// an image or a frame on another website must not use up the places of everybody behind the same address.
func (e *Engine) keep(r *http.Request, request *Request) (string, error) {
	if destination := r.Header.Get("Sec-Fetch-Dest"); destination != "" && destination != "document" {
		return "", e.Halt(r, request.App, "signon", Reason{
			Type: ReasonEmbedded, Text: "Signing in works only in a window of its own. Open the app in a new tab.",
			Facts: map[string]string{"received": destination, "expected": "document"},
		})
	}
	token := rand.Text()
	request.ID = hashOf(token)
	err := e.Store.Update(r.Context(), func(tx store.Tx) error {
		n, err := Requests.Count(tx, store.Page{Index: "network", Value: audit.Network(request.Address)}, maxWaitingPerNetwork)
		if err != nil {
			return err
		}
		if n >= maxWaitingPerNetwork || e.waiting.Load() >= maxWaiting {
			return errTooMany
		}
		return Requests.Put(tx, request)
	})
	if errors.Is(err, errTooMany) {
		return "", e.tooMany(r, request)
	}
	if err != nil {
		return "", err
	}
	e.waiting.Add(1)
	return token, nil
}

var errTooMany = errors.New("too many requests wait")

func (e *Engine) tooMany(r *http.Request, request *Request) error {
	err := e.Halt(r, request.App, "signon", Reason{
		Type: ReasonTooManyWaiting,
		Text: "Too many sign-ins from your network wait to be finished. Finish one, or try again in ten minutes.",
	})
	var public *web.Error
	if errors.As(err, &public) {
		public.Status, public.RetryAfter = http.StatusTooManyRequests, Lifetime
	}
	return err
}

// Waiting returns the waiting request that a token names, if it is this browser's; the first browser to show an unbound
// one claims it. The error is a page that says what to do.
func (e *Engine) Waiting(w http.ResponseWriter, r *http.Request, token string) (*Request, error) {
	var request Request
	err := e.Store.View(r.Context(), func(tx store.Tx) (err error) {
		request, _, err = Requests.Get(tx, hashOf(token))
		return absent(err)
	})
	if err != nil {
		return nil, err
	}
	switch {
	case request.ID == "" || !e.Now().Before(request.Expires):
		return nil, e.Halt(r, request.App, "signon", Reason{
			Type: ReasonExpired,
			Text: "This sign-in has expired or was finished already. Go back to the app and start again there.",
		})
	case request.Browser == "":
		return e.claim(w, r, request)
	case request.Browser != hashOf(e.Cookies.Get(r, web.BrowserCookie)):
		return nil, e.otherBrowser(r, &request)
	}
	return &request, nil
}

func (e *Engine) otherBrowser(r *http.Request, request *Request) error {
	return e.Halt(r, request.App, "signon", Reason{
		Type: ReasonOtherBrowser,
		Text: "This sign-in was started in another browser, or your browser refuses cookies. Allow cookies, then open the app again here.",
	})
}

// claim binds an unbound request to the browser, once.
func (e *Engine) claim(w http.ResponseWriter, r *http.Request, request Request) (*Request, error) {
	browser := e.Browser(w, r)
	taken := false
	err := e.Store.Update(r.Context(), func(tx store.Tx) error {
		current, _, err := Requests.Get(tx, request.ID)
		if err != nil {
			return absent(err) // finished meanwhile: the next look at it will say so
		}
		if taken = current.Browser != "" && current.Browser != browser; taken {
			return nil
		}
		current.Browser = browser
		return Requests.Put(tx, &current)
	})
	if err != nil {
		return nil, err
	}
	if taken {
		return nil, e.otherBrowser(r, &request)
	}
	request.Browser = browser
	return &request, nil
}

// Browser is the hash of the browser's cookie, for what a step binds to it; the cookie is set if there is none.
func (e *Engine) Browser(w http.ResponseWriter, r *http.Request) string {
	secret := e.Cookies.Get(r, web.BrowserCookie)
	if secret == "" {
		secret = rand.Text()
		e.Cookies.Set(w, web.BrowserCookie, secret, 0)
		e.Cookies.Add(r, web.BrowserCookie, secret)
	}
	return hashOf(secret)
}

// Shown is that hash without setting a cookie; empty: the browser has none.
func (e *Engine) Shown(r *http.Request) string { return hashOf(e.Cookies.Get(r, web.BrowserCookie)) }

// Recount sets the number of waiting requests to what the store holds; call it at start and about once a minute.
func (e *Engine) Recount(ctx context.Context) error {
	return e.Store.View(ctx, func(tx store.Tx) error {
		n, err := Requests.Count(tx, store.Page{}, maxWaiting)
		e.waiting.Store(int64(n))
		return err
	})
}

func hashOf(secret string) string {
	if secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
