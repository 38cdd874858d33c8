package sampleapps

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/crewjam/saml"
	"github.com/crewjam/saml/samlsp"
	dsig "github.com/russellhaering/goxmldsig"
)

const (
	persistent   = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
	emailAddress = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"
	fetchTimeout = 5 * time.Second
)

// App is one running SAML app.
type App struct {
	spec     Spec
	cfg      Config
	base     *url.URL
	kept     bool
	sp       saml.ServiceProvider // without the identity provider's metadata
	metadata []byte
	session  samlsp.CookieSessionProvider
	waiting  *tracker
	page     *template.Template
}

// newApp makes an app with an RSA-2048 key for signing and decryption.
func newApp(cfg Config, memory *keep, spec Spec, base string) (*App, error) {
	root, err := url.Parse(base + "/")
	if err != nil {
		return nil, err
	}
	known := memory.of(spec.Name).Key != nil
	key, cert, err := memory.samlKey(spec.Name)
	if err != nil {
		return nil, err
	}
	opts := samlsp.Options{URL: *root, Key: key, Certificate: cert, AllowIDPInitiated: true, SignRequest: !spec.Unsigned}
	app := &App{spec: spec, cfg: cfg, base: root, kept: known, waiting: newTracker()}
	app.sp = samlsp.DefaultServiceProvider(opts)
	app.sp.AuthnNameIDFormat = persistent
	if spec.NameIDFormat != "" {
		app.sp.AuthnNameIDFormat = saml.NameIDFormat(spec.NameIDFormat)
	}
	if !spec.Unsigned {
		app.sp.SignatureMethod = dsig.RSASHA256SignatureMethod // crewjam's default is RSA-SHA1
	}
	app.session = samlsp.DefaultSessionProvider(opts)
	app.session.Name = "sample_" + root.Port() // cookies of one host are shared by all ports
	app.session.Domain = ""
	app.session.SameSite = http.SameSiteLaxMode
	if app.page, err = parsePage("page.html"); err != nil {
		return nil, err
	}
	app.metadata, err = app.describe()
	return app, err
}

// newKey makes a key with a self-signed certificate that outlives any demo.
func newKey(name string) (*rsa.PrivateKey, *x509.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return key, cert, err
}

// describe writes the app's metadata: crewjam's, corrected to what its code does. It decrypts AES-128-GCM but not
// AES-256-GCM, declares only CBC, and offers an artifact endpoint it has no use for here.
func (a *App) describe() ([]byte, error) {
	entity := a.sp.Metadata()
	role := &entity.SPSSODescriptors[0]
	entity.ValidUntil, role.ValidUntil = time.Time{}, nil
	a.offerLogout(role)
	role.AssertionConsumerServices = role.AssertionConsumerServices[:1]
	keys := role.KeyDescriptors[:0]
	for _, key := range role.KeyDescriptors {
		if key.Use == "encryption" && a.spec.Plain {
			continue
		}
		if key.Use == "encryption" {
			key.EncryptionMethods = []saml.EncryptionMethod{
				{Algorithm: "http://www.w3.org/2009/xmlenc11#aes128-gcm"},
				{Algorithm: "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"},
			}
		}
		keys = append(keys, key)
	}
	role.KeyDescriptors = keys
	return xml.MarshalIndent(entity, "", "  ")
}

// Name is the app's name.
func (a *App) Name() string { return a.spec.Name }

// Description is one sentence about the app.
func (a *App) Description() string { return a.spec.Description }

// URL is the address of the app's front page.
func (a *App) URL() string { return a.base.String() }

// SignInURL is where sign-in started by the app begins.
func (a *App) SignInURL() string { return a.base.JoinPath("signin").String() }

// EntityID is the app's SAML entity id, which is also where it serves its metadata.
func (a *App) EntityID() string { return a.sp.MetadataURL.String() }

// Metadata is the app's SAML metadata, to be registered with the identity provider.
func (a *App) Metadata() []byte { return a.metadata }

// Kept tells whether the app's key is that of an earlier run, so that its metadata is what it was.
func (a *App) Kept() bool { return a.kept }

// middleware returns crewjam's middleware with the identity provider's current metadata.
func (a *App) middleware(ctx context.Context) (*samlsp.Middleware, error) {
	idp, err := a.identityProvider(ctx)
	if err != nil {
		return nil, err
	}
	sp := a.sp
	sp.IDPMetadata = idp
	return &samlsp.Middleware{
		ServiceProvider:  sp,
		OnError:          a.refused,
		ResponseBinding:  saml.HTTPPostBinding,
		RequestTracker:   a.waiting,
		Session:          a.session,
		AssertionHandler: samlsp.NopAssertionHandler{},
	}, nil
}

// identityProvider reads the given metadata or fetches it.
func (a *App) identityProvider(ctx context.Context) (*saml.EntityDescriptor, error) {
	if len(a.cfg.Metadata) > 0 {
		return samlsp.ParseMetadata(a.cfg.Metadata)
	}
	address, err := url.Parse(a.cfg.MetadataURL)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	idp, err := samlsp.FetchMetadata(ctx, http.DefaultClient, *address)
	if err != nil {
		return nil, fmt.Errorf("the identity provider's metadata could not be read from %s: %w", address, err)
	}
	return idp, nil
}

// reason says in words why an answer was not accepted, with the nested status code and message of a refusal.
func reason(err error) string {
	var invalid *saml.InvalidResponseError
	if !errors.As(err, &invalid) {
		return err.Error()
	}
	var response saml.Response
	var refusal saml.ErrBadStatus
	if !errors.As(invalid.PrivateErr, &refusal) || xml.Unmarshal([]byte(invalid.Response), &response) != nil {
		return fmt.Sprint(invalid.PrivateErr)
	}
	words := []string{"The identity provider answered", short(refusal.Status)}
	if nested := response.Status.StatusCode.StatusCode; nested != nil {
		words = append(words, "/ "+short(nested.Value))
	}
	if message := response.Status.StatusMessage; message != nil && message.Value != "" {
		words = append(words, "– "+message.Value)
	}
	return strings.Join(words, " ")
}

// short cuts a status URI to its last part.
func short(uri string) string { return uri[strings.LastIndex(uri, ":")+1:] }
