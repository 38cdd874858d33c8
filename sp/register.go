package sp

import (
	"cmp"
	"crypto/subtle"
	"slices"
	"strings"
	"time"
	"unicode"
)

// OpenParent stands in App.Parent for the clients that registered without an initial access token: nobody answers for them.
const OpenParent = "open"

// MaxChildren bounds the clients under one parent that are not removed, and those under none.
const MaxChildren = 1000

// Bounds of the clients that registered under none and that no administrator let in: so many from one network, and for so long.
const (
	MaxWaiting = 100
	WaitsFor   = 7 * 24 * time.Hour
)

// Prefixes of the tokens of registration, by which people and scanners know what they found. What follows is the client id, whose
// app holds the hash, and the secret part.
const (
	initialPrefix    = "gir_"
	managementPrefix = "grm_"
)

// NewInitialToken makes the initial access token (RFC 7591, 1.2) by which clients register under the app; the one before is good no
// longer. An app that sees its first one may ask about the tokens of those clients, unless an administrator said what it may.
func (a *App) NewInitialToken(now time.Time) string {
	if a.Credentials.Initial == nil && a.Policy.Introspect == "" {
		a.Policy.Introspect = IntrospectChild
	}
	return a.newToken(&a.Credentials.Initial, initialPrefix, now)
}

// NewManagementToken makes the registration access token of a client (RFC 7592); the one before is good no longer.
func (a *App) NewManagementToken(now time.Time) string {
	return a.newToken(&a.Credentials.Management, managementPrefix, now)
}

func (a *App) newToken(at **Secret, prefix string, now time.Time) string {
	token := prefix + a.Credentials.ClientID + "_" + RandomSecret()
	*at = &Secret{Hash: hashSecret(token), Created: now}
	return token
}

// ClientOfInitial is the client id that an initial access token names; empty: it is none. Whether it is good says IsInitial.
func ClientOfInitial(token string) string {
	rest, ok := strings.CutPrefix(token, initialPrefix)
	if client, _, cut := strings.Cut(rest, "_"); ok && cut {
		return client
	}
	return ""
}

// IsInitial tells whether a token is the app's initial access token.
func (c *Credentials) IsInitial(token string) bool { return c.Initial.is(token) }

// IsManagement tells whether a token is the client's registration access token.
func (c *Credentials) IsManagement(token string) bool { return c.Management.is(token) }

func (s *Secret) is(token string) bool {
	return s != nil && subtle.ConstantTimeCompare([]byte(hashSecret(token)), []byte(s.Hash)) == 1
}

// Inherit is the policy of a client that registers under the app: the parent's, without what is the parent's alone. It asks for no
// more scopes than the parent may and none of Gatehouse's own API, acts as nobody, and people are asked for their consent even where the parent needs none.
func (a *App) Inherit() Policy {
	p := a.Policy
	p.RunAs, p.Introspect, p.RegistrationApproval = "", "", ""
	p.Affiliation, p.MayMapTo = "", nil
	if p.Consent != ConsentAlways {
		p.Consent = ""
	}
	p.Scopes = slices.DeleteFunc(a.AllowedScopes(), IsAPIScope)
	return p
}

// NewChild is a client as it registers, before its metadata is applied: under a parent, or under none, whose clients wait, with
// nobody permitted.
func NewChild(parent *App, now time.Time) App {
	child := New("", Definition{OAuth: &OAuth{}}, PermitPreauthorized, OpenParent, now)
	child.Parent, child.State = OpenParent, Pending
	child.Policy.Scopes = StandardScopes()
	if parent != nil {
		child.Parent, child.CreatedBy, child.Policy = parent.ID, parent.ID, parent.Inherit()
		if !parent.ApprovesClients() {
			child.State = Active
		}
	}
	return child
}

// IsGateway tells whether the app has a use without a grant of its own: it may ask about the tokens of others, or register clients.
func (a *App) IsGateway() bool {
	return a.Credentials.Initial != nil || a.ApprovesClients() || cmp.Or(a.Policy.Introspect, IntrospectOwn) != IntrospectOwn
}

// ApprovesClients tells whether the clients under the app wait for an administrator.
func (a *App) ApprovesClients() bool { return a.Policy.RegistrationApproval == "required" }

// Register makes the app what the metadata says, whatever it was before, as far as it is the client's to say. What an administrator
// set beside it stays. Scopes beyond the policy are left out. Problems are *SettingError.
func (a *App) Register(r *Registration) error {
	values, next := r.Settings(), *a
	if values["name"] == "" {
		values["name"] = a.Credentials.ClientID
	}
	if strings.ContainsFunc(r.ClientName, func(c rune) bool { return unicode.Is(unicode.Cf, c) }) {
		return &SettingError{"name", unseenText}
	}
	if r.LogoURI != "" { // a picture in the metadata itself is for administrators
		if err := CheckAddress(r.LogoURI); err != nil {
			return &SettingError{"logo_url", "the address " + err.Error()}
		}
	}
	before := a.Definition.OAuth
	if kept := before.Unattended(r.GrantTypes); kept != "" {
		return &SettingError{"oauth.grant_types", kept + " is for apps that an administrator gives it to"}
	}
	next.Definition = Definition{
		Description: a.Definition.Description, Platform: a.Definition.Platform, CustomAttributes: a.Definition.CustomAttributes,
		OAuth: &OAuth{RequirePKCE: before.RequirePKCE, AccessTokenFormat: before.AccessTokenFormat, AccessTokenLifetime: before.AccessTokenLifetime, IDTokenLifetime: before.IDTokenLifetime},
	}
	scopes, err := a.mayHave(strings.Fields(r.Scope))
	if err != nil {
		return err
	}
	values["oauth.scopes"] = formatList(scopes)
	if err := next.Apply(values); err != nil {
		return err
	}
	*a = next
	return nil
}

// mayHave are the scopes that a client gets of those that it asks for; of a client that names none, all that it may have.
func (a *App) mayHave(asked []string) ([]string, error) {
	bound := a.Policy.Scopes
	if bound == nil { // an administrator lifted the bound, which is nothing that a client can make use of by itself
		bound = a.AllowedScopes()
	}
	if len(asked) == 0 {
		asked = bound
	}
	kept := slices.DeleteFunc(slices.Clone(asked), func(s string) bool { return !slices.Contains(bound, renamed(s)) })
	if len(kept) == 0 {
		return nil, &SettingError{"oauth.scopes", "none of the scopes is allowed: ask for some of " + strings.Join(bound, " ")}
	}
	return kept, nil
}

func renamed(scope string) string {
	if scope == ScopeRefresh {
		return ScopeOffline
	}
	return scope
}

// Registered is the client's metadata as it holds, with what is there by default (RFC 7591, 3.2.1).
func (a *App) Registered() *Registration {
	o := a.Definition.OAuth
	r := &Registration{
		ClientName: a.Definition.Name, ClientURI: a.Definition.StartURL, LogoURI: a.Definition.LogoURL,
		PolicyURI: a.Definition.PrivacyURL, TermsURI: a.Definition.TermsURL, RedirectURIs: o.RedirectURIs,
		GrantTypes: o.Grants(), ResponseTypes: o.ResponseTypes, Scope: strings.Join(a.AllowedScopes(), " "), AuthMethod: o.Method(),
		ApplicationType: cmp.Or(o.ApplicationType, TypeWeb), JWKS: o.JWKS, JWKSURI: o.JWKSURI, PostLogoutRedirectURIs: o.PostLogoutRedirectURIs,
		BackChannelLogoutURI: o.BackChannelLogoutURI, FrontChannelLogoutURI: o.FrontChannelLogoutURI, SubjectType: o.Subject(), SectorURI: o.SectorURI,
		InitiateLoginURI: o.InitiateLoginURI, IDTokenAlgorithm: o.SigningAlgorithm(), UserInfoAlgorithm: o.UserInfoAlgorithm,
		RequirePAR: o.NeedsPAR(), RequireDPoP: o.NeedsDPoP(),
		BindCertificates: o.BindsCertificates(), TLSSubject: o.TLSSubject,
	}
	if a.Definition.Contact != "" {
		r.Contacts = strings.Split(a.Definition.Contact, ", ")
	}
	if o.ResponseTypes == nil && o.Allows(GrantCode) {
		r.ResponseTypes = []string{ResponseCode}
	}
	return r
}
