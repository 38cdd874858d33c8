package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) requestCommand() *cobra.Command {
	return group("request", "requests for access to apps", c.requestList(), c.requestApprove(), c.requestDeny())
}

func (c *cli) requestList() *cobra.Command {
	var q api.RequestQuery
	command := &cobra.Command{
		Use: "list", Short: "list requests, newest first", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := all(func(after string) (api.List[api.AccessRequest], error) {
				q.After = after
				return client.Requests(command.Context(), q)
			})
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for i := range list.Items {
					rows = append(rows, requestRow(&list.Items[i]))
				}
				return c.table([]string{"ID", "ASKED", "USER", "APP", "STATE", "WANTED", "UNTIL", "BY", "WHY"}, rows)
			})
		}),
	}
	f := command.Flags()
	f.StringVar(&q.State, "state", "", "only asked, approved, denied, withdrawn or expired ones")
	f.StringVar(&q.App, "app", "", "only for this app")
	f.StringVar(&q.User, "user", "", "only of this person")
	return command
}

func requestRow(r *api.AccessRequest) []string {
	wanted := r.WantedFor
	if wanted == "" {
		wanted = stamp(r.WantedUntil)
	}
	return []string{r.ID, stamp(r.Asked), r.User.Name, r.App.Name, r.State, wanted, stamp(r.Until), r.By.Name, r.Why}
}

func (c *cli) requestApprove() *cobra.Command {
	var answer api.Answer
	var until string
	command := &cobra.Command{
		Use: "approve ID", Short: "let the person in for a time, without --for and --until as long as they asked", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			if answer.For != "" && until != "" {
				return usagef("give --for or --until, not both")
			}
			var err error
			if answer.Until, err = parseEnd("--until", until); err != nil {
				return err
			}
			request, err := client.ApproveRequest(command.Context(), args[0], answer)
			if err != nil {
				return err
			}
			return c.quiet(request)
		}),
	}
	f := command.Flags()
	f.StringVar(&answer.For, "for", "", "so long from now on, such as 8h, 7d or 90d")
	f.StringVar(&until, "until", "", "until this moment, such as 2027-01-31T18:00:00Z, or through this day (UTC)")
	f.StringVar(&answer.Text, "text", "", "what the person is told")
	return command
}

// parseEnd reads a moment at which something ends: a date means the end of that day of UTC.
func parseEnd(flag, text string) (time.Time, error) {
	at, err := parseMoment(flag, text, time.Time{})
	if _, isTime := time.Parse(time.RFC3339, text); err == nil && text != "" && isTime != nil {
		at = at.AddDate(0, 0, 1).Add(-time.Second)
	}
	return at, err
}

func (c *cli) requestDeny() *cobra.Command {
	var answer api.Answer
	command := &cobra.Command{
		Use: "deny ID", Short: "do not let the person in", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			request, err := client.DenyRequest(command.Context(), args[0], answer)
			if err != nil {
				return err
			}
			return c.quiet(request)
		}),
	}
	command.Flags().StringVar(&answer.Text, "text", "", "what the person is told")
	return command
}

func (c *cli) grantCommand() *cobra.Command {
	return group("grant", "access to apps on request, and what apps hold tokens for", c.grantList(), c.grantTokens(), c.grantHolders(), c.grantRevoke(), c.grantRevokeTokens())
}

func (c *cli) grantList() *cobra.Command {
	var q api.RequestQuery
	command := &cobra.Command{
		Use: "list", Short: "list who has access on request now, and until when", Args: exactly(0),
		Example: examples("grant list --app Payroll"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := all(func(after string) (api.List[api.Grant], error) {
				q.After = after
				return client.Grants(command.Context(), q)
			})
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, g := range list.Items {
					rows = append(rows, []string{g.User.Name, g.App.Name, stamp(g.From), stamp(g.Until), g.By.Name, g.Request})
				}
				return c.table([]string{"USER", "APP", "FROM", "UNTIL", "BY", "REQUEST"}, rows)
			})
		}),
	}
	command.Flags().StringVar(&q.App, "app", "", "only to this app")
	command.Flags().StringVar(&q.User, "user", "", "only of this person")
	return command
}

func (c *cli) grantTokens() *cobra.Command {
	var q api.RequestQuery
	command := &cobra.Command{
		Use: "tokens", Short: "list what people gave to apps over OAuth that still gives tokens", Args: exactly(0),
		Example: examples("grant tokens --user ana"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := all(func(after string) (api.List[api.OAuthGrant], error) {
				q.After = after
				return client.OAuthGrants(command.Context(), q)
			})
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, g := range list.Items {
					rows = append(rows, []string{g.ID, g.User.Name, g.App.Name, strings.Join(g.Scopes, " "), stamp(g.Created), stamp(g.Used), stamp(g.Until)})
				}
				return c.table([]string{"ID", "USER", "APP", "SCOPES", "CREATED", "USED", "UNTIL"}, rows)
			})
		}),
	}
	command.Flags().StringVar(&q.App, "app", "", "only to this app")
	command.Flags().StringVar(&q.User, "user", "", "only of this person")
	return command
}

func (c *cli) grantRevoke() *cobra.Command {
	var revoke api.RevokeGrant
	command := &cobra.Command{
		Use: "revoke ID | --user U --app A", Short: "end a grant of tokens by its id, or a person's access on request before its time", Args: atMost(1),
		Example: examples("grant revoke gnt_abc", "grant revoke --user ana --app Payroll"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			if len(args) == 1 {
				grant, err := client.RevokeOAuthGrant(command.Context(), args[0])
				if err != nil {
					return err
				}
				return c.quiet(grant)
			}
			if revoke.User == "" || revoke.App == "" {
				return usagef("say which grant ends by its ID (`gatehouse grant tokens` lists them), or whose access to which app: --user U --app A")
			}
			grant, err := client.RevokeGrant(command.Context(), revoke)
			if err != nil {
				return err
			}
			return c.quiet(grant)
		}),
	}
	command.Flags().StringVar(&revoke.User, "user", "", "the person")
	command.Flags().StringVar(&revoke.App, "app", "", "the app")
	return command
}
