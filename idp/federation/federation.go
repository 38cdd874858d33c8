// Package federation owns where the metadata of apps comes from and how it is kept up to date: addresses of single apps, signed
// aggregates of many entities, and servers that hand out one entity at a time (MDQ). It keeps what it fetched, and decides what
// newer metadata does to a connected app. It owns the upstreams too: other identity providers where people may sign in.
//
// It must not know pages or the API, and connects nobody: an app is added by an administrator. Nothing that it fetched is kept
// before the signature over all of it was verified with a pinned key. Read source.go for the sources, load.go for aggregates,
// mdq.go for single entities, follow.go for what newer metadata does to an app, upstream.go, openid.go and upstreamfollow.go for upstreams,
// due.go for the background job.
package federation

import (
	"context"
	"crypto"
	"errors"
	"sync"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/outbound"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// Keeper keeps metadata up to date. All fields must be set. Safe for concurrent use; do not copy.
type Keeper struct {
	Store store.Store
	Audit *audit.Log
	Fetch *outbound.Client
	Own   func(ctx context.Context) (string, error) // our entity id, which no app may have
	Now   func() time.Time

	BaseURL string // our issuer, which no upstream may have

	fetching sync.Map // names of the sources that are fetched at this moment
}

// Bounds of a fetch and of what is kept.
const (
	maxAggregate   = 256 << 20
	aggregateTime  = 5 * time.Minute
	maxEntity      = 1 << 20
	importBatch    = 200 // entities in one transaction, so that sign-ons do not wait behind it
	maxEntities    = 200_000
	shortestPeriod = time.Hour
	longestPeriod  = 24 * time.Hour
)

// Error refuses metadata or a step, in a sentence. Code is the typed reason.
type Error struct {
	Code string
	Text string
	Err  error
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Reasons beside those of metadata.Error.
const (
	CodeFetch       = "fetch_failed"
	CodeMetadata    = "bad_metadata"
	CodeOtherEntity = "other_entity"
	CodeNotThere    = "not_in_source"
	CodeNoSource    = "no_such_source"
	CodeNothing     = "nothing_waits"
	CodeNewer       = "newer_waits"
	CodeChanged     = "source_changed"
	CodeBusy        = "being_fetched"
	CodeFailed      = "failed" // on our side
)

// typed gives an error of the packages below its code; what is not known stays as it is.
func typed(err error) error {
	var own *Error
	var fetched *outbound.Error
	var parsed *metadata.Error
	switch {
	case err == nil, errors.As(err, &own):
		return err
	case errors.As(err, &fetched):
		return &Error{Code: CodeFetch, Text: fetched.Text, Err: err}
	case errors.As(err, &parsed):
		code := parsed.Code
		if code == "" {
			code = CodeMetadata
		}
		return &Error{Code: code, Text: "The metadata cannot be used: " + parsed.Error() + ".", Err: err}
	}
	return err
}

// period bounds how long fetched metadata is relied on before it is looked at again.
func period(cache time.Duration) time.Duration {
	if cache == 0 {
		return longestPeriod
	}
	return min(max(cache, shortestPeriod), longestPeriod)
}

// retry is when to try again after so many failures in a row: after 10 minutes, then twice as long, 6 hours at most.
func retry(failures int) time.Duration {
	return min(10*time.Minute<<min(max(failures-1, 0), 10), 6*time.Hour)
}

func publicKeys(keys []sp.Key) ([]crypto.PublicKey, error) {
	var list []crypto.PublicKey
	for i := range keys {
		public, err := keys[i].Public()
		if err != nil {
			return nil, err
		}
		list = append(list, public)
	}
	return list, nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
