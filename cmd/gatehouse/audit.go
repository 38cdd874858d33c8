package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"gatehouse/idp/api"
)

func (c *cli) auditCommand() *cobra.Command {
	return group("audit", "what happened: who, which app, from where, with what outcome and why", c.auditList())
}

func (c *cli) auditList() *cobra.Command {
	var q api.AuditQuery
	var since string
	var follow bool
	command := &cobra.Command{
		Use: "list", Short: "list entries, newest first; with --follow, new ones as they come", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			var err error
			if q.Since, err = parseMoment("--since", since, time.Now()); err != nil {
				return err
			}
			if follow {
				return c.follow(command.Context(), client, q)
			}
			list, err := upTo(q.Limit, func(after string) (api.List[api.AuditEntry], error) {
				q.After = after
				return client.Audit(command.Context(), q)
			})
			if err != nil {
				return err
			}
			return c.show(list, func() error { return c.auditTable(list.Items) })
		}),
	}
	f := command.Flags()
	f.StringVar(&q.App, "app", "", "only about this app")
	f.StringVar(&q.User, "user", "", "only about this person")
	f.StringVar(&q.Kind, "kind", "", "only of this kind, such as signon; a prefix ends with a dot, such as app.")
	f.StringVar(&q.Outcome, "outcome", "", "only ok, refused or failed")
	f.StringVar(&since, "since", "", "only since then: 24h, 7d, or 2027-01-31T18:00:00Z")
	f.IntVar(&q.Limit, "limit", 100, "at most so many; 0: all")
	f.BoolVar(&follow, "follow", false, "go on with new entries until interrupted")
	return command
}

// upTo follows a list until it has so many items; 0 means all.
func upTo(limit int, page func(after string) (api.List[api.AuditEntry], error)) (api.List[api.AuditEntry], error) {
	whole := api.List[api.AuditEntry]{Items: []api.AuditEntry{}}
	for after := ""; ; {
		part, err := page(after)
		if err != nil {
			return whole, err
		}
		whole.Items = append(whole.Items, part.Items...)
		if limit > 0 && len(whole.Items) >= limit {
			whole.Items = whole.Items[:limit]
			return whole, nil
		}
		if after = part.Next; after == "" {
			return whole, nil
		}
	}
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

// pollEvery is how often --follow asks for new entries.
const pollEvery = time.Second

// follow prints entries as they come, oldest first, until it is interrupted.
func (c *cli) follow(ctx context.Context, client *api.Client, q api.AuditQuery) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if q.Since.IsZero() {
		q.Since = time.Now()
	}
	q.Limit = 1000
	printed := map[string]bool{} // codes of entries at the moment Since, which the next question finds again
	for {
		list, err := upTo(0, func(after string) (api.List[api.AuditEntry], error) {
			q.After = after
			return client.Audit(ctx, q)
		})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if err := c.news(list.Items, &q, printed); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollEvery):
		}
	}
}

// news prints what was not printed yet and moves Since to the newest entry.
func (c *cli) news(newestFirst []api.AuditEntry, q *api.AuditQuery, printed map[string]bool) error {
	if len(newestFirst) == 0 {
		return nil
	}
	seen := make(map[string]bool, len(newestFirst))
	for i := len(newestFirst) - 1; i >= 0; i-- {
		entry := &newestFirst[i]
		seen[entry.Code] = true
		if printed[entry.Code] {
			continue
		}
		if err := c.auditLine(entry); err != nil {
			return err
		}
	}
	q.Since = newestFirst[0].Time
	clear(printed)
	maps.Copy(printed, seen)
	return nil
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
		Use: "trace CODE", Short: "show the audit entry of a code from an error page", Args: exactly(1),
		RunE: c.action(func(command *cobra.Command, client *api.Client, args []string) error {
			e, err := client.Trace(command.Context(), args[0])
			if err != nil {
				return err
			}
			return c.show(e, func() error {
				pairs := []string{
					"code", e.Code, "time", stamp(e.Time), "kind", e.Kind, "outcome", e.Outcome, "reason", e.Reason,
					"detail", e.Detail, "who", e.Actor.Name, "user", e.User.Name, "app", e.App.Name, "address", e.Address,
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
