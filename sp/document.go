package sp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// MaxDocument bounds a client-ID metadata document, in bytes.
const MaxDocument = 16 << 10

// maxDocumentID bounds a client id that is an address, in bytes.
const maxDocumentID = 250

// IsDocumentID tells whether a client id is the address of a client-ID metadata document (draft-ietf-oauth-client-id-metadata-document,
// "Client Identifier"): https, with a path, written in the one way in which it is compared. A query is not taken.
func IsDocumentID(id string) bool {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxDocumentID || !strings.HasPrefix(id, "https://") || u.Host == "" || u.User != nil || u.Path == "" || strings.ContainsAny(id, "?#\\ ") {
		return false
	}
	for segment := range strings.SplitSeq(u.Path, "/") {
		if segment == "." || segment == ".." {
			return false
		}
	}
	return u.String() == id && printable(id) && u.Host == strings.ToLower(u.Host)
}

// DocumentHost is the host of a client id that is an address; empty: it is none.
func (c *Credentials) DocumentHost() string {
	if !IsDocumentID(c.ClientID) {
		return ""
	}
	u, _ := url.Parse(c.ClientID)
	return u.Host
}

// ReadDocument reads the client metadata at an address that is a client id. Without a word about it, the client has no proof to show.
func ReadDocument(id string, text []byte) (*Registration, error) {
	var d struct {
		Registration
		ClientID      string          `json:"client_id"`
		Secret        json.RawMessage `json:"client_secret"`
		SecretExpires json.RawMessage `json:"client_secret_expires_at"`
	}
	err := json.Unmarshal(text, &d)
	r := &d.Registration
	if r.AuthMethod == "" {
		r.AuthMethod = AuthNone
	}
	switch {
	case err != nil:
		return nil, errors.New("the document is not the JSON of client metadata (RFC 7591)" + Misfit(err))
	case d.ClientID != id:
		return nil, errors.New("client_id: it must be the address of the document, letter by letter")
	case d.Secret != nil || d.SecretExpires != nil:
		return nil, errors.New("client_secret: a document that everybody can read holds no secret")
	case r.AuthMethod != AuthNone && r.AuthMethod != AuthPrivateKeyJWT:
		return nil, fmt.Errorf("token_endpoint_auth_method: use %s or %s, since nobody gave the client a secret", AuthPrivateKeyJWT, AuthNone)
	}
	for _, one := range r.RedirectURIs {
		if !ownRedirect(id, one, r.ApplicationType) {
			return nil, errors.New("redirect_uris: each must lie at the origin of client_id, or for a native app on the person's own machine")
		}
	}
	if r.ClientName == "" {
		u, _ := url.Parse(id)
		r.ClientName = clip(u.Host, maxName)
	}
	return r.stored()
}

// stored is the metadata as it comes back from a store, so that it can be compared with what was kept.
func (r *Registration) stored() (*Registration, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	return ReadRegistration(text)
}

// ownRedirect tells whether whoever controls a document may say that answers go there: to its own origin, or to a native app on the
// machine of the person. The rest says checkRedirect.
func ownRedirect(id, redirect, applicationType string) bool {
	a, _ := url.Parse(id)
	b, err := url.Parse(redirect)
	if err != nil {
		return false
	}
	if b.Scheme == a.Scheme && b.Host == a.Host {
		return true
	}
	if applicationType != TypeNative || b.Scheme == "https" {
		return false
	}
	address, err := netip.ParseAddr(b.Hostname())
	return b.Scheme != "http" || err == nil && address.IsLoopback()
}

// Narrows tells whether metadata that follows needs nobody to look at it again: it says the same, save that the client's keys are
// others or some of its redirect URIs are gone.
func (r *Registration) Narrows(next *Registration) bool {
	before, after := *r, *next
	for _, one := range after.RedirectURIs {
		if !slices.Contains(before.RedirectURIs, one) {
			return false
		}
	}
	before.JWKS, before.JWKSURI, before.RedirectURIs = nil, "", nil
	after.JWKS, after.JWKSURI, after.RedirectURIs = nil, "", nil
	return reflect.DeepEqual(before, after)
}

// Equal tells whether metadata says the same.
func (r *Registration) Equal(other *Registration) bool { return reflect.DeepEqual(r, other) }
