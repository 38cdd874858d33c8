package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gatehouse/idp/api"
)

// auditFilter are the flags that `audit list` and `audit export` share.
type auditFilter struct {
	query        api.AuditQuery
	since, until string
}

func (a *auditFilter) flags(f *pflag.FlagSet) {
	f.StringVar(&a.query.App, "app", "", "only about this app")
	f.StringVar(&a.query.User, "user", "", "only about this person")
	f.StringVar(&a.query.Actor, "actor", "", "only what this person did; also \"system\", or \"uid 0\" for the socket")
	f.StringVar(&a.query.Kind, "kind", "", "only of this kind, such as signon; a prefix ends with a dot, such as app.")
	f.StringVar(&a.query.Outcome, "outcome", "", "only ok, refused or failed")
	f.StringVar(&a.query.Reason, "reason", "", "only for this reason, such as permitted_users")
	f.StringVar(&a.query.Address, "address", "", "only from this address or network, such as 192.0.2.0/24")
	f.StringVar(&a.query.Code, "code", "", "only the entry with this code")
	f.StringVar(&a.since, "since", "", "only since then: 24h, 7d, or 2027-01-31T18:00:00Z")
	f.StringVar(&a.until, "until", "", "only before then, written like --since")
}

// parse reads the moments.
func (a *auditFilter) parse(now time.Time) (q api.AuditQuery, err error) {
	q = a.query
	if q.Since, err = parseMoment("--since", a.since, now); err != nil {
		return q, err
	}
	q.Until, err = parseMoment("--until", a.until, now)
	return q, err
}

func (c *cli) auditList() *cobra.Command {
	var filter auditFilter
	var follow bool
	command := &cobra.Command{
		Use: "list", Short: "list entries, newest first; with --follow, new ones as they come", Args: exactly(0),
		Example: examples("audit list --app Orders --outcome refused --since 24h", "audit list --kind token --follow"),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			q, err := filter.parse(time.Now())
			if err != nil {
				return err
			}
			if follow {
				if filter.until+q.Code != "" {
					return usagef("--follow waits for what is still to come: leave out --until and --code")
				}
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
	filter.flags(command.Flags())
	command.Flags().IntVar(&filter.query.Limit, "limit", 100, "at most so many; 0: all")
	command.Flags().BoolVar(&follow, "follow", false, "go on with new entries until interrupted")
	return command
}

// upTo follows a list until it has so many items; 0 means all.
func upTo[T any](limit int, page func(after string) (api.List[T], error)) (api.List[T], error) {
	whole := api.List[T]{Items: []T{}}
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

func (c *cli) auditExport() *cobra.Command {
	var filter auditFilter
	var format string
	command := &cobra.Command{
		Use: "export", Short: "write all entries to stdout, newest first, as JSON lines or CSV", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			if format != "jsonl" && format != "csv" {
				return usagef("--format is jsonl or csv, not %q", format)
			}
			q, err := filter.parse(time.Now())
			if err != nil {
				return err
			}
			return client.ExportAudit(command.Context(), q, format, c.out)
		}),
	}
	filter.flags(command.Flags())
	command.Flags().StringVar(&format, "format", "jsonl", "jsonl, one entry per line, or csv")
	return command
}

func (c *cli) auditVerify() *cobra.Command {
	var head string
	command := &cobra.Command{
		Use: "verify", Short: "check that no entry was changed, taken out, put in or moved", Args: exactly(0),
		RunE: c.action(func(command *cobra.Command, client *api.Client, _ []string) error {
			answer, err := client.VerifyAudit(command.Context(), head)
			if err != nil {
				return err
			}
			if err := c.show(answer, func() error { return c.chains(answer.Chains) }); err != nil {
				return err
			}
			return broken(&answer)
		}),
	}
	command.Flags().StringVar(&head, "head", "", "a head that an earlier verification printed: it must still be there")
	return command
}

func (c *cli) chains(list []api.AuditChain) error {
	var rows [][]string
	for _, chain := range list {
		number := func(n uint64) string { return strconv.FormatUint(n, 10) }
		state := "whole"
		if chain.Broken > 0 {
			state = "broken at " + number(chain.Broken)
		}
		rows = append(rows, []string{chain.Node, state, number(chain.First), number(chain.Last), number(chain.Count), chain.Head})
	}
	return c.table([]string{"NODE", "STATE", "FIRST", "LAST", "ENTRIES", "HEAD"}, rows)
}

// broken says what is wrong with the audit, if anything is.
func broken(answer *api.AuditVerification) error {
	for _, chain := range answer.Chains {
		if chain.Broken > 0 {
			return fmt.Errorf("the audit of node %s is not whole: at entry %d: %s; compare with a backup or an export", plain(chain.Node), chain.Broken, chain.Problem)
		}
	}
	if !answer.Whole {
		return errors.New(answer.Problem)
	}
	return nil
}

const (
	pollEvery = time.Second      // how often --follow asks for new entries
	overlap   = 10 * time.Second // how much it asks for again: an entry of another node may carry an earlier time
)

// follow prints entries as they come, oldest first, until it is interrupted. Without --since it begins with what comes after
// the newest entry, whatever the clock on this machine says.
func (c *cli) follow(ctx context.Context, client *api.Client, q api.AuditQuery) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	news := follower{printed: map[string]time.Time{}}
	if q.Since.IsZero() {
		newest, err := client.Audit(ctx, api.AuditQuery{Limit: 1})
		if err != nil {
			return err
		}
		for _, entry := range newest.Items {
			q.Since, news.start = entry.Time, entry.Code
		}
	}
	q.Limit = 1000
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
		for _, entry := range news.from(list.Items, &q) {
			if err := c.auditLine(&entry); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pollEvery):
		}
	}
}

// follower knows what was printed.
type follower struct {
	start   string               // code of the entry after which it all began; empty: --since says when
	printed map[string]time.Time // codes, of the last while
}

// from returns what is new, oldest first, and moves Since up to a little before the newest.
func (f *follower) from(newestFirst []api.AuditEntry, q *api.AuditQuery) []api.AuditEntry {
	var fresh []api.AuditEntry
	for i := len(newestFirst) - 1; i >= 0; i-- {
		entry := newestFirst[i]
		if _, known := f.printed[entry.Code]; !known && entry.Code != f.start {
			fresh = append(fresh, entry)
		}
		f.printed[entry.Code] = entry.Time
	}
	if len(newestFirst) > 0 {
		if since := newestFirst[0].Time.Add(-overlap); since.After(q.Since) {
			q.Since = since
		}
	}
	maps.DeleteFunc(f.printed, func(_ string, at time.Time) bool { return at.Before(q.Since) })
	return fresh
}
