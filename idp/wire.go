package idp

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"gatehouse/certs"
	"gatehouse/idp/admin"
	"gatehouse/idp/audit"
	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/oauth"
	"gatehouse/idp/outbound"
	"gatehouse/idp/portal"
	"gatehouse/idp/recovery"
	"gatehouse/idp/saml"
	"gatehouse/idp/scim"
	"gatehouse/idp/session"
	"gatehouse/idp/signin"
	"gatehouse/idp/upstream"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// Server is a wired Gatehouse. Make it with New, serve with Run.
type Server struct {
	config    Config
	kit       *web.Kit
	directory *directory.Directory
	factors   *directory.SecondFactors
	sessions  *session.Keeper
	audit     *audit.Log
	keys      *certs.Keyring
	engine    *flow.Engine
	signin    *signin.Handlers
	portal    *portal.Handlers
	desk      *recovery.Desk
	saml      *saml.Handlers
	oauth     *oauth.Handlers
	relying   *oauth.Relying
	admin     *admin.Admin
	scim      *scim.Handlers
	outbox    *outbound.Outbox
	metadata  *federation.Keeper
	settings  store.Cache[directory.Settings]
}

// tables are all that this Gatehouse keeps, for the check of schema versions.
func tables() []store.Check {
	return []store.Check{
		sp.Apps, session.Table, flow.Requests, flow.AnsweredOnce, flow.Logouts, outbound.Rows, directory.Users, directory.Profiles, directory.PermissionSets,
		directory.Groups, directory.Credentials, directory.Activities, directory.Factors, directory.Links, directory.SettingsTable, directory.Logos, sp.Attempts, grants.Consents, grants.Accesses, grants.Requests, grants.AllGone, grants.APITokens, saml.Links, saml.Artifacts, certs.Rings, certs.Keys, certs.SealChecks, certs.Secrets, certs.Notices, sp.Fetches, sp.Logos, federation.Upstreams, upstream.Inquiries, upstream.Links,
		grants.AllGrants, grants.Codes, grants.AccessTokens, grants.RefreshTokens, grants.Eras, grants.Devices, grants.AllPushed, sp.Scopes, sp.SecretUses,
		federation.Sources, federation.Entities, federation.Documents, federation.Follows, audit.AppUses, audit.UsageDays, audit.PersonUses, audit.Counted,
		directory.AllSources,
	}
}

// prepare checks the templates and the store's schema, and makes what a new store needs: the built-in apps and a key.
func (s *Server) prepare(ctx context.Context) error {
	if err := templates.Check(); err != nil {
		return err
	}
	if err := store.Prepare(ctx, s.config.Store, tables()...); err != nil {
		return err
	}
	s.keys = &certs.Keyring{Seal: s.config.Sealer, Now: s.config.Now}
	codes, err := s.keys.Secret(ctx, s.config.Store, "audit-codes")
	if err != nil {
		return err
	}
	s.audit = &audit.Log{Node: s.config.Node, Key: codes, Now: s.config.Now}
	base, err := url.Parse(s.config.BaseURL)
	if err != nil {
		return err
	}
	if err := s.keys.Ensure(ctx, s.config.Store, base.Hostname()); err != nil {
		return fmt.Errorf("making the first signing key: %w", err)
	}
	return s.config.Store.Update(ctx, s.addBuiltins)
}

// addBuiltins adds the built-in apps that are missing, each with its audit entry.
func (s *Server) addBuiltins(tx store.Tx) error {
	for _, app := range flow.BuiltinApps() {
		revision, err := sp.Apps.Revision(tx, app.ID)
		if err != nil {
			return err
		}
		if revision != 0 {
			continue
		}
		app.Created = s.config.Now()
		app.Changed = app.Created
		if err := sp.Apps.Put(tx, &app); err != nil {
			return err
		}
		event := audit.Event{Kind: "app.add", Outcome: audit.OK, Actor: "system", App: app.ID}
		if _, err := s.audit.Append(tx, event); err != nil {
			return err
		}
	}
	return nil
}

// wire builds the parts in the order in which they need each other.
func (s *Server) wire(ctx context.Context) error {
	c := s.config
	s.directory = directory.New(c.Store, c.Now)
	s.factors = directory.NewSecondFactors(c.Store, c.Now, c.Sealer, c.BaseURL)
	if c.Breached != "" {
		breached, err := directory.OpenBreached(c.Breached)
		if err != nil {
			return fmt.Errorf("the list of breached passwords: %w", err)
		}
		s.directory.Breached = breached
	}
	s.sessions = &session.Keeper{Now: c.Now}
	s.kit = &web.Kit{
		Log: c.Log, Now: c.Now, Proxies: c.Proxies, Origin: c.BaseURL, CertificateHeader: c.MTLS.Header, Cookies: web.Cookies{Secure: web.IsHTTPS(c.BaseURL)},
		Brand: s.brand, Guard: s.guard, Home: home,
		Busy: func(err error) bool { return errors.Is(err, store.ErrBusy) || errors.Is(err, directory.ErrBusy) },
	}
	s.engine = &flow.Engine{
		Store: c.Store, Sessions: s.sessions, Audit: s.audit, Strangers: &audit.Limiter{Now: c.Now},
		Cookies: s.kit.Cookies, Reachable: sp.Standard, Now: c.Now,
	}
	names, err := s.keys.Secret(ctx, c.Store, "nameid")
	if err != nil {
		return err
	}
	sources := &claims.Evaluator{}
	client := outbound.NewFetcher(c.Fetch)
	s.saml = &saml.Handlers{
		SOAP: client,
		Kit:  s.kit, Engine: s.engine, Store: c.Store, Keys: s.keys, BaseURL: c.BaseURL, Now: c.Now,
		Claims: sources, NameIDKey: names,
	}
	s.kit.Record = s.engine.Record
	subjects, err := s.keys.Secret(ctx, c.Store, "oauth-subject")
	if err != nil {
		return err
	}
	s.oauth = &oauth.Handlers{Engine: s.engine, Store: c.Store, Keys: s.keys, Claims: sources, Fetch: client, Passwords: s.directory, SubjectKey: subjects, BaseURL: c.BaseURL, MTLS: c.MTLS.clients(), Now: c.Now}
	s.oauth.Lends, s.engine.Caller = admin.Lends, s.oauth.Caller
	s.engine.ProtocolOf = func(app *sp.App) string {
		switch {
		case app.Definition.SAML != nil:
			return saml.Protocol
		case app.Definition.OAuth != nil:
			return oauth.Protocol
		}
		return flow.BuiltinProtocol
	}
	s.desk = &recovery.Desk{
		Store: c.Store, Directory: s.directory, Engine: s.engine, Mailer: &outbound.Mailer{}, Seal: c.Sealer.Seal, Open: c.Sealer.Open,
		BaseURL: c.BaseURL, Now: c.Now,
	}
	s.outbox = &outbound.Outbox{Store: c.Store, Now: c.Now, Senders: map[string]outbound.Sender{flow.OutboxKind: s.engine, saml.OutboxKind: &saml.NameSender{Handlers: s.saml}, recovery.MailKind: s.desk, recovery.RecoveryKind: s.desk.Wishes()}}
	devices := &oauth.Devices{Handlers: s.oauth}
	s.engine.Protocols = map[string]flow.Protocol{saml.Protocol: s.saml, oauth.Protocol: s.oauth, oauth.DeviceProtocol: devices, flow.BuiltinProtocol: flow.Builtin{}}
	s.signin = &signin.Handlers{
		Kit: s.kit, Engine: s.engine, Store: c.Store, Directory: s.directory, Factors: s.factors, Sessions: s.sessions, Audit: s.audit, Desk: s.desk,
	}
	s.saml.Result, s.saml.Basic = s.signin.Result, s.signin.Basic
	s.oauth.Result, s.oauth.Confirm, s.oauth.Post = s.signin.Result, s.signin.AskFor, client
	if err := s.wireUpstreams(ctx); err != nil {
		return err
	}
	s.signin.Device = devices.Confirm
	s.portal = &portal.Handlers{
		Kit: s.kit, Engine: s.engine, Store: c.Store, Directory: s.directory, Sessions: s.sessions, Audit: s.audit,
		Desk: s.desk, SAML: s.saml, Begins: s.oauth.Begins, Fetch: client, IsAdmin: admin.IsAdmin, Passkeys: s.factors.Passkeys(),
	}
	s.metadata = &federation.Keeper{Store: c.Store, Audit: s.audit, Fetch: client, Own: s.ownEntityID, BaseURL: c.BaseURL, Now: c.Now}
	s.admin = admin.New(admin.Deps{
		Kit: s.kit, Engine: s.engine, Store: c.Store, Directory: s.directory, Factors: s.factors, Sessions: s.sessions, Audit: s.audit,
		Keys: s.keys, Fetcher: client, Sources: s.metadata, IdP: s.saml, ProviderKeys: s.relying.ProviderKeys, CheckSource: sources.Validate, CheckSector: s.oauth.CheckSector, RenewName: s.saml.RenewName, Desk: s.desk, Seal: c.Sealer.Seal, BaseURL: c.BaseURL, Now: c.Now,
	})
	s.directory.LDAP = &directory.LDAP{Open: c.Sealer.Open, Told: s.admin.Actions.SourceChanged, Now: c.Now}
	s.scim = &scim.Handlers{Store: c.Store, Directory: s.directory, Audit: s.audit, BaseURL: c.BaseURL, Now: c.Now}
	return s.engine.Recount(ctx)
}

// wireUpstreams builds what signs people in at other identity providers, by either protocol.
func (s *Server) wireUpstreams(ctx context.Context) error {
	c := s.config
	desk := &upstream.Desk{Engine: s.engine, Store: c.Store, Now: c.Now, Enter: s.signin.Enter, AddUser: s.directory.AddUser, Allowed: s.saml.Allowed}
	questions, err := s.keys.Secret(ctx, c.Store, "oauth-question")
	if err != nil {
		return err
	}
	s.relying = &oauth.Relying{Handlers: s.oauth, Desk: desk, Seal: c.Sealer.Seal, Open: c.Sealer.Open, Key: questions}
	desk.Askers = map[string]upstream.Asker{"": s.saml, federation.ProtocolOpenID: s.relying}
	s.saml.Desk, s.signin.Ask = desk, desk.Ask
	s.engine.Leavers = map[string]flow.Leaver{saml.Protocol: s.saml, oauth.Protocol: s.relying}
	s.engine.Party = federation.Party
	s.engine.Upstream = func(tx store.Tx, settings *directory.Settings, user *directory.User) (flow.Elsewhere, error) {
		return upstream.Reach(tx, user, settings.TakesPasswords() || settings.TakesPasskeys() && s.factors.Passkeys(), c.Now())
	}
	return nil
}

// ownEntityID is what no app may be called.
func (s *Server) ownEntityID(ctx context.Context) (string, error) {
	return s.admin.Actions.EntityID(ctx)
}

// brand is how the organisation looks, from its settings.
func (s *Server) brand(ctx context.Context) templates.Brand {
	brand := templates.Brand{Name: "Gatehouse"}
	err := s.config.Store.View(ctx, func(tx store.Tx) error {
		settings, _, err := s.settings.Get(tx, directory.SettingsTable, directory.SettingsKey)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if settings.Name != "" {
			brand.Name = settings.Name
		}
		if settings.Logo != "" {
			brand.LogoURL = logoPath + settings.Logo
		}
		brand.Color, brand.SupportContact = settings.Color, settings.SupportContact
		return nil
	})
	if err != nil && ctx.Err() == nil {
		s.config.Log.ErrorContext(ctx, "reading the organisation's settings", "error", err)
	}
	return brand
}
