package signin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"gatehouse/idp/directory"
	"gatehouse/idp/recovery"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/templates"
)

// linkRoutes are the paths of forgotten passwords and one-time links.
func (h *Handlers) linkRoutes() []web.Route {
	return []web.Route{
		{Method: http.MethodGet, Path: "/forgot", Permission: web.Public, Handle: h.forgot},
		{Method: http.MethodPost, Path: "/forgot", Permission: web.Public, Handle: h.forgotten},
		{Method: http.MethodGet, Path: recovery.LinkPath, Permission: web.Public, Handle: h.link},
		{Method: http.MethodPost, Path: recovery.LinkPath, Permission: web.Public, Handle: h.useLink},
	}
}

// passwordRules is what directory.CheckPassword wants, in words.
var passwordRules = fmt.Sprintf("At least %d characters. A few words together are easy to remember.", directory.MinPassword)

// sendsLinks tells whether forgotten passwords can be helped: people have passwords here, and mail leaves.
func (h *Handlers) sendsLinks(r *http.Request) (bool, error) {
	var sends bool
	err := h.Store.View(r.Context(), func(tx store.Tx) error {
		settings, _, err := directory.LoadSettings(tx)
		sends = settings.SendsMail() && settings.TakesPasswords()
		return err
	})
	return sends, err
}

func (h *Handlers) forgot(w http.ResponseWriter, r *http.Request) error {
	return h.forgotPage(w, r, http.StatusOK, templates.ForgotPage{Name: h.remembered(r)})
}

func (h *Handlers) forgotPage(w http.ResponseWriter, r *http.Request, status int, page templates.ForgotPage) error {
	sends, err := h.sendsLinks(r)
	if err != nil {
		return err
	}
	if !sends {
		return &web.Error{
			Status: http.StatusNotFound, Reason: "no_mail", Heading: "Ask your administrator",
			Text: "Passwords cannot be reset by e-mail here. Ask your administrator for a new one.", Links: []templates.Link{{Label: "Back to sign-in", Href: "/login"}},
		}
	}
	page.Shell, page.Action, page.Back = h.Kit.Shell(r, "Forgot your password?"), "/forgot", "/login"
	return web.Page(w, r, status, web.CSP{}, func(b *web.Buffer) error { return templates.Forgot(b, page) })
}

// forgotten answers the same to everybody: who is meant is looked up afterwards.
func (h *Handlers) forgotten(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	page := templates.ForgotPage{Name: strings.TrimSpace(r.PostForm.Get("name"))}
	if page.Name == "" {
		page.Error = "Enter your user name or your e-mail address."
		return h.forgotPage(w, r, http.StatusUnprocessableEntity, page)
	}
	if wait := h.Directory.TryRecovery(web.Of(r).Address); wait > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(wait.Seconds())+1))
		page.Error = "Too many tries from your network. Wait a minute, then try again."
		return h.forgotPage(w, r, http.StatusTooManyRequests, page)
	}
	sends, err := h.sendsLinks(r)
	if err == nil && sends {
		err = h.Desk.Forgotten(r.Context(), page.Name, web.Of(r).AddressText())
	}
	if err != nil {
		return err
	}
	page.Sent = true
	return h.forgotPage(w, r, http.StatusOK, page)
}

// link shows what a one-time link is for, and uses nothing up.
func (h *Handlers) link(w http.ResponseWriter, r *http.Request) error {
	return h.linkPage(w, r, http.StatusOK, r.URL.Query().Get("key"), templates.LinkPage{})
}

func (h *Handlers) linkPage(w http.ResponseWriter, r *http.Request, status int, secret string, page templates.LinkPage) error {
	w.Header().Set("Referrer-Policy", "no-referrer") // the address of the page holds the secret
	found, err := h.Desk.Look(r, secret)
	if err != nil {
		return err
	}
	title := map[directory.Purpose]string{
		directory.PurposeReset: "Choose a new password", directory.PurposeInvite: "Welcome", directory.PurposeSetUp: "Set up Gatehouse",
	}[found.Purpose]
	page.Shell, page.Action, page.Key, page.Rules = h.Kit.Shell(r, title), recovery.LinkPath, secret, passwordRules
	page.Purpose, page.Expires = string(found.Purpose), found.Expires
	if found.Purpose != directory.PurposeSetUp {
		page.Name, page.Greeting = found.Person.Name, found.Person.DisplayName
	}
	return web.Page(w, r, status, web.CSP{}, func(b *web.Buffer) error { return templates.OneTimeLink(b, page) })
}

// useLink sets the password and leads to the sign-in, which asks for every factor as always.
func (h *Handlers) useLink(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	secret := r.PostForm.Get("key")
	w.Header().Set("Referrer-Policy", "no-referrer")
	found, err := h.Desk.Look(r, secret)
	if err != nil {
		return err
	}
	owner := directory.User{Name: strings.TrimSpace(r.PostForm.Get("name")), Email: strings.TrimSpace(r.PostForm.Get("email"))}
	person := &found.Person
	if found.Purpose == directory.PurposeSetUp {
		person = &owner
	}
	hash, problems, err := h.newPassword(r, person)
	if err == nil && found.Purpose == directory.PurposeSetUp && owner.Name == "" {
		problems = append(templates.Errors{{Field: "name", Text: "Choose a user name."}}, problems...)
	}
	if err == nil && len(problems) == 0 {
		problems, err = h.honour(r, secret, found, owner, hash)
	}
	switch {
	case err != nil:
		return err
	case len(problems) > 0:
		return h.linkPage(w, r, http.StatusUnprocessableEntity, secret, templates.LinkPage{Name: owner.Name, Email: owner.Email, Errors: problems})
	}
	h.Kit.Cookies.Clear(w, web.SessionCookie) // it may be of another person
	next := "/"
	if found.Purpose == directory.PurposeSetUp {
		next = "/admin/"
	}
	web.SeeOther(w, "/login?"+url.Values{"next": {next}, "done": {string(found.Purpose)}}.Encode())
	return nil
}

// honour uses the link; a name that cannot be taken is a problem of the form.
func (h *Handlers) honour(r *http.Request, secret string, found *recovery.Found, owner directory.User, hash string) (templates.Errors, error) {
	if found.Purpose != directory.PurposeSetUp {
		return nil, h.Desk.Use(r, secret, hash)
	}
	err := h.Desk.SetUp(r, secret, owner, hash)
	var input *directory.InputError
	var taken *store.ConflictError
	switch {
	case errors.As(err, &input):
		return templates.Errors{{Field: "name", Text: input.Text + "."}}, nil
	case errors.As(err, &taken):
		return templates.Errors{{Field: taken.Index, Text: "Somebody else has it: choose another."}}, nil
	}
	return nil, err
}

// newPassword reads the two fields of a new password and hashes it.
func (h *Handlers) newPassword(r *http.Request, person *directory.User) (hash string, problems templates.Errors, err error) {
	fresh := r.PostForm.Get("new")
	if fresh != r.PostForm.Get("repeat") {
		problems = append(problems, templates.FieldError{Field: "repeat", Text: "The two passwords are not the same. Type the new one twice."})
	}
	hash, err = h.Directory.HashPassword(r.Context(), fresh, person)
	var input *directory.InputError
	if errors.As(err, &input) {
		return "", append(templates.Errors{{Field: "new", Text: input.Text + "."}}, problems...), nil
	}
	return hash, problems, err
}

// doneTexts are what the sign-in page says after something was done; only the key travels, so that no link puts words on it.
var doneTexts = map[string]string{
	"reset":      "Your new password is set, and you are signed out everywhere. Sign in with it.",
	"invite":     "Your password is set. Sign in with it.",
	"setup":      "You are the owner of this Gatehouse. Sign in to go on in the console.",
	"everywhere": "You are signed out everywhere. Sign in again to go on.",
}

// complete adds to the sign-in page what goes beyond its form.
func (h *Handlers) complete(r *http.Request, page *templates.SignInPage, form attempt) error {
	if text := doneTexts[r.URL.Query().Get("done")]; text != "" {
		page.Notice = &templates.Notice{Kind: "ok", Text: text}
	}
	kept := h.remembered(r)
	if page.Name == "" {
		page.Name = kept
	}
	page.Remember = kept != "" || form.remember
	sends, err := h.sendsLinks(r)
	if sends && !page.NoPassword {
		page.Forgot = "/forgot"
	}
	return err
}
