package web

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"gatehouse/templates"
)

// Buffer collects a page, so that an error while rendering can still become an error page.
type Buffer = bytes.Buffer

// CSP is what a page's Content-Security-Policy allows beyond the strict default.
type CSP struct {
	// FormAction: empty means 'self'; browsers apply it to every redirect that follows a post.
	FormAction string
	// OmitFormAction leaves the directive out: sign-in and consent pages of a waiting OAuth flow.
	OmitFormAction bool
	// Connect and Frame are further sources that the page may connect to and show in frames: the app that a sign-out tells next.
	Connect, Frame string
}

// FormActionFor is the form-action of a page whose post ends at target, an address that an administrator registered: any
// https address, because redirects after the post count too. A target on plain http adds its own origin, on loopback with
// every port, because an app under development answers on one and shows its pages on another.
func FormActionFor(target string) string {
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Scheme != "http":
		return "https:"
	case isLoopback(u.Hostname()):
		return "https: http://" + strings.TrimSuffix(u.Host, ":"+u.Port()) + ":*"
	}
	return "https: http://" + u.Host
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}

// Header is the policy for a page with the given nonce.
func (c CSP) Header(nonce string) string {
	var b strings.Builder
	b.WriteString("default-src 'none'; img-src 'self'; connect-src 'self'")
	if c.Connect != "" {
		b.WriteString(" " + c.Connect)
	}
	if c.Frame != "" {
		b.WriteString("; frame-src 'self' " + c.Frame)
	}
	b.WriteString("; base-uri 'none'; frame-ancestors 'none'")
	b.WriteString("; style-src 'self' 'nonce-" + nonce + "'; script-src 'nonce-" + nonce + "'")
	switch {
	case c.OmitFormAction:
	case c.FormAction != "":
		b.WriteString("; form-action " + c.FormAction)
	default:
		b.WriteString("; form-action 'self'")
	}
	return b.String()
}

// Page renders a page into memory and writes it with its headers; nothing is written when render fails.
func Page(w http.ResponseWriter, r *http.Request, status int, csp CSP, render func(*Buffer) error) error {
	var b Buffer
	if err := render(&b); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", csp.Header(Of(r).Nonce()))
	NoStore(h)
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return err
}

// AutoPost writes a page that posts itself to an address that an administrator registered. Own is our public origin: what a page of
// ours posts there would come with the person's cookies and look like a button that they pressed.
func AutoPost(w http.ResponseWriter, r *http.Request, own string, page *templates.AutoPostPage) error {
	if SameOrigin(page.Action, own) {
		return &Error{Status: http.StatusBadRequest, Reason: "sent_to_us", Text: "The app wants its answer sent to Gatehouse itself, so nothing was sent. Tell its administrator."}
	}
	page.Nonce = Of(r).Nonce()
	w.Header().Set("Referrer-Policy", "strict-origin")
	return Page(w, r, http.StatusOK, CSP{FormAction: FormActionFor(page.Action)}, func(b *Buffer) error {
		b.Grow(len(page.Fields[0].Value) + 2048)
		b.Write(templates.AppendAutoPost(b.AvailableBuffer(), page))
		return nil
	})
}

// SameOrigin tells whether a browser takes an address to be at an origin, however its host is spelt (UTS #46): it would send our cookies
// there.
func SameOrigin(address, origin string) bool {
	a, err := url.Parse(address)
	o, wrong := url.Parse(origin)
	if err != nil || wrong != nil || !strings.EqualFold(a.Scheme, o.Scheme) || port(a) != port(o) {
		return false
	}
	host, own := spelt(a.Hostname()), spelt(o.Hostname())
	if number, err := netip.ParseAddr(own); err == nil {
		other, err := netip.ParseAddr(host)
		return other == number || err != nil && number.Is4() && endsInNumber(host)
	}
	return host == own || strings.Contains(own, "xn--") && strings.ContainsFunc(host, func(c rune) bool { return c > unicode.MaxASCII })
}

// endsInNumber tells whether browsers read a host as an IPv4 address, as they do with 127.1 and 0x7f.1 (URL Standard, 3.5).
func endsInNumber(host string) bool {
	host = strings.TrimSuffix(host, ".")
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && '0' <= last[0] && last[0] <= '9'
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return cmp.Or(strings.TrimLeft(u.Port(), "0"), "0") // browsers read it as a number
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}

// spelt is a host in one of its spellings.
func spelt(host string) string {
	host = strings.ReplaceAll(strings.ToLower(norm.NFKC.String(host)), "。", ".")
	return strings.Map(func(c rune) rune {
		if unicode.In(c, unicode.Cf, unicode.Variation_Selector) || c == '\u034f' {
			return -1
		}
		return c
	}, host)
}

// WriteJSON writes a wire value; it never caches.
func WriteJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	NoStore(w.Header())
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client has gone away: nothing is left to tell it
}

// SeeOther answers 303 to a path of our own or a URL that the caller has verified.
func SeeOther(w http.ResponseWriter, location string) {
	NoStore(w.Header())
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// NoStore forbids every cache to keep the answer (saml-bindings-2.0-os, 3.4.5.1).
func NoStore(h http.Header) {
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("Pragma", "no-cache")
}

func securityHeaders(h http.Header, secure bool) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	if secure {
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
}

// LocalPath returns path if it is a path of this server that is safe to redirect to, else fallback.
func LocalPath(path, fallback string) string {
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return fallback
	}
	if u, err := url.Parse(path); err != nil || u.Host != "" || u.Scheme != "" {
		return fallback
	}
	return path
}
