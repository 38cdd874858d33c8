// Package web is the handler kit: handlers that return errors, request id, client address, cookies, cross-site protection,
// security headers, size limits and error pages.
//
// It knows templates and nothing of people, apps, sessions or protocols. Read web.go for routes and the wrapper that every
// request passes, then page.go for answers.
package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"gatehouse/templates"
)

// HandlerFunc parses, asks and answers. It returns an error instead of writing one: Kit answers and logs it once.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Permission is what a request needs before its handler runs. Kit.Guard checks everything but Public.
type Permission string

// Public routes check for themselves what they need; SignedIn ones want a person who may use the built-in app of the
// path. All others name a right of the console and the API.
const (
	Public   Permission = "public"
	SignedIn Permission = "signed_in"
)

// Route is one row of a route table.
type Route struct {
	Method     string
	Path       string // gorilla/mux syntax
	Permission Permission
	CrossSite  bool  // other sites may send unsafe methods here (protocol endpoints); no cookie authority is assumed
	MaxBody    int64 // bytes; 0: 64 KiB
	API        bool  // errors are JSON, not pages
	// Problem writes errors in a protocol's own form; nil: as JSON with API, else as a page.
	Problem func(w http.ResponseWriter, e *Error, code string)
	Handle  HandlerFunc
}

// Kit wraps handlers. All fields but Home must be set before the first request.
type Kit struct {
	Log     *slog.Logger
	Now     func() time.Time
	Proxies []netip.Prefix // peers whose X-Forwarded-For is believed
	Origin  string         // public one of our own pages, whatever Host a proxy makes of it; empty: as Host says
	// CertificateHeader is where those peers tell the certificate of their client; empty: nowhere.
	CertificateHeader string

	Cookies Cookies
	Brand   func(context.Context) templates.Brand
	// Busy tells the errors that mean: not now, try again.
	Busy func(error) bool
	// Home is where an error page leads a person on; nil: to their apps.
	Home func(r *http.Request) templates.Link
	// Record writes the audit entry of a request that was refused without one, and returns its code; empty: it was folded.
	Record func(r *http.Request, refused *Error) string
	// Guard admits a request to a route that is not Public, or returns an error, or has answered already (ErrAnswered).
	Guard func(w http.ResponseWriter, r *http.Request, need Permission) (*http.Request, error)
}

// ErrAnswered tells Wrap that the response was written already.
var ErrAnswered = errors.New("answered")

const defaultMaxBody = 64 << 10

// Wrap makes the http.Handler that every request of a route passes through: identity of the request, panics, size limit,
// cross-site check, permission, and one log line.
func (k *Kit) Wrap(route Route) http.Handler {
	protection := http.NewCrossOriginProtection()
	if k.Origin != "" {
		if err := protection.AddTrustedOrigin(k.Origin); err != nil {
			panic(err) // CheckBaseURL would have refused it
		}
	}
	if route.MaxBody == 0 {
		route.MaxBody = defaultMaxBody
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		info := k.newInfo(r)
		r = r.WithContext(context.WithValue(r.Context(), infoKey{}, info))
		out := &statusWriter{ResponseWriter: w}
		err := k.serve(out, r, route, protection)
		if err != nil && !errors.Is(err, ErrAnswered) {
			err = k.answerError(out, r, route, err)
		}
		k.logRequest(r, route, out.status, info, err)
	})
}

func (k *Kit) serve(w *statusWriter, r *http.Request, route Route, protection *http.CrossOriginProtection) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	securityHeaders(w.Header(), k.Cookies.Secure)
	if !route.CrossSite {
		if err := protection.Check(r); err != nil {
			return &Error{Status: http.StatusForbidden, Reason: "cross_site", Text: "This request came from another website, so nothing was done. Open Gatehouse itself and try again there."}
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, route.MaxBody)
	if route.Permission != Public {
		if r, err = k.Guard(w, r, route.Permission); err != nil {
			return err
		}
	}
	return route.Handle(w, r)
}

// answerError writes the page or JSON of an error and returns what the log should say.
func (k *Kit) answerError(w *statusWriter, r *http.Request, route Route, err error) error {
	public := k.public(err)
	if w.status != 0 {
		return err // too late to say anything
	}
	code := k.codeOf(r, public)
	if public.RetryAfter > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(public.RetryAfter.Seconds())))
	}
	if public.Challenge != "" {
		w.Header().Set("WWW-Authenticate", public.Challenge)
	}
	if route.Problem != nil {
		route.Problem(w, public, code)
		return err
	}
	if route.API {
		WriteJSON(w, public.Status, errorBody{Error: errorDetail{public.Reason, public.Text, code, public.Field}})
		return err
	}
	page := templates.MessagePage{
		Shell:   k.Shell(r, public.heading()),
		Heading: public.heading(),
		Text:    public.Text,
		Code:    code,
		Tone:    "danger",
		Support: true,
		Links:   append(slices.Clone(public.Links), k.home(r)),
	}
	if writeErr := Page(w, r, public.Status, CSP{}, func(b *Buffer) error { return templates.Message(b, page) }); writeErr != nil {
		return errors.Join(err, writeErr)
	}
	return err
}

func (k *Kit) home(r *http.Request) templates.Link {
	if k.Home != nil {
		return k.Home(r)
	}
	return templates.Link{Label: "Go to your apps", Href: "/"}
}

// public finds the part of an error that people may see.
func (k *Kit) public(err error) *Error {
	var known *Error
	if !errors.As(err, &known) && k.Busy(err) {
		return &Error{
			Status: http.StatusServiceUnavailable, Reason: "busy", RetryAfter: 10 * time.Second, Err: err,
			Text: "Gatehouse cannot store anything at this moment, so nothing was changed. Try again in a little while.",
		}
	}
	return Public500(err)
}

// codeOf is the code of the audit entry, which is written now if there is none. A wrong address or method is no event and has
// no code.
func (k *Kit) codeOf(r *http.Request, e *Error) string {
	if e.Code != "" || e.Status == http.StatusNotFound || e.Status == http.StatusMethodNotAllowed {
		return e.Code
	}
	code := k.Record(r, e)
	if code == "" && e.Status >= http.StatusInternalServerError {
		return Of(r).ID // finds the log line
	}
	return code
}

func (k *Kit) logRequest(r *http.Request, route Route, status int, info *Info, err error) {
	if k.Log == nil {
		return
	}
	level := slog.LevelDebug
	attrs := []slog.Attr{
		slog.String("id", info.ID), slog.String("method", r.Method), slog.String("route", route.Path),
		slog.Int("status", status), slog.Duration("took", k.Now().Sub(info.Start)), slog.String("address", info.AddressText()),
	}
	if info.Actor.ID != "" {
		attrs = append(attrs, slog.String("actor", info.Actor.ID))
	}
	if err != nil && !errors.Is(err, ErrAnswered) {
		level = slog.LevelInfo
		if status >= 500 {
			level = slog.LevelError
		}
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	k.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

// Shell is the frame of a page for this request, without the person: pages of signed-in people add it.
func (k *Kit) Shell(r *http.Request, title string) templates.Shell {
	return templates.Shell{Title: title, Nonce: Of(r).Nonce(), Org: k.Brand(r.Context())}
}

// statusWriter remembers the status for the log line.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// IsHTTPS tells whether a base URL is served over TLS, directly or by a proxy in front.
func IsHTTPS(baseURL string) bool { return strings.HasPrefix(baseURL, "https://") }
