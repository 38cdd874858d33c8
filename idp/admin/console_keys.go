package admin

import (
	"net/http"
	"strings"

	"gatehouse/certs"
	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

// keyPages are the console's pages and posts about signing keys.
func (a *Admin) keyPages() []web.Route {
	page := func(method, path string, need web.Permission, handle web.HandlerFunc) web.Route {
		return web.Route{Method: method, Path: "/admin/keys" + path, Permission: need, MaxBody: maxForm, Handle: handle}
	}
	return []web.Route{
		page(http.MethodGet, "", KeysRead, a.keys),
		page(http.MethodPost, "", KeysWrite, a.keyStage),
		page(http.MethodGet, "/{key}", KeysRead, a.keyPage),
		page(http.MethodPost, "/{key}/activate", KeysWrite, a.keyActivate),
		page(http.MethodPost, "/{key}/retire", KeysWrite, a.keyRetire),
	}
}

func (a *Admin) keys(w http.ResponseWriter, r *http.Request) error { return a.keyList(w, r, nil) }

func (a *Admin) keyList(w http.ResponseWriter, r *http.Request, errs templates.Errors) error {
	list, err := a.Actions.Keys(r.Context())
	if err != nil {
		return err
	}
	entityID, err := a.Actions.EntityID(r.Context())
	if err != nil {
		return err
	}
	page := templates.KeysPage{Shell: a.shell(r, "Keys", templates.SectionKeys), Errors: errs}
	page.IdP, page.Links = a.idpFacts(entityID, "/saml/metadata")
	if may(r, KeysWrite) {
		page.StageAction = "/admin/keys"
	}
	for i := range list.Items {
		if row := keyRow(&list.Items[i]); row.State == string(certs.Retired) {
			page.Retired = append(page.Retired, row)
		} else {
			page.Keys = append(page.Keys, row)
		}
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.Keys(b, page) })
}

func keyRow(k *api.Key) templates.KeyRow {
	row := templates.KeyRow{
		ID: k.ID, Href: keyBase(k.ID), State: k.State, Algorithm: algorithmName(k.Algorithm), Fingerprint: k.Fingerprint, NotBefore: k.Created,
		NotAfter: k.NotAfter, Created: k.Created, Fetched: k.Fetched, Unknown: k.Unknown, Signs: k.Signs,
	}
	if len(k.Warnings) > 0 {
		row.Warning = k.Warnings[0].Text
	}
	return row
}

func keyBase(id string) string { return "/admin/keys/" + id }

func algorithmName(algorithm string) string {
	switch certs.Algorithm(algorithm) {
	case certs.RSA:
		return "RSA 2048"
	case certs.ECDSA:
		return "ECDSA P-256"
	case certs.ECDSA384:
		return "ECDSA P-384"
	case certs.ECDSA521:
		return "ECDSA P-521"
	}
	return algorithm
}

// keyStage makes the next key and shows it.
func (a *Admin) keyStage(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	key, err := a.Actions.StageKey(r.Context(), byOf(r), api.NewKey{Algorithm: r.PostForm.Get("algorithm")})
	if errs, err := a.formErrors(r, err); err != nil || errs != nil {
		if err != nil {
			return err
		}
		return a.keyList(w, r, errs)
	}
	web.SeeOther(w, link(keyBase(key.ID), "done", "staged"))
	return nil
}

// keyApps is how many apps a page of one key shows.
const keyApps = 100

func (a *Admin) keyPage(w http.ResponseWriter, r *http.Request) error { return a.keyShow(w, r, nil) }

func (a *Admin) keyShow(w http.ResponseWriter, r *http.Request, errs templates.Errors) error {
	key, err := a.Actions.Key(r.Context(), r.PathValue("key"))
	if err != nil {
		return err
	}
	page := templates.KeyPage{Shell: a.shell(r, "Key "+key.ID, templates.SectionKeys), Key: keyRow(&key), Facts: keyFacts(&key), Errors: errs}
	page.Default = key.Algorithm == string(certs.RSA)
	if may(r, KeysWrite) && key.State != string(certs.Retired) {
		offer(&page, &key)
	}
	if key.State != string(certs.Retired) {
		list, err := a.Actions.KeyApps(r.Context(), key.ID, r.URL.Query().Get("after"), keyApps)
		if err != nil {
			return err
		}
		page.Apps = keyAppRows(list.Items, r.PostForm["app"])
		if list.Next != "" {
			page.Pager.NextHref = link(keyBase(key.ID), "after", list.Next)
		}
		if r.URL.Query().Get("after") != "" {
			page.Pager.FirstHref = keyBase(key.ID)
		}
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.Key(b, page) })
}

// offer fills in what can be done with a key that is not retired.
func offer(page *templates.KeyPage, key *api.Key) {
	page.ActivateAction = keyBase(key.ID) + "/activate"
	page.ForAll, page.Replaces = key.State != string(certs.Active), page.Default
	for _, app := range key.SetApps {
		page.Held = append(page.Held, templates.Link{Label: app.Name, Href: appBase(app.ID) + "/settings"})
	}
	if key.State == string(certs.Active) {
		page.Held = nil
	} else if len(page.Held) == 0 {
		page.RetireAction = keyBase(key.ID) + "/retire"
	}
}

func keyFacts(k *api.Key) []templates.Fact {
	facts := []templates.Fact{{Label: "Key ID", Text: k.ID, Kind: "code"}, {Label: "Made", Time: k.Created}}
	if !k.Activated.IsZero() {
		facts = append(facts, templates.Fact{Label: "Active since", Time: k.Activated})
	}
	return append(facts, templates.Fact{Label: "Certificate ends", Time: k.NotAfter}, templates.Fact{Label: "SHA-256 fingerprint", Text: k.Fingerprint, Kind: "code"})
}

func keyAppRows(list []api.KeyApp, chosen []string) []templates.KeyAppRow {
	var rows []templates.KeyAppRow
	for _, one := range list {
		row := templates.KeyAppRow{
			ID: one.App.ID, Name: one.App.Name, Href: appBase(one.App.ID), Fetched: one.State == "fetched", At: one.Fetched,
			Signs: one.Signs, Set: one.Set, SetTo: one.SetTo, Unfit: one.Unfit, Blocked: one.Blocked,
		}
		for _, id := range chosen {
			row.Checked = row.Checked || id == one.App.ID
		}
		rows = append(rows, row)
	}
	return rows
}

// keyActivate makes a key sign for the chosen apps, or for all where the form says so.
func (a *Admin) keyActivate(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	id, ask := r.PathValue("key"), api.Activation{Apps: r.PostForm["app"]}
	if r.PostForm.Get("all") != "" {
		ask.Apps = nil
	} else if len(ask.Apps) == 0 {
		return a.keyShow(w, r, templates.Errors{{Field: "apps", Text: "Choose at least one app, or activate the key for all."}})
	}
	_, err := a.Actions.ActivateKey(r.Context(), byOf(r), id, ask)
	return a.keyDone(w, r, err, link(keyBase(id), "done", "activated"))
}

// keyRetire retires a key once that is confirmed.
func (a *Admin) keyRetire(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	if strings.TrimSpace(r.PostForm.Get("confirm")) != "retire" {
		return a.keyShow(w, r, templates.Errors{{Field: "confirm", Text: "Type the word retire to confirm."}})
	}
	_, err := a.Actions.RetireKey(r.Context(), byOf(r), r.PathValue("key"))
	return a.keyDone(w, r, err, link("/admin/keys", "done", "retired"))
}

// keyDone goes on after a change, or shows the key's page again with what was refused.
func (a *Admin) keyDone(w http.ResponseWriter, r *http.Request, err error, next string) error {
	errs, err := a.formErrors(r, err)
	if err != nil {
		return err
	}
	if errs != nil {
		if field := errs[0].Field; field != "apps" && field != "confirm" { // the form has no other
			errs[0].Field = ""
		}
		return a.keyShow(w, r, errs)
	}
	web.SeeOther(w, next)
	return nil
}
