package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) tokenCommand() *cobra.Command {
	return group("token", "tokens for programs that use the API or SCIM", c.tokenCreate(), c.tokenList(), c.tokenRevoke())
}

func (c *cli) tokenCreate() *cobra.Command {
	var n api.NewToken
	command := &cobra.Command{
		Use: "create NAME --scope SCOPE", Short: "make a token; prints its secret, which is shown this once", Args: exactly(1),
		Example: examples("token create hr-sync --scope directory.write --expires 90d --address 192.0.2.0/24"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			n.Name = args[0]
			token, err := client.AddToken(command.Context(), n)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.err, "note: keep the secret now, it cannot be shown again; it ends on %s\n", stamp(token.Expires))
			return c.id(token, token.Secret)
		}),
	}
	f := command.Flags()
	f.StringSliceVar(&n.Scopes, "scope", nil, "directory.read, directory.write (SCIM too), apps.read, apps.write or audit.read; may be repeated")
	f.StringVar(&n.Expires, "expires", "90d", "how long it lives, at most 732 days")
	f.StringSliceVar(&n.Addresses, "address", nil, "CIDR range from which alone it may be used; may be repeated")
	return command
}

func (c *cli) tokenList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the tokens", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := client.Tokens(command.Context())
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, t := range list.Items {
					rows = append(rows, []string{t.ID, t.Name, t.State, strings.Join(t.Scopes, ","), t.Creator.Name, stamp(t.Expires), stamp(t.LastUsed), t.LastFrom, strings.Join(t.Addresses, ",")})
				}
				return c.table([]string{"ID", "NAME", "STATE", "SCOPES", "CREATOR", "EXPIRES", "LAST USED", "FROM", "ONLY FROM"}, rows)
			})
		}),
	}
}

func (c *cli) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke NAME", Short: "end a token, by name or id, at once", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			token, err := client.RevokeToken(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.quiet(token)
		}),
	}
}
