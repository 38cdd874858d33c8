package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) keyCommand() *cobra.Command {
	return group("key", "the identity provider's signing keys", c.keyList(), c.keyShow(), c.keyStage(), c.keyActivate(), c.keyRetire())
}

func (c *cli) keyList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the keys, oldest first, with how many apps have fetched each", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := client.Keys(command.Context())
			if err != nil {
				return err
			}
			for _, k := range list.Items {
				c.warn(k.Warnings)
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, k := range list.Items {
					rows = append(rows, []string{k.ID, k.State, k.Algorithm, stamp(k.Created), stamp(k.NotAfter), keyCount(&k, k.Fetched), keyCount(&k, k.Unknown), keyCount(&k, k.Signs), k.Fingerprint})
				}
				return c.table([]string{"ID", "STATE", "ALGORITHM", "MADE", "UNTIL", "FETCHED", "UNKNOWN", "SIGNS", "SHA-256"}, rows)
			})
		}),
	}
}

// keyCount is a number of apps, nothing for a key that is in no metadata any more.
func keyCount(k *api.Key, n int) string {
	if k.State == "retired" {
		return ""
	}
	return strconv.Itoa(n)
}

func (c *cli) keyShow() *cobra.Command {
	return &cobra.Command{
		Use: "show KEY", Short: "show a key and, app by app, who has fetched it and for whom it signs", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			key, err := client.Key(command.Context(), args[0])
			if err != nil {
				return err
			}
			apps, err := all(func(after string) (api.List[api.KeyApp], error) {
				return client.KeyApps(command.Context(), args[0], after)
			})
			if err != nil {
				return err
			}
			c.warn(key.Warnings)
			shown := shownKey{key, apps.Items}
			return c.show(shown, func() error { return c.keyText(&shown) })
		}),
	}
}

// shownKey is a key with the apps beside it.
type shownKey struct {
	api.Key
	Apps []api.KeyApp `json:"apps"`
}

func (c *cli) keyText(k *shownKey) error {
	err := c.facts("id", k.ID, "state", k.State, "algorithm", k.Algorithm, "made", stamp(k.Created), "active since", stamp(k.Activated),
		"until", stamp(k.NotAfter), "sha-256", k.Fingerprint)
	if err != nil || len(k.Apps) == 0 || k.State == "retired" {
		return err
	}
	fmt.Fprint(c.out, "\nfetched: the app's own metadata address was fetched with this key in it, by whomever; unknown: that was not seen\n\n")
	var rows [][]string
	for _, one := range k.Apps {
		rows = append(rows, []string{one.App.ID, one.App.Name, one.State, stamp(one.Fetched), keyNotes(&one)})
	}
	return c.table([]string{"APP", "NAME", "KEY", "LAST FETCH", "NOTES"}, rows)
}

func keyNotes(one *api.KeyApp) string {
	var notes []string
	for _, note := range []struct {
		holds bool
		text  string
	}{
		{one.Signs, "signs"}, {one.Set, "set to this key"}, {one.SetTo != "", "set to " + one.SetTo}, {one.Unfit, "takes no such key"}, {one.Blocked, "blocked"},
	} {
		if note.holds {
			notes = append(notes, note.text)
		}
	}
	return strings.Join(notes, ", ")
}

func (c *cli) keyStage() *cobra.Command {
	var ask api.NewKey
	command := &cobra.Command{
		Use: "stage", Short: "make the next key and publish it beside the active ones; prints its id", Args: exactly(0),
		Example: examples("key stage --algorithm ecdsa"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			key, err := client.StageKey(command.Context(), ask)
			if err != nil {
				return err
			}
			return c.id(key, key.ID)
		}),
	}
	command.Flags().StringVar(&ask.Algorithm, "algorithm", "rsa", "rsa; ecdsa (P-256) for ES256 of OpenID Connect, and as ecdsa-p384 and ecdsa-p521 for SAML apps whose metadata asks for it")
	return command
}

func (c *cli) keyActivate() *cobra.Command {
	var ask api.Activation
	command := &cobra.Command{
		Use:   "activate KEY [--app APP]...",
		Short: "sign with this key from now on, for the named apps or for all; the one before stays published",
		Args:  exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			key, err := client.ActivateKey(command.Context(), args[0], ask)
			if err != nil {
				return err
			}
			return c.quiet(key)
		}),
	}
	command.Flags().StringArrayVar(&ask.Apps, "app", nil, "only for this app (saml.signing_key is set); may be repeated")
	return command
}

func (c *cli) keyRetire() *cobra.Command {
	return &cobra.Command{
		Use: "retire KEY", Short: "take a key out of the metadata and destroy its private part", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			key, err := client.RetireKey(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.quiet(key)
		}),
	}
}
