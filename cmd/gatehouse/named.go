package main

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

// namedKind is profile, permission-set or group: what they are called here and in the API.
type namedKind struct{ use, kind, short string }

var namedKinds = []namedKind{
	{"profile", "profiles", "profiles: everybody has one; it can limit addresses, login hours and sessions"},
	{"permission-set", "permission-sets", "permission sets: people hold any number"},
	{"group", "groups", "groups: apps are told their names"},
}

func (c *cli) namedCommand(k namedKind) *cobra.Command {
	return group(k.use, k.short, c.namedAdd(k), c.namedList(k), c.namedShow(k), c.namedSet(k), c.namedRemove(k))
}

func (c *cli) namedAdd(k namedKind) *cobra.Command {
	n := api.Named{Limits: map[string]string{}}
	var ranges []string
	var hours string
	command := &cobra.Command{
		Use: "add NAME", Short: "add a " + k.use + "; prints its id", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			n.Name = args[0]
			if len(ranges) > 0 {
				n.Limits["ip_ranges"] = strings.Join(ranges, ",")
			}
			if hours != "" {
				n.Limits["login_hours"] = hours
			}
			added, err := client.AddNamed(command.Context(), k.kind, n)
			if err != nil {
				return err
			}
			return c.id(added, added.ID)
		}),
	}
	if k.use == "profile" {
		command.Flags().StringSliceVar(&ranges, "ip-range", nil, "address or CIDR range that its people come from; may be repeated; default: anywhere")
		command.Flags().StringVar(&hours, "login-hours", "", "when its people may use apps, such as \"mon-fri 08:00-18:00 Europe/Berlin\"; default: at any time")
	}
	return command
}

func (c *cli) namedList(k namedKind) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list them", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := all(func(after string) (api.List[api.Profile], error) {
				return client.NamedList(command.Context(), k.kind, after)
			})
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, one := range list.Items {
					rows = append(rows, []string{one.ID, one.Name, strconv.Itoa(one.Members), limitWords(one)})
				}
				return c.table([]string{"ID", "NAME", "PEOPLE", "LIMITS"}, rows)
			})
		}),
	}
}

func (c *cli) namedShow(k namedKind) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "show one", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			one, err := client.Named(command.Context(), k.kind, args[0])
			if err != nil {
				return err
			}
			return c.show(one, func() error {
				return c.facts("id", one.ID, "name", one.Name, "people", strconv.Itoa(one.Members), "limits", limitWords(one))
			})
		}),
	}
}

func limitWords(one api.Profile) string {
	var limits []string
	for _, key := range slices.Sorted(maps.Keys(one.Limits)) {
		limits = append(limits, key+"="+one.Limits[key])
	}
	return strings.Join(limits, "; ")
}

func (c *cli) namedSet(k namedKind) *cobra.Command {
	var force bool
	command := &cobra.Command{
		Use: "set NAME KEY=VALUE...", Short: "change its name; of a profile also ip_ranges, login_hours, session_timeout, session.idle, session.max", Args: atLeast(2),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			ask, err := change(args[1:], force)
			if err != nil {
				return err
			}
			one, err := client.SetNamed(command.Context(), k.kind, args[0], ask)
			if err != nil {
				return err
			}
			return c.quiet(one)
		}),
	}
	forceFlag(command, &force)
	return command
}

func (c *cli) namedRemove(k namedKind) *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "remove one that nobody holds and no app names", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			return client.RemoveNamed(command.Context(), k.kind, args[0])
		}),
	}
}
