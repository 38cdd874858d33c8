// Package metadata turns untrusted SAML 2.0 metadata of service providers into the part that Gatehouse acts on, with
// warnings that a human understands. Bytes in, sp.Metadata out; documents of any size as a stream.
//
// It must not fetch or store, and trusts nothing but the keys it is handed: Parse notes a signature, Verify checks it. Read
// metadata.go for Parse, tree.go for the bounds, role.go for what is read, aggregate.go for documents of many entities,
// signature.go for Verify, raw.go and canonical.go for the bytes that a signature covers.
package metadata

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"gatehouse/sp"
)

// Options says what the caller knows and allows.
type Options struct {
	Now          time.Time // required: what expiry is judged by
	OwnEntityID  string    // of this identity provider, refused as an app
	AllowHTTP    bool      // accept http addresses of hosts other than this machine
	AllowExpired bool      // accept metadata past its validUntil; the instant is then left out of the result
}

// Result is what Parse understood.
type Result struct {
	Metadata      sp.Metadata
	Warnings      []Warning
	CacheDuration time.Duration // how long the metadata may be relied on before it is looked at again; 0: it does not say
}

// Severity orders warnings.
type Severity string

// Info needs no action; Caution may keep people out, or weakens security.
const (
	Info    Severity = "info"
	Caution Severity = "caution"
)

// Warning is something in the metadata that an administrator should know. Code is stable, Text a sentence.
type Warning struct {
	Code     string   `json:"code"`
	Text     string   `json:"text"`
	Severity Severity `json:"severity"`
}

// Error refuses metadata. Line and Column begin at 1 and count bytes; both are 0 where no place can be named.
// Code is set for a refused signature (signature.go) and for a refused end (aggregate.go).
type Error struct {
	Line, Column int
	Reason       string
	Code         string
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

// skew is how far clocks may differ (SAML2Int and fedinterop: 3 to 5 minutes).
const skew = 3 * time.Minute

// maxEntityID is the schema's bound, in characters (saml-metadata-2.0-os, 2.2.1).
const maxEntityID = 1024

// Parse reads metadata of exactly one SAML 2.0 service provider: an EntityDescriptor, or an EntitiesDescriptor that holds
// one. Every error is an *Error.
func Parse(data []byte, opts Options) (Result, error) {
	root, err := parseTree(data)
	if err != nil {
		return Result{}, err
	}
	entity, role, err := serviceProvider(root)
	if err != nil {
		return Result{}, err
	}
	r := &reader{opts: opts}
	r.signature(root, entity)
	if err := r.read(root, entity, role); err != nil {
		return Result{}, err
	}
	r.review()
	return Result{Metadata: r.out, Warnings: r.warnings, CacheDuration: r.cache}, nil
}

// Build makes the metadata of a service provider that has none, from its entity id and the address that takes answers by
// HTTP-POST. It holds to the same rules as Parse.
func Build(entityID, acsURL string, opts Options) (sp.Metadata, error) {
	if reason := entityIDProblem(entityID, opts.OwnEntityID); reason != "" {
		return sp.Metadata{}, &Error{Reason: reason}
	}
	if err := sp.CheckLocation(acsURL, opts.AllowHTTP); err != nil {
		return sp.Metadata{}, &Error{Reason: fmt.Sprintf("the assertion consumer address %q %v", short(acsURL), err)}
	}
	return sp.Metadata{
		EntityID: entityID,
		ACS:      []sp.Endpoint{{Binding: sp.BindingPOST, Location: acsURL}},
	}, nil
}

// entityIDProblem says in a sentence what is wrong with an entity id, or nothing.
func entityIDProblem(id, own string) string {
	switch {
	case id == "":
		return "the entity id is missing; ask the app's vendor for complete metadata"
	case len([]rune(id)) > maxEntityID:
		return "the entity id is longer than 1,024 characters; shorten it in the app"
	case strings.ContainsFunc(id, func(r rune) bool { return unicode.In(r, unicode.Z, unicode.C) }):
		return "the entity id contains a space, a control character or one that is not seen; remove it in the app"
	case own != "" && id == own:
		return "this is Gatehouse's own entity id; give the metadata of the other side, not Gatehouse's"
	}
	return ""
}

// short quotes untrusted text in a sentence without flooding it.
func short(s string) string {
	if r := []rune(s); len(r) > 120 {
		return string(r[:119]) + "…"
	}
	return s
}
