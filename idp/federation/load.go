package federation

import (
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/outbound"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// Refresh fetches what a source has, now, and brings the apps that come from it up to date. A failure is noted with the source,
// and what was fetched before stays.
func (k *Keeper) Refresh(ctx context.Context, name, by string) error {
	if _, busy := k.fetching.LoadOrStore(name, true); busy { // two documents would be kept in a mixture
		return &Error{Code: CodeBusy, Text: "The metadata source " + name + " is being fetched at this moment: look again in a little while."}
	}
	defer k.fetching.Delete(name)
	source, own, err := k.source(ctx, name)
	if err != nil {
		return err
	}
	if by != System { // who asks now wants to see what is there now
		source.Found.ETag, source.Found.LastModified = "", ""
	}
	if source.Kind == MDQ {
		return k.refreshMDQ(ctx, &source, own, by, by != System)
	}
	found, changed, err := k.load(ctx, &source, own)
	if noted := k.note(ctx, &source, by, found, changed, err); err != nil || noted != nil {
		return errors.Join(err, noted)
	}
	return k.followers(ctx, &source)
}

// load fetches an aggregate and keeps its service providers. It reads the document three times from a file that nobody else can
// open: to verify it, to see its end, to keep it.
func (k *Keeper) load(ctx context.Context, source *Source, own string) (Found, int, error) {
	found := source.Found
	spool, err := os.CreateTemp("", "gatehouse-metadata-*")
	if err != nil {
		return found, 0, err
	}
	defer func() { _ = spool.Close() }()
	if err := os.Remove(spool.Name()); err != nil {
		return found, 0, err
	}
	got, err := k.Fetch.Get(ctx, outbound.Ask{URL: source.URL, ETag: found.ETag, LastModified: found.LastModified, Most: maxAggregate, Within: aggregateTime}, spool)
	if err != nil {
		return found, 0, typed(err)
	}
	if got.NotModified {
		found.Next = k.Now().Add(source.period(found.Cache))
		kept := metadata.Document{ValidUntil: found.ValidUntil}
		return found, 0, typed(kept.CheckEnd(k.Now(), source.mostValid()))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, aggregateTime, errTooLong)
	defer cancel()
	copied := &timed{spool, ctx}
	if err := k.verify(source, copied); err != nil {
		return found, 0, err
	}
	document, changed, err := k.keep(ctx, source, own, copied)
	if err != nil {
		return found, changed, err
	}
	found = Found{
		ETag: got.ETag, LastModified: got.LastModified, ValidUntil: document.ValidUntil,
		Cache: document.CacheDuration, Next: k.Now().Add(source.period(document.CacheDuration)),
		Entities: document.Entities, Providers: document.Taken, Left: document.Left, Reasons: document.Reasons,
	}
	return found, changed, nil
}

var errTooLong = errors.New("reading it takes longer than 5 minutes")

// timed is a copy that can be read until the context ends: a document may be made to cost much, and the server may stop.
type timed struct {
	io.ReadSeeker
	ctx context.Context
}

// Read reads on while there is time.
func (t *timed) Read(b []byte) (int, error) {
	if t.ctx.Err() != nil {
		return 0, context.Cause(t.ctx)
	}
	return t.ReadSeeker.Read(b)
}

var errEnough = errors.New("seen enough")

// verify checks the signature of the whole document, then its end.
func (k *Keeper) verify(source *Source, spool io.ReadSeeker) error {
	if err := k.checkSignature(source, spool); err != nil {
		return err
	}
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return err
	}
	document, err := metadata.Entities(spool, metadata.Options{Now: k.Now()}, func(metadata.Result) error {
		if len(source.Keys) == 0 {
			return nil // nobody has read it to its end yet
		}
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return typed(err)
	}
	return typed(document.CheckEnd(k.Now(), source.mostValid()))
}

func (k *Keeper) checkSignature(source *Source, in io.ReadSeeker) error {
	return signedBy(source.Keys, in)
}

// signedBy demands the signature of a pinned key over the whole document; where none is pinned, none is demanded.
func signedBy(pinned []sp.Key, in io.ReadSeeker) error {
	if len(pinned) == 0 {
		return nil
	}
	keys, err := publicKeys(pinned)
	if err != nil {
		return err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return typed(metadata.Verify(in, keys))
}

// keep writes the service providers that are new or changed and forgets those that are gone.
func (k *Keeper) keep(ctx context.Context, source *Source, own string, spool io.ReadSeeker) (metadata.Document, int, error) {
	if _, err := spool.Seek(0, io.SeekStart); err != nil {
		return metadata.Document{}, 0, err
	}
	w := &writer{k: k, ctx: ctx, source: source, seen: map[string]bool{}}
	document, err := metadata.Entities(spool, metadata.Options{Now: k.Now(), OwnEntityID: own}, w.take)
	if err == nil {
		err = w.flush()
	}
	if err == nil {
		err = w.forget()
	}
	return document, w.changed, typed(err)
}

// writer writes the entities of one aggregate, some at a time.
type writer struct {
	k       *Keeper
	ctx     context.Context
	source  *Source
	seen    map[string]bool // keys
	batch   []document
	changed int
}

func (w *writer) take(r metadata.Result) error {
	key := entityKey(w.source.Name, r.Metadata.EntityID)
	if w.seen[key] {
		return nil // the first one counts
	}
	if len(w.seen) >= maxEntities {
		return &Error{Code: CodeMetadata, Text: "The source has more than " + strconv.Itoa(maxEntities) + " service providers, which is more than are kept."}
	}
	w.seen[key] = true
	w.batch = append(w.batch, document{Source: w.source.Name, EntityID: r.Metadata.EntityID, Metadata: r.Metadata})
	if len(w.batch) < importBatch {
		return nil
	}
	return w.flush()
}

func (w *writer) flush() error {
	changed := 0
	err := w.k.under(w.ctx, w.source, func(tx store.Tx) error {
		changed = 0
		for i := range w.batch {
			wrote, err := putEntity(tx, &w.batch[i])
			if err != nil {
				return err
			}
			if wrote {
				changed++
			}
		}
		return nil
	})
	w.changed += changed
	w.batch = w.batch[:0]
	return err
}

// under runs fn in one Update if the source is as it was read: what was fetched for one reason must not be believed for another.
func (k *Keeper) under(ctx context.Context, source *Source, fn func(store.Tx) error) error {
	return k.Store.Update(ctx, func(tx store.Tx) error {
		same, err := source.unchanged(tx)
		if err == nil && !same {
			err = &Error{Code: CodeChanged, Text: "The metadata source " + source.Name + " was changed or removed while it was fetched: fetch it again."}
		}
		if err != nil {
			return err
		}
		return fn(tx)
	})
}

// putEntity writes an entity unless it is there already, just so.
func putEntity(tx store.Tx, d *document) (bool, error) {
	entity, err := entityOf(d.Source, &d.Metadata)
	if err != nil {
		return false, err
	}
	before, _, err := Entities.Get(tx, Entities.Key(&entity))
	if err == nil && before == entity {
		return false, nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return false, err
	}
	return true, errors.Join(Entities.Put(tx, &entity), Documents.Put(tx, d))
}

// forget deletes what the source no longer has.
func (w *writer) forget() error {
	n, err := w.k.forget(w.ctx, w.source, func(key string) bool { return w.seen[key] })
	w.changed += n
	return err
}

// Forget deletes what was kept of a source that is gone.
func (k *Keeper) Forget(ctx context.Context, source string) error {
	_, err := k.forget(ctx, &Source{Name: source}, func(string) bool { return false })
	if known, _ := worded(err); known == CodeChanged {
		return nil // it is there again: its next fetch forgets what it does not hold
	}
	return err
}

func (k *Keeper) forget(ctx context.Context, source *Source, keep func(key string) bool) (int, error) {
	var gone []string
	err := k.Store.View(ctx, func(tx store.Tx) error {
		gone = nil
		return Entities.Each(tx, store.Page{Prefix: source.Name + " "}, func(_ string, e *Entity) error {
			if key := Entities.Key(e); !keep(key) {
				gone = append(gone, key)
			}
			return nil
		})
	})
	for from := 0; err == nil && from < len(gone); from += importBatch {
		err = k.under(ctx, source, func(tx store.Tx) error {
			for _, key := range gone[from:min(from+importBatch, len(gone))] {
				if err := errors.Join(Entities.Delete(tx, key), Documents.Delete(tx, key)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return len(gone), err
}

// note writes what a fetch came to, with an audit entry when something changed: the metadata, or that it fails, or how.
func (k *Keeper) note(ctx context.Context, loaded *Source, by string, found Found, changed int, failure error) error {
	if ctx.Err() != nil {
		return nil // the server stops
	}
	return k.Store.Update(ctx, func(tx store.Tx) error {
		source, _, err := Sources.Get(tx, loaded.Name)
		if err := absent(err); err != nil || source.trust() != loaded.trust() {
			return err // removed or set to something else meanwhile: the job fetches that
		}
		event := audit.Event{Kind: "metadata_source.refresh", Actor: by, Outcome: audit.OK, Facts: map[string]string{"source": source.Name}}
		quiet := by == System && changed == 0 && source.Found.Failures == 0
		if failure == nil {
			source.Found = found
			source.Found.Good, source.Found.Failures, source.Found.Code, source.Found.Error = k.Now(), 0, "", ""
			event.Facts["entities"], event.Facts["providers"], event.Facts["changed"] = strconv.Itoa(found.Entities), strconv.Itoa(found.Providers), strconv.Itoa(changed)
		} else {
			code, text := worded(failure)
			quiet = by == System && source.Found.Code == code && source.Found.Failures > 0
			source.Found.Failures++
			source.Found.Code, source.Found.Error = code, text
			source.Found.Next = k.Now().Add(retry(source.Found.Failures))
			if changed > 0 { // kept in part: the copy that the tags are of is no more
				source.Found.ETag, source.Found.LastModified = "", ""
			}
			event.Outcome, event.Reason, event.Detail = audit.Failed, code, text
		}
		source.Found.Tried = k.Now()
		if err := Sources.Put(tx, &source); err != nil || quiet {
			return err
		}
		_, err = k.Audit.Append(tx, event)
		return err
	})
}

// System is who acts in the background.
const System = "system"

// worded is a failure for the record: the typed reason and a sentence.
func worded(err error) (code, text string) {
	var known *Error
	if errors.As(err, &known) {
		return known.Code, known.Text
	}
	return CodeFailed, "The metadata could not be kept: the server's log says why."
}

// lease keeps other nodes from what one has begun.
const lease = 15 * time.Minute
