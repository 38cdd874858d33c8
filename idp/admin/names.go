package admin

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// NewNameID gives a person another persistent name at an app, or ends the old one so that the next sign-on makes another.
func (a *Actions) NewNameID(ctx context.Context, by By, ref string, ask api.NewNameID) (api.RenewedNameID, error) {
	var renewed api.RenewedNameID
	err := a.change(ctx, by, func(tx store.Tx) (event audit.Event, err error) {
		app, err := findApp(tx, ref)
		if err != nil {
			return event, err
		}
		if app.Definition.SAML == nil || app.State == sp.Removed || flow.IsBuiltin(app.ID) {
			return event, badValue("app", "%s is no SAML app in use, so it knows nobody by a persistent name.", app.Definition.Name)
		}
		user, err := directory.ResolveUser(tx, ask.User)
		if err == nil {
			err = mayHandle(by, &user)
		}
		if err != nil {
			return event, err
		}
		renewed.Told, err = a.RenewName(tx, &app, &user, ask.End)
		if errors.Is(err, store.ErrNotFound) {
			return event, refused(http.StatusNotFound, "no_name", "user", "%s does not know %s by a persistent name, so there is none to change.", app.Definition.Name, user.Name)
		}
		action := "renew"
		if ask.End {
			action = "terminate"
		}
		return audit.Event{Kind: "nameid", App: app.ID, User: user.ID, Facts: map[string]string{"action": action, "told": strconv.FormatBool(renewed.Told)}}, err
	})
	return renewed, err
}
