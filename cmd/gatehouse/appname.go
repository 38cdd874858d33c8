package main

import (
	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) appNewNameID() *cobra.Command {
	var end bool
	command := &cobra.Command{
		Use: "new-nameid APP USER", Short: "give a person another persistent name at an app, and tell the app", Args: exactly(2),
		Example: examples("app new-nameid Wiki ana"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			renewed, err := client.NewNameID(command.Context(), args[0], api.NewNameID{User: args[1], End: end})
			if err != nil {
				return err
			}
			if !renewed.Told {
				c.warn([]api.Warning{{Text: "The app cannot be told: its metadata has no ManageNameIDService for SOAP. It will meet the person as somebody new."}})
			}
			return c.quiet(renewed)
		}),
	}
	command.Flags().BoolVar(&end, "end", false, "end the name; the next sign-on makes another")
	return command
}
