package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

// factorWords is a second factor in one line.
func factorWords(f *api.Factor) string {
	if f.Kind == "recovery" {
		return fmt.Sprintf("%d left, made %s", f.Left, stamp(f.Created))
	}
	if f.LastUsed.IsZero() {
		return fmt.Sprintf("%s, added %s, never used", f.Name, stamp(f.Created))
	}
	return fmt.Sprintf("%s, added %s, last used %s", f.Name, stamp(f.Created), stamp(f.LastUsed))
}

func (c *cli) userResetMFA() *cobra.Command {
	return &cobra.Command{
		Use: "reset-mfa NAME", Short: "remove a person's second factors and passkeys, and end their sessions", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			user, err := client.ResetMFA(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.quiet(user)
		}),
	}
}

func (c *cli) userEnrolTOTP() *cobra.Command {
	return &cobra.Command{
		Use: "enroll-totp NAME", Short: "give a person an authenticator app; prints its otpauth URI, once", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			given, err := client.EnrolTOTP(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.id(given, given.URI)
		}),
	}
}
