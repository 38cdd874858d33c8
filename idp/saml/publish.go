package saml

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
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
	if app != nil && app.Settings.SigningKey != "" {
		keys = slices.DeleteFunc(keys, func(k *certs.Key) bool { return k.ID != app.Settings.SigningKey })
		return keys, revision, err
	}
	keys = slices.DeleteFunc(keys, func(k *certs.Key) bool { return k.State != certs.Active })
	slices.SortStableFunc(keys, func(a, b *certs.Key) int { return rank(a) - rank(b) })
	return keys, revision, err
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

// metadataCache keeps signed metadata, so that polling costs no signatures. It is emptied when anything in it changes.
type metadataCache struct {
	mu        sync.Mutex
	keys      store.Revision
	settings  directory.Settings
	step      time.Time
	documents map[string][]byte // by the id of the key that comes first
}

// IDPMetadata is our signed metadata; with an app's id, the one whose first key is that app's. ErrNotFound: no such app.
func (h *Handlers) IDPMetadata(ctx context.Context, appID string) ([]byte, error) {
	var app *sp.SAML
	if appID != "" {
		found, err := h.Engine.AppOf(ctx, appID)
		if err != nil {
			return nil, err
		}
		if found == nil || found.State == sp.Removed || found.Definition.SAML == nil {
			return nil, store.ErrNotFound
		}
		app = found.Definition.SAML
	}
	settings, err := h.loadSettings(ctx)
	if err != nil {
		return nil, err
	}
	signers, revision, err := h.signers(ctx, app)
	if err != nil {
		return nil, err
	}
	if len(signers) == 0 {
		return nil, certs.ErrNoKey
	}
	return h.cached(ctx, settings, signers[0], revision)
}

func (h *Handlers) cached(ctx context.Context, settings *directory.Settings, signer *certs.Key, revision store.Revision) ([]byte, error) {
	c := &h.metadata
	c.mu.Lock()
	defer c.mu.Unlock()
	step := h.Now().UTC().Truncate(metadataStep(settings.MetadataLifetime()))
	if c.documents == nil || c.keys != revision || !step.Equal(c.step) || !sameOrganisation(&c.settings, settings) {
		c.keys, c.settings, c.step, c.documents = revision, *settings, step, make(map[string][]byte)
	}
	if doc := c.documents[signer.ID]; doc != nil {
		return doc, nil
	}
	doc, err := h.describeUs(ctx, settings, signer)
	if err == nil {
		c.documents[signer.ID] = doc
	}
	return doc, err
}

// sameOrganisation compares what metadata shows of the settings.
func sameOrganisation(a, b *directory.Settings) bool {
	return a.Name == b.Name && a.SupportContact == b.SupportContact && a.SAMLEntityID == b.SAMLEntityID &&
		a.WantSignedRequests == b.WantSignedRequests && a.MetadataFor == b.MetadataFor
}

// describeUs signs the metadata with the key that comes first in it; the other published keys follow.
func (h *Handlers) describeUs(ctx context.Context, settings *directory.Settings, signer *certs.Key) ([]byte, error) {
	var published []*certs.Key
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		published, _, err = h.Keys.Published(tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(published, func(a, b *certs.Key) int { return first(b, signer) - first(a, signer) })
	credentials := h.keys.of(published)
	signing, problem := SigningFor(&sp.SAML{}, credentials[:1])
	if problem != nil {
		return nil, problem
	}
	name := settings.Name
	if name == "" {
		name = "Gatehouse"
	}
	return Metadata(&Description{
		EntityID: h.entityID(settings), SSO: h.BaseURL + ssoPath, SLO: h.BaseURL + sloPath, SOAP: h.BaseURL + soapPath, Artifact: h.BaseURL + artifactPath, WantSigned: settings.WantSignedRequests, Lifetime: settings.MetadataLifetime(),
		Name: name, URL: h.BaseURL + "/", Contact: settings.SupportContact, Credentials: credentials, Sign: &signing, Now: h.Now(),
	})
}

func first(k, wanted *certs.Key) int {
	if k.ID == wanted.ID {
		return 1
	}
	return 0
}

// ownMetadata serves our metadata, cacheable: GET /saml/metadata and /saml/metadata/{app}.
func (h *Handlers) ownMetadata(w http.ResponseWriter, r *http.Request) error {
	doc, err := h.IDPMetadata(r.Context(), r.PathValue("app"))
	if errors.Is(err, store.ErrNotFound) {
		return web.NotFound("There is no SAML app with this id. Use the address that the app's page shows.")
	}
	if err != nil {
		return err
	}
	sum := sha256.Sum256(doc)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	header := w.Header()
	header.Set("ETag", tag)
	header.Set("Cache-Control", "public, max-age=3600")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header.Set("Content-Type", "application/samlmetadata+xml")
	_, err = w.Write(doc)
	return err
}

// certificate serves the certificate that apps are to be given: GET /saml/certificate.pem.
func (h *Handlers) certificate(w http.ResponseWriter, r *http.Request) error {
	keys, _, err := h.signers(r.Context(), nil)
	if err != nil {
		return err
	}
	if len(keys) == 0 {
		return certs.ErrNoKey
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Header().Set("Content-Disposition", `attachment; filename="gatehouse.pem"`)
	return pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: keys[0].Certificate})
}
