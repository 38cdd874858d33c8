package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

// grantHolders lists what people gave, a line for each person and app.
func (c *cli) grantHolders() *cobra.Command {
	var q api.RequestQuery
	command := &cobra.Command{
		Use: "holders --app A | --user U", Short: "list which apps hold tokens of whom, one line for each person and app", Args: exactly(0),
		Example: examples("grant holders --app Orders", "grant holders --user ana"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			if q.App == "" && q.User == "" {
				return usagef("say of which app or which person: --app A or --user U")
			}
			list, err := all(func(after string) (api.List[api.Holding], error) {
				q.After = after
				return client.Holdings(command.Context(), q)
			})
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, h := range list.Items {
					rows = append(rows, []string{h.User.Name, h.App.Name, strconv.Itoa(h.Count), stamp(h.Since), stamp(h.Used), strings.Join(h.Scopes, " ")})
				}
				return c.table([]string{"USER", "APP", "GRANTS", "SINCE", "USED", "SCOPES"}, rows)
			})
		}),
	}
	command.Flags().StringVar(&q.App, "app", "", "of this app")
	command.Flags().StringVar(&q.User, "user", "", "of this person")
	return command
}

// grantRevokeTokens ends all tokens of an app, or those of one person there.
func (c *cli) grantRevokeTokens() *cobra.Command {
	var ask api.RevokeTokens
	command := &cobra.Command{
		Use: "revoke-tokens --app A [--user U]", Short: "end all tokens of an app, or what one person gave it, and take it out of the sessions concerned", Args: exactly(0),
		Example: examples("grant revoke-tokens --app Orders", "grant revoke-tokens --app Orders --user ana"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			if ask.App == "" {
				return usagef("say of which app: --app A")
			}
			revoked, err := client.RevokeTokens(command.Context(), ask)
			if err != nil {
				return err
			}
			if ask.User != "" {
				fmt.Fprintf(c.err, "grants that were ended: %d\n", revoked.Grants)
			}
			return c.quiet(revoked)
		}),
	}
	command.Flags().StringVar(&ask.App, "app", "", "the app")
	command.Flags().StringVar(&ask.User, "user", "", "only what this person gave")
	return command
}
