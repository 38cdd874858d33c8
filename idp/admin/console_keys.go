package admin

import (
	"net/http"

	"gatehouse/idp/web"
	"gatehouse/templates"
)

func (a *Admin) keys(w http.ResponseWriter, r *http.Request) error {
	list, err := a.Actions.Keys(r.Context())
	if err != nil {
		return err
	}
	entityID, err := a.Actions.entityID(r.Context())
	if err != nil {
		return err
	}
	page := templates.KeysPage{Shell: a.shell(r, "Keys", templates.SectionKeys)}
	page.IdP, page.Links = a.idpFacts(entityID, "/saml/metadata")
	for _, key := range list.Items {
		row := templates.KeyRow{
			ID: key.ID, State: key.State, Algorithm: key.Algorithm, Fingerprint: key.Fingerprint, NotBefore: key.Created,
			NotAfter: key.NotAfter, Created: key.Created,
		}
		if key.State != "retired" && key.NotAfter.Before(a.Actions.Now()) {
			row.Warning = "Its certificate ends soon: stage the next key, give apps time to learn it, then activate it."
		}
		page.Keys = append(page.Keys, row)
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Keys(b, page) })
}
