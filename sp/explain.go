package sp

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Inputs says in words what a rule weighs for one access, for those who ask why.
func (p *Policy) Inputs(a Access, rule Rule) string {
	switch rule {
	case RuleAppState:
		return "the app is " + string(a.State)
	case RuleUserActive:
		return map[bool]string{true: "the account is active", false: "the account is disabled"}[a.Person.Active]
	case RuleWindow:
		return p.windowWords(a.Now)
	case RuleHours:
		if a.Hours == nil {
			return "the profile has no login hours"
		}
		return fmt.Sprintf("login hours %s, and it is %s", a.Hours, moment(a.Now))
	case RulePermitted:
		return p.permittedWords(a)
	case RuleAppAddress:
		return addressWords("the app", p.IPRanges, a.Address)
	case RuleProfileAddr:
		return addressWords("the profile", a.ProfileRanges, a.Address) + relaxWords[p.IPRelaxation]
	case RuleRefresh:
		return p.refreshWords(a)
	case RuleLevel:
		need, _ := p.demand(a)
		if !a.Session.Level.AtLeast(need) && p.graced(a) {
			return fmt.Sprintf("needs %s, the session is %s, and a second factor may still be put off", need, a.Session.Level.words())
		}
		return fmt.Sprintf("needs %s, the session is %s", need, a.Session.Level.words())
	case RuleAuthFreshness:
		return p.freshWords(a)
	}
	return ""
}

// Remedy says what would change a rule's refusal, or the step that it asks for: for an administrator.
func (p *Policy) Remedy(a Access, rule Rule) string {
	switch {
	case rule == RuleAppState:
		return map[State]string{Pending: "approve the app", Blocked: "unblock the app"}[a.State]
	case rule == RuleWindow && a.Now.Before(p.NotBefore):
		return "wait until " + moment(p.NotBefore) + ", or change policy.not_before"
	case rule == RuleWindow:
		return "change policy.not_after"
	case rule == RuleProfileAddr && p.IPRelaxation == "relax_with_mfa":
		return "sign in with a second factor, or come from one of these ranges"
	}
	return remedies[rule]
}

// RemedyOf is what Remedy says where only the rule is known; empty: there is no such rule.
func RemedyOf(rule Rule) string { return remedies[rule] }

var remedies = map[Rule]string{
	RuleAppState:      "approve the app, or unblock it",
	RuleUserActive:    "enable the account",
	RuleWindow:        "wait until the app is open, or change policy.not_before and policy.not_after",
	RuleHours:         "wait for the login hours, or change them on the profile",
	RulePermitted:     "permit the person, their profile, or one of their permission sets or groups",
	RuleAppAddress:    "come from one of these ranges, or add the address to policy.ip_ranges",
	RuleProfileAddr:   "come from one of these ranges, add the address to the profile's ip_ranges, or relax them with policy.ip_relaxation",
	RuleRefresh:       "sign in again, or change policy.refresh_token",
	RuleLevel:         "sign in more strongly, or lower policy.min_level",
	RuleAuthFreshness: "sign in again",
}

func (l Level) words() string {
	if l == "" {
		return "not there yet"
	}
	return string(l)
}

func moment(at time.Time) string { return at.UTC().Format("2006-01-02 15:04 MST") }

func (p *Policy) windowWords(now time.Time) string {
	switch {
	case p.NotBefore.IsZero() && p.NotAfter.IsZero():
		return "the access window has no bounds"
	case p.NotAfter.IsZero():
		return fmt.Sprintf("access begins %s, and it is %s", moment(p.NotBefore), moment(now))
	case p.NotBefore.IsZero():
		return fmt.Sprintf("access ends %s, and it is %s", moment(p.NotAfter), moment(now))
	}
	return fmt.Sprintf("access from %s to %s, and it is %s", moment(p.NotBefore), moment(p.NotAfter), moment(now))
}

func (p *Policy) permittedWords(a Access) string {
	if by := p.permittedBy(a); by != "" {
		return by
	}
	switch {
	case p.PermittedUsers != PermitPreauthorized:
		return "the policy does not say who is permitted"
	case !a.Granted.IsZero():
		return "the access that was granted on request ended " + moment(a.Granted)
	case p.LetsNobodyIn():
		return "nobody is permitted"
	case len(p.Users)+len(p.Profiles)+len(p.PermissionSets)+len(p.Groups) == 0:
		return "nobody is permitted but on request"
	}
	return "neither the person nor their profile, permission sets or groups are permitted"
}

// shownRanges is how many address ranges a sentence names.
const shownRanges = 5

func addressWords(whose string, ranges []netip.Prefix, address netip.Addr) string {
	if len(ranges) == 0 {
		return whose + " has no address ranges"
	}
	named := make([]string, 0, shownRanges)
	for _, r := range ranges[:min(len(ranges), shownRanges)] {
		named = append(named, r.String())
	}
	if more := len(ranges) - len(named); more > 0 {
		named = append(named, fmt.Sprintf("%d more", more))
	}
	from := "no address is known"
	if address.IsValid() {
		from = "the address is " + address.Unmap().String()
	}
	return fmt.Sprintf("%s allows %s, and %s", whose, strings.Join(named, ", "), from)
}

var relaxWords = map[string]string{
	"relax":          "; the app does not ask for them",
	"relax_refresh":  "; the app does not ask for them when a token is refreshed",
	"relax_with_mfa": "; the app does not ask for them after a second factor",
}

func (p *Policy) refreshWords(a Access) string {
	if a.Refresh == nil {
		return "no token is refreshed"
	}
	used := "never used"
	if !a.Refresh.Used.IsZero() {
		used = "last used " + moment(a.Refresh.Used)
	}
	return fmt.Sprintf("the rule is %s; the token was issued %s and %s", cmp.Or(p.RefreshToken, "infinite"), moment(a.Refresh.Issued), used)
}

func (p *Policy) freshWords(a Access) string {
	_, after := p.demand(a)
	signedIn := "nobody is signed in yet"
	if !a.Session.AuthAt.IsZero() {
		signedIn = "signed in " + moment(a.Session.AuthAt)
	}
	if after.IsZero() {
		return "any age will do; " + signedIn
	}
	return fmt.Sprintf("needs a sign-in since %s; %s", moment(after), signedIn)
}
