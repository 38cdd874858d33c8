// Package web is the handler kit: handlers that return errors, request id, client address, cookies, cross-site protection,
// security headers, size limits and error pages.
//
// It knows templates and nothing of people, apps, sessions or protocols. Read web.go for routes and the wrapper that every
// request passes, then page.go for answers.
package web

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

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
	Reads      bool        // GET begins and ends nothing, so HEAD is answered too (RFC 9110, 9.3.2)
	CrossSite  bool        // other sites may send unsafe methods here (protocol endpoints); no cookie authority is assumed
	MaxBody    int64       // bytes; 0: 64 KiB
	Errors     Form        // of everything that is refused here, before the handler too; nil: a page
	Prepare    HandlerFunc // comes first and sets headers that refusals need too, such as those of CORS; nil: none
	Handle     HandlerFunc
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

// Bounds of what comes before the body, in bytes. net/http ends a connection at 64 KiB of headers, in its own words.
const (
	defaultMaxBody = 64 << 10
	maxTarget      = 32 << 10 // path and query
	maxHeaders     = 48 << 10
)

// Wrap makes the http.Handler that every request of a route passes through: identity of the request, panics, size limits,
// cross-site check, permission, and one log line. Whatever refuses a request is answered in the route's form.
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
	if route.Prepare != nil {
		if err := route.Prepare(w, r); err != nil {
			return err
		}
	}
	if !route.CrossSite {
		if err := protection.Check(r); err != nil {
			return &Error{Status: http.StatusForbidden, Reason: "cross_site", Text: "This request came from another website, so nothing was done. Open Gatehouse itself and try again there."}
		}
	}
	if err := readable(r, route.MaxBody); err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, route.MaxBody)
	if route.Permission != Public {
		if r, err = k.Guard(w, r, route.Permission); err != nil {
			return err
		}
	}
	return route.Handle(w, r)
}

// readable refuses what no handler could read whole, as far as its headers tell.
func readable(r *http.Request, maxBody int64) error {
	size := len(r.Host)
	for name, values := range r.Header {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	switch {
	case len(r.RequestURI) > maxTarget:
		return &Error{Status: http.StatusRequestURITooLong, Reason: "long_address", Text: "The address is too long: at most " + bytesText(maxTarget) + " are taken. Send less in it, or send it by POST where that is offered."}
	case size > maxHeaders:
		return &Error{Status: http.StatusRequestHeaderFieldsTooLarge, Reason: "long_headers", Text: "The headers are too long: at most " + bytesText(maxHeaders) + " are taken. Send fewer or shorter ones; in a browser, clear the cookies of this site."}
	case r.ContentLength > maxBody:
		return &http.MaxBytesError{Limit: maxBody}
	case strings.ContainsRune(r.URL.Path, 0), !utf8.ValidString(r.URL.Path):
		return NotFound("There is nothing at this address: what is behind a % in it is no text. Check the address.")
	case !decodes(r.URL.RawQuery):
		return BadRequest("bad_address", "The address is damaged: what is behind a % in it cannot be read. Open it again from where you found it, or correct what makes it.")
	}
	return nil
}

// decodes tells whether every % of a query has its two digits, without which net/url would leave the parameter out and say nothing.
func decodes(query string) bool {
	for i := 0; i < len(query); i++ {
		if query[i] == '%' {
			if _, err := url.QueryUnescape(query[i:min(i+3, len(query))]); err != nil {
				return false
			}
		}
	}
	return true
}

// answerError writes an error in the route's form and returns what the log should say.
func (k *Kit) answerError(w *statusWriter, r *http.Request, route Route, err error) error {
	public := k.public(err)
	if w.status != 0 {
		return err // too late to say anything
	}
	code := k.codeOf(r, public)
	if public.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(public.RetryAfter.Seconds()))))
	}
	if public.Challenge != "" {
		w.Header().Set("WWW-Authenticate", public.Challenge)
	}
	if route.Errors != nil {
		route.Errors(w, public, code)
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
	return publicPart(err)
}

// codeOf is by what an administrator finds the error: the code of its audit entry, which is written now if there is none, or the id of
// its log line where it was folded. What is not found is no event and has no code of its own.
func (k *Kit) codeOf(r *http.Request, e *Error) string {
	if e.Code != "" || e.Quiet || e.Status == http.StatusNotFound {
		return e.Code
	}
	return cmp.Or(k.Record(r, e), Of(r).ID)
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
	var known *Error
	if err != nil && !errors.Is(err, ErrAnswered) && !(errors.As(err, &known) && known.Quiet) {
		level = slog.LevelInfo
		if status >= 500 && (known == nil || known.Status >= 500) { // SOAP answers 500 to what a client did wrong
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
