package saml

import (
	"net/http"
	"net/url"

	"gatehouse/idp/web"
	"gatehouse/sp"
)

// unsolicitedPath takes links that were written for Shibboleth: the parameters are those of its unsolicited sign-on.
const unsolicitedPath = "/saml/unsolicited"

// unsolicited leads a link that names the app by its entity id (providerId), and maybe the landing page (target) and the address that
// the answer goes to (shire), to the app's launch, which asks first where the link is on another website. An address other than the
// app's own default is refused, for a link must not choose where an answer goes.
func (h *Handlers) unsolicited(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	app, err := h.appOf(r.Context(), query.Get("providerId"))
	if err != nil {
		return err
	}
	if app == nil || app.State == sp.Pending {
		return h.halt(r, "", unknownIssuer(query.Get("providerId")))
	}
	if shire := query.Get("shire"); shire != "" {
		if acs, _ := app.Definition.SAML.Metadata.DefaultACS(sp.BindingPOST); acs.Location != shire {
			return h.halt(r, app.ID, local(ReasonACS, "This link sends the answer to another address than the app's own. Leave out shire, or correct it.").because(acs.Location, shire))
		}
	}
	launch := "/launch/" + url.PathEscape(app.ID)
	if target := query.Get("target"); target != "" {
		launch += "?" + url.Values{"RelayState": {target}}.Encode()
	}
	web.SeeOther(w, launch)
	return nil
}
