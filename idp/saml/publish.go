package saml

import (
	"context"
	"errors"
	"slices"
	"sync"

	"gatehouse/certs"
	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// credentialCache keeps what is made once of each key of the ring.
type credentialCache struct {
	mu   sync.RWMutex
	made map[*certs.Key]*Credential
}

// of wraps the ring's keys. Keys are shared pointers, new for each revision of the ring, so the cache starts afresh with them.
func (c *credentialCache) of(keys []*certs.Key) []*Credential {
	list := make([]*Credential, 0, len(keys))
	for _, key := range keys {
		c.mu.RLock()
		credential := c.made[key]
		c.mu.RUnlock()
		if credential == nil {
			credential = NewCredential(key.ID, key.Signer, key.Certificate)
			c.mu.Lock()
			if c.made == nil || len(c.made) > 32 {
				c.made = make(map[*certs.Key]*Credential)
			}
			c.made[key] = credential
			c.mu.Unlock()
		}
		list = append(list, credential)
	}
	return list
}

// signing chooses how an app's answers are signed, with the ring's revision that the answer must be committed under.
func (h *Handlers) signing(ctx context.Context, app *sp.SAML) (Signing, store.Revision, *Problem, error) {
	keys, revision, err := h.signers(ctx, app)
	if err != nil {
		return Signing{}, 0, nil, err
	}
	signing, problem := SigningFor(app, h.keys.of(keys))
	return signing, revision, problem, nil
}

// signers are the keys that may sign for an app: the one it is set to, else the active ones, RSA first.
func (h *Handlers) signers(ctx context.Context, app *sp.SAML) (keys []*certs.Key, revision store.Revision, err error) {
	err = h.Store.View(ctx, func(tx store.Tx) error {
		keys, revision, err = h.Keys.Published(tx)
		return err
	})
	return signersAmong(app, keys), revision, err
}

// signersAmong takes out of the published keys, in place, those that may not sign for an app.
func signersAmong(app *sp.SAML, published []*certs.Key) []*certs.Key {
	if app != nil && app.Settings.SigningKey != "" {
		return slices.DeleteFunc(published, func(k *certs.Key) bool { return k.ID != app.Settings.SigningKey })
	}
	keys := slices.DeleteFunc(published, func(k *certs.Key) bool { return k.State != certs.Active })
	slices.SortStableFunc(keys, func(a, b *certs.Key) int { return rank(a) - rank(b) })
	return keys
}

// SignerOf is the id of the published key that signs for an app; empty: none can.
func (h *Handlers) SignerOf(app *sp.SAML, published []*certs.Key) string {
	signing, problem := SigningFor(app, h.keys.of(signersAmong(app, slices.Clone(published))))
	if problem != nil {
		return ""
	}
	return signing.key.ID
}

func rank(k *certs.Key) int {
	if k.Algorithm == certs.RSA {
		return 0
	}
	return 1
}

// person is what attribute sources may look at; names of groups and sets are read only when a source asks.
func (h *Handlers) person(ctx context.Context, pass *flow.Pass) *claims.Person {
	person := personOf(pass.User)
	person.Made = h.made(pass)
	person.Held = func() (held claims.Held, err error) {
		if pass.Profile != nil {
			held.Profile = pass.Profile.Name
		}
		err = h.Store.View(ctx, func(tx store.Tx) error { return h.namesOf(tx, pass.User, &held) })
		return held, err
	}
	return person
}

// namesOf replaces ids by names; what was removed meanwhile is left out.
func (h *Handlers) namesOf(tx store.Tx, u *directory.User, held *claims.Held) error {
	held.Groups, held.PermissionSets = nil, nil
	for _, id := range u.Groups {
		if group, _, err := h.groups.Get(tx, directory.Groups, id); err == nil {
			held.Groups = append(held.Groups, group.Name)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	for _, id := range u.PermissionSets {
		if set, _, err := h.sets.Get(tx, directory.PermissionSets, id); err == nil {
			held.PermissionSets = append(held.PermissionSets, set.Name)
		} else if !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}
