package federation

import (
	"bytes"
	"context"
	"crypto/sha1" //nolint:gosec // the MDQ protocol names entities by it; nothing is protected by it
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/idp/outbound"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// How long an MDQ server's "there is none" is believed, and how often the job looks whether an entity is due.
const (
	absentFor = 10 * time.Minute
	mdqTick   = 10 * time.Minute

	mdqPatience = 3 // fetches that fail in one round before the server counts as down
)

// addresses are those of an entity at an MDQ server: by its encoded entity id, and by its hash for servers that know only that
// (draft-young-md-query, 3.1; draft-young-md-query-saml, 2.2).
func addresses(base, entityID string) []string {
	base = strings.TrimSuffix(base, "/") + "/entities/"
	sum := sha1.Sum([]byte(entityID))
	return []string{
		base + strings.ReplaceAll(url.QueryEscape(entityID), "+", "%20"),
		base + "%7Bsha1%7D" + hex.EncodeToString(sum[:]),
	}
}

// ask makes sure that what is kept of an entity is what the MDQ server says, unless it was asked a short while ago.
func (k *Keeper) ask(ctx context.Context, source *Source, own, entityID string) error {
	var d document
	err := k.Store.View(ctx, func(tx store.Tx) (err error) {
		d, _, err = Documents.Get(tx, entityKey(source.Name, entityID))
		return err
	})
	if err := absent(err); err != nil {
		return err
	}
	if d.Trust != source.trust() {
		d = document{}
	}
	if d.Next.After(k.Now()) {
		return nil
	}
	return k.askNow(ctx, source, own, entityID, d)
}

// askNow asks the server and keeps the answer. An answer that is not right leaves what is kept as it is.
func (k *Keeper) askNow(ctx context.Context, source *Source, own, entityID string, d document) error {
	var body bytes.Buffer
	var got outbound.Got
	var err error
	for _, address := range addresses(source.URL, entityID) {
		body.Reset()
		got, err = k.Fetch.Get(ctx, outbound.Ask{URL: address, ETag: d.ETag, LastModified: d.LastModified, Most: maxEntity}, &body)
		if !missing(err) {
			break
		}
	}
	switch {
	case missing(err) && d.Metadata.EntityID == "":
		return k.put(ctx, source, &document{Source: source.Name, EntityID: entityID, Absent: true, Trust: source.trust(), Next: k.Now().Add(absentFor)})
	case missing(err):
		return &Error{Code: CodeNotThere, Text: "The metadata source " + source.Name + " no longer has this entity.", Err: err}
	case err != nil:
		return err
	}
	if got.NotModified {
		same := metadata.Document{ValidUntil: d.Metadata.ValidUntil}
		if err := same.CheckEnd(k.Now(), source.mostValid()); err != nil {
			return err
		}
		d.Next = k.Now().Add(source.period(d.Cache))
		return k.put(ctx, source, &d)
	}
	fresh, err := k.single(source, own, entityID, body.Bytes())
	if err != nil {
		return err
	}
	fresh.ETag, fresh.LastModified = got.ETag, got.LastModified
	return k.put(ctx, source, fresh)
}

func missing(err error) bool {
	var fetched *outbound.Error
	return errors.As(err, &fetched) && fetched.Status == http.StatusNotFound
}

// single reads an answer: one signed EntityDescriptor, of the entity that was asked for.
func (k *Keeper) single(source *Source, own, entityID string, body []byte) (*document, error) {
	if err := k.checkSignature(source, bytes.NewReader(body)); err != nil {
		return nil, err
	}
	d := &document{Source: source.Name, EntityID: entityID, Trust: source.trust()}
	answer, err := metadata.Entities(bytes.NewReader(body), metadata.Options{Now: k.Now(), OwnEntityID: own}, func(r metadata.Result) error {
		d.Metadata, d.Cache = r.Metadata, r.CacheDuration
		d.Next = k.Now().Add(source.period(r.CacheDuration))
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := answer.CheckEnd(k.Now(), source.mostValid()); err != nil {
		return nil, err
	}
	switch {
	case !answer.Single:
		return nil, &Error{Code: CodeMetadata, Text: "The MDQ server answered with a group instead of one entity."}
	case answer.Left > 0:
		return nil, &Error{Code: CodeMetadata, Text: "The entity cannot be used: " + strings.Join(answer.Reasons, "; ") + "."}
	case answer.Taken == 0:
		return nil, &Error{Code: CodeNotThere, Text: "The entity is no service provider."}
	case d.Metadata.EntityID != entityID:
		return nil, &Error{Code: CodeOtherEntity, Text: "The MDQ server answered with another entity, " + clip(d.Metadata.EntityID) + "."}
	}
	return d, nil
}

func (k *Keeper) put(ctx context.Context, source *Source, d *document) error {
	return k.under(ctx, source, func(tx store.Tx) error {
		if d.Absent {
			return Documents.Put(tx, d)
		}
		if _, err := putEntity(tx, d); err != nil {
			return err
		}
		return Documents.Put(tx, d) // also when only the time of the next look changed
	})
}

// refreshMDQ asks for every entity of the source that is an app and due, or for all of them.
func (k *Keeper) refreshMDQ(ctx context.Context, source *Source, own, by string, all bool) error {
	ids, err := k.appsOf(ctx, source.Name)
	if err != nil {
		return err
	}
	var failure error
	down := 0
	for _, id := range ids {
		if down == mdqPatience {
			break // the others stay due
		}
		err := k.refreshEntity(ctx, source, own, id, all)
		if code, _ := worded(typed(err)); code == CodeFetch {
			down++
		}
		if err != nil && unnoted(typed(err)) != nil {
			return err
		}
		failure = errors.Join(failure, typed(err))
	}
	found := source.Found
	found.Next, found.Entities, found.Providers = k.Now().Add(mdqTick), len(ids), len(ids)
	return errors.Join(failure, k.note(ctx, source, by, found, 0, failure))
}

func (k *Keeper) refreshEntity(ctx context.Context, source *Source, own, id string, now bool) error {
	var entityID string
	var d document
	err := k.Store.View(ctx, func(tx store.Tx) (err error) {
		if entityID, err = entityIDOf(tx, id); err == nil {
			d, _, err = Documents.Get(tx, entityKey(source.Name, entityID))
		}
		return absent(err)
	})
	if d.Trust != source.trust() {
		now = true
	}
	if err != nil || !now && d.Next.After(k.Now()) {
		return err
	}
	if now {
		d.ETag, d.LastModified = "", ""
	}
	if err := k.askNow(ctx, source, own, entityID, d); err != nil {
		failure := typed(err)
		return k.noteApp(ctx, id, "", k.failure(source.Name, failure), failure)
	}
	return k.offerKept(ctx, source, id)
}
