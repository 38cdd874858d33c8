package admin

import (
	"context"
	"errors"
	"maps"
	"strconv"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/store"
)

// SourceChanged follows a change of a person that a source caused, in its transaction: the audit entry, and the end of the sessions of
// who is disabled.
func (a *Actions) SourceChanged(tx store.Tx, change directory.PersonChange) error {
	facts := maps.Clone(change.Facts)
	if change.Ended {
		ended, err := endSessions(tx, change.User)
		if err != nil {
			return err
		}
		maps.Copy(facts, ended)
	}
	event := audit.Event{Kind: change.Kind, Outcome: audit.OK, Reason: change.Reason, Actor: "system", User: change.User, Facts: facts}
	if change.Reason != "" {
		event.Outcome = audit.Refused
	}
	_, err := a.Audit.Append(tx, event)
	return err
}

// SyncDirectorySource brings the people of a source over now.
func (a *Actions) SyncDirectorySource(ctx context.Context, by By, name string, ask api.RunSync) (api.SyncReport, error) {
	if _, err := a.DirectorySource(ctx, name); err != nil {
		return api.SyncReport{}, err
	}
	report, err := a.Directory.Sync(ctx, name, directory.SyncOptions{Force: ask.Force, Dry: ask.DryRun})
	if !ask.DryRun {
		err = errors.Join(err, a.noteSync(context.WithoutCancel(ctx), by, name, &report, err))
	}
	return *wireReport(&report), worded(err)
}

// SyncDue brings over the sources whose time has come. What goes wrong with one is noted there and in the audit, and is no error here.
func (a *Actions) SyncDue(ctx context.Context) error {
	names, err := a.Directory.DueSources(ctx)
	if err != nil {
		return err
	}
	system := By{}
	system.ID = "system"
	for _, name := range names {
		report, err := a.Directory.Sync(ctx, name, directory.SyncOptions{})
		if ctx.Err() != nil {
			return nil
		}
		if err == nil && report.Created+report.Changed+report.Disabled == 0 {
			continue
		}
		if noted := a.noteSync(ctx, system, name, &report, err); noted != nil || asPublic(err) == nil && err != nil {
			return errors.Join(err, noted)
		}
	}
	return nil
}

// noteSync writes what a run did, or why it did nothing: of failures in a row only the first.
func (a *Actions) noteSync(ctx context.Context, by By, name string, report *directory.Report, failure error) error {
	event := audit.Event{Kind: "source.sync", Outcome: audit.OK, Actor: by.ID, Facts: map[string]string{
		"source": name, "found": strconv.Itoa(report.Found), "created": strconv.Itoa(report.Created), "changed": strconv.Itoa(report.Changed),
		"disabled": strconv.Itoa(report.Disabled), "left_out": strconv.Itoa(report.Left),
	}}
	if by.Address.IsValid() {
		event.Address = by.Address.String()
	}
	if failure != nil {
		event.Outcome, event.Reason = audit.Failed, "source_failed"
		var unsafe *directory.RefusedError
		if errors.As(failure, &unsafe) {
			event.Outcome, event.Reason = audit.Refused, "sync_refused"
		}
		if public := asPublic(failure); public != nil {
			event.Detail = public.Text
		}
	}
	return a.Store.Update(ctx, func(tx store.Tx) error {
		s, _, err := directory.AllSources.Get(tx, name)
		if err == nil && failure != nil && by.ID == "system" && s.Last.Failures > 1 {
			return nil
		}
		_, err = a.Audit.Append(tx, event)
		return err
	})
}
