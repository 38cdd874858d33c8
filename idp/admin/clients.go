package admin

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/sp"
	"gatehouse/store"
)

// addClient adds an app from OAuth client metadata, or to an app that is there already the second protocol.
func (a *Actions) addClient(ctx context.Context, by By, n api.NewApp) (api.AddedApp, error) {
	registration, err := readClient(&n)
	if err != nil {
		return api.AddedApp{}, err
	}
	seen, err := a.vouchedClient(ctx, by, n, registration)
	if err != nil {
		return api.AddedApp{}, err
	}
	var added api.AddedApp
	err = a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		app, outcome, err := a.planClient(tx, by, n, registration)
		if err == nil {
			err = inSector(&sp.App{}, &app, seen)
		}
		if err != nil {
			return audit.Event{}, err
		}
		added = outcome
		facts := describe(n.Set)
		facts["client_id"] = app.Credentials.ClientID
		return audit.Event{Kind: "app.add", App: app.ID, Facts: facts}, sp.Apps.Put(tx, &app)
	})
	return added, err
}

func readClient(n *api.NewApp) (*sp.Registration, error) {
	if n.Metadata+n.URL+n.EntityID+n.ACS+n.Source != "" || n.Replace {
		return nil, badValue("oauth", "Give OAuth client metadata or what SAML needs, not both: add the one first, then the other to the same app.")
	}
	registration, err := sp.ReadAdministered([]byte(n.OAuth))
	if err != nil {
		return nil, badValue("oauth", "The client metadata %s.", err.Error())
	}
	return registration, nil
}

// previewClient tells what addClient would make; the client id and the secret are only examples.
func (a *Actions) previewClient(ctx context.Context, by By, n api.NewApp) (api.AddedApp, error) {
	registration, err := readClient(&n)
	if err != nil {
		return api.AddedApp{}, err
	}
	if _, err := a.vouchedClient(ctx, by, n, registration); err != nil {
		return api.AddedApp{}, err
	}
	var preview api.AddedApp
	err = a.view(ctx, func(tx store.Tx) error {
		_, preview, err = a.planClient(tx, by, n, registration)
		hideExamples(&preview)
		return err
	})
	return preview, err
}

// vouchedClient reads the sector of a client that is to be added.
func (a *Actions) vouchedClient(ctx context.Context, by By, n api.NewApp, registration *sp.Registration) (sector, error) {
	return a.vouched(ctx, func(tx store.Tx) (before, after sp.App, err error) {
		after, _, err = a.planClient(tx, by, n, registration)
		return before, after, err
	})
}

// planClient works out the app as it will be, and writes nothing.
func (a *Actions) planClient(tx store.Tx, by By, n api.NewApp, registration *sp.Registration) (sp.App, api.AddedApp, error) {
	var outcome api.AddedApp
	var before sp.App
	app, err := a.clientToBe(tx, by, n)
	if err != nil {
		return app, outcome, err
	}
	if n.To != "" {
		before = app
		before.Definition.OAuth = nil
	}
	if err := mayAskOf(by, known(&before), n.Set); err != nil {
		return app, outcome, err
	}
	values := registration.Settings()
	if n.To != "" { // the app has a name, a picture and so on
		for _, key := range []string{"name", "start_url", "logo_url", "contact"} {
			delete(values, key)
		}
	}
	maps.Copy(values, n.Set)
	if n.Name != "" {
		values["name"] = n.Name
	}
	if err := a.apply(tx, &app, values); err != nil {
		return app, outcome, err
	}
	if err := mustConfirm(&before, &app, values); err != nil {
		return app, outcome, err
	}
	app.Lend(&before, a.Now())
	a.credentials(&before, &app, &outcome)
	if err := mayChangeApp(by, &before, &app); err != nil {
		return app, outcome, err
	}
	if app.Definition.OAuth.LacksKeys() {
		return app, outcome, badValue("oauth", "The client may use the grant type jwt-bearer, but has no keys to sign assertions with: add \"jwks_uri\": \"https://…\" or \"jwks\": {\"keys\": […]} to its metadata, or leave the grant type out.")
	}
	if err := warnOfSameName(tx, &app, &outcome); err != nil {
		return app, outcome, err
	}
	outcome.Warnings = append(outcome.Warnings, appWarnings(&app)...)
	outcome.App, err = a.show(tx, &app)
	return app, outcome, err
}

// credentials tells what an app that became a client is known by, and gives it the secret that it needs, shown this once.
func (a *Actions) credentials(before, app *sp.App, outcome *api.AddedApp) {
	client := app.Definition.OAuth
	if client == nil {
		return
	}
	if client.HasSecret() && len(app.Credentials.Secrets) == 0 {
		outcome.ClientSecret = app.AddSecret(a.Now())
	}
	if before.Definition.OAuth == nil || outcome.ClientSecret != "" {
		outcome.ClientID = app.Credentials.ClientID
	}
}

// clientToBe is a new app, or the one that gets a second protocol.
func (a *Actions) clientToBe(tx store.Tx, by By, n api.NewApp) (sp.App, error) {
	if n.To == "" {
		app := sp.New(n.Name, sp.Definition{OAuth: &sp.OAuth{}}, sp.PermitAll, by.ID, a.Now())
		a.await(by, &app)
		return app, nil
	}
	app, err := findApp(tx, n.To)
	switch {
	case err != nil:
		return app, err
	case app.Definition.SAML == nil && app.Definition.OAuth == nil:
		return app, refused(http.StatusConflict, "builtin", "app", "%s is part of Gatehouse and needs no client id.", app.Definition.Name)
	case app.State == sp.Removed:
		return app, sp.ErrRemoved
	case app.Definition.OAuth != nil:
		return app, refused(http.StatusConflict, "exists", "oauth", "%s has a client id already: change its settings instead.", app.Definition.Name)
	}
	app.Definition.OAuth, app.Credentials.ClientID, app.Changed = &sp.OAuth{}, sp.NewClientID(), a.Now()
	return app, nil
}

// await lets an app wait for an administrator, who says who enters and when, unless one adds it.
func (a *Actions) await(by By, app *sp.App) {
	if !by.all() && !by.allows(AppsWrite) {
		app.State, app.Policy.PermittedUsers = sp.Pending, sp.PermitPreauthorized
	}
}

// RotateSecret gives an app a further client secret; the one before stays good beside it until the next rotation, or until EndOld is
// asked for, which makes no new one, or Replace, which ends all before.
func (a *Actions) RotateSecret(ctx context.Context, by By, ref string, ask api.RotateSecret) (api.ClientSecret, error) {
	var answer api.ClientSecret
	_, err := a.changeApp(ctx, by, ref, "app.secret", func(_ store.Tx, app *sp.App) (map[string]string, error) {
		switch {
		case app.State == sp.Removed:
			return nil, sp.ErrRemoved
		case app.Definition.OAuth == nil || !app.Definition.OAuth.HasSecret():
			return nil, refused(http.StatusConflict, "no_secret", "app", "%s does not prove itself by a secret: see its oauth.token_endpoint_auth_method.", app.Definition.Name)
		case ask.Seen != nil && !sameSecrets(app, ask.Seen):
			return nil, refused(http.StatusConflict, "changed_meanwhile", "seen", "The client secrets of %s are others than those that you looked at, so nothing was done: look at them again.", app.Definition.Name)
		}
		answer = api.ClientSecret{ID: app.ID, ClientID: app.Credentials.ClientID}
		facts := map[string]string{}
		if ask.EndOld {
			answer.Ended = app.EndOldSecrets()
			facts["ended"] = strconv.Itoa(answer.Ended)
			return facts, nil
		}
		answer.ClientSecret = app.AddSecret(a.Now())
		if ask.Replace {
			answer.Ended = app.EndOldSecrets()
			facts["ended"] = strconv.Itoa(answer.Ended)
		}
		facts["secrets"] = strconv.Itoa(len(app.Credentials.Secrets))
		return facts, nil
	})
	return answer, err
}

// sameSecrets tells whether an app has the secrets of these ids, and no others.
func sameSecrets(app *sp.App, ids []string) bool {
	have := app.Credentials.Secrets
	return len(have) == len(ids) && !slices.ContainsFunc(have, func(one sp.Secret) bool { return !slices.Contains(ids, one.ID) })
}

// wireClient is what is shown of an app's credentials: when, never what.
func wireClient(tx store.Tx, app *sp.App) (*api.OAuth, error) {
	if app.Definition.OAuth == nil {
		return nil, nil
	}
	wire := &api.OAuth{ClientID: app.Credentials.ClientID, Parent: app.Parent, Gateway: app.IsGateway(), OlderSecrets: app.OlderSecrets(), Lent: app.Lent}
	if app.Credentials.Initial != nil {
		wire.RegistrationToken = app.Credentials.Initial.Created
	}
	var err error
	if wire.Children, err = sp.Apps.Count(tx, store.Page{Index: "parent", Value: app.ID}, sp.MaxChildren); err != nil {
		return nil, err
	}
	for _, secret := range app.Credentials.Secrets {
		used, err := sp.LastUse(tx, secret.ID)
		if err != nil {
			return nil, err
		}
		wire.Secrets = append(wire.Secrets, api.Secret{ID: secret.ID, Created: secret.Created, LastUsed: used})
	}
	return wire, nil
}
