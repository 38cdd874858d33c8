// Package flow is the road: every request to enter an app goes begin → decide → resume → finish, whatever its protocol.
//
//	protocol handler ── Begin ──► Next ──► Issue or Refuse in one Update ──► the protocol writes the answer
//	                                │
//	                                └─► a step is missing: the Request waits, the browser goes to /login, … and comes
//	                                    back to /flow/{id} ── Resume ──► Next again
//
// Only the Engine issues or refuses, and only Next decides. The package must not know a protocol's messages, nor how a step
// looks: steps and protocols know the road, never each other. Read next.go for the decision, engine.go for the road.
package flow

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// Lifetime is how long a waiting Request can be resumed.
const Lifetime = 10 * time.Minute

// Request is one wish to enter an app, formed by a protocol. While it waits for a step it is a record, and only the token
// whose hash is its ID travels through the browser.
type Request struct {
	ID        string    `json:"id"`       // hex SHA-256 of the travelling token
	Protocol  string    `json:"protocol"` // key of Engine.Protocols
	App       string    `json:"app"`      // app id
	Start     string    `json:"start"`    // who started it: "SP", "IdP", "portal", …; for the audit
	Demand    Demand    `json:"demand"`
	Passive   bool      `json:"passive,omitempty"`    // no page may be shown
	Subject   string    `json:"subject,omitempty"`    // the user id that it must be, if the request names one
	LoginHint string    `json:"login_hint,omitempty"` // prefills the name, nothing more
	Once      string    `json:"once,omitempty"`       // a name that may be answered only once, such as issuer and request id
	OnceUntil time.Time `json:"once_until,omitzero"`
	Payload   []byte    `json:"payload,omitempty"` // the protocol's own
	Address   string    `json:"address"`
	Browser   string    `json:"browser,omitempty"` // hash of the browser cookie it is bound to; empty: not yet claimed
	Created   time.Time `json:"created"`
	Expires   time.Time `json:"expires"`

	ConsentAfter time.Time `json:"consent_after,omitzero"` // an older consent does not count (prompt=consent)
	Redirects    bool      `json:"redirects,omitempty"`    // the answer is a redirect away, to which browsers apply the form-action of the page before
	Device       *Device   `json:"device,omitempty"`       // the answer is for a device that waits elsewhere
}

// Demand is what the request asks of the sign-in.
type Demand struct {
	MinLevel  sp.Level  `json:"min_level,omitempty"`
	AuthAfter time.Time `json:"auth_after,omitzero"` // ForceAuthn, max_age
}

// Requests holds the waiting requests.
var Requests = &store.Table[Request]{
	Name:    "flow",
	Version: 1,
	Key:     func(r *Request) string { return r.ID },
	Lists:   map[string]func(*Request) []string{"network": func(r *Request) []string { return []string{audit.Network(r.Address)} }},
	Expires: func(r *Request) time.Time { return r.Expires },
}

// Answered is the record of a request name that was answered and must not be answered again before Until.
type Answered struct {
	Name  string    `json:"name"`
	Until time.Time `json:"until"`
}

// AnsweredOnce holds the names of Request.Once that were used.
var AnsweredOnce = &store.Table[Answered]{
	Name:    "answered",
	Version: 1,
	Key:     func(a *Answered) string { return a.Name },
	Expires: func(a *Answered) time.Time { return a.Until },
}

// Facts are all that Next reads. Nil means: there is none.
type Facts struct {
	Request   *Request
	App       *sp.App
	Session   *session.Session
	User      *directory.User
	Profile   *directory.Profile
	Settings  *directory.Settings
	Access    *grants.Access  // on request
	Granted   []grants.Access // of a visitor: to which apps
	Consent   *grants.Consent // what this person agreed to, where Asks needs it
	Asks      []string        // what the app will be told or may do, where that takes the person's consent
	Address   netip.Addr
	Now       time.Time
	Reachable sp.Level    // the highest level that this person could sign in with here
	Elsewhere Elsewhere   // what signing in at other identity providers can do
	Second    bool        // the person has a second factor
	Enrols    bool        // people may set one up themselves
	PutOff    time.Time   // until when a person who put that off may do without
	Refresh   *sp.Refresh // of a decision about a refresh token
	Strict    bool        // no relaxation of addresses counts: nobody is there, and never was
}

// Elsewhere is what signing in at other identity providers can do.
type Elsewhere struct {
	Alone bool     // people sign in at a single one and not here, so it can be asked without a page
	Level sp.Level // the highest that this person could be given there; empty: no identity provider would bring them
	Known bool     // one of those brought them before, or nobody signs in here
}

// SessionTimeout is how long the app may keep its session or an opaque token: as its policy says, else the person's profile;
// zero when neither does.
func (f *Facts) SessionTimeout() time.Duration {
	if limit := f.App.Policy.SessionTimeout; limit > 0 || f.Profile == nil {
		return limit
	}
	return f.Profile.SessionTimeout
}

// Pass is what a protocol gets to build its answer from: the facts that were decided on, the verdict, and two records that
// the Engine commits with the answer and that the protocol may complete.
type Pass struct {
	*Facts
	Verdict sp.Verdict
	Event   *audit.Event        // the protocol adds its own facts (request id, NameID format, …)
	Reached *session.AppReached // of an issue: what logout will need
}

// Answer is a protocol's finished work: Commit (may be nil) runs inside the finishing transaction and may run more than
// once; Write runs after the commit, and only then.
type Answer struct {
	Commit func(store.Tx) error
	Write  func(w http.ResponseWriter, r *http.Request) error
}

// Protocol turns decisions into messages. Its methods may be called again when the facts changed meanwhile. Issue and Refuse
// run outside any transaction; an error means that no answer can be given and becomes an error page. Asks names what an answer
// would tell the app or let it do, for the person to agree to: nil where the app's policy asks for no consent.
type Protocol interface {
	Asks(facts *Facts) []string
	Issue(ctx context.Context, pass *Pass) (Answer, error)
	Refuse(ctx context.Context, pass *Pass, reason Reason) (Answer, error)
}

// Reason says why a request is refused.
type Reason struct {
	Type   string            // typed, for audit and traces: an sp.Rule or one of the constants below
	Text   string            // for the person: what happened and what to do
	Detail string            // for the admin
	Facts  map[string]string // for the admin: expected, received, …
	Status string            // the protocol's own code, when the protocol itself refuses
	SignIn bool              // nobody was signed in, whatever the app would have said
	Err    error             // for the log
}

// Reasons of the road itself; the rules of sp.Policy add theirs.
const (
	ReasonUnknownApp      = "unknown_app"
	ReasonAppBlocked      = "app_blocked"
	ReasonMetadataExpired = "metadata_expired"
	ReasonAppPending      = "app_pending"
	ReasonNoPassive       = "no_passive"
	ReasonWrongSubject    = "unknown_principal"
	ReasonLevel           = "level_unreachable"
	ReasonReplay          = "replayed_request"
	ReasonExpired         = "expired_flow"
	ReasonOtherBrowser    = "other_browser"
	ReasonTooManyWaiting  = "too_many_waiting"
	ReasonEmbedded        = "embedded"
	ReasonCancelled       = "cancelled"
	ReasonBusy            = "changed_meanwhile"
)
