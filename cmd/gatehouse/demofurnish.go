package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"gatehouse/cmd/sampleapps"
	"gatehouse/idp/api"
)

// furnish starts the sample apps, adds people and apps through the socket as an administrator would, and prints what to do. What an
// earlier run in the same folder added stays as it is.
func furnish(ctx context.Context, url, data string, out io.Writer) error {
	apps, err := startApps(ctx, url, data)
	if err != nil {
		return err
	}
	f := &furnisher{ctx: ctx, client: api.OverSocket(data)}
	if err := f.add(apps); err != nil {
		return err
	}
	if err := printGuide(out, url, data, apps); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "ready", url)
	return err
}

// startApps starts the sample apps on ports that stay the same from run to run. To a browser they are at another site than
// Gatehouse, as in real life.
func startApps(ctx context.Context, url, data string) (*sampleapps.Apps, error) {
	config := sampleapps.Config{
		MetadataURL: url + "/saml/metadata", Apps: sampleapps.Demo(), Issuer: url, Clients: sampleapps.DemoClients(),
		Host: "127.0.0.1", Keep: filepath.Join(data, keptApps),
	}
	for i := range config.Apps {
		config.Apps[i].Port = firstAppPort + i
	}
	for i := range config.Clients {
		config.Clients[i].Port = firstAppPort + len(config.Apps) + i
	}
	return sampleapps.Start(ctx, config)
}

// firstAppPort is the port of the first sample app; the others follow.
const firstAppPort = 8081

// furnisher adds what is missing. It looks first: what is refused would stand in the audit.
type furnisher struct {
	ctx    context.Context
	client *api.Client
	apps   map[string]bool // entity ids and client ids that are there
}

func (f *furnisher) add(apps *sampleapps.Apps) error {
	if err := f.addPeople(); err != nil {
		return err
	}
	list, err := all(func(after string) (api.List[api.App], error) { return f.client.Apps(f.ctx, "", after) })
	if err != nil {
		return err
	}
	f.apps = map[string]bool{}
	for _, app := range list.Items {
		if app.State != "removed" {
			f.apps[app.EntityID], f.apps[app.ClientID] = true, true
		}
	}
	policies := []map[string]string{
		{"policy.permitted_users": "all"},
		{"policy.permitted_users": "preauthorized", "policy.profiles": "Employees", "policy.approvers": "ada"},
	}
	for i, policy := range policies { // the third one is connected by hand
		if err := f.addSAML(apps.List()[i], policy); err != nil {
			return err
		}
	}
	if err := f.addScopes(apps.Clients()); err != nil {
		return err
	}
	for _, app := range apps.Clients() {
		if err := f.addClient(app); err != nil {
			return err
		}
	}
	return nil
}

type demoPerson struct{ name, display, given, surname, profile, group, role string }

func (f *furnisher) addPeople() error {
	if err := f.addNamed("profiles", "Employees", "Contractors", "Administrators"); err != nil {
		return err
	}
	if err := f.addNamed("groups", "Head office", "Field team"); err != nil {
		return err
	}
	there, err := all(func(after string) (api.List[api.User], error) { return f.client.Users(f.ctx, "", after) })
	if err != nil {
		return err
	}
	known := knownBy(there.Items, func(u api.User) string { return u.Name })
	for _, p := range []demoPerson{
		{"ana", "Ana Almeida", "Ana", "Almeida", "Employees", "Head office", ""},
		{"ben", "Ben Brandt", "Ben", "Brandt", "Contractors", "Field team", ""},
		{"ada", "Ada Lindqvist", "Ada", "Lindqvist", "Administrators", "Head office", "owner"},
	} {
		if known[p.name] {
			continue
		}
		if err := f.addPerson(p); err != nil {
			return err
		}
	}
	return nil
}

func (f *furnisher) addNamed(kind string, names ...string) error {
	there, err := all(func(after string) (api.List[api.Profile], error) { return f.client.NamedList(f.ctx, kind, after) })
	if err != nil {
		return err
	}
	known := knownBy(there.Items, func(p api.Profile) string { return p.Name })
	for _, name := range names {
		if known[name] {
			continue
		}
		if _, err := f.client.AddNamed(f.ctx, kind, api.Named{Name: name}); err != nil {
			return err
		}
	}
	return nil
}

// knownBy are the names of what is there already.
func knownBy[T any](items []T, name func(T) string) map[string]bool {
	known := map[string]bool{}
	for _, one := range items {
		known[name(one)] = true
	}
	return known
}

func (f *furnisher) addPerson(p demoPerson) error {
	user := api.NewUser{
		Name: p.name, Email: p.name + "@example.org", DisplayName: p.display, GivenName: p.given, Surname: p.surname,
		Password: demoPassword, Profile: p.profile, Groups: []string{p.group},
	}
	if p.role != "" {
		user.Roles = []string{p.role}
	}
	_, err := f.client.AddUser(f.ctx, user)
	return err
}

// addSAML connects a sample app, unless it is there with the key that it has now.
func (f *furnisher) addSAML(app *sampleapps.App, policy map[string]string) error {
	if f.apps[app.EntityID()] && app.Kept() {
		return nil
	}
	policy["start_url"], policy["description"] = app.SignInURL(), app.Description()
	_, err := f.client.AddApp(f.ctx, api.NewApp{Metadata: string(app.Metadata()), Name: app.Name(), Set: policy, Replace: true})
	return err
}

// addScopes adds what the apps' APIs may be asked for.
func (f *furnisher) addScopes(clients []*sampleapps.Client) error {
	there, err := f.client.Scopes(f.ctx)
	if err != nil {
		return err
	}
	known := knownBy(there.Items, func(s api.Scope) string { return s.Name })
	known[""] = true // of a client without an API
	for _, client := range clients {
		name := client.API().Scope
		if known[name] {
			continue
		}
		if _, err := f.client.AddScope(f.ctx, api.NewScope{Name: name, Description: "See your " + client.API().Things}); err != nil {
			return err
		}
	}
	return nil
}

// addClient connects an OAuth client, unless it is there and knows its secret.
func (f *furnisher) addClient(app *sampleapps.Client) error {
	if f.apps[app.Credentials().ClientID] && app.Credentials().ClientID != "" {
		return nil
	}
	registration, err := app.Registration()
	if err != nil {
		return err
	}
	added, err := f.client.AddApp(f.ctx, api.NewApp{OAuth: string(registration), Set: clientPolicy(app)})
	if err != nil {
		return err
	}
	given := sampleapps.Credentials{ClientID: added.ClientID, Secret: added.ClientSecret}
	if app.Kind() == sampleapps.KindGateway {
		token, err := f.client.RegistrationToken(f.ctx, added.App.ID)
		if err != nil {
			return err
		}
		given.Initial = token.Token
	}
	return app.Connect(given)
}

// travelPlanner is the app that one profile may use, and whose refresh tokens die.
const travelPlanner = "Travel Planner"

func clientPolicy(app *sampleapps.Client) map[string]string {
	set := map[string]string{"policy.permitted_users": "all", "description": app.Description()}
	if app.Name() == travelPlanner {
		set["policy.permitted_users"], set["policy.profiles"] = "preauthorized", "Employees"
		set["oauth.access_token_lifetime"], set["policy.refresh_token"] = "1m", "lifetime:5m"
	}
	return set
}
