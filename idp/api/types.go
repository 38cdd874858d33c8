// Package api owns what travels between the server and those who manage it: the wire types, the unix socket
// DIR/gatehouse.sock with its peer credentials, and the Client that the command line and the tests use.
//
// It knows no record, no store and no policy, and imports only the standard library. Read types.go for the words,
// socket.go for the transport, client.go for the one function that every call goes through.
package api

import "time"

// Root is the path under which the API lives.
const Root = "/api/v1"

// List is a page of items; Next, when set, is what to send as `after` for the next page.
type List[T any] struct {
	Items []T    `json:"items"`
	Next  string `json:"next,omitempty"`
}

// Ref names another record.
type Ref struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Warning is something about an app that a person should look at; it forbids nothing.
type Warning struct {
	Code     string `json:"code"`
	Text     string `json:"text"`
	Severity string `json:"severity,omitempty"` // info: needs no action; caution: may
}

// WarnNobody is the code of the warning that an app's policy lets nobody in.
const WarnNobody = "nobody_permitted"

// Difference is one thing that newer metadata changes; an empty Before is an addition, an empty After a removal.
type Difference struct {
	Field  string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Setting is one key of an app, a person or the organisation, with its value as `set` takes it.
type Setting struct {
	Key       string   `json:"key"`
	Value     string   `json:"value"`
	IsDefault bool     `json:"is_default"` // nothing is set; Value is what holds then
	Label     string   `json:"label,omitempty"`
	Help      string   `json:"help,omitempty"`
	Kind      string   `json:"kind,omitempty"`
	Options   []string `json:"options,omitempty"`
	Default   string   `json:"default,omitempty"` // in words

	Words map[string]string `json:"words,omitempty"` // what each option does
}

// Change sets keys; the value `default` undoes one. Force makes a change that shuts its author out, or after which an app's
// policy lets nobody in.
type Change struct {
	Set   map[string]string `json:"set"`
	Force bool              `json:"force,omitempty"`
}

// ApproveApp says which state of a pending app was looked at: its Changed. One that changed since is not approved; without it any is.
type ApproveApp struct {
	Seen time.Time `json:"seen,omitzero"`
}

// App is a connected app. SAML and Settings are filled when one app is shown, not in lists.
type App struct {
	ID             string    `json:"id"`
	Name           string    `json:"name"`
	Description    string    `json:"description,omitempty"`
	LogoURL        string    `json:"logo_url,omitempty"`
	State          string    `json:"state"` // pending, active, blocked, removed
	Builtin        bool      `json:"builtin,omitempty"`
	EntityID       string    `json:"entity_id,omitempty"`
	ClientID       string    `json:"client_id,omitempty"`
	PermittedUsers string    `json:"permitted_users"`
	Permitted      int       `json:"permitted"` // profiles, permission sets, groups and users that are named
	Created        time.Time `json:"created,omitzero"`
	CreatedBy      string    `json:"created_by"`
	Changed        time.Time `json:"changed,omitzero"`
	SAML           *SAML     `json:"saml,omitempty"`
	OAuth          *OAuth    `json:"oauth,omitempty"`
	Settings       []Setting `json:"settings,omitempty"`
	Warnings       []Warning `json:"warnings,omitempty"` // about the app as it is
}

// SAML is what an app's metadata says.
type SAML struct {
	EntityID       string        `json:"entity_id"`
	SourceURL      string        `json:"source_url,omitempty"`
	Source         string        `json:"source,omitempty"` // the metadata source that it follows
	ValidUntil     time.Time     `json:"valid_until,omitzero"`
	ACS            []Endpoint    `json:"acs"`
	SLO            []Endpoint    `json:"slo,omitempty"`
	Certificates   []Certificate `json:"certificates,omitempty"`
	NameIDFormats  []string      `json:"nameid_formats,omitempty"`
	Requested      []string      `json:"requested_attributes,omitempty"`
	RequestsSigned bool          `json:"authn_requests_signed,omitempty"`
	DisplayName    string        `json:"display_name,omitempty"`
	LogoURL        string        `json:"logo_url,omitempty"`
}

// Endpoint is an assertion consumer or logout service.
type Endpoint struct {
	Binding  string `json:"binding"`
	Location string `json:"location"`
	Index    *int   `json:"index,omitempty"`
	Default  bool   `json:"default,omitempty"`
}

// Certificate is a key of an app; NotAfter is zero and Subject empty for a bare public key.
type Certificate struct {
	Use         string    `json:"use,omitempty"` // signing, encryption; empty: both
	Subject     string    `json:"subject,omitempty"`
	NotAfter    time.Time `json:"not_after,omitzero"`
	Fingerprint string    `json:"sha256"`
}

// Package is the definition of an app as it travels to another organisation: no policy, no credentials, no ids. Settings are in
// the form that Set takes; Metadata is the app's SAML metadata, if it uses SAML. An OAuth client has settings that begin with "oauth.".
type Package struct {
	Format   string            `json:"format"` // gatehouse-app
	Version  int               `json:"version"`
	Settings map[string]string `json:"settings"`
	Metadata string            `json:"metadata,omitempty"`
}

// NewApp asks for a new app in one of four forms: Metadata (XML, or a Package as JSON), URL (fetched by the server), EntityID and
// Source (a metadata source), or EntityID and ACS; or OAuth: client metadata as JSON (RFC 7591), for a new app. To is the app that gets the second protocol, OAuth or SAML, beside the one that it has. Replace upgrades the app that has the entity id already,
// or the app To by a package that has none.
type NewApp struct {
	Metadata string            `json:"metadata,omitempty"`
	URL      string            `json:"url,omitempty"`
	EntityID string            `json:"entity_id,omitempty"`
	ACS      string            `json:"acs,omitempty"`
	Source   string            `json:"source,omitempty"`
	OAuth    string            `json:"oauth,omitempty"`
	To       string            `json:"to,omitempty"`
	Name     string            `json:"name,omitempty"`
	Set      map[string]string `json:"set,omitempty"`
	Replace  bool              `json:"replace,omitempty"`
}

// AddedApp is the app as it is now, or, of a preview, as it would be.
type AddedApp struct {
	App         App          `json:"app"`
	Warnings    []Warning    `json:"warnings"` // about the metadata and the app
	Replaced    bool         `json:"replaced,omitempty"`
	Differences []Difference `json:"differences,omitempty"` // of a replaced app

	ClientID     string `json:"client_id,omitempty"`
	ClientSecret string `json:"client_secret,omitempty"` // shown this once
}

// Attempt is an app that is not connected and that signed-in people came from. Identifier is text from outside.
type Attempt struct {
	Identifier string    `json:"identifier"`
	Protocol   string    `json:"protocol"`
	Count      int       `json:"count"`
	First      time.Time `json:"first"`
	Last       time.Time `json:"last"`
	User       Ref       `json:"user"`              // the last one
	Sources    []string  `json:"sources,omitempty"` // metadata sources that know it
}

// User is a person.
type User struct {
	ID             string              `json:"id"`
	Name           string              `json:"name"`
	DisplayName    string              `json:"display_name,omitempty"`
	Email          string              `json:"email,omitempty"`
	GivenName      string              `json:"given_name,omitempty"`
	Surname        string              `json:"surname,omitempty"`
	Status         string              `json:"status"` // active, disabled
	Profile        Ref                 `json:"profile"`
	PermissionSets []Ref               `json:"permission_sets"`
	Groups         []Ref               `json:"groups"`
	Roles          []string            `json:"roles"`
	Attributes     map[string][]string `json:"attributes,omitempty"`
	Created        time.Time           `json:"created"`
	Changed        time.Time           `json:"changed"`
	LastSignIn     time.Time           `json:"last_sign_in,omitzero"`
	Source         string              `json:"source,omitempty"`      // name of the directory source; empty: local
	ExternalID     string              `json:"external_id,omitempty"` // there
	Gone           bool                `json:"gone,omitempty"`        // disabled because the source has the person no more
	Factors        []Factor            `json:"factors,omitempty"`     // when one person is shown, not in lists
}

// Factor is a second factor, a passkey, or the set of recovery codes of a person.
type Factor struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"` // totp, passkey, recovery
	Name     string    `json:"name"`
	Created  time.Time `json:"created"`
	LastUsed time.Time `json:"last_used,omitzero"`
	Left     int       `json:"left,omitempty"` // recovery codes
}

// TOTP is an authenticator app that was given to a person; URI holds its seed and is told once.
type TOTP struct {
	ID  string `json:"id"`
	URI string `json:"uri"`
}

// NewUser asks for a new person. Profile, permission sets and groups are ids or names. Without a Password the person
// cannot sign in until one is set.
type NewUser struct {
	Name           string   `json:"name"`
	Email          string   `json:"email"`
	DisplayName    string   `json:"display_name,omitempty"`
	GivenName      string   `json:"given_name,omitempty"`
	Surname        string   `json:"surname,omitempty"`
	Password       string   `json:"password,omitempty"`
	Profile        string   `json:"profile,omitempty"`
	PermissionSets []string `json:"permission_sets,omitempty"`
	Groups         []string `json:"groups,omitempty"`
	Roles          []string `json:"roles,omitempty"`

	Attributes map[string][]string `json:"attributes,omitempty"`
}

// Invitation is the one-time link by which a person chooses the first password.
type Invitation struct {
	User    User      `json:"user"`
	URL     string    `json:"url"`
	Expires time.Time `json:"expires"`
	Mailed  bool      `json:"mailed"` // it is on its way by e-mail too
}

// TestMail says to which address a mail is to be sent.
type TestMail struct {
	To string `json:"to"`
}

// Password is a new password for a person.
type Password struct {
	Password string `json:"password"`
}

// Profile is the one profile of a person; permission sets and groups have the same form without Limits. Limits are those that
// are set, of ip_ranges, login_hours, session_timeout, session.idle and session.max. Members stops at 1,000.
type Profile struct {
	ID      string            `json:"id"`
	Name    string            `json:"name"`
	Limits  map[string]string `json:"limits,omitempty"`
	Members int               `json:"members"`
}

// Named asks for a new profile, permission set or group; Limits are of a profile.
type Named struct {
	Name   string            `json:"name"`
	Limits map[string]string `json:"limits,omitempty"`
}

// Session is one signed-in browser.
type Session struct {
	Handle  string    `json:"handle"`
	User    Ref       `json:"user"`
	Level   string    `json:"level"`
	Started time.Time `json:"started"`
	Seen    time.Time `json:"seen"`
	Ends    time.Time `json:"ends"`
	Address string    `json:"address"`
	Agent   string    `json:"agent,omitempty"`
	Apps    []Ref     `json:"apps"`
}

// EndSessions says which sessions end: those of a person, one by its handle, or all. With App they go on without the app, and
// App alone means in every session.
type EndSessions struct {
	User    string `json:"user,omitempty"`
	App     string `json:"app,omitempty"`
	Session string `json:"session,omitempty"`
	All     bool   `json:"all,omitempty"`
}

// NewNameID asks for another persistent name of a person at an app, or for the end of the old one.
type NewNameID struct {
	User string `json:"user"`
	End  bool   `json:"end,omitempty"` // the next sign-on makes a new one
}

// RenewedNameID says whether the app is told, which its metadata must allow.
type RenewedNameID struct {
	Told bool `json:"told"`
}

// Count says how many were concerned.
type Count struct {
	Count int `json:"count"`
}

// AuditEntry is one thing that happened. Names are those of now; a person or app that is gone has its id alone.
type AuditEntry struct {
	Seq     uint64            `json:"seq"`
	Time    time.Time         `json:"time"`
	Kind    string            `json:"kind"`
	Outcome string            `json:"outcome"`
	Reason  string            `json:"reason,omitempty"`
	Code    string            `json:"code"`
	Actor   Ref               `json:"actor"`
	User    Ref               `json:"user"`
	App     Ref               `json:"app"`
	Address string            `json:"address,omitempty"`
	Detail  string            `json:"detail,omitempty"`
	Facts   map[string]string `json:"facts,omitempty"`
	Count   int               `json:"count,omitempty"` // above 1: so many refusals folded into one entry
	Node    string            `json:"node,omitempty"`
	Remedy  string            `json:"remedy,omitempty"` // of Trace alone: what an administrator can change, where something was refused or failed
}

// Explanation tells whether a person would get into an app, and why.
type Explanation struct {
	User    Ref       `json:"user"`
	App     Ref       `json:"app"`
	Outcome string    `json:"outcome"` // allow, step_up, refuse
	Reason  string    `json:"reason,omitempty"`
	Text    string    `json:"text"`
	Address string    `json:"address,omitempty"`
	At      time.Time `json:"at"`
	Rules   []Weighed `json:"rules"`
}

// Weighed is one rule and how it came out: Detail is what it weighed, Remedy what would change its refusal.
type Weighed struct {
	Rule    string `json:"rule"`
	Outcome string `json:"outcome"`
	Detail  string `json:"detail"`
	Remedy  string `json:"remedy,omitempty"`
}

// Reach is one person at one app: what lets them in, and what would happen at their click. Until is when access on request ends.
type Reach struct {
	User    Ref       `json:"user"`
	App     Ref       `json:"app"`
	Through string    `json:"through,omitempty"`
	Until   time.Time `json:"until,omitzero"`
	Outcome string    `json:"outcome"` // allow, step_up, refuse
	Reason  string    `json:"reason,omitempty"`
	Text    string    `json:"text"`
}

// Version is the server's version.
type Version struct {
	Version string `json:"version"`
}
