package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

const upstreamKeys = "label, match, attribute, domains, create, profile, admins, level, levels, state, of SAML requester_id and metadata_keys (=@FILE), of OpenID client_id, scopes, token_endpoint_auth_method and require_pushed_authorization_requests"

func (c *cli) upstreamCommand() *cobra.Command {
	return group("upstream", "other identity providers where people may sign in",
		c.upstreamAdd(), c.upstreamList(), c.upstreamSet(),
		onOne(c, "upstream show corp", "show an upstream, its settings and how the last looks at its metadata went", (*api.Client).Upstream, c.upstreamText),
		onOne(c, "upstream refresh corp", "look for newer metadata at the upstream's address now", (*api.Client).RefreshUpstream, c.upstreamText),
		c.upstreamTest(),
		onOne(c, "upstream remove corp", "remove an upstream; people who came from there stay", (*api.Client).RemoveUpstream, nil))
}

func (c *cli) upstreamAdd() *cobra.Command {
	var where, clientID string
	var n api.NewUpstream
	var set []string
	command := &cobra.Command{
		Use:     "add NAME --metadata FILE|URL|- | --oidc ISSUER --client-id ID --client-secret-stdin",
		Short:   "let people sign in at another identity provider; one of SAML needs our /saml/sp-metadata, one of OpenID Connect our BASE-URL/login/upstream/NAME/callback",
		Args:    exactly(1),
		Example: examples("upstream add corp --oidc https://login.example.org --client-id gatehouse --client-secret-file secret --set domains=example.org", "upstream add campus --metadata https://idp.example.edu/metadata"),
	}
	secret := c.secretFlags(command)
	command.RunE = c.action(func(command *cobra.Command, client *api.Client, args []string) error {
		if (where == "") == (n.Issuer == "") {
			return usagef("give either --metadata with SAML metadata (a file, an address or - for stdin), or --oidc with the issuer of an OpenID provider")
		}
		n.Name = args[0]
		var err error
		if n.Set, err = keyValues(set); err != nil {
			return err
		}
		if clientID != "" {
			n.Set["client_id"] = clientID
		}
		if n.Secret, err = secret(); err != nil {
			return err
		}
		if where != "" {
			if n.Metadata, n.URL, err = c.metadataAt(where); err != nil {
				return err
			}
		}
		u, err := client.AddUpstream(command.Context(), n)
		if err != nil {
			return err
		}
		return c.id(u, u.Name)
	})
	command.Flags().StringVar(&where, "metadata", "", "the identity provider's SAML metadata: a file, an address where the server looks for newer from then on, or - for stdin")
	command.Flags().StringVar(&n.Issuer, "oidc", "", "the issuer of an OpenID provider, such as https://login.example.org, as it calls itself")
	command.Flags().StringVar(&clientID, "client-id", "", "as which client the provider knows Gatehouse")
	command.Flags().StringArrayVar(&set, "set", nil, "`KEY=VALUE` of "+upstreamKeys+"; may be repeated")
	return command
}

// secretFlags are the ways to give the secret of a client: never in an argument, which others on the machine can read.
func (c *cli) secretFlags(command *cobra.Command) func() (string, error) {
	var file string
	var stdin bool
	command.Flags().StringVar(&file, "client-secret-file", "", "file with the secret that the OpenID provider gave us")
	command.Flags().BoolVar(&stdin, "client-secret-stdin", false, "read that secret from stdin")
	return func() (string, error) {
		switch {
		case stdin && file != "":
			return "", usagef("give the client secret once: by --client-secret-file or by --client-secret-stdin")
		case stdin:
			file = "-"
		case file == "":
			return "", nil
		}
		secret, err := c.content(file, "the client secret")
		return strings.TrimRight(secret, "\r\n"), err
	}
}

func (c *cli) upstreamList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the upstreams", Args: exactly(0),
		Example: examples("upstream list"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := client.Upstreams(command.Context())
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, u := range list.Items {
					rows = append(rows, []string{u.Name, u.Kind, plain(u.EntityID), stamp(u.Good), stamp(u.ValidUntil), plain(u.Error)})
				}
				return c.table([]string{"NAME", "KIND", "ENTITY ID OR ISSUER", "LAST GOOD", "VALID UNTIL", "ERROR"}, rows)
			})
		}),
	}
}

func (c *cli) upstreamText(u *api.Upstream) error {
	named := []string{"name", u.Name, "kind", u.Kind, map[bool]string{true: "entity id", false: "issuer"}[u.Ours == nil], u.EntityID, "signs in at", u.SSO, "signs out at", u.SLO}
	if ours := u.Ours; ours != nil {
		named = append(named, "client secret", map[bool]string{true: "given " + stamp(ours.SecretGiven), false: "none"}[ours.HasSecret], "our redirect URI", ours.RedirectURI,
			"our post-logout redirect URI", ours.PostLogoutURI, "our back-channel logout URI", ours.BackChannelLogoutURI, "our front-channel logout URI", ours.FrontChannelLogoutURI, "our keys", ours.JWKSURI)
	}
	err := c.facts(append(named, "keys", strings.Join(u.Keys, " "), "valid until", stamp(u.ValidUntil), "metadata from", u.From, "last tried", stamp(u.Tried), "last good", stamp(u.Good), "next", stamp(u.Next),
		"error", u.Error, "added", stamp(u.Created), "by", u.CreatedBy)...)
	if err != nil {
		return err
	}
	for _, w := range u.Warnings {
		fmt.Fprintln(c.err, "warning:", plain(w.Text))
	}
	fmt.Fprintln(c.out)
	return c.settings(u.Settings)
}

func (c *cli) upstreamSet() *cobra.Command {
	var where string
	command := &cobra.Command{
		Use: "set NAME KEY=VALUE...", Short: "change " + upstreamKeys + ", or by --metadata its keys and addresses, or the client secret", Args: atLeast(1),
		Example: examples("upstream set corp level=standard levels=amr:mfa=high", "upstream set corp --client-secret-file secret"),
	}
	secret := c.secretFlags(command)
	command.RunE = c.action(func(command *cobra.Command, client *api.Client, args []string) error {
		values, err := keyValues(args[1:])
		if err != nil {
			return err
		}
		ask := api.UpstreamChange{Set: values}
		if ask.Secret, err = secret(); err != nil {
			return err
		}
		if where != "" {
			if ask.Metadata, ask.URL, err = c.metadataAt(where); err != nil {
				return err
			}
		}
		u, err := client.SetUpstream(command.Context(), args[0], ask)
		if err != nil {
			return err
		}
		return c.quiet(u)
	})
	command.Flags().StringVar(&where, "metadata", "", "newer metadata of the same identity provider: a file, an address where the server looks from then on, or - for stdin")
	return command
}

// upstreamTest prints a sentence for each side of an upstream, and fails where people cannot sign in.
func (c *cli) upstreamTest() *cobra.Command {
	return &cobra.Command{
		Use: "test NAME", Short: "look at everything that a sign-in there needs, and say what is wrong", Args: exactly(1),
		Example: examples("upstream test corp"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			test, err := client.TestUpstream(command.Context(), args[0])
			if err != nil {
				return err
			}
			err = c.show(test, func() error {
				var rows [][]string
				for _, check := range test.Checks {
					rows = append(rows, []string{check.Outcome, check.What, check.Text})
				}
				return c.table([]string{"OUTCOME", "WHAT", "FOUND"}, rows)
			})
			if err == nil && !test.Good {
				err = errors.New("nobody can sign in there: see what is bad above")
			}
			return err
		}),
	}
}
