package saml

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"image"
	_ "image/jpeg" // of the organisation's logo
	_ "image/png"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/directory"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// metadataCache keeps signed metadata, so that polling costs no signatures. It is emptied when anything in it changes.
type metadataCache struct {
	mu        sync.Mutex
	keys      store.Revision
	settings  directory.Settings
	step      time.Time
	documents map[string]*document // by the id of the key that comes first
}

// document is signed metadata with the ids of the keys in it, sorted.
type document struct {
	xml  []byte
	keys []string
}

// IDPMetadata is our signed metadata; with an app's id, the one whose first key is that app's. ErrNotFound: no such app.
func (h *Handlers) IDPMetadata(ctx context.Context, appID string) ([]byte, error) {
	doc, err := h.document(ctx, appID)
	if err != nil {
		return nil, err
	}
	return doc.xml, nil
}

func (h *Handlers) document(ctx context.Context, appID string) (*document, error) {
	app, err := h.samlOf(ctx, appID)
	if err != nil {
		return nil, err
	}
	settings, err := h.loadSettings(ctx)
	if err != nil {
		return nil, err
	}
	signer, revision, err := h.signerFor(ctx, app)
	if err != nil {
		return nil, err
	}
	return h.cached(ctx, settings, signer, revision, app != nil && app.ECPEnabled())
}

// samlOf is the SAML part of an app that is not removed, nil for an empty id. ErrNotFound: there is none.
func (h *Handlers) samlOf(ctx context.Context, appID string) (*sp.SAML, error) {
	if appID == "" {
		return nil, nil
	}
	app, err := h.Engine.AppOf(ctx, appID)
	if err != nil {
		return nil, err
	}
	if app == nil || app.State == sp.Removed || app.Definition.SAML == nil {
		return nil, store.ErrNotFound
	}
	return app.Definition.SAML, nil
}

// signerFor is the key that signs for an app, or where none fits, or for no app, the first that may.
func (h *Handlers) signerFor(ctx context.Context, app *sp.SAML) (*certs.Key, store.Revision, error) {
	keys, revision, err := h.signers(ctx, app)
	if err != nil {
		return nil, 0, err
	}
	if len(keys) == 0 {
		return nil, 0, certs.ErrNoKey
	}
	if app != nil {
		id := h.SignerOf(app, keys)
		if i := slices.IndexFunc(keys, func(k *certs.Key) bool { return k.ID == id }); i >= 0 {
			return keys[i], revision, nil
		}
	}
	return keys[0], revision, nil
}

func (h *Handlers) cached(ctx context.Context, settings *directory.Settings, signer *certs.Key, revision store.Revision, ecp bool) (*document, error) {
	c := &h.metadata
	c.mu.Lock()
	defer c.mu.Unlock()
	step := h.Now().UTC().Truncate(metadataStep(settings.MetadataLifetime()))
	if c.documents == nil || c.keys != revision || !step.Equal(c.step) || !sameOrganisation(&c.settings, settings) {
		c.keys, c.settings, c.step, c.documents = revision, *settings, step, make(map[string]*document)
	}
	name := signer.ID
	if ecp {
		name += " ecp"
	}
	if doc := c.documents[name]; doc != nil {
		return doc, nil
	}
	doc, err := h.describeUs(ctx, settings, signer, ecp)
	if err == nil {
		c.documents[name] = doc
	}
	return doc, err
}

// sameOrganisation compares what metadata shows of the settings.
func sameOrganisation(a, b *directory.Settings) bool {
	return a.Name == b.Name && a.SupportContact == b.SupportContact && a.SAMLEntityID == b.SAMLEntityID && a.Logo == b.Logo &&
		a.WantSignedRequests == b.WantSignedRequests && a.MetadataFor == b.MetadataFor && a.InformationURL == b.InformationURL &&
		a.PrivacyURL == b.PrivacyURL && a.SecurityContact == b.SecurityContact && slices.Equal(a.Scopes, b.Scopes) && a.Discovery.Equal(&b.Discovery)
}

// describeUs signs the metadata with the key that comes first in it; the other published keys follow.
func (h *Handlers) describeUs(ctx context.Context, settings *directory.Settings, signer *certs.Key, ecp bool) (*document, error) {
	var published []*certs.Key
	var logo directory.Logo
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		if published, _, err = h.Keys.Published(tx); err == nil && settings.Logo != "" {
			logo, err = directory.LoadLogo(tx)
		}
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	slices.SortStableFunc(published, func(a, b *certs.Key) int { return first(b, signer) - first(a, signer) })
	credentials := h.keys.of(published)
	signing, problem := SigningFor(&sp.SAML{}, credentials[:1])
	if problem != nil {
		return nil, problem
	}
	d := h.description(settings)
	if ecp {
		d.ECP = h.BaseURL + ecpPath
	}
	d.Credentials, d.Sign, d.Logo = credentials, &signing, h.logo(settings, &logo)
	doc := &document{}
	for _, key := range published {
		doc.keys = append(doc.keys, key.ID)
	}
	slices.Sort(doc.keys)
	doc.xml, err = Metadata(d)
	return doc, err
}

// description is what the settings say of us.
func (h *Handlers) description(settings *directory.Settings) *Description {
	name := settings.Name
	if name == "" {
		name = "Gatehouse"
	}
	security := settings.SecurityContact
	if security == "" {
		security = settings.SupportContact
	}
	return &Description{
		EntityID: h.entityID(settings), SSO: h.BaseURL + ssoPath, SLO: h.BaseURL + sloPath, NID: h.BaseURL + nidPath, SOAP: h.BaseURL + soapPath, Artifact: h.BaseURL + artifactPath, WantSigned: settings.WantSignedRequests, Lifetime: settings.MetadataLifetime(),
		Name: name, URL: h.BaseURL + "/", Contact: settings.SupportContact, Security: security, Scopes: settings.Scopes,
		Information: settings.InformationURL, Privacy: settings.PrivacyURL, Error: h.BaseURL + errorPath + errorQuery, Discovery: settings.Discovery, Now: h.Now(),
	}
}

// logo is the organisation's picture for metadata: on https, and where its size can be told, which the schema demands.
func (h *Handlers) logo(settings *directory.Settings, logo *directory.Logo) Picture {
	if settings.Logo == "" || !strings.HasPrefix(h.BaseURL, "https://") {
		return Picture{}
	}
	config, _, err := image.DecodeConfig(bytes.NewReader(logo.Bytes))
	if err != nil || config.Width <= 0 || config.Height <= 0 {
		return Picture{}
	}
	return Picture{URL: h.BaseURL + "/logo/" + settings.Logo, Width: config.Width, Height: config.Height}
}

func first(k, wanted *certs.Key) int {
	if k.ID == wanted.ID {
		return 1
	}
	return 0
}

// ownMetadata serves our metadata, cacheable: GET /saml/metadata and /saml/metadata/{app}. What is fetched at an app's address
// counts as fetched by that app, whoever did.
func (h *Handlers) ownMetadata(w http.ResponseWriter, r *http.Request) error {
	app := r.PathValue("app")
	doc, err := h.document(r.Context(), app)
	if errors.Is(err, store.ErrNotFound) {
		return web.NotFound("There is no SAML app with this id. Use the address that the app's page shows.")
	}
	if err != nil {
		return err
	}
	sum := sha256.Sum256(doc.xml)
	tag := `"` + hex.EncodeToString(sum[:16]) + `"`
	header := w.Header()
	header.Set("ETag", tag)
	header.Set("Cache-Control", "public, max-age=3600")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	if app != "" {
		h.noteFetch(r.Context(), app, doc.keys)
	}
	header.Set("Content-Type", "application/samlmetadata+xml")
	_, err = w.Write(doc.xml)
	return err
}

// noteFetch records a fetch where that says anything new. A fetch that cannot be recorded is served all the same.
func (h *Handlers) noteFetch(ctx context.Context, app string, keys []string) {
	stale := false
	err := h.Store.View(ctx, func(tx store.Tx) error {
		fetch, err := sp.LoadFetch(tx, app)
		stale = fetch.Stale(keys, h.Now())
		return err
	})
	if err == nil && stale {
		err = h.Store.Update(ctx, func(tx store.Tx) error { return sp.NoteFetch(tx, app, keys, h.Now()) })
	}
	if err != nil && h.Kit.Log != nil {
		h.Kit.Log.WarnContext(ctx, "a fetch of metadata is not recorded", "app", app, "error", err)
	}
}

// certificate serves the certificate that apps are to be given: GET /saml/certificate.pem, with ?app=ID that app's.
func (h *Handlers) certificate(w http.ResponseWriter, r *http.Request) error {
	app, err := h.samlOf(r.Context(), r.URL.Query().Get("app"))
	if errors.Is(err, store.ErrNotFound) {
		return web.NotFound("There is no SAML app with this id. Use the address that the app's page shows.")
	}
	if err != nil {
		return err
	}
	key, _, err := h.signerFor(r.Context(), app)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/x-pem-file")
	w.Header().Set("Content-Disposition", `attachment; filename="gatehouse.pem"`)
	return pem.Encode(w, &pem.Block{Type: "CERTIFICATE", Bytes: key.Certificate})
}
