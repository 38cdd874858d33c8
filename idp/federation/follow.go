package federation

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/outbound"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// Looked is how looking at an address of metadata went.
type Looked struct {
	URL          string        `json:"url,omitempty"`
	ETag         string        `json:"etag,omitempty"`
	LastModified string        `json:"last_modified,omitempty"`
	Tried        time.Time     `json:"tried,omitzero"`
	Good         time.Time     `json:"good,omitzero"`
	Next         time.Time     `json:"next,omitzero"`
	Cache        time.Duration `json:"cache,omitempty"`    // its cacheDuration, which holds for a 304 too
	Failures     int           `json:"failures,omitempty"` // in a row
	Code         string        `json:"code,omitempty"`     // of the last failure
	Error        string        `json:"error,omitempty"`
}

// Follow is how the metadata of one app is kept up to date, and what waits for an administrator's word. Without an address the app
// follows a source.
type Follow struct {
	App string `json:"app"` // id
	Looked
	Waiting   *sp.Metadata `json:"waiting,omitempty"`
	Since     time.Time    `json:"since,omitzero"`
	Dismissed string       `json:"dismissed,omitempty"` // fingerprint of what was not wanted
}

// Follows is the table of what apps follow.
var Follows = &store.Table[Follow]{
	Name: "metadata_follow", Version: 1, Key: func(f *Follow) string { return f.App },
	Lists: map[string]func(*Follow) []string{
		"due": func(f *Follow) []string {
			if f.URL == "" {
				return nil
			}
			return []string{f.Next.UTC().Format(dueLayout)}
		},
		"waiting": func(f *Follow) []string {
			if f.Waiting == nil {
				return nil
			}
			return []string{f.App}
		},
	},
}

const dueLayout = "20060102T150405"

// Track begins or ends to follow where an app's metadata came from, after it was added, replaced or removed. What waited is
// forgotten: the administrator has just said what holds.
func Track(tx store.Tx, app *sp.App, cache time.Duration, now time.Time) error {
	saml := app.Definition.SAML
	if saml == nil || app.State == sp.Removed || saml.Metadata.SourceURL == "" && saml.Metadata.Source == "" {
		return Follows.Delete(tx, app.ID)
	}
	return Follows.Put(tx, &Follow{App: app.ID, Looked: Looked{URL: saml.Metadata.SourceURL, Good: now, Tried: now, Next: now.Add(period(cache)), Cache: cache}})
}

// RefreshApp fetches an app's metadata from its address, now; an app of a source is brought up to what the source has.
func (k *Keeper) RefreshApp(ctx context.Context, id, by string) error {
	var app sp.App
	var follow Follow
	err := k.Store.View(ctx, func(tx store.Tx) (err error) {
		if app, _, err = sp.Apps.Get(tx, id); err == nil {
			follow, _, err = Follows.Get(tx, id)
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && app.Definition.SAML == nil {
		return &Error{Code: CodeNothing, Text: "The app's metadata came from a file or a form, so there is no place to look for newer."}
	}
	if err != nil {
		return err
	}
	if follow.URL == "" {
		return k.Refresh(ctx, app.Definition.SAML.Metadata.Source, by)
	}
	if by == System && app.RefreshMode() == sp.RefreshOff {
		return nil
	}
	if by != System { // who asks now wants to see what is there now
		follow.ETag, follow.LastModified = "", ""
	}
	got, result, failure := k.fetchApp(ctx, &app, &follow)
	return k.noteApp(ctx, id, follow.URL, func(tx store.Tx, app *sp.App, f *Follow) error {
		f.Tried = k.Now()
		if failure != nil {
			return k.failed(tx, f, failure)
		}
		if got.NotModified {
			f.fetched(k.Now(), period(f.Cache))
			return nil
		}
		f.fetched(k.Now(), period(result.CacheDuration))
		f.ETag, f.LastModified, f.Cache = got.ETag, got.LastModified, result.CacheDuration
		return k.offer(tx, app, f, result.Metadata, false)
	}, failure)
}

func (l *Looked) fetched(now time.Time, after time.Duration) {
	l.Good, l.Next, l.Failures, l.Code, l.Error = now, now.Add(after), 0, "", ""
}

// failed notes a failure; fresh says that the one before was of another kind, or none.
func (l *Looked) failed(failure error, now time.Time) (fresh bool) {
	code, text := worded(failure)
	fresh = l.Failures == 0 || l.Code != code
	l.Failures++
	l.Code, l.Error, l.Next = code, text, now.Add(retry(l.Failures))
	return fresh
}

// fetchApp gets the metadata at an app's address, which must be that of the same entity.
func (k *Keeper) fetchApp(ctx context.Context, app *sp.App, f *Follow) (outbound.Got, metadata.Result, error) {
	var body bytes.Buffer
	got, err := k.Fetch.Get(ctx, outbound.Ask{URL: f.URL, ETag: f.ETag, LastModified: f.LastModified, Most: maxEntity, Words: outbound.Words{Else: outbound.UploadFile}}, &body)
	if err != nil || got.NotModified {
		return got, metadata.Result{}, typed(err)
	}
	own, err := k.Own(ctx)
	if err != nil {
		return got, metadata.Result{}, err
	}
	result, err := metadata.Parse(body.Bytes(), metadata.Options{Now: k.Now(), OwnEntityID: own})
	if err == nil && result.Metadata.EntityID != app.EntityID() {
		err = &Error{Code: CodeOtherEntity, Text: "The address holds the metadata of another entity now, " + clip(result.Metadata.EntityID) + ": add that as an app of its own, or give this app another address."}
	}
	result.Metadata.SourceURL = f.URL
	return got, result, typed(err)
}

func clip(s string) string {
	if len(s) > 200 {
		return strings.ToValidUTF8(s[:200], "") + "…"
	}
	return s
}

// noteApp writes what looking for newer metadata of an app came to, unless the app follows something else by now. What failed
// is returned when that is written.
func (k *Keeper) noteApp(ctx context.Context, id, url string, fn func(store.Tx, *sp.App, *Follow) error, failure error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err := k.Store.Update(ctx, func(tx store.Tx) error {
		app, _, err := sp.Apps.Get(tx, id)
		if err != nil {
			return absent(err)
		}
		f, _, err := Follows.Get(tx, id)
		if err != nil || f.URL != url || app.State == sp.Removed {
			return absent(err)
		}
		if err := fn(tx, &app, &f); err != nil {
			return err
		}
		return Follows.Put(tx, &f)
	})
	return errors.Join(failure, err)
}

func absent(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// failed notes a failure; only the first of a kind leaves an audit entry.
func (k *Keeper) failed(tx store.Tx, f *Follow, failure error) error {
	if !f.Looked.failed(failure, k.Now()) {
		return nil
	}
	_, err := k.Audit.Append(tx, audit.Event{Kind: "app.metadata_refresh", Actor: System, App: f.App, Outcome: audit.Failed, Reason: f.Code, Detail: f.Error})
	return err
}

// offer weighs newer metadata of an app: taken, kept for an administrator, or left. Signed says that a pinned key vouches for it;
// what only an address vouches for does not widen by itself what is told, and to whom.
func (k *Keeper) offer(tx store.Tx, app *sp.App, f *Follow, md sp.Metadata, signed bool) error {
	before := &app.Definition.SAML.Metadata
	diff := metadata.Diff(*before, md)
	mode := app.RefreshMode()
	switch {
	case len(diff) == 0:
		f.Waiting, f.Since = nil, time.Time{}
		return nil
	case mode == sp.RefreshOff:
		return nil
	case len(diff) == 1 && diff[0].Field == "valid_until",
		mode == sp.RefreshAutomatic && (signed || !sp.Widens(before, &md)):
		event, err := Apply(tx, app, md, k.Now())
		if unfit := (*Error)(nil); errors.As(err, &unfit) {
			return k.failed(tx, f, err) // of this app: the others of its source go on
		}
		if err != nil {
			return err
		}
		f.Waiting, f.Since = nil, time.Time{}
		event.Actor, event.Outcome = System, audit.OK
		_, err = k.Audit.Append(tx, event)
		return err
	}
	return k.wait(tx, f, md, len(diff))
}

func (k *Keeper) wait(tx store.Tx, f *Follow, md sp.Metadata, changes int) error {
	known, err := f.Version()
	if err != nil {
		return err
	}
	print, err := fingerprint(md)
	if err != nil || print == f.Dismissed {
		f.Waiting, f.Since = nil, time.Time{} // what waited is not published any more
		return err
	}
	f.Waiting = &md
	if known == print {
		return nil
	}
	f.Since = k.Now()
	_, err = k.Audit.Append(tx, audit.Event{Kind: "app.metadata_waits", Actor: System, App: f.App, Outcome: audit.OK, Facts: map[string]string{"changes": strconv.Itoa(changes)}})
	return err
}

// fingerprint of metadata, whatever its end.
func fingerprint(md sp.Metadata) (string, error) {
	md.ValidUntil = time.Time{}
	entity, err := entityOf("", &md)
	return entity.Hash, err
}

// Apply makes newer metadata that of its app, in the caller's transaction, and returns the event that tells of it. Policy and
// local settings stay, and nothing that protects the app is lowered.
func Apply(tx store.Tx, app *sp.App, md sp.Metadata, now time.Time) (audit.Event, error) {
	before := *app
	diff := metadata.Diff(before.Definition.SAML.Metadata, md)
	if err := app.ReplaceMetadata(md, now); err != nil {
		return audit.Event{}, err
	}
	kept := app.KeepStricter(&before, nil)
	if err := app.Validate(); err != nil {
		return audit.Event{}, &Error{Code: CodeMetadata, Text: "The newer metadata does not go with the app's settings: " + err.Error() + ".", Err: err}
	}
	changed := make([]string, len(diff))
	for i, change := range diff {
		changed[i] = change.Field
	}
	facts := map[string]string{"entity_id": md.EntityID, "changed": strings.Join(slices.Compact(changed), ", "), "changes": strconv.Itoa(len(diff))}
	if from := md.SourceURL + md.Source; from != "" {
		facts["source"] = from
	}
	if len(kept) > 0 {
		facts["kept"] = strings.Join(kept, ", ")
	}
	return audit.Event{Kind: "app.replace", App: app.ID, Facts: facts}, sp.Apps.Put(tx, app)
}

// Version names what waits, whatever its end: an answer is to what was seen, not to what came meanwhile.
func (f *Follow) Version() (string, error) {
	if f.Waiting == nil {
		return "", nil
	}
	return fingerprint(*f.Waiting)
}

// Take takes an app's waiting metadata off, to apply it or, dismissed, to be asked no more until it changes again. It must be of
// the version that was seen.
func Take(tx store.Tx, app, seen string, dismiss bool) (sp.Metadata, error) {
	f, _, err := Follows.Get(tx, app)
	if err := absent(err); err != nil {
		return sp.Metadata{}, err
	}
	if f.Waiting == nil {
		return sp.Metadata{}, &Error{Code: CodeNothing, Text: "No newer metadata of this app waits for an answer."}
	}
	version, err := f.Version()
	if err != nil {
		return sp.Metadata{}, err
	}
	if version != seen {
		return sp.Metadata{}, &Error{Code: CodeNewer, Text: "The metadata that waits is not what you looked at, because newer came meanwhile: look at what it would change, and answer that."}
	}
	md := *f.Waiting
	f.Waiting, f.Since, f.Dismissed = nil, time.Time{}, ""
	if dismiss {
		f.Dismissed = version
	}
	return md, Follows.Put(tx, &f)
}
