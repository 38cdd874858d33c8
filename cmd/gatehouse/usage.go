package main

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) appUsage() *cobra.Command {
	var unusedGrants bool
	command := &cobra.Command{
		Use:     "usage [APP]",
		Short:   "show who uses an app and how often, or all apps with the least recently used first",
		Args:    atMost(1),
		Example: examples("app usage", "app usage Orders", "app usage --grants"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			ctx := command.Context()
			switch app := strings.Join(args, ""); {
			case unusedGrants:
				return c.unusedGrants(ctx, client, app)
			case len(args) == 1:
				usage, err := client.AppUsage(ctx, app)
				if err != nil {
					return err
				}
				return c.show(usage, func() error { return c.usageText(&usage) })
			}
			return c.usageList(ctx, client)
		}),
	}
	command.Flags().BoolVar(&unusedGrants, "grants", false, "list instead who was let in by name or consent 90 days ago or longer, and did not use that for 90 days")
	return command
}

// usageList prints all apps: those nobody used first, the most recently used last.
func (c *cli) usageList(ctx context.Context, client *api.Client) error {
	list, err := upTo(0, func(after string) (api.List[api.AppUsage], error) { return client.Usage(ctx, after) })
	if err != nil {
		return err
	}
	slices.SortStableFunc(list.Items, func(a, b api.AppUsage) int {
		return cmp.Or(a.LastUsed.Compare(b.LastUsed), cmp.Compare(strings.ToLower(a.App.Name), strings.ToLower(b.App.Name)))
	})
	return c.show(list, func() error {
		var rows [][]string
		for _, u := range list.Items {
			rows = append(rows, []string{u.App.Name, u.State, lastUsed(&u), number(u.People30), number(u.People90), number(u.SignOns), number(u.Refused), u.App.ID})
		}
		return c.table([]string{"APP", "STATE", "LAST USED", "PEOPLE 30D", "PEOPLE 90D", "SIGN-ONS 30D", "REFUSED 30D", "ID"}, rows)
	})
}

func (c *cli) unusedGrants(ctx context.Context, client *api.Client, app string) error {
	list, err := upTo(0, func(after string) (api.List[api.UnusedGrant], error) { return client.UnusedGrants(ctx, app, after) })
	if err != nil {
		return err
	}
	return c.show(list, func() error {
		var rows [][]string
		for _, g := range list.Items {
			rows = append(rows, []string{g.User.Name, g.App.Name, g.Kind, stamp(g.Since), stamp(g.Until)})
		}
		return c.table([]string{"USER", "APP", "ACCESS", "SINCE", "UNTIL"}, rows)
	})
}

func (c *cli) usageText(u *api.AppUsage) error {
	pairs := []string{
		"app", u.App.Name, "id", u.App.ID, "state", u.State, "last used", lastUsed(u),
		"people", number(u.People30) + " in 30 days, " + number(u.People90) + " in 90 days",
		"sign-ons", number(u.SignOns) + " in 30 days", "refused", number(u.Refused) + " in 30 days",
	}
	for _, reason := range u.Reasons {
		pairs = append(pairs, "  "+reason.Reason, number(reason.Count))
	}
	if err := c.facts(pairs...); err != nil {
		return err
	}
	var rows [][]string
	for _, d := range u.Days {
		if d.SignOns+d.Refused > 0 {
			rows = append(rows, []string{d.Day, number(d.SignOns), number(d.Refused)})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	return c.table([]string{"DAY", "SIGN-ONS", "REFUSED"}, rows)
}

func lastUsed(u *api.AppUsage) string {
	switch {
	case u.LastUsed.IsZero():
		return "never"
	case u.Unused:
		return stamp(u.LastUsed) + " (unused)"
	}
	return stamp(u.LastUsed)
}

func number(n int) string { return strconv.Itoa(n) }
