package signin

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/idp/recovery"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// How long a browser is known, and how long it keeps a name that a person asked it to.
const (
	knowBrowser = 400 * 24 * time.Hour // the longest that browsers keep a cookie
	keepName    = 180 * 24 * time.Hour
	maxKept     = 90 // bytes of a name, which a cookie holds in base64
)

// mark makes sure that a browser which signs in has the cookie by which it is known again, and that the request shows it.
func (h *Handlers) mark(w http.ResponseWriter, r *http.Request) {
	secret := h.Kit.Cookies.Get(r, web.DeviceCookie)
	if secret == "" {
		secret = rand.Text()
		h.Kit.Cookies.Add(r, web.DeviceCookie, secret)
	}
	h.Kit.Cookies.Set(w, web.DeviceCookie, secret, knowBrowser)
}

// greet writes to the person when a session starts in a browser that they have not used before. A client that is not a browser is
// none.
func (h *Handlers) greet(tx store.Tx, r *http.Request, user *directory.User) error {
	secret := h.Kit.Cookies.Get(r, web.DeviceCookie)
	if secret == "" {
		return nil
	}
	isNew, err := directory.SeenDevice(tx, user.ID, secret)
	if err != nil || !isNew {
		return err
	}
	return h.Desk.Notify(tx, user, recovery.NewDevice(browserOf(r), h.Kit.Now()))
}

func browserOf(r *http.Request) recovery.Browser {
	return recovery.Browser{Address: web.Of(r).AddressText(), Agent: r.UserAgent()}
}

// remember keeps the name in the browser, or forgets it, as the person wished in the form.
func (h *Handlers) remember(w http.ResponseWriter, r *http.Request, form attempt) {
	switch {
	case form.remember && len(form.name) <= maxKept:
		h.Kit.Cookies.Set(w, web.NameCookie, base64.RawURLEncoding.EncodeToString([]byte(form.name)), keepName)
	case h.Kit.Cookies.Get(r, web.NameCookie) != "":
		h.Kit.Cookies.Clear(w, web.NameCookie)
	}
}

// remembered is the name that the browser keeps, if any.
func (h *Handlers) remembered(r *http.Request) string {
	name, err := base64.RawURLEncoding.DecodeString(h.Kit.Cookies.Get(r, web.NameCookie))
	if err != nil {
		return ""
	}
	return string(name)
}
