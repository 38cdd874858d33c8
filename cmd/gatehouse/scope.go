package main

import (
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) scopeCommand() *cobra.Command {
	return group("scope", "scopes of your own that apps may ask for, named as the policies of a gateway",
		c.scopeAdd(), c.scopeList(),
		onOne(c, "scope show orders.read", "show a scope and the apps that name it", (*api.Client).Scope, c.scopeText),
		c.scopeSet(),
		onOne(c, "scope remove orders.read", "remove a scope that no app names", (*api.Client).RemoveScope, nil))
}

func (c *cli) scopeAdd() *cobra.Command {
	var n api.NewScope
	command := &cobra.Command{
		Use: "add NAME --description TEXT", Short: "add a scope; prints its name", Args: exactly(1),
		Example: examples("scope add orders.read --description \"See your orders\" --listed"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			n.Name = args[0]
			added, err := client.AddScope(command.Context(), n)
			if err != nil {
				return err
			}
			return c.id(added, added.Name)
		}),
	}
	command.Flags().StringVar(&n.Description, "description", "", "what an app may do by it, as people read it when they are asked; at most 60 characters")
	command.Flags().BoolVar(&n.Listed, "listed", false, "name it in the discovery document")
	return command
}

func (c *cli) scopeList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the scopes", Args: exactly(0),
		Example: examples("scope list"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := client.Scopes(command.Context())
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, one := range list.Items {
					rows = append(rows, []string{one.Name, strconv.Itoa(len(one.Apps)), strconv.FormatBool(one.Listed), plain(one.Description)})
				}
				return c.table([]string{"NAME", "APPS", "LISTED", "DESCRIPTION"}, rows)
			})
		}),
	}
}

func (c *cli) scopeText(s *api.Scope) error {
	names := make([]string, len(s.Apps))
	for i, app := range s.Apps {
		names[i] = plain(app.Name)
	}
	return c.facts("name", s.Name, "description", plain(s.Description), "listed", strconv.FormatBool(s.Listed), "added", stamp(s.Created), "apps", strings.Join(names, ", "))
}

func (c *cli) scopeSet() *cobra.Command {
	return &cobra.Command{
		Use: "set NAME KEY=VALUE...", Short: "change description or listed (true, false)", Args: atLeast(2),
		Example: examples("scope set orders.read listed=false"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			ask, err := change(args[1:], false)
			if err != nil {
				return err
			}
			one, err := client.SetScope(command.Context(), args[0], ask)
			if err != nil {
				return err
			}
			return c.quiet(one)
		}),
	}
}
