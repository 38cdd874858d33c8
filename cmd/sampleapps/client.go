package sampleapps

import (
	"context"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Client is one running OAuth client. Until Connect tells it what the identity provider gave it, its pages say that it waits.
type Client struct {
	spec   ClientSpec
	issuer string
	base   *url.URL
	keep   *keep
	visits *visits
	page   *template.Template
}

func newClient(cfg Config, memory *keep, spec ClientSpec, base string) (*Client, error) {
	root, err := url.Parse(base + "/")
	if err != nil {
		return nil, err
	}
	c := &Client{spec: spec, issuer: cfg.Issuer, base: root, keep: memory, visits: newVisits("sample_" + root.Port())}
	c.page, err = parsePage("client.html")
	return c, err
}

// Name is the client's name.
func (c *Client) Name() string { return c.spec.Name }

// Kind is what it does.
func (c *Client) Kind() Kind { return c.spec.Kind }

// Description is one sentence about the client.
func (c *Client) Description() string { return c.spec.Description }

// URL is the address of the client's front page.
func (c *Client) URL() string { return c.base.String() }

// API is what the client's own API is about.
func (c *Client) API() API { return c.spec.API }

// Credentials are what Connect was told last, also in an earlier run.
func (c *Client) Credentials() Credentials { return c.keep.of(c.spec.Name).Own }

// Connect tells the client what the identity provider gave it, and keeps it.
func (c *Client) Connect(given Credentials) error {
	return c.keep.change(c.spec.Name, func(one *kept) { one.Own = given })
}

func (c *Client) at(path string) string { return c.base.JoinPath(path).String() }

// callbackURI is where answers go. A native app's has no port here: it gets one at each sign-in.
func (c *Client) callbackURI() string {
	if c.spec.Kind == KindNative {
		return "http://127.0.0.1/callback"
	}
	return c.at("callback")
}

// signsIn are the credentials that people sign in with: of a gateway those of its partner's client.
func (c *Client) signsIn() Credentials {
	if c.spec.Kind == KindGateway {
		return c.keep.of(c.spec.Name).Partner
	}
	return c.Credentials()
}

// endpoints are those of the discovery document that go-oidc does not read.
type endpoints struct {
	Introspection string `json:"introspection_endpoint"`
	Registration  string `json:"registration_endpoint"`
	Revocation    string `json:"revocation_endpoint"`
	EndSession    string `json:"end_session_endpoint"`
	UserInfo      string `json:"userinfo_endpoint"`
}

// party is the client towards an identity provider whose discovery document was just read.
type party struct {
	endpoints
	provider *oidc.Provider
	config   oauth2.Config
}

const callTimeout = 10 * time.Second

var errNotConnected = errors.New("this app has no client id yet")

// provider reads the discovery document. Redirect is where the answer of a sign-in goes.
func (c *Client) provider(ctx context.Context, own Credentials, redirect string) (*party, error) {
	if own.ClientID == "" {
		return nil, errNotConnected
	}
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), &http.Client{Timeout: callTimeout}), c.issuer)
	if err != nil {
		return nil, err
	}
	p := &party{provider: provider}
	if err := provider.Claims(&p.endpoints); err != nil {
		return nil, err
	}
	p.config = oauth2.Config{ClientID: own.ClientID, ClientSecret: own.Secret, Endpoint: provider.Endpoint(), RedirectURL: redirect, Scopes: c.spec.Scopes}
	p.config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader // never both: a code is good once
	if own.Secret == "" {
		p.config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return p, nil
}

// handler mounts the client's pages, and its API where it has one.
func (c *Client) handler() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", c.front)
	pages.HandleFunc("GET /signin", c.signIn) // also where a portal begins (OpenID Connect Core 1.0, section 4)
	pages.HandleFunc("GET /callback", c.callback)
	pages.HandleFunc("GET /signed-out", c.signedOut)
	pages.HandleFunc("POST /call", c.call)
	pages.HandleFunc("POST /renew", c.renew)
	pages.HandleFunc("POST /signout", c.signOut)
	pages.HandleFunc("POST /register", c.register)
	guard := http.NewCrossOriginProtection()
	mux := http.NewServeMux()
	mux.Handle("/", guard.Handler(pages))
	if things := c.spec.API.Things; things != "" {
		mux.HandleFunc("GET /api/"+things, c.serveAPI)
	}
	mux.HandleFunc("POST /backchannel-logout", c.told)
	return http.MaxBytesHandler(mux, bodyLimit)
}

func (c *Client) close() { c.visits.close() }
