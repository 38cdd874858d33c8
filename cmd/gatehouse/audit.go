package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) auditCommand() *cobra.Command {
	return group("audit", "what happened: who, which app, from where, with what outcome and why", c.auditList(), c.auditExport(), c.auditVerify())
}

func (c *cli) auditTable(entries []api.AuditEntry) error {
	var rows [][]string
	for i := range entries {
		rows = append(rows, auditRow(&entries[i]))
	}
	return c.table([]string{"TIME", "CODE", "KIND", "OUTCOME", "REASON", "WHO", "USER", "APP", "ADDRESS"}, rows)
}

func auditRow(e *api.AuditEntry) []string {
	outcome := e.Outcome
	if e.Count > 1 {
		outcome += " x" + strconv.Itoa(e.Count)
	}
	return []string{stamp(e.Time), e.Code, e.Kind, outcome, e.Reason, e.Actor.Name, e.User.Name, e.App.Name, e.Address}
}

func (c *cli) auditLine(e *api.AuditEntry) error {
	if c.output == "json" {
		return json.NewEncoder(c.out).Encode(e)
	}
	_, err := fmt.Fprintln(c.out, plain(strings.Join(slices.DeleteFunc(auditRow(e), func(s string) bool { return s == "" }), "  ")))
	return err
}

func (c *cli) traceCommand() *cobra.Command {
	return &cobra.Command{
		Use: "trace CODE", Short: "show the audit entry of a code from an error page or an OAuth error, and what to do about it", Args: exactly(1),
		Example: examples("trace 4F7K-9QXZ"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			e, err := client.Trace(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(e, func() error {
				pairs := []string{
					"code", e.Code, "time", stamp(e.Time), "kind", e.Kind, "outcome", e.Outcome, "reason", e.Reason,
					"what to do", e.Remedy, "detail", e.Detail, "who", e.Actor.Name, "user", e.User.Name, "app", e.App.Name, "address", e.Address,
				}
				for _, key := range slices.Sorted(maps.Keys(e.Facts)) {
					pairs = append(pairs, key, e.Facts[key])
				}
				return c.facts(pairs...)
			})
		}),
	}
}

func (c *cli) sessionCommand() *cobra.Command {
	return group("session", "signed-in browsers", c.sessionList(), c.sessionEnd())
}

func (c *cli) sessionList() *cobra.Command {
	var user, app string
	command := &cobra.Command{
		Use: "list", Short: "list live sessions", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			list, err := client.Sessions(command.Context(), user, app)
			if err != nil {
				return err
			}
			return c.show(list, func() error {
				var rows [][]string
				for _, s := range list.Items {
					rows = append(rows, []string{s.Handle, s.User.Name, s.Level, stamp(s.Started), stamp(s.Seen), s.Address, names(s.Apps)})
				}
				return c.table([]string{"HANDLE", "USER", "LEVEL", "STARTED", "SEEN", "ADDRESS", "APPS"}, rows)
			})
		}),
	}
	command.Flags().StringVar(&user, "user", "", "only of this person")
	command.Flags().StringVar(&app, "app", "", "only those that reached this app")
	return command
}

func (c *cli) sessionEnd() *cobra.Command {
	var ask api.EndSessions
	command := &cobra.Command{
		Use: "end --user U | --session HANDLE | --all [--app A]", Short: "end sessions, or with --app only an app's place in them; prints how many", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			if ask == (api.EndSessions{}) {
				return usagef("say which sessions to end: --user U, --session HANDLE, --all, or --app A")
			}
			count, err := client.EndSessions(command.Context(), ask)
			if err != nil {
				return err
			}
			return c.show(count, func() error {
				_, err := fmt.Fprintln(c.out, count.Count)
				return err
			})
		}),
	}
	f := command.Flags()
	f.StringVar(&ask.User, "user", "", "every session of this person")
	f.StringVar(&ask.App, "app", "", "take this app out of the sessions; alone: out of every session")
	f.StringVar(&ask.Session, "session", "", "the session with this handle")
	f.BoolVar(&ask.All, "all", false, "every session")
	return command
}
