package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/idp"
	"gatehouse/idp/api"
)

func (c *cli) metadataCommand() *cobra.Command {
	return &cobra.Command{
		Use: "metadata [APP]", Short: "print the identity provider's SAML metadata; with an app, the one with that app's keys",
		Args: atMost(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			app := ""
			if len(args) == 1 {
				app = args[0]
			}
			content, err := client.Metadata(command.Context(), app)
			if err != nil {
				return err
			}
			_, err = c.out.Write(content)
			return err
		}),
	}
}

// explaining are the flags of `explain`.
type explaining struct{ app, ip, at string }

func (c *cli) explainCommand() *cobra.Command {
	var e explaining
	command := &cobra.Command{
		Use:     "explain USER [APP] | --app APP",
		Short:   "would this person get into this app, and why; which apps can they open; who can open an app",
		Args:    atMost(2),
		Example: examples("explain ana Orders --ip 192.0.2.7", "explain ana", "explain --app Orders"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			at, err := parseMoment("--at", e.at, time.Time{})
			switch {
			case err != nil:
				return err
			case e.app != "" && len(args) == 0:
				return c.reached(func(after string) (api.List[api.Reach], error) {
					return client.WhoOpens(command.Context(), e.app, e.ip, at, after)
				})
			case e.app == "" && len(args) == 1:
				return c.reached(func(after string) (api.List[api.Reach], error) {
					return client.WhatOpens(command.Context(), args[0], e.ip, at, after)
				})
			case e.app == "" && len(args) == 2:
				answer, err := client.Explain(command.Context(), args[0], args[1], e.ip, at)
				if err != nil {
					return err
				}
				return c.explanation(answer)
			}
			return usagef("write it like this: gatehouse explain USER APP, gatehouse explain USER, or gatehouse explain --app APP")
		}),
	}
	f := command.Flags()
	f.StringVar(&e.app, "app", "", "everybody who can open this app")
	f.StringVar(&e.ip, "ip", "", "from this address; without it, rules about addresses refuse")
	f.StringVar(&e.at, "at", "", "at this moment, such as 2027-01-31T18:00:00Z; default: now")
	return command
}

func (c *cli) explanation(e api.Explanation) error {
	return c.show(e, func() error {
		fmt.Fprintf(c.out, "%s: %s\n\n", e.Outcome, plain(e.Text))
		var rows [][]string
		for _, r := range e.Rules {
			rows = append(rows, []string{r.Rule, r.Outcome, r.Detail, r.Remedy})
		}
		return c.table([]string{"RULE", "OUTCOME", "WHY", "WHAT WOULD CHANGE IT"}, rows)
	})
}

func (c *cli) reached(page func(after string) (api.List[api.Reach], error)) error {
	list, err := all(page)
	if err != nil {
		return err
	}
	return c.show(list, func() error {
		var rows [][]string
		for _, r := range list.Items {
			through := r.Through
			if !r.Until.IsZero() {
				through += " until " + stamp(r.Until)
			}
			rows = append(rows, []string{r.User.Name, r.App.Name, r.Outcome, r.Reason, through})
		}
		return c.table([]string{"USER", "APP", "OUTCOME", "REASON", "THROUGH"}, rows)
	})
}

// parseMoment reads a time, a date, or with a base a period that ends there.
func parseMoment(flag, text string, base time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	if base.IsZero() {
		return time.Time{}, usagef("%s %q is not a time: write it like 2027-01-31 or 2027-01-31T18:00:00Z", flag, text)
	}
	period, err := parsePeriod(text)
	if err != nil {
		return time.Time{}, usagef("%s %q is not a time or a period: write it like 24h, 7d or 2027-01-31T18:00:00Z", flag, text)
	}
	return base.Add(-period), nil
}

// parsePeriod reads one of Go's durations, with days in front: 7d, 36h, 1d12h.
func parsePeriod(text string) (time.Duration, error) {
	count, rest, found := strings.Cut(text, "d")
	if !found {
		count, rest = "0", text
	}
	days, err := strconv.ParseUint(count, 10, 12)
	if err != nil || rest == "" {
		return time.Duration(days) * 24 * time.Hour, err
	}
	period, err := time.ParseDuration(rest)
	if err == nil && period < 0 {
		err = errors.New("negative")
	}
	return time.Duration(days)*24*time.Hour + period, err
}

func (c *cli) settingsCommand() *cobra.Command {
	return group("settings", "the organisation", c.settingsList(), c.settingsSet(), c.testMail())
}

func (c *cli) settingsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "list the organisation's settings", Args: exactly(0),
		Example: examples("settings list"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := client.Settings(command.Context())
			if err != nil {
				return err
			}
			return c.show(list, func() error { return c.settings(list.Items) })
		}),
	}
}

func (c *cli) settingsSet() *cobra.Command {
	var force bool
	command := &cobra.Command{
		Use: "set KEY=VALUE...", Short: "change settings; the value `default` undoes one; logo=@FILE sets the picture", Args: atLeast(1),
		Example: examples("settings set oauth.disabled_grants=client_credentials session.idle=4h", "settings set smtp.url=@mail-server smtp.from=id@example.org", "settings set oauth.disabled_grants=default"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			words, err := withPicture(args)
			if err != nil {
				return err
			}
			ask, err := change(words, force)
			if err != nil {
				return err
			}
			list, err := client.SetSettings(command.Context(), ask)
			if err != nil {
				return err
			}
			return c.quiet(list)
		}),
	}
	describeSettings(command, idp.OrganisationSettings())
	forceFlag(command, &force)
	return command
}

func (c *cli) testMail() *cobra.Command {
	return &cobra.Command{
		Use: "test-mail ADDRESS", Short: "send a mail at once, to see whether smtp.url and smtp.from are right", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			if err := client.TestMail(command.Context(), args[0]); err != nil {
				return err
			}
			return c.quiet(api.TestMail{To: args[0]})
		}),
	}
}

// withPicture replaces logo=@FILE by the picture as a data URI, the form in which JSON can carry it.
func withPicture(words []string) ([]string, error) {
	replaced := make([]string, len(words))
	for i, word := range words {
		replaced[i] = word
		if name, ok := strings.CutPrefix(word, "logo=@"); ok {
			picture, err := readFile(name)
			if err != nil {
				return nil, err
			}
			replaced[i] = "logo=data:" + http.DetectContentType(picture) + ";base64," + base64.StdEncoding.EncodeToString(picture)
		}
	}
	return replaced, nil
}
