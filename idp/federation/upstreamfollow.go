package federation

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/outbound"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// Fetched is what an identity provider's address says of it now: its metadata, or its OpenID description.
type Fetched struct {
	Provider metadata.Provider
	OpenID   *OpenID
	Look     Looked // to be kept with it
	Same     bool   // it is what the asker has already
}

// FetchProvider gets the metadata at an address, which a pinned key must have signed where there are any. Every error is worded.
func (k *Keeper) FetchProvider(ctx context.Context, look Looked, pinned []sp.Key) (Fetched, error) {
	var body bytes.Buffer
	got, err := k.Fetch.Get(ctx, outbound.Ask{URL: look.URL, ETag: look.ETag, LastModified: look.LastModified, Most: maxEntity, Words: outbound.Words{Else: outbound.UploadFile}}, &body)
	if err != nil {
		return Fetched{}, typed(err)
	}
	found := Fetched{Look: look, Same: got.NotModified}
	found.Look.Tried = k.Now()
	if got.NotModified {
		return found, nil
	}
	if err := signedBy(pinned, bytes.NewReader(body.Bytes())); err != nil {
		return Fetched{}, err
	}
	own, err := k.Own(ctx)
	if err != nil {
		return Fetched{}, err
	}
	if found.Provider, err = metadata.ParseProvider(body.Bytes(), metadata.Options{Now: k.Now(), OwnEntityID: own}); err != nil {
		return Fetched{}, typed(err)
	}
	found.Look.ETag, found.Look.LastModified, found.Look.Cache = got.ETag, got.LastModified, found.Provider.CacheDuration
	found.Look.fetched(k.Now(), lookAfter(&found.Provider, found.Look.Cache, k.Now()))
	return found, nil
}

// lookAfter is when to look again: as the metadata says, and in good time before its end.
func lookAfter(p *metadata.Provider, cache time.Duration, now time.Time) time.Duration {
	after := period(cache)
	if !p.ValidUntil.IsZero() {
		after = min(after, max(p.ValidUntil.Sub(now)/2, shortestPeriod))
	}
	return after
}

// RefreshUpstream looks for newer metadata of an upstream at its address, now. It takes effect at once: whoever has the address, or
// a pinned key where there is one, says by which keys the upstream is believed.
func (k *Keeper) RefreshUpstream(ctx context.Context, name, by string) error {
	var u Upstream
	err := k.Store.View(ctx, func(tx store.Tx) (err error) {
		u, _, err = Upstreams.Get(tx, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return &Error{Code: CodeNoSource, Text: "There is no upstream " + clip(name) + ": `gatehouse upstream list` shows them."}
	}
	if err != nil {
		return err
	}
	if u.Look.URL == "" {
		return &Error{Code: CodeNothing, Text: "The upstream's metadata came from a file, so there is no place to look for newer. Give its address with --metadata."}
	}
	look := u.Look
	if by != System { // who asks now wants to see what is there now
		look.ETag, look.LastModified = "", ""
	}
	found, failure := k.Look(ctx, &u, look)
	return errors.Join(failure, k.noteUpstream(ctx, &u, by, &found, failure))
}

// Look gets what is at an address about an upstream now, and changes nothing. Every error is worded.
func (k *Keeper) Look(ctx context.Context, u *Upstream, look Looked) (Fetched, error) {
	if u.OpenID != nil {
		return k.FetchOpenID(ctx, u.OpenID, look)
	}
	found, err := k.FetchProvider(ctx, look, u.Pinned)
	if err == nil && !found.Same && found.Provider.EntityID != u.Provider.EntityID {
		err = &Error{Code: CodeOtherEntity, Text: "The address holds the metadata of another identity provider now, " + clip(found.Provider.EntityID) + ": add that as an upstream of its own, or give this one another address."}
	}
	return found, err
}

// noteUpstream writes what looking came to, unless the upstream follows something else by now.
func (k *Keeper) noteUpstream(ctx context.Context, asked *Upstream, by string, found *Fetched, failure error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return k.Store.Update(ctx, func(tx store.Tx) error {
		u, _, err := Upstreams.Get(tx, asked.Name)
		if err != nil || u.Look.URL != asked.Look.URL || fingerprints(u.Pinned) != fingerprints(asked.Pinned) {
			return absent(err)
		}
		event := audit.Event{Kind: "upstream.refresh", Actor: by, Outcome: audit.OK, Facts: map[string]string{"upstream": u.Name, "entity_id": u.ID()}}
		quiet := by == System
		if failure != nil {
			u.Look.Tried = k.Now()
			quiet = !u.Look.failed(failure, k.Now()) && quiet
			event.Outcome, event.Reason, event.Detail = audit.Failed, u.Look.Code, u.Look.Error
		} else {
			changed := u.take(found)
			u.Look = found.Look
			u.Look.fetched(k.Now(), lookAfter(&u.Provider, u.Look.Cache, k.Now()))
			quiet = quiet && len(changed) == 0
			event.Facts["changed"], event.Facts["keys"] = strings.Join(changed, ", "), fingerprints(u.Provider.SigningKeys())
		}
		if err := Upstreams.Put(tx, &u); err != nil || quiet {
			return err
		}
		_, err = k.Audit.Append(tx, event)
		return err
	})
}

// take makes what was found the upstream's metadata, and names what changed.
func (u *Upstream) take(found *Fetched) []string {
	if found.Same {
		return nil
	}
	if u.OpenID != nil {
		changed := u.OpenID.Found.Differs(&found.OpenID.Found)
		u.OpenID.Found = found.OpenID.Found
		return changed
	}
	var changed []string
	for _, c := range metadata.ProviderDiff(u.Provider, found.Provider) {
		if len(changed) == 0 || changed[len(changed)-1] != c.Field {
			changed = append(changed, c.Field)
		}
	}
	u.Provider = found.Provider
	return changed
}

// refreshUpstreams looks for newer metadata of the upstreams that are due. Other nodes leave them alone for a while.
func (k *Keeper) refreshUpstreams(ctx context.Context) error {
	due := func(tx store.Tx) (list []Upstream, err error) {
		err = Upstreams.Each(tx, store.Page{}, func(_ string, u *Upstream) error {
			if u.Look.URL != "" && !u.Off && !u.Look.Next.After(k.Now()) {
				list = append(list, *u)
			}
			return nil
		})
		return list, err
	}
	var taken []Upstream
	err := k.Store.View(ctx, func(tx store.Tx) (err error) {
		taken, err = due(tx)
		return err
	})
	if err != nil || len(taken) == 0 {
		return err
	}
	err = k.Store.Update(ctx, func(tx store.Tx) (err error) {
		if taken, err = due(tx); err != nil {
			return err
		}
		for i := range taken {
			taken[i].Look.Next = k.Now().Add(lease)
			if err := Upstreams.Put(tx, &taken[i]); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range taken {
		if err == nil {
			err = unnoted(k.RefreshUpstream(ctx, taken[i].Name, System))
		}
	}
	return err
}
