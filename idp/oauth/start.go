package oauth

import (
	"net/url"

	"gatehouse/sp"
)

// Begins is where an app begins a sign-in when somebody opens it from here (OpenID Connect Core 1.0, section 4): the address that
// it registered for that, told who asks and which page the person is to come to. Empty: it registered none.
func (h *Handlers) Begins(app *sp.App) string {
	client := app.Definition.OAuth
	if client == nil || client.InitiateLoginURI == "" {
		return ""
	}
	values := url.Values{"iss": {h.BaseURL}}
	if app.Definition.StartURL != "" {
		values.Set("target_link_uri", app.Definition.StartURL)
	}
	return joined(client.InitiateLoginURI, values)
}
