package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) sourceCommand() *cobra.Command {
	return group("metadata-source", "places that publish signed metadata of many service providers: aggregates and MDQ servers",
		c.sourceAdd(), c.sourceList(), c.sourceShow(), c.sourceSet(), c.sourceRemove(), c.sourceRefresh(), c.sourceEntities())
}

func (c *cli) sourceAdd() *cobra.Command {
	var url, mdq, keys string
	var set []string
	var unsigned bool
	command := &cobra.Command{
		Use:   "add NAME --url URL | --mdq BASE  --keys FILE",
		Short: "add a source; its metadata is fetched within a minute, or at once by `metadata-source refresh`",
		Args:  exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			n := api.NewMetadataSource{Name: args[0], Kind: "aggregate"}
			var err error
			if n.Set, err = keyValues(set); err != nil {
				return err
			}
			if (url == "") == (mdq == "") {
				return usagef("give --url for one document with many entities, or --mdq for a server that answers for one at a time")
			}
			if (keys == "") != unsigned {
				return usagef("give --keys with the certificate that the source signs with, or --unsigned if it does not sign")
			}
			if n.Set["url"] = url; mdq != "" {
				n.Kind, n.Set["url"] = "mdq", mdq
			}
			if unsigned {
				n.Set["unsigned"] = "true"
			} else {
				pem, err := readFile(keys)
				if err != nil {
					return err
				}
				n.Set["keys"] = string(pem)
			}
			source, err := client.AddMetadataSource(command.Context(), n)
			if err != nil {
				return err
			}
			return c.id(source, source.Name)
		}),
	}
	f := command.Flags()
	f.StringVar(&url, "url", "", "address of an aggregate")
	f.StringVar(&mdq, "mdq", "", "base address of an MDQ server; entities are asked for at BASE/entities/...")
	f.StringVar(&keys, "keys", "", "file of PEM certificates or public keys, one of which must have signed; only the keys in them count")
	f.BoolVar(&unsigned, "unsigned", false, "believe the address alone")
	f.StringArrayVar(&set, "set", nil, "KEY=VALUE of max_validity, refresh, apply or state; may be repeated")
	return command
}

func (c *cli) sourceList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the sources", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := client.MetadataSources(command.Context())
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, s := range list.Items {
					rows = append(rows, []string{s.Name, s.Kind, strconv.Itoa(s.Providers), strconv.Itoa(s.Apps), stamp(s.Good), stamp(s.ValidUntil), plain(s.Error)})
				}
				return c.table([]string{"NAME", "KIND", "PROVIDERS", "APPS", "LAST GOOD", "VALID UNTIL", "ERROR"}, rows)
			})
		}),
	}
}

// onOne is a command on one thing that has a name; text shows what came of it, nil nothing.
func onOne[T any](c *cli, example, short string, do func(*api.Client, context.Context, string) (T, error), text func(*T) error) *cobra.Command {
	return &cobra.Command{
		Use: strings.Fields(example)[1] + " NAME", Short: short, Args: exactly(1), Example: examples(example),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			one, err := do(client, command.Context(), args[0])
			if err != nil {
				return err
			}
			if text == nil {
				return c.quiet(one)
			}
			return c.show(one, func() error { return text(&one) })
		}),
	}
}

func (c *cli) sourceShow() *cobra.Command {
	return onOne(c, "metadata-source show edu", "show a source, its settings and how its last fetches went", (*api.Client).MetadataSource, c.sourceText)
}

func (c *cli) sourceRefresh() *cobra.Command {
	return onOne(c, "metadata-source refresh edu", "fetch a source now, and bring the apps that follow it up to date", (*api.Client).RefreshMetadataSource, c.sourceText)
}

func (c *cli) sourceRemove() *cobra.Command {
	return onOne(c, "metadata-source remove edu", "remove a source that no app follows, and what was kept of it", (*api.Client).RemoveMetadataSource, nil)
}

func (c *cli) sourceText(s *api.MetadataSource) error {
	pairs := []string{
		"name", s.Name, "kind", s.Kind, "added", stamp(s.Created), "by", s.CreatedBy, "apps", strconv.Itoa(s.Apps),
		"entities", strconv.Itoa(s.Entities), "service providers", strconv.Itoa(s.Providers), "left out", strconv.Itoa(s.Left),
		"valid until", stamp(s.ValidUntil), "last tried", stamp(s.Tried), "last good", stamp(s.Good), "next", stamp(s.Next), "error", plain(s.Error),
	}
	if err := c.facts(pairs...); err != nil {
		return err
	}
	for _, reason := range s.Reasons {
		fmt.Fprintln(c.err, "left out:", plain(reason))
	}
	fmt.Fprintln(c.out)
	return c.settings(s.Settings)
}

func (c *cli) sourceSet() *cobra.Command {
	return &cobra.Command{
		Use: "set NAME KEY=VALUE...", Short: "change url, keys (keys=@FILE), unsigned, max_validity, refresh, apply or state", Args: atLeast(2),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			ask, err := change(args[1:], false)
			if err != nil {
				return err
			}
			source, err := client.SetMetadataSource(command.Context(), args[0], ask)
			if err != nil {
				return err
			}
			return c.quiet(source)
		}),
	}
}

func (c *cli) sourceEntities() *cobra.Command {
	var search string
	command := &cobra.Command{
		Use: "entities NAME", Short: "list the service providers that a source knows", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			list, err := all(func(after string) (api.List[api.Entity], error) {
				return client.Entities(command.Context(), args[0], search, after)
			})
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, e := range list.Items {
					rows = append(rows, []string{plain(e.EntityID), plain(e.Name), e.App})
				}
				return c.table([]string{"ENTITY ID", "NAME", "APP"}, rows)
			})
		}),
	}
	command.Flags().StringVar(&search, "search", "", "only those whose entity id or name contains this")
	return command
}

// appMetadata shows how an app's metadata is kept up to date, and answers what waits.
func (c *cli) appMetadata() *cobra.Command {
	var approve, dismiss, refresh bool
	var version string
	command := &cobra.Command{
		Use: "metadata APP", Short: "show where the app's metadata comes from and what newer metadata would change; answer it", Args: exactly(1),
		Example: examples("app metadata Wiki", "app metadata Wiki --refresh", "app metadata Wiki --approve"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			var answers []string
			for word, chosen := range map[string]bool{"approve": approve, "dismiss": dismiss, "refresh": refresh} {
				if chosen {
					answers = append(answers, word)
				}
			}
			if len(answers) > 1 {
				return usagef("give one of --approve, --dismiss and --refresh")
			}
			m, err := client.AppMetadata(command.Context(), args[0])
			if err == nil && len(answers) == 1 {
				m, err = client.AnswerAppMetadata(command.Context(), args[0], answers[0], cmp.Or(version, m.Version))
			}
			if err != nil {
				return err
			}
			return c.show(m, func() error { return c.appMetadataText(&m) })
		}),
	}
	f := command.Flags()
	f.BoolVar(&approve, "approve", false, "take the newer metadata that waits")
	f.BoolVar(&dismiss, "dismiss", false, "leave it, and do not ask again until it changes")
	f.BoolVar(&refresh, "refresh", false, "look for newer metadata now")
	f.StringVar(&version, "version", "", "answer only what was shown with this version, not what came meanwhile")
	return command
}

func (c *cli) appMetadataText(m *api.AppMetadata) error {
	err := c.facts("from", m.From, "newer metadata", m.Mode, "last tried", stamp(m.Tried), "last good", stamp(m.Good), "next", stamp(m.Next),
		"error", plain(m.Error), "waiting since", stamp(m.Since), "version", m.Version)
	for _, d := range m.Waiting {
		if d.Before != "" {
			fmt.Fprintf(c.out, "- %s: %s\n", d.Field, plain(d.Before))
		}
		if d.After != "" {
			fmt.Fprintf(c.out, "+ %s: %s\n", d.Field, plain(d.After))
		}
	}
	return err
}
