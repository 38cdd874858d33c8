package main

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) userCommand() *cobra.Command {
	return group("user", "people; NAME is a user name or an id",
		c.userAdd(), c.userInvite(), c.userList(), c.userShow(), c.userSet(),
		c.userEnable("disable", "keep a person from signing in and end their sessions", false),
		c.userEnable("enable", "let a person sign in again", true),
		c.userReset(), c.userResetMFA(), c.userEnrolTOTP(), c.userImport(), c.userRemove())
}

func (c *cli) userAdd() *cobra.Command {
	var n api.NewUser
	var stdin bool
	command := &cobra.Command{
		Use: "add NAME", Short: "add a person; prints their id", Args: exactly(1),
		Example: examples("user add ana --email ana@example.org --profile Employees", "user add ana --email ana@example.org --password-stdin < password"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			var err error
			n.Name = args[0]
			if n.Password, err = c.password(stdin, false); err != nil {
				return err
			}
			user, err := client.AddUser(command.Context(), n)
			if err != nil {
				return err
			}
			if n.Password == "" {
				fmt.Fprintf(c.err, "note: no password was set for %[1]s (stdin is read with --password-stdin alone): send an invitation with `gatehouse user invite %[1]s`, or set one with `gatehouse user reset-password %[1]s`\n", plain(user.Name))
			}
			return c.id(user, user.ID)
		}),
	}
	personFlags(command, &n)
	passwordFlag(command, &stdin)
	return command
}

// personFlags are what a new person may have.
func personFlags(command *cobra.Command, n *api.NewUser) {
	f := command.Flags()
	f.StringVar(&n.Email, "email", "", "e-mail address")
	f.StringVar(&n.DisplayName, "display-name", "", "as apps and pages show the person")
	f.StringVar(&n.GivenName, "given-name", "", "given name")
	f.StringVar(&n.Surname, "surname", "", "surname")
	f.StringVar(&n.Profile, "profile", "", "profile; default: the one named Standard, or the only one")
	f.StringArrayVar(&n.PermissionSets, "permission-set", nil, "permission set; may be repeated")
	f.StringArrayVar(&n.Groups, "group", nil, "group; may be repeated")
	f.StringArrayVar(&n.Roles, "role", nil, "owner, app_admin, developer, approver, help_desk or auditor; may be repeated")
}

func (c *cli) userInvite() *cobra.Command {
	var n api.NewUser
	command := &cobra.Command{
		Use: "invite NAME", Short: "add a person who chooses the password by a one-time link, which is printed and mailed; for one who is there without a password, a new link", Args: exactly(1),
		Example: examples("user invite ana --email ana@example.org --profile Employees", "user invite ana"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			n.Name = args[0]
			invited, err := client.InviteUser(command.Context(), n)
			if isTaken(err) && reflect.DeepEqual(n, api.NewUser{Name: n.Name}) {
				invited, err = client.Invite(command.Context(), n.Name)
			}
			if err != nil {
				return err
			}
			if invited.Mailed {
				fmt.Fprintf(c.err, "The link is on its way to %s too.\n", invited.User.Email)
			}
			return c.id(invited, invited.URL)
		}),
	}
	personFlags(command, &n)
	return command
}

// isTaken tells whether the server refused a name that somebody has.
func isTaken(err error) bool {
	var refused *api.Error
	return errors.As(err, &refused) && refused.Reason == "exists"
}

func (c *cli) userList() *cobra.Command {
	var search string
	command := &cobra.Command{
		Use: "list", Short: "list people", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := all(func(after string) (api.List[api.User], error) { return client.Users(command.Context(), search, after) })
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, u := range list.Items {
					rows = append(rows, []string{u.ID, u.Name, u.Email, u.Status, u.Profile.Name, strings.Join(u.Roles, ",")})
				}
				return c.table([]string{"ID", "NAME", "EMAIL", "STATUS", "PROFILE", "ROLES"}, rows)
			})
		}),
	}
	command.Flags().StringVar(&search, "search", "", "only those whose name or e-mail begins so")
	return command
}

func (c *cli) userShow() *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "show a person", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			u, err := client.User(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(u, func() error {
				pairs := []string{
					"id", u.ID, "name", u.Name, "display name", u.DisplayName, "email", u.Email, "given name", u.GivenName,
					"surname", u.Surname, "status", u.Status, "profile", u.Profile.Name, "permission sets", names(u.PermissionSets),
					"groups", names(u.Groups), "roles", strings.Join(u.Roles, ", "),
				}
				for name, values := range u.Attributes {
					pairs = append(pairs, "attribute "+name, strings.Join(values, ", "))
				}
				for _, f := range u.Factors {
					pairs = append(pairs, f.Kind, factorWords(&f))
				}
				return c.facts(append(pairs, "added", stamp(u.Created), "changed", stamp(u.Changed), "last sign-in", stamp(u.LastSignIn))...)
			})
		}),
	}
}

func (c *cli) userSet() *cobra.Command {
	var force bool
	command := &cobra.Command{
		Use:     "set NAME KEY=VALUE...",
		Short:   "change a person: name, display_name, email, given_name, surname, profile, permission_sets, groups, roles, attributes.NAME",
		Args:    atLeast(2),
		Example: examples("user set ana profile=Employees roles=auditor attributes.department=Sales"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			ask, err := change(args[1:], force)
			if err != nil {
				return err
			}
			user, err := client.SetUser(command.Context(), args[0], ask)
			if err != nil {
				return err
			}
			return c.quiet(user)
		}),
	}
	forceFlag(command, &force)
	return command
}

func (c *cli) userEnable(use, short string, enabled bool) *cobra.Command {
	return &cobra.Command{
		Use: use + " NAME", Short: short, Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			user, err := client.EnableUser(command.Context(), args[0], enabled)
			if err != nil {
				return err
			}
			return c.quiet(user)
		}),
	}
}

func (c *cli) userReset() *cobra.Command {
	var stdin bool
	command := &cobra.Command{
		Use: "reset-password NAME", Short: "set a person's password and end their sessions", Args: exactly(1),
		Example: examples("user reset-password ana", "user reset-password ana --password-stdin < password"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			password, err := c.password(stdin, true)
			if err != nil {
				return err
			}
			user, err := client.ResetPassword(command.Context(), args[0], password)
			if err != nil {
				return err
			}
			return c.quiet(user)
		}),
	}
	passwordFlag(command, &stdin)
	return command
}

func (c *cli) userRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "remove a person and end their sessions", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			return client.RemoveUser(command.Context(), args[0])
		}),
	}
}
