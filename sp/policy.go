package sp

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Level is how strongly a person is signed in. The zero value is weaker than every named level.
type Level string

// Low is a one-time link or an upstream of unknown strength; Standard is one factor (password, LDAP); High is two factors,
// or a passkey with user verification.
const (
	Low      Level = "low"
	Standard Level = "standard"
	High     Level = "high"
)

var levelRank = map[Level]int{"": 0, Low: 1, Standard: 2, High: 3}

// AtLeast tells whether l is as strong as other or stronger; an unknown level is weaker than all.
func (l Level) AtLeast(other Level) bool { return levelRank[l] >= levelRank[other] }

// Who may use an app: everybody, or only the union of the policy's lists.
const (
	PermitAll           = "all"
	PermitPreauthorized = "preauthorized"
)

// What happens to a session that is too weak, besides "raise", the default: it is refused; or it is raised, but a person without a
// second factor may put off setting one up, for as long as the organisation allows.
const (
	OnLowBlock = "block"
	OnLowGrace = "grace"
)

// ConsentAlways asks each person, the first time and when the app is to be told more.
const ConsentAlways = "always"

// Policy is the admin's part of an app: the `policy.*` keys of the design. A zero value means the documented default, save
// that PermittedUsers is always set when an app is added.
type Policy struct {
	PermittedUsers string         `json:"permitted_users"`
	Profiles       []string       `json:"profiles,omitempty"`        // profile ids
	PermissionSets []string       `json:"permission_sets,omitempty"` // permission set ids
	Groups         []string       `json:"groups,omitempty"`          // group ids
	Users          []string       `json:"users,omitempty"`           // user ids
	Approvers      []string       `json:"approvers,omitempty"`       // user ids: who may grant access on request; empty: nobody can ask
	Consent        string         `json:"consent,omitempty"`         // auto, ConsentAlways, never
	IPRanges       []netip.Prefix `json:"ip_ranges,omitempty"`
	IPRelaxation   string         `json:"ip_relaxation,omitempty"`
	MinLevel       Level          `json:"min_level,omitempty"`    // empty: low
	OnLowLevel     string         `json:"on_low_level,omitempty"` // raise, OnLowBlock, OnLowGrace
	MaxAuthAge     time.Duration  `json:"max_auth_age,omitempty"` // 0: none
	SessionTimeout time.Duration  `json:"session_timeout,omitempty"`
	RefreshToken   string         `json:"refresh_token,omitempty"`
	NotBefore      time.Time      `json:"not_before,omitzero"`
	NotAfter       time.Time      `json:"not_after,omitzero"`
	Scopes         []string       `json:"scopes,omitempty"`
	Attributes     []string       `json:"attributes,omitempty"`  // upper bound; nil: none
	Affiliation    string         `json:"affiliation,omitempty"` // entity id of a group of apps that know people by the same names
	MayMapTo       []string       `json:"may_map_to,omitempty"`  // ids or entity ids of apps whose names of people this one may ask for

	Resources            []string `json:"resources,omitempty"`             // what it may ask tokens for beside Gatehouse (RFC 8707)
	RunAs                string   `json:"run_as,omitempty"`                // user id as whom the app acts with its own credentials alone; empty: it may not
	Introspect           string   `json:"introspect,omitempty"`            // whose tokens it may ask about: own, children, all; empty: own
	RegistrationApproval string   `json:"registration_approval,omitempty"` // none, required: do clients under it wait for an administrator?
}

// Access is one person at one app at one moment: all that Decide weighs.
type Access struct {
	State         State // of the app
	Person        Person
	Grace         bool           // the person put off setting up a second factor, and may do so still
	Granted       time.Time      // until when an approved request lets the person in; zero: there is none
	Session       Evidence       // the zero value: not signed in yet
	Asked         Demand         // what the request itself demands beyond the policy
	Refresh       *Refresh       // nil: a sign-on, with a person at hand
	Strict        bool           // no relaxation of addresses counts
	Address       netip.Addr     // of the browser or the client
	ProfileRanges []netip.Prefix // of the person's profile; empty: anywhere
	Hours         Hours          // login hours of the person's profile; nil: at any time
	Now           time.Time
}

// Hours are login hours: a weekly plan in a time zone.
type Hours interface {
	Open(at time.Time) bool
	String() string
}

// Refresh is the life of the refresh token that is used.
type Refresh struct {
	Issued time.Time
	Used   time.Time // the last time; zero: never
}

// Person is what the policy needs to know of a user.
type Person struct {
	ID             string
	Active         bool
	Profile        string
	PermissionSets []string
	Groups         []string
}

// Evidence is what a session proves.
type Evidence struct {
	Level  Level
	AuthAt time.Time // of the newest credential check
	HighAt time.Time // since when the checks together prove High: the older of two factors; zero: they do not
}

// provedAt is when a level was proved.
func (e Evidence) provedAt(level Level) time.Time {
	if level == High && !e.HighAt.IsZero() {
		return e.HighAt
	}
	return e.AuthAt
}

// Demand is what a request asks of the sign-in: a level, and authentication not before an instant (ForceAuthn, max_age).
type Demand struct {
	MinLevel  Level
	AuthAfter time.Time
}

// Outcome is what follows from a verdict.
type Outcome string

// Allow lets the person in; StepUp asks for a stronger or fresher sign-in (Verdict says which); Refuse ends the request.
const (
	Allow  Outcome = "allow"
	StepUp Outcome = "step_up"
	Refuse Outcome = "refuse"
)

// Rule names a rule of the policy; in a refusing verdict it is the typed reason that audit, traces and pages show.
type Rule string

// The rules in the order in which they are weighed; the first that refuses gives the reason.
const (
	RuleAppState      Rule = "app_state"
	RuleUserActive    Rule = "user_active"
	RuleWindow        Rule = "access_window"
	RuleHours         Rule = "login_hours"
	RulePermitted     Rule = "permitted_users"
	RuleAppAddress    Rule = "app_ip_ranges"
	RuleProfileAddr   Rule = "profile_ip_ranges"
	RuleRefresh       Rule = "refresh_token"
	RuleLevel         Rule = "min_level"
	RuleAuthFreshness Rule = "max_auth_age"
)

const ruleCount = 10

// Weighed is one rule and how it came out. Policy.Inputs says what it weighed, Policy.Remedy what would change it.
type Weighed struct {
	Rule    Rule    `json:"rule"`
	Outcome Outcome `json:"outcome"`
}

// Verdict is the answer of Decide: the outcome, the rule that caused it when it is not Allow, and every rule weighed.
// For StepUp, Need is the level to reach, and AuthAfter, when set, the instant before which a sign-in is too old.
type Verdict struct {
	Outcome   Outcome
	Rule      Rule
	Need      Level
	AuthAfter time.Time
	Rules     []Weighed
}

// Decide weighs every rule of the policy against one access. It is pure: the same input always gives the same verdict.
func (p *Policy) Decide(a Access) Verdict {
	v := Verdict{Outcome: Allow, Rules: make([]Weighed, 0, ruleCount)}
	v.Need, v.AuthAfter = p.demand(a)
	v.weigh(RuleAppState, allowIf(a.State == Active))
	v.weigh(RuleUserActive, allowIf(a.Person.Active))
	v.weigh(RuleWindow, allowIf(p.inWindow(a.Now)))
	v.weigh(RuleHours, allowIf(a.Hours == nil || a.Hours.Open(a.Now)))
	v.weigh(RulePermitted, allowIf(p.permittedBy(a) != ""))
	v.weigh(RuleAppAddress, allowIf(within(p.IPRanges, a.Address)))
	address := p.profileAddress(a)
	v.weigh(RuleProfileAddr, address)
	v.weigh(RuleRefresh, allowIf(a.Refresh == nil || p.refreshes(a)))
	v.weigh(RuleLevel, p.level(a, v.Need))
	v.weigh(RuleAuthFreshness, stepUpIf(a.Session.provedAt(v.Need).Before(v.AuthAfter)))
	if address == StepUp {
		v.Need = High
	}
	return v
}

// weigh notes one rule. The first that refuses decides; if none does, the first that asks for a step.
func (v *Verdict) weigh(rule Rule, outcome Outcome) {
	v.Rules = append(v.Rules, Weighed{rule, outcome})
	if outcome == Refuse && v.Outcome != Refuse || outcome == StepUp && v.Outcome == Allow {
		v.Outcome, v.Rule = outcome, rule
	}
}

func allowIf(ok bool) Outcome {
	if ok {
		return Allow
	}
	return Refuse
}

func stepUpIf(missing bool) Outcome {
	if missing {
		return StepUp
	}
	return Allow
}

// level compares the session's level with the one that is needed. Somebody who is not signed in yet is always asked.
func (p *Policy) level(a Access, need Level) Outcome {
	switch {
	case a.Session.Level != "" && a.Session.Level.AtLeast(need):
		return Allow
	case a.Session.Level != "" && p.OnLowLevel == OnLowBlock:
		return Refuse
	case p.graced(a):
		return Allow
	}
	return StepUp
}

// graced tells whether one factor will do for now: only ever against the policy's own level, never against what the request asks.
func (p *Policy) graced(a Access) bool {
	return p.OnLowLevel == OnLowGrace && a.Grace && a.Session.Level.AtLeast(Standard) && Standard.AtLeast(a.Asked.MinLevel)
}

// demand joins what the policy and the request ask: the higher level, the later instant.
func (p *Policy) demand(a Access) (Level, time.Time) {
	need := p.MinLevel
	if !need.AtLeast(a.Asked.MinLevel) {
		need = a.Asked.MinLevel
	}
	if need == "" {
		need = Low
	}
	after := a.Asked.AuthAfter
	if p.MaxAuthAge > 0 {
		if oldest := a.Now.Add(-p.MaxAuthAge); oldest.After(after) {
			after = oldest
		}
	}
	return need, after
}

func (p *Policy) inWindow(now time.Time) bool {
	return (p.NotBefore.IsZero() || !now.Before(p.NotBefore)) && (p.NotAfter.IsZero() || now.Before(p.NotAfter))
}

// permittedBy is what makes the person one of the permitted users, in words; empty: nothing does. An unknown mode permits
// nobody.
func (p *Policy) permittedBy(a Access) string {
	switch {
	case p.PermittedUsers == PermitAll:
		return "everybody may use the app"
	case p.PermittedUsers != PermitPreauthorized:
		return ""
	case slices.Contains(p.Users, a.Person.ID):
		return "permitted by name"
	case slices.Contains(p.Profiles, a.Person.Profile):
		return "permitted by profile"
	case intersects(p.PermissionSets, a.Person.PermissionSets):
		return "permitted by permission set"
	case intersects(p.Groups, a.Person.Groups):
		return "permitted by group"
	case a.Granted.After(a.Now):
		return "permitted by an approved request"
	}
	return ""
}

// LetsNobodyIn tells whether the policy permits only chosen people, none is chosen, and nobody could be let in on request.
func (p *Policy) LetsNobodyIn() bool {
	return p.PermittedUsers == PermitPreauthorized && len(p.Users)+len(p.Profiles)+len(p.PermissionSets)+len(p.Groups)+len(p.Approvers) == 0
}

// profileAddress applies the profile's ranges unless the app's policy relaxes them; the app's own ranges always hold. Where a
// second factor lifts them, a weaker session is asked for it.
func (p *Policy) profileAddress(a Access) Outcome {
	switch {
	case within(a.ProfileRanges, a.Address):
		return Allow
	case a.Strict:
		return Refuse
	case p.IPRelaxation == "relax", p.IPRelaxation == "relax_refresh" && a.Refresh != nil:
		return Allow
	case p.IPRelaxation == "relax_with_mfa":
		return stepUpIf(!a.Session.Level.AtLeast(High))
	}
	return Refuse
}

// refreshes applies the refresh-token rule: infinite, immediate, lifetime:D from the issue, or idle:D since the last use.
// A rule that cannot be read refuses.
func (p *Policy) refreshes(a Access) bool {
	kind, text, _ := strings.Cut(p.RefreshToken, ":")
	if kind == "" || kind == "infinite" {
		return true
	}
	since := a.Refresh.Issued
	if kind == "idle" && a.Refresh.Used.After(since) {
		since = a.Refresh.Used
	}
	limit, err := ParseDuration(text)
	return err == nil && (kind == "lifetime" || kind == "idle") && a.Now.Before(since.Add(limit))
}

// Refreshes tells whether the rule gives refresh tokens at all.
func (p *Policy) Refreshes() bool { return p.RefreshToken != "immediate" }

// RefreshUntil is when a refresh token that is used now ends by the rule of now; zero: it has no end.
func (p *Policy) RefreshUntil(issued, used time.Time) time.Time {
	kind, text, _ := strings.Cut(p.RefreshToken, ":")
	limit, err := ParseDuration(text)
	switch {
	case err != nil:
		return time.Time{}
	case kind == "idle":
		return used.Add(limit)
	}
	return issued.Add(limit)
}

func within(ranges []netip.Prefix, address netip.Addr) bool {
	if len(ranges) == 0 {
		return true
	}
	address = address.Unmap()
	return slices.ContainsFunc(ranges, func(r netip.Prefix) bool { return r.Contains(address) })
}

func intersects(a, b []string) bool {
	return slices.ContainsFunc(a, func(s string) bool { return slices.Contains(b, s) })
}
