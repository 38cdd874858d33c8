package signin

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// askConsent shows what the app will be told, with a button to agree and one to cancel.
func (h *Handlers) askConsent(w http.ResponseWriter, r *http.Request) error {
	token := r.URL.Query().Get("flow")
	facts, err := h.Engine.Consenting(w, r, token)
	if err != nil {
		return err
	}
	if facts == nil {
		web.SeeOther(w, "/flow/"+url.PathEscape(token))
		return nil
	}
	definition := &facts.App.Definition
	page := templates.ConsentPage{
		Shell: h.Kit.Shell(r, "Open "+definition.Name), Action: "/consent", Flow: token, Session: facts.Session.Handle,
		Description: definition.Description, Person: facts.User.Name, Asks: facts.Asks,
		May: facts.Request.Redirects || facts.Request.Device != nil, // OAuth asks what an app may do, SAML what it is told
	}
	page.App, page.About = about(r, facts.App)
	if device := facts.Request.Device; device != nil {
		page.Device = &templates.ConsentDevice{Code: device.Code, Address: device.Address}
	}
	if facts.Consent != nil {
		page.Agreed = facts.Consent.Given
	}
	return web.Page(w, r, http.StatusOK, leaves(facts.Request), func(b *web.Buffer) error { return templates.Consent(b, page) })
}

// about is how an app is shown to a person who is about to enter it, in their browser's language.
func about(r *http.Request, app *sp.App) (string, templates.AppAbout) {
	shown := flow.Shown(r, app)
	return shown.Name, templates.AppAbout{
		Lang: shown.Lang, LogoURL: flow.LogoPath(app.ID, app.Definition.LogoURL), Information: shown.InformationURL, Privacy: shown.PrivacyURL,
		Terms: shown.TermsURL, Host: app.Credentials.DocumentHost(),
	}
}

// consent notes what the person agreed to, which is what the page showed as long as nothing changed since, and goes on.
func (h *Handlers) consent(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	token := r.PostForm.Get("flow")
	if r.PostForm.Has("cancel") {
		return h.Engine.Cancel(w, r, token)
	}
	facts, err := h.Engine.Consenting(w, r, token)
	if err != nil {
		return err
	}
	if facts != nil && r.PostForm.Get("session") == facts.Session.Handle { // else somebody else signed in since: the page comes again
		given := &grants.Consent{User: facts.User.ID, App: facts.App.ID, Names: r.PostForm["ask"], Given: h.Kit.Now()}
		if err := h.keepConsent(r, facts, given); err != nil {
			return err
		}
	}
	web.SeeOther(w, "/flow/"+url.PathEscape(token))
	return nil
}

// keepConsent stores a consent that covers what is asked for; where the app asks for more by now, the page comes again.
func (h *Handlers) keepConsent(r *http.Request, facts *flow.Facts, given *grants.Consent) error {
	if !given.Covers(facts.Asks) {
		return nil
	}
	given.Names = facts.Asks
	return h.Store.Update(r.Context(), func(tx store.Tx) error {
		if _, _, err := h.Sessions.Current(tx, h.Kit.Cookies.Get(r, web.SessionCookie)); err != nil {
			return ended(err)
		}
		event := audit.Event{
			Kind: "consent.give", Outcome: audit.OK, Actor: given.User, User: given.User, App: given.App,
			Address: web.Of(r).AddressText(), Facts: map[string]string{"names": strings.Join(given.Names, ", "), "session": facts.Session.Handle},
		}
		if device := facts.Request.Device; device != nil {
			event.Kind, event.Facts["device_address"] = "device.confirm", device.Address
			if err := h.Engine.Confirm(tx, facts); err != nil {
				return err
			}
		} else if err := grants.Consents.Put(tx, given); err != nil {
			return err
		}
		_, err := h.Audit.Append(tx, event)
		return err
	})
}

// ended lets the road say what follows when the session is over by now: nothing is kept.
func ended(err error) error {
	if errors.Is(err, session.ErrNone) {
		return nil
	}
	return err
}
