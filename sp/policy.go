package sp

import (
	"net/netip"
	"slices"
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

// Policy is the admin's part of an app: the `policy.*` keys of the design. A zero value means the documented default, save
// that PermittedUsers is always set when an app is added.
type Policy struct {
	PermittedUsers string         `json:"permitted_users"`
	Profiles       []string       `json:"profiles,omitempty"`        // profile ids
	PermissionSets []string       `json:"permission_sets,omitempty"` // permission set ids
	Groups         []string       `json:"groups,omitempty"`          // group ids
	Users          []string       `json:"users,omitempty"`           // user ids
	Consent        string         `json:"consent,omitempty"`         // auto, always, never
	IPRanges       []netip.Prefix `json:"ip_ranges,omitempty"`
	IPRelaxation   string         `json:"ip_relaxation,omitempty"`
	MinLevel       Level          `json:"min_level,omitempty"`    // empty: low
	OnLowLevel     string         `json:"on_low_level,omitempty"` // raise, block
	MaxAuthAge     time.Duration  `json:"max_auth_age,omitempty"` // 0: none
	SessionTimeout time.Duration  `json:"session_timeout,omitempty"`
	RefreshToken   string         `json:"refresh_token,omitempty"`
	NotBefore      time.Time      `json:"not_before,omitzero"`
	NotAfter       time.Time      `json:"not_after,omitzero"`
	Scopes         []string       `json:"scopes,omitempty"`
	Attributes     []string       `json:"attributes,omitempty"` // upper bound; nil: none
}

// Access is one person at one app at one moment: all that Decide weighs.
type Access struct {
	State         State // of the app
	Person        Person
	Session       Evidence       // the zero value: not signed in yet
	Asked         Demand         // what the request itself demands beyond the policy
	Address       netip.Addr     // of the browser
	ProfileRanges []netip.Prefix // of the person's profile; empty: anywhere
	Now           time.Time
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
	RulePermitted     Rule = "permitted_users"
	RuleAppAddress    Rule = "app_ip_ranges"
	RuleProfileAddr   Rule = "profile_ip_ranges"
	RuleLevel         Rule = "min_level"
	RuleAuthFreshness Rule = "max_auth_age"
)

// Weighed is one rule and how it came out; Detail says the inputs in words.
type Weighed struct {
	Rule    Rule    `json:"rule"`
	Outcome Outcome `json:"outcome"`
	Detail  string  `json:"detail"`
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
	v := Verdict{Outcome: Allow, Rules: make([]Weighed, 0, 8)}
	v.weigh(RuleAppState, a.State == Active, "the app is ", string(a.State))
	v.weigh(RuleUserActive, a.Person.Active, "the account is ", activeWord(a.Person.Active))
	inWindow, window := p.inWindow(a.Now)
	v.weigh(RuleWindow, inWindow, window, "")
	permitted, by := p.permits(a.Person)
	v.weigh(RulePermitted, permitted, by, "")
	v.weigh(RuleAppAddress, within(p.IPRanges, a.Address), addressWords(p.IPRanges), "")
	v.weigh(RuleProfileAddr, p.profileAddressOK(a), addressWords(a.ProfileRanges), "")
	if v.Outcome == Allow {
		p.weighStrength(&v, a)
	}
	return v
}

// weigh notes one rule; the first failing rule decides. Words are joined only here, so that allowing costs no garbage.
func (v *Verdict) weigh(rule Rule, ok bool, detail, value string) {
	outcome := Allow
	if !ok {
		outcome = Refuse
		if v.Outcome == Allow {
			v.Outcome, v.Rule = Refuse, rule
		}
	}
	if value != "" {
		detail += value
	}
	v.Rules = append(v.Rules, Weighed{rule, outcome, detail})
}

// weighStrength compares the session with the stronger of policy and request: too weak or too old means StepUp, or
// Refuse when the policy blocks instead of raising.
func (p *Policy) weighStrength(v *Verdict, a Access) {
	need, after := p.demand(a)
	strong := a.Session.Level.AtLeast(need) && a.Session.Level != ""
	fresh := !a.Session.AuthAt.Before(after)
	signedIn := a.Session.Level != ""
	levelOutcome, freshOutcome := Allow, Allow
	switch {
	case !strong && signedIn && p.OnLowLevel == "block":
		levelOutcome = Refuse
	case !strong:
		levelOutcome = StepUp
	}
	if !fresh {
		freshOutcome = StepUp
	}
	v.Rules = append(v.Rules,
		Weighed{RuleLevel, levelOutcome, "needs " + string(need)},
		Weighed{RuleAuthFreshness, freshOutcome, freshWords(after)})
	switch {
	case levelOutcome == Refuse:
		v.Outcome, v.Rule = Refuse, RuleLevel
	case levelOutcome == StepUp:
		v.Outcome, v.Rule = StepUp, RuleLevel
	case freshOutcome == StepUp:
		v.Outcome, v.Rule = StepUp, RuleAuthFreshness
	}
	v.Need, v.AuthAfter = need, after
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

func (p *Policy) inWindow(now time.Time) (bool, string) {
	switch {
	case !p.NotBefore.IsZero() && now.Before(p.NotBefore):
		return false, "access begins " + p.NotBefore.UTC().Format(time.RFC3339)
	case !p.NotAfter.IsZero() && !now.Before(p.NotAfter):
		return false, "access ended " + p.NotAfter.UTC().Format(time.RFC3339)
	}
	return true, "inside the access window"
}

// permits tells whether the person is one of the permitted users, and through what. An unknown mode permits nobody.
func (p *Policy) permits(person Person) (bool, string) {
	switch {
	case p.PermittedUsers == PermitAll:
		return true, "everybody may use the app"
	case p.PermittedUsers != PermitPreauthorized:
		return false, "the policy does not say who is permitted"
	case slices.Contains(p.Users, person.ID):
		return true, "named as a user"
	case slices.Contains(p.Profiles, person.Profile):
		return true, "permitted by profile"
	case intersects(p.PermissionSets, person.PermissionSets):
		return true, "permitted by permission set"
	case intersects(p.Groups, person.Groups):
		return true, "permitted by group"
	case len(p.Users)+len(p.Profiles)+len(p.PermissionSets)+len(p.Groups) == 0:
		return false, "nobody is permitted"
	}
	return false, "not among the permitted profiles, permission sets, groups or users"
}

// profileAddressOK applies the profile's ranges unless the app's policy relaxes them; the app's own ranges always hold.
func (p *Policy) profileAddressOK(a Access) bool {
	if p.IPRelaxation == "relax" || (p.IPRelaxation == "relax_with_mfa" && a.Session.Level.AtLeast(High)) {
		return true
	}
	return within(a.ProfileRanges, a.Address)
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

func activeWord(active bool) string {
	if active {
		return "active"
	}
	return "disabled"
}

func addressWords(ranges []netip.Prefix) string {
	if len(ranges) == 0 {
		return "any address"
	}
	return "only from the listed address ranges"
}

func freshWords(after time.Time) string {
	if after.IsZero() {
		return "any age"
	}
	return "signed in since " + after.UTC().Format(time.RFC3339)
}
