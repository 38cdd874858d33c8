package federation

import (
	"context"
	"errors"
	"sync"

	"gatehouse/sp"
	"gatehouse/store"
)

// dueBatch is how many apps of addresses one run of the job looks at.
const dueBatch = 200

// RefreshDue fetches what is due: sources, and addresses of apps. A failure is noted where it belongs and is no error here.
func (k *Keeper) RefreshDue(ctx context.Context) error {
	names, err := k.dueSources(ctx)
	for _, name := range names {
		if err == nil {
			err = unnoted(k.Refresh(ctx, name, System))
		}
	}
	if err != nil {
		return err
	}
	if err := k.askMissed(ctx); err != nil {
		return err
	}
	if err := k.refreshUpstreams(ctx); err != nil {
		return err
	}
	apps, err := k.dueApps(ctx)
	if err != nil {
		return err
	}
	return k.refreshApps(ctx, apps)
}

// atOnce is how many addresses are fetched at the same time, so that some that do not answer hold up few others.
const atOnce = 8

func (k *Keeper) refreshApps(ctx context.Context, ids []string) error {
	errs := make([]error, len(ids))
	var running sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, id := range ids {
		slots <- struct{}{}
		running.Go(func() {
			errs[i] = unnoted(k.RefreshApp(ctx, id, System))
			<-slots
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// unnoted is what is not written down with a source or an app.
func unnoted(err error) error {
	var known *Error
	if errors.As(err, &known) {
		return nil
	}
	return err
}

// dueSources takes the sources that are due: other nodes leave them alone for a while.
func (k *Keeper) dueSources(ctx context.Context) ([]string, error) {
	var names []string
	due := func(s *Source) bool { return !s.Paused && !s.Found.Next.After(k.Now()) }
	err := k.Store.View(ctx, func(tx store.Tx) error {
		names = nil
		return Sources.Each(tx, store.Page{}, func(_ string, s *Source) error {
			if due(s) {
				names = append(names, s.Name)
			}
			return nil
		})
	})
	if err != nil || len(names) == 0 {
		return nil, err
	}
	var taken []string
	err = k.Store.Update(ctx, func(tx store.Tx) error {
		taken = nil
		for _, name := range names {
			source, _, err := Sources.Get(tx, name)
			if err != nil || !due(&source) {
				if err := absent(err); err != nil {
					return err
				}
				continue
			}
			source.Found.Next = k.Now().Add(lease)
			if err := Sources.Put(tx, &source); err != nil {
				return err
			}
			taken = append(taken, name)
		}
		return nil
	})
	return taken, err
}

// dueApps takes the apps of addresses that are due.
func (k *Keeper) dueApps(ctx context.Context) ([]string, error) {
	until := k.Now().UTC().Format(dueLayout)
	list := func(tx store.Tx) (due []Follow, err error) {
		err = Follows.Each(tx, store.Page{Index: "due"}, func(_ string, f *Follow) error {
			if len(due) == dueBatch || f.Next.UTC().Format(dueLayout) > until {
				return store.ErrStop
			}
			due = append(due, *f)
			return nil
		})
		return due, err
	}
	any := false
	err := k.Store.View(ctx, func(tx store.Tx) error {
		due, err := list(tx)
		any = len(due) > 0
		return err
	})
	if err != nil || !any {
		return nil, err
	}
	var ids []string
	err = k.Store.Update(ctx, func(tx store.Tx) error {
		ids = nil
		due, err := list(tx)
		for i := range due {
			due[i].Next = k.Now().Add(lease)
			if err == nil {
				err = Follows.Put(tx, &due[i])
			}
			ids = append(ids, due[i].App)
		}
		return err
	})
	return ids, err
}

// appsOf lists the apps that follow a source.
func (k *Keeper) appsOf(ctx context.Context, source string) ([]string, error) {
	var ids []string
	err := k.Store.View(ctx, func(tx store.Tx) error {
		ids = nil
		return sp.Apps.Each(tx, store.Page{Index: "origin", Value: source}, func(_ string, app *sp.App) error {
			ids = append(ids, app.ID)
			return nil
		})
	})
	return ids, err
}

// followers offers every app of a source what is kept for it now.
func (k *Keeper) followers(ctx context.Context, source *Source) error {
	ids, err := k.appsOf(ctx, source.Name)
	for _, id := range ids {
		if err == nil {
			err = k.offerKept(ctx, source, id)
		}
	}
	return err
}

// offerKept offers an app of a source what that has of it, unless either was changed since the source was fetched. An entity that
// is gone from the source is a failure of the app: what is known of it holds until its end.
func (k *Keeper) offerKept(ctx context.Context, fetched *Source, id string) error {
	return k.noteApp(ctx, id, "", func(tx store.Tx, app *sp.App, f *Follow) error {
		if same, err := fetched.unchanged(tx); err != nil || !same || !follows(app, fetched.Name) {
			return err
		}
		f.Tried = k.Now()
		md, source, err := kept(tx, fetched.Name, app.EntityID())
		var gone *Error
		if errors.As(err, &gone) {
			return k.failed(tx, f, err)
		}
		if err != nil {
			return err
		}
		f.fetched(k.Now(), 0)
		return k.offer(tx, app, f, md, len(source.Keys) > 0)
	}, nil)
}

func follows(app *sp.App, source string) bool {
	return app.Definition.SAML != nil && app.Definition.SAML.Metadata.Source == source
}

// failure notes a failure with the app of a source that it is about.
func (k *Keeper) failure(source string, failure error) func(store.Tx, *sp.App, *Follow) error {
	return func(tx store.Tx, app *sp.App, f *Follow) error {
		if !follows(app, source) {
			return nil
		}
		f.Tried = k.Now()
		return k.failed(tx, f, failure)
	}
}

func entityIDOf(tx store.Tx, id string) (string, error) {
	app, _, err := sp.Apps.Get(tx, id)
	return app.EntityID(), err
}
