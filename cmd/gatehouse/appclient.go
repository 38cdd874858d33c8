package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

// appRotateSecret makes a client secret beside the one there is.
func (c *cli) appRotateSecret() *cobra.Command {
	var ask api.RotateSecret
	command := &cobra.Command{
		Use: "rotate-secret APP", Short: "make a further client secret and print it as JSON; the one before stays good until the next", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			rotated, err := client.RotateSecret(command.Context(), args[0], ask)
			if err != nil {
				return err
			}
			if ask.EndOld {
				fmt.Fprintf(c.err, "%d old client secrets were ended\n", rotated.Ended)
				return c.quiet(rotated)
			}
			return c.credentials(rotated)
		}),
	}
	command.Flags().BoolVar(&ask.EndOld, "end-old", false, "end the old secret instead, once the app has the new one")
	return command
}

// credentials prints what an app's developer needs, and what is shown this once.
func (c *cli) credentials(secret api.ClientSecret) error {
	e := json.NewEncoder(c.out)
	e.SetIndent("", "  ")
	return e.Encode(secret)
}

// appRegistrationToken makes the token by which a gateway registers its clients.
func (c *cli) appRegistrationToken() *cobra.Command {
	return &cobra.Command{
		Use: "registration-token APP", Short: "make the token by which clients register under the app and print it as JSON; the one before is good no longer", Args: exactly(1),
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
