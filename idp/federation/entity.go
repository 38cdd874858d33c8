package federation

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// Entity is a service provider that a source knows, as lists show it. It is no app.
type Entity struct {
	Source   string `json:"source"`
	EntityID string `json:"entity_id"`
	Name     string `json:"name"`
	Hash     string `json:"hash"` // of its metadata, to tell whether it changed
}

// document is the metadata of an Entity. Absent says that a MDQ server had none, which is believed until Next.
type document struct {
	Source       string        `json:"source"`
	EntityID     string        `json:"entity_id"`
	Metadata     sp.Metadata   `json:"metadata,omitzero"`
	Absent       bool          `json:"absent,omitempty"`
	Trust        string        `json:"trust,omitempty"` // of the MDQ server when it was asked
	ETag         string        `json:"etag,omitempty"`
	LastModified string        `json:"last_modified,omitempty"`
	Cache        time.Duration `json:"cache,omitempty"` // its cacheDuration, which holds for a 304 too
	Next         time.Time     `json:"next,omitzero"`   // of an MDQ server: when to ask again
}

// Entities are the service providers of all sources; Documents their metadata, apart so that a search does not read it.
var (
	Entities  = &store.Table[Entity]{Name: "metadata_entity", Version: 1, Key: func(e *Entity) string { return entityKey(e.Source, e.EntityID) }}
	Documents = &store.Table[document]{
		Name: "metadata_document", Version: 1, Key: func(d *document) string { return entityKey(d.Source, d.EntityID) },
		Expires: func(d *document) time.Time {
			if d.Absent {
				return d.Next
			}
			return time.Time{}
		},
	}
)

func entityKey(source, entityID string) string {
	sum := sha256.Sum256([]byte(entityID))
	return source + " " + hex.EncodeToString(sum[:20])
}

// entityOf is what a list shows of metadata.
func entityOf(source string, md *sp.Metadata) (Entity, error) {
	raw, err := json.Marshal(md)
	sum := sha256.Sum256(raw)
	return Entity{Source: source, EntityID: md.EntityID, Name: md.Title(), Hash: hex.EncodeToString(sum[:16])}, err
}

// Search lists the service providers of a source whose name or entity id contains a text, and the cursor of the next ones.
func Search(tx store.Tx, source, text, after string, limit int) ([]Entity, string, error) {
	text = strings.ToLower(text)
	var list []Entity
	var last, next string
	err := Entities.Each(tx, store.Page{Prefix: source + " ", After: after}, func(cursor string, e *Entity) error {
		if !strings.Contains(strings.ToLower(e.Name+"\n"+e.EntityID), text) {
			return nil
		}
		if len(list) == limit {
			next = last
			return store.ErrStop
		}
		list, last = append(list, *e), cursor
		return nil
	})
	return list, next, err
}

// Find is the metadata that a source has for an entity id: what is kept of an aggregate, or what its MDQ server says.
func (k *Keeper) Find(ctx context.Context, name, entityID string) (metadata.Result, Source, error) {
	source, own, err := k.source(ctx, name)
	if err != nil {
		return metadata.Result{}, source, err
	}
	if source.Kind == MDQ {
		if err := k.ask(ctx, &source, own, entityID); err != nil {
			return metadata.Result{}, source, typed(err)
		}
	}
	var md sp.Metadata
	err = k.Store.View(ctx, func(tx store.Tx) (err error) {
		md, source, err = kept(tx, name, entityID)
		return err
	})
	switch {
	case err != nil:
		return metadata.Result{}, source, err
	case md.EntityID == own:
		return metadata.Result{}, source, &Error{Code: CodeMetadata, Text: "This is Gatehouse's own entity id: it cannot be an app."}
	case md.Expired(k.Now()):
		return metadata.Result{}, source, &Error{Code: metadata.CodeExpired, Text: "The source's metadata of this entity is past its end: refresh the source first."}
	}
	return metadata.Result{Metadata: md, Warnings: metadata.Review(md, k.Now())}, source, nil
}

// kept is the metadata of an entity as an app gets it: marked with its source, and with the source's end if that is earlier. What
// was fetched for another reason than the one for which the source is believed now is not handed out.
func kept(tx store.Tx, name, entityID string) (sp.Metadata, Source, error) {
	source, _, err := Sources.Get(tx, name)
	if err != nil {
		return sp.Metadata{}, source, err
	}
	d, _, err := Documents.Get(tx, entityKey(name, entityID))
	old := source.Kind == Aggregate && source.Found.Good.IsZero() || source.Kind == MDQ && err == nil && d.Trust != source.trust()
	switch {
	case old:
		return sp.Metadata{}, source, &Error{Code: CodeNotThere, Text: "The metadata source " + name + " was not fetched yet, or not since its keys or address changed: fetch it first."}
	case errors.Is(err, store.ErrNotFound) || err == nil && d.Absent:
		return sp.Metadata{}, source, &Error{Code: CodeNotThere, Text: "The metadata source " + name + " has no service provider with this entity id."}
	}
	md := d.Metadata
	md.Source = name
	if source.Kind == Aggregate {
		md.ValidUntil = earlier(md.ValidUntil, source.Found.ValidUntil)
	}
	return md, source, err
}

// source reads a source, and our own entity id, which no app may have.
func (k *Keeper) source(ctx context.Context, name string) (Source, string, error) {
	var source Source
	err := k.Store.View(ctx, func(tx store.Tx) (err error) {
		source, _, err = Sources.Get(tx, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = &Error{Code: CodeNoSource, Text: "There is no metadata source of this name: list them to see what there is."}
	}
	if err != nil {
		return source, "", err
	}
	own, err := k.Own(ctx)
	return source, own, err
}
