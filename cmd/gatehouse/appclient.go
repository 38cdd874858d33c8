package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

// appRotateSecret makes a client secret beside the one there is.
func (c *cli) appRotateSecret() *cobra.Command {
	var ask api.RotateSecret
	command := &cobra.Command{
		Use: "rotate-secret APP", Short: "make a further client secret and print it as JSON; the one before stays good until the next", Args: exactly(1),
		Example: examples("app rotate-secret Orders", "app rotate-secret Orders --end-old"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			rotated, err := client.RotateSecret(command.Context(), args[0], ask)
			if err != nil {
				return err
			}
			if ask.EndOld {
				fmt.Fprintf(c.err, "old client secrets that were ended: %d\n", rotated.Ended)
				return c.quiet(rotated)
			}
			return c.credentials(rotated)
		}),
	}
	command.Flags().BoolVar(&ask.Replace, "replace", false, "end all secrets before at once, so that nobody goes on with one of them")
	command.Flags().BoolVar(&ask.EndOld, "end-old", false, "end the old secret instead, once the app has the new one")
	command.MarkFlagsMutuallyExclusive("end-old", "replace")
	return command
}

// credentials prints what an app's developer needs, and what is shown this once.
func (c *cli) credentials(secret api.ClientSecret) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	return e.Encode(secret)
}

// whoEnters says that everybody may use a new app, where nothing said so, and which command changes that.
func (c *cli) whoEnters(n newApp, added api.AddedApp) {
	said := slices.ContainsFunc(n.set, func(word string) bool { return strings.HasPrefix(word, "policy.permitted_users=") })
	if said || added.Replaced || n.to != "" || added.App.PermittedUsers != "all" {
		return
	}
	fmt.Fprintf(c.err, "note: everybody in the organisation may use %s; to let in chosen people alone: gatehouse app set %s policy.permitted_users=preauthorized policy.profiles=PROFILE\n",
		plain(added.App.Name), added.App.ID)
}

// letsNobodyIn warns of an app that was approved and that nobody may use yet, with the command that lets people in.
func (c *cli) letsNobodyIn(app api.App) {
	if slices.ContainsFunc(app.Warnings, func(w api.Warning) bool { return w.Code == api.WarnNobody }) {
		fmt.Fprintf(c.err, "warning: %s is approved, but nobody may use it; to let in chosen people: gatehouse app set %s policy.profiles=PROFILE; everybody: gatehouse app set %s policy.permitted_users=all\n",
			plain(app.Name), app.ID, app.ID)
	}
}

// appRegistrationToken makes the token by which a gateway registers its clients.
func (c *cli) appRegistrationToken() *cobra.Command {
	return &cobra.Command{
		Use: "registration-token APP", Short: "make the token by which clients register under the app and print it as JSON; the one before is good no longer", Args: exactly(1),
		Example: examples("app registration-token \"API gateway\""),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			made, err := client.RegistrationToken(command.Context(), args[0])
			if err != nil {
				return err
			}
			e := json.NewEncoder(c.out)
			e.SetIndent("", "  ")
			return e.Encode(made)
		}),
	}
}
