package web

import (
	"net/http"
	"time"
)

// Cookies names, reads and writes the cookies: the session's secret, the browser's, to which waiting flows are bound, the one by
// which a person's browser is known again, and the name that a person asked it to keep. All are SameSite=Lax and HttpOnly; on https they are Secure and carry the __Host- prefix.
type Cookies struct{ Secure bool }

// The cookies' base names.
const (
	SessionCookie = "gatehouse_session"
	BrowserCookie = "gatehouse_browser"
	DeviceCookie  = "gatehouse_device"
	NameCookie    = "gatehouse_name"
)

func (c Cookies) name(base string) string {
	if c.Secure {
		return "__Host-" + base
	}
	return base
}

// Get returns the cookie's value, empty when it is absent or longer than 128 bytes. Of several with one name the first
// counts, as RFC 6265 orders them.
func (c Cookies) Get(r *http.Request, base string) string {
	cookie, err := r.Cookie(c.name(base))
	if err != nil || len(cookie.Value) > 128 {
		return ""
	}
	return cookie.Value
}

// Set writes the cookie; a zero age lasts until the browser closes.
func (c Cookies) Set(w http.ResponseWriter, base, value string, age time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: c.name(base), Value: value, Path: "/", MaxAge: int(age.Seconds()),
		HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode,
	})
}

// Clear removes the cookie.
func (c Cookies) Clear(w http.ResponseWriter, base string) {
	http.SetCookie(w, &http.Cookie{
		Name: c.name(base), Path: "/", MaxAge: -1, HttpOnly: true, Secure: c.Secure, SameSite: http.SameSiteLaxMode,
	})
}

// Only makes the request carry this one cookie, for a client that proved itself otherwise.
func (c Cookies) Only(r *http.Request, base, value string) {
	r.Header.Del("Cookie")
	c.Add(r, base, value)
}

// Add makes the request carry a cookie that its answer sets, for what looks at the same request later.
func (c Cookies) Add(r *http.Request, base, value string) {
	r.AddCookie(&http.Cookie{Name: c.name(base), Value: value})
}
