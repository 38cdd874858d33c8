package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

const upstreamKeys = "label, match, attribute, domains, create, profile, admins, level, levels, requester_id or state"

func (c *cli) upstreamCommand() *cobra.Command {
	return group("upstream", "other identity providers where people may sign in",
		c.upstreamAdd(), c.upstreamList(), c.upstreamShow(), c.upstreamSet(), c.upstreamRemove())
}

func (c *cli) upstreamAdd() *cobra.Command {
	var file, name string
	var set []string
	command := &cobra.Command{
		Use:   "add --metadata FILE --name NAME",
		Short: "let people sign in at another identity provider; give that one our /saml/sp-metadata",
		Args:  exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			if file == "" || name == "" {
				return usagef("give --metadata with the file of the identity provider's metadata, and --name")
			}
			n := api.NewUpstream{Name: name}
			var err error
			if n.Set, err = keyValues(set); err != nil {
				return err
			}
			text, err := readFile(file)
			if err != nil {
				return err
			}
			n.Metadata = string(text)
			u, err := client.AddUpstream(command.Context(), n)
			if err != nil {
				return err
			}
			return c.id(u, u.Name)
		}),
	}
	command.Flags().StringVar(&file, "metadata", "", "file of the identity provider's SAML metadata")
	command.Flags().StringVar(&name, "name", "", "lower-case letters, digits and hyphens")
	command.Flags().StringArrayVar(&set, "set", nil, "KEY=VALUE of "+upstreamKeys+"; may be repeated")
	return command
}

func (c *cli) upstreamList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the upstreams", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := client.Upstreams(command.Context())
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, u := range list.Items {
					rows = append(rows, []string{u.Name, plain(u.EntityID), stamp(u.ValidUntil)})
				}
				return c.table([]string{"NAME", "ENTITY ID", "VALID UNTIL"}, rows)
			})
		}),
	}
}

func (c *cli) upstreamShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "show an upstream and its settings", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			u, err := client.Upstream(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(u, func() error {
				err := c.facts("name", u.Name, "entity id", plain(u.EntityID), "signs in at", plain(u.SSO), "keys", strings.Join(u.Keys, " "),
					"valid until", stamp(u.ValidUntil), "added", stamp(u.Created), "by", u.CreatedBy)
				if err != nil {
					return err
				}
				fmt.Fprintln(c.out)
				return c.settings(u.Settings)
			})
		}),
	}
}

func (c *cli) upstreamSet() *cobra.Command {
	var file string
	command := &cobra.Command{
		Use: "set NAME KEY=VALUE...", Short: "change " + upstreamKeys + ", or by --metadata its keys and addresses", Args: atLeast(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			values, err := keyValues(args[1:])
			if err != nil {
				return err
			}
			ask := api.UpstreamChange{Set: values}
			if file != "" {
				text, err := readFile(file)
				if err != nil {
					return err
				}
				ask.Metadata = string(text)
			}
			u, err := client.SetUpstream(command.Context(), args[0], ask)
			if err != nil {
				return err
			}
			return c.quiet(u)
		}),
	}
	command.Flags().StringVar(&file, "metadata", "", "file of newer metadata of the same identity provider")
	return command
}

func (c *cli) upstreamRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "remove an upstream; people who came from there stay", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			u, err := client.RemoveUpstream(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.quiet(u)
		}),
	}
}
