package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp"
	"gatehouse/idp/api"
)

func (c *cli) appCommand() *cobra.Command {
	return group("app", "connected apps; APP is an id, a unique name, an entity id or a client id",
		c.appAdd(), c.appList(), c.appShow(), c.appUsage(), c.appSet(),
		c.appMove("block", "shut an app: its tokens end, and it leaves every session"),
		c.appMove("unblock", "open a blocked app again"),
		c.appMove("approve", "let a pending app be used"),
		c.appRemove(), c.appNewNameID(), c.appMetadata(), c.appExport(), c.appInstall(), c.appAttempts(), c.appRotateSecret(), c.appRegistrationToken())
}

// newApp are the flags of `app add`.
type newApp struct {
	metadata, entityID, acs, source, name, oauth, to string
	set                                              []string
	replace                                          bool
}

const addHelp = `Connect an app, and print its id alone, of an OAuth client JSON with its client id and its secret, which is shown this once.

What --oauth reads is the client's metadata as in RFC 7591, such as
  {"client_name": "Orders", "redirect_uris": ["https://orders.example.org/cb"]}
A client that cannot keep a secret says "token_endpoint_auth_method": "none". docs/oauth.md shows the metadata of each kind of client.

Everybody in the organisation may use the new app, unless --set policy.permitted_users=preauthorized lets in only those whom
policy.profiles, policy.permission_sets, policy.groups and policy.users name.`

func (c *cli) appAdd() *cobra.Command {
	var n newApp
	command := &cobra.Command{
		Use:   "add --metadata FILE|URL|- | --entity-id E --source NAME | --entity-id E --acs URL | --oauth FILE|-",
		Short: "connect an app; prints its id alone, of an OAuth client JSON with its secret",
		Long:  addHelp,
		Args:  exactly(0),
		Example: examples("app add --metadata https://benefits.example.org/saml/metadata --name Benefits", "app add --entity-id https://wiki.example.org/saml --acs https://wiki.example.org/acs --name Wiki",
			"app add --oauth orders.json --set policy.permitted_users=preauthorized --set policy.profiles=Employees", "app add --oauth orders.json --to Wiki"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			ask, err := c.ask(n)
			if err != nil {
				return err
			}
			added, err := client.AddApp(command.Context(), ask)
			if err != nil {
				return err
			}
			return c.added(n, added)
		}),
	}
	f := command.Flags()
	f.StringVar(&n.oauth, "oauth", "", "an OAuth client's metadata as JSON (RFC 7591): a file, or - for stdin")
	f.StringVar(&n.to, "to", "", "the app that gets the second protocol: with --oauth one that has SAML, else one that has a client id")
	f.StringVar(&n.metadata, "metadata", "", "the app's SAML metadata: a file, an address that the server fetches, or - for stdin")
	f.StringVar(&n.entityID, "entity-id", "", "for an app of a metadata source, or without metadata: its entity id")
	f.StringVar(&n.source, "source", "", "the metadata source that has the entity id; the app follows it from then on")
	f.StringVar(&n.acs, "acs", "", "for an app without metadata: the address that takes answers by HTTP-POST")
	f.StringVar(&n.name, "name", "", "as people see it; default: as the metadata says")
	f.StringArrayVar(&n.set, "set", nil, "`KEY=VALUE` of a setting, as \"gatehouse app set --help\" lists them; may be repeated")
	f.BoolVar(&n.replace, "replace", false, "replace the metadata of the app that has the entity id, keeping policy and settings")
	return command
}

// appInstall connects an app from a package.
func (c *cli) appInstall() *cobra.Command {
	n := newApp{}
	command := &cobra.Command{
		Use: "install FILE|-", Short: "connect an app from a package that `app export` made; prints its id alone, of an OAuth client JSON with its secret", Args: exactly(1),
		Example: examples("app install orders.json", "app install newer.json --replace --to Orders"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			if n.metadata = args[0]; n.to != "" && !n.replace {
				return usagef("--to says which app is upgraded: give --replace too")
			}
			ask, err := c.ask(n)
			if err != nil {
				return err
			}
			if ask.URL != "" || !strings.HasPrefix(strings.TrimSpace(ask.Metadata), "{") {
				return usagef("%s is no app package: give a file that `gatehouse app export` made, or add metadata with `app add --metadata`", args[0])
			}
			added, err := client.AddApp(command.Context(), ask)
			if err != nil {
				return err
			}
			return c.added(n, added)
		}),
	}
	f := command.Flags()
	f.StringArrayVar(&n.set, "set", nil, "`KEY=VALUE` of a setting, as \"gatehouse app set --help\" lists them; may be repeated")
	f.BoolVar(&n.replace, "replace", false, "upgrade the definition of the app that has the entity id, or of --to; its policy stays")
	f.StringVar(&n.to, "to", "", "with --replace: the app that a package without an entity id upgrades")
	return command
}

// added prints what adding made: the id alone, or with a new client id JSON that shows its secret this once.
func (c *cli) added(n newApp, added api.AddedApp) error {
	c.warn(added.Warnings)
	c.differences(added)
	c.whoEnters(n, added)
	if added.ClientID != "" {
		return c.credentials(api.ClientSecret{ID: added.App.ID, ClientID: added.ClientID, ClientSecret: added.ClientSecret})
	}
	return c.id(added, added.App.ID)
}

func (c *cli) appAttempts() *cobra.Command {
	return &cobra.Command{
		Use: "attempts", Short: "apps that are not connected and that signed-in people came from", Args: exactly(0),
		Example: examples("app attempts"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := client.Attempts(command.Context())
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, a := range list.Items {
					rows = append(rows, []string{stamp(a.Last), strconv.Itoa(a.Count), a.User.Name, a.Protocol, strings.Join(a.Sources, ","), plain(a.Identifier)})
				}
				return c.table([]string{"LAST", "TIMES", "BY", "PROTOCOL", "SOURCES", "IDENTIFIER"}, rows)
			})
		}),
	}
}

func (c *cli) appExport() *cobra.Command {
	return &cobra.Command{
		Use: "export APP", Short: "write the app's definition as a package, without policy and secrets, to stdout", Args: exactly(1),
		Example: examples("app export Orders > orders.json"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			p, err := client.ExportApp(command.Context(), args[0])
			if err != nil {
				return err
			}
			e := json.NewEncoder(c.out)
			e.SetIndent("", "  ")
			e.SetEscapeHTML(false)
			return e.Encode(p)
		}),
	}
}

// ask turns the flags into the request, reading the file if one is named.
func (c *cli) ask(n newApp) (api.NewApp, error) {
	ask := api.NewApp{EntityID: n.entityID, ACS: n.acs, Source: n.source, To: n.to, Name: n.name, Replace: n.replace}
	var err error
	if ask.Set, err = keyValues(n.set); err != nil {
		return ask, err
	}
	switch {
	case n.oauth != "" && n.metadata+n.entityID+n.acs+n.source != "":
		return ask, usagef("--oauth describes an OAuth client: leave out --metadata, --entity-id, --acs and --source")
	case n.oauth != "":
		ask.OAuth, err = c.content(n.oauth, "the client's metadata")
		return ask, err
	case n.metadata == "" && (n.entityID == "" || (n.acs == "") == (n.source == "")):
		return ask, usagef("give the app's SAML metadata with --metadata FILE, URL or -, or --entity-id with --source or --acs; an OAuth client's with --oauth FILE")
	case n.metadata != "" && n.entityID+n.acs+n.source != "":
		return ask, usagef("--metadata says the entity id and the ACS already: leave out --entity-id and --acs")
	case n.metadata == "":
		return ask, nil
	}
	ask.Metadata, ask.URL, err = c.metadataAt(n.metadata)
	return ask, err
}

// metadataAt reads what --metadata names: the text of a file or of stdin, or an address, which is the server's to fetch.
func (c *cli) metadataAt(where string) (text, address string, err error) {
	if strings.HasPrefix(where, "https://") || strings.HasPrefix(where, "http://") {
		return "", where, nil
	}
	text, err = c.content(where, "the metadata")
	return text, "", err
}

// content reads a file, or stdin for a dash.
func (c *cli) content(name, what string) (string, error) {
	var content []byte
	var err error
	if name == "-" {
		content, err = readAll(c.in, "stdin")
	} else {
		content, err = readFile(name)
	}
	if err == nil && strings.TrimSpace(string(content)) == "" {
		err = usagef("%s is empty: give %s", name, what)
	}
	return string(content), err
}

// differences writes on stderr what replacing has changed.
func (c *cli) differences(added api.AddedApp) {
	if !added.Replaced {
		return
	}
	if len(added.Differences) == 0 {
		fmt.Fprintln(c.err, "nothing differs from what was there before")
	}
	for _, d := range added.Differences {
		if d.Before != "" {
			fmt.Fprintf(c.err, "- %s: %s\n", d.Field, plain(d.Before))
		}
		if d.After != "" {
			fmt.Fprintf(c.err, "+ %s: %s\n", d.Field, plain(d.After))
		}
	}
}

func (c *cli) appList() *cobra.Command {
	var state, parent string
	command := &cobra.Command{
		Use: "list", Short: "list the apps", Args: exactly(0),
		Example: examples("app list --state pending", "app list --parent \"API gateway\""),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := all(func(after string) (api.List[api.App], error) {
				if parent != "" {
					return client.Children(command.Context(), parent, state, after)
				}
				return client.Apps(command.Context(), state, after)
			})
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, app := range list.Items {
					rows = append(rows, []string{app.ID, app.Name, app.State, app.PermittedUsers, cmp.Or(app.EntityID, app.ClientID)})
				}
				return c.table([]string{"ID", "NAME", "STATE", "PERMITTED", "ENTITY OR CLIENT ID"}, rows)
			})
		}),
	}
	command.Flags().StringVar(&state, "state", "", "only pending, active, blocked or removed ones")
	command.Flags().StringVar(&parent, "parent", "", "only the clients that registered under this app; open: those that registered under none")
	return command
}

// all follows a list to its end.
func all[T any](page func(after string) (api.List[T], error)) (api.List[T], error) {
	whole := api.List[T]{Items: []T{}}
	for after := ""; ; {
		part, err := page(after)
		if err != nil {
			return whole, err
		}
		whole.Items = append(whole.Items, part.Items...)
		if after = part.Next; after == "" {
			return whole, nil
		}
	}
}

func (c *cli) appShow() *cobra.Command {
	return &cobra.Command{
		Use: "show APP", Short: "show an app with its metadata and settings", Args: exactly(1),
		Example: examples("app show Orders", "app show Orders --output json"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			app, err := client.App(command.Context(), args[0])
			if err != nil {
				return err
			}
			c.warn(app.Warnings)
			return c.show(app, func() error { return c.appText(&app) })
		}),
	}
}

func (c *cli) appText(app *api.App) error {
	pairs := []string{
		"id", app.ID, "name", app.Name, "state", app.State, "added", stamp(app.Created), "by", app.CreatedBy,
		"changed", stamp(app.Changed), "entity id", app.EntityID,
	}
	if m := app.SAML; m != nil {
		for _, e := range m.ACS {
			pairs = append(pairs, "acs", endpoint(e))
		}
		for _, e := range m.SLO {
			pairs = append(pairs, "slo", endpoint(e))
		}
		for _, k := range m.Certificates {
			pairs = append(pairs, "certificate", strings.TrimSpace(k.Use+" "+k.Subject+" sha256:"+k.Fingerprint+" "+stamp(k.NotAfter)))
		}
		pairs = append(pairs, "metadata from", m.SourceURL+m.Source, "valid until", stamp(m.ValidUntil))
	}
	if o := app.OAuth; o != nil {
		pairs = append(pairs, "client id", o.ClientID, "registered by", o.Parent, "registration token", stamp(o.RegistrationToken))
		if o.Children > 0 {
			pairs = append(pairs, "clients under it", strconv.Itoa(o.Children))
		}
		for _, secret := range o.Secrets {
			pairs = append(pairs, "client secret", secret.ID+" made "+stamp(secret.Created)+", last used "+cmp.Or(stamp(secret.LastUsed), "never"))
		}
	}
	if err := c.facts(pairs...); err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	return c.settings(app.Settings)
}

func endpoint(e api.Endpoint) string {
	text := e.Location + " " + e.Binding[strings.LastIndexByte(e.Binding, ':')+1:]
	if e.Index != nil {
		text += " index " + strconv.Itoa(*e.Index)
	}
	if e.Default {
		text += " default"
	}
	return text
}

// change reads the KEY=VALUE words behind the first argument.
func change(words []string, force bool) (api.Change, error) {
	values, err := keyValues(words)
	return api.Change{Set: values, Force: force}, err
}

func (c *cli) appSet() *cobra.Command {
	var force bool
	command := &cobra.Command{
		Use: "set APP KEY=VALUE...", Short: "change settings of an app; the value `default` undoes one", Args: atLeast(2),
		Example: examples("app set Orders oauth.access_token_lifetime=5m oauth.redirect_uris=https://orders.example.org/cb", "app set Orders policy.permitted_users=preauthorized policy.profiles=Employees",
			"app set Robot oauth.run_as=robot", "app set Orders oauth.jwks=@keys.json oauth.token_endpoint_auth_method=private_key_jwt", "app set Orders policy.refresh_token=default"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			ask, err := change(args[1:], force)
			if err != nil {
				return err
			}
			app, err := client.SetApp(command.Context(), args[0], ask)
			if err != nil {
				return err
			}
			c.warn(app.Warnings)
			return c.quiet(app)
		}),
	}
	describeSettings(command, idp.AppSettings())
	command.Flags().BoolVar(&force, "force", false, forced+", or lets nobody into the app")
	return command
}

const forced = "make the change even if it shuts you out of the console"

func forceFlag(command *cobra.Command, force *bool) {
	command.Flags().BoolVar(force, "force", false, forced)
}

func (c *cli) appMove(action, short string) *cobra.Command {
	return &cobra.Command{
		Use: action + " APP", Short: short, Args: exactly(1), Example: examples("app " + action + " Orders"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			app, err := client.MoveApp(command.Context(), args[0], action)
			if err != nil {
				return err
			}
			if action == "approve" {
				c.letsNobodyIn(app)
			}
			return c.quiet(app)
		}),
	}
}

func (c *cli) appRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove APP", Short: "remove an app for good: its tokens end, and its entity id is free again", Args: exactly(1),
		Example: examples("app remove Orders"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			app, err := client.RemoveApp(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.quiet(app)
		}),
	}
}
