package sp

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// entitled is an access that the open policy allows; each case changes one thing.
func entitled() Access {
	return Access{
		State:   Active,
		Person:  Person{ID: "usr_ana", Active: true, Profile: "prf_employee", PermissionSets: []string{"ps_travel"}, Groups: []string{"grp_hr"}},
		Session: Evidence{Level: Standard, AuthAt: noon.Add(-time.Hour)},
		Address: netip.MustParseAddr("192.0.2.7"), Now: noon,
	}
}

func ranges(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func only(change func(*Policy)) Policy {
	p := Policy{PermittedUsers: PermitPreauthorized}
	change(&p)
	return p
}

func open(change func(*Policy)) Policy {
	p := Policy{PermittedUsers: PermitAll}
	change(&p)
	return p
}

type policyCase struct {
	name    string
	policy  Policy
	access  func(*Access)
	outcome Outcome
	rule    Rule
}

func same(*Access) {}

func runPolicyCases(t *testing.T, tests []policyCase) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := entitled()
			tt.access(&a)
			v := tt.policy.Decide(a)
			if v.Outcome != tt.outcome || v.Rule != tt.rule {
				t.Errorf("got %s by %q, want %s by %q: %+v", v.Outcome, v.Rule, tt.outcome, tt.rule, v.Rules)
			}
			if again := tt.policy.Decide(a); !reflect.DeepEqual(v, again) {
				t.Error("not pure")
			}
		})
	}
}

func TestDecideWho(t *testing.T) {
	nothing := func(*Policy) {}
	runPolicyCases(t, []policyCase{
		{"everybody", open(nothing), same, Allow, ""},
		{"zero policy lets nobody in", Policy{}, same, Refuse, RulePermitted},
		{"unknown mode lets nobody in", Policy{PermittedUsers: "some"}, same, Refuse, RulePermitted},
		{"empty lists let nobody in", only(nothing), same, Refuse, RulePermitted},
		{"by user", only(func(p *Policy) { p.Users = []string{"usr_ana"} }), same, Allow, ""},
		{"by profile", only(func(p *Policy) { p.Profiles = []string{"prf_x", "prf_employee"} }), same, Allow, ""},
		{"by permission set", only(func(p *Policy) { p.PermissionSets = []string{"ps_travel"} }), same, Allow, ""},
		{"by group", only(func(p *Policy) { p.Groups = []string{"grp_hr"} }), same, Allow, ""},
		{"the lists are a union", only(func(p *Policy) { p.Profiles, p.Groups = []string{"prf_x"}, []string{"grp_hr"} }), same, Allow, ""},
		{"in no list", only(func(p *Policy) { p.Users, p.Groups = []string{"usr_ben"}, []string{"grp_it"} }), same, Refuse, RulePermitted},
		{"lists do not count when all may", open(func(p *Policy) { p.Users = []string{"usr_ben"} }), same, Allow, ""},
		{"a user id is no profile", only(func(p *Policy) { p.Profiles = []string{"usr_ana"} }), same, Refuse, RulePermitted},
		{"pending", open(nothing), func(a *Access) { a.State = Pending }, Refuse, RuleAppState},
		{"blocked", open(nothing), func(a *Access) { a.State = Blocked }, Refuse, RuleAppState},
		{"removed", open(nothing), func(a *Access) { a.State = Removed }, Refuse, RuleAppState},
		{"no state", open(nothing), func(a *Access) { a.State = "" }, Refuse, RuleAppState},
		{"disabled account", open(nothing), func(a *Access) { a.Person.Active = false }, Refuse, RuleUserActive},
	})
}

func TestDecideWhenAndWhere(t *testing.T) {
	inOffice := ranges("192.0.2.0/24", "2001:db8::/32")
	elsewhere := ranges("198.51.100.0/24")
	from := func(s string) func(*Access) { return func(a *Access) { a.Address = netip.MustParseAddr(s) } }
	profile := func(a *Access) { a.ProfileRanges = elsewhere }
	relax := func(how string) Policy { return open(func(p *Policy) { p.IPRelaxation = how }) }
	runPolicyCases(t, []policyCase{
		{"too early", open(func(p *Policy) { p.NotBefore = noon.Add(time.Second) }), same, Refuse, RuleWindow},
		{"begins now", open(func(p *Policy) { p.NotBefore = noon }), same, Allow, ""},
		{"ends now", open(func(p *Policy) { p.NotAfter = noon }), same, Refuse, RuleWindow},
		{"still open", open(func(p *Policy) { p.NotAfter = noon.Add(time.Second) }), same, Allow, ""},
		{"in the app's range", open(func(p *Policy) { p.IPRanges = inOffice }), same, Allow, ""},
		{"mapped address", open(func(p *Policy) { p.IPRanges = inOffice }), from("::ffff:192.0.2.9"), Allow, ""},
		{"ipv6", open(func(p *Policy) { p.IPRanges = inOffice }), from("2001:db8::1"), Allow, ""},
		{"outside the app's range", open(func(p *Policy) { p.IPRanges = inOffice }), from("203.0.113.1"), Refuse, RuleAppAddress},
		{"no address", open(func(p *Policy) { p.IPRanges = inOffice }), func(a *Access) { a.Address = netip.Addr{} }, Refuse, RuleAppAddress},
		{"outside the profile's range", open(func(*Policy) {}), profile, Refuse, RuleProfileAddr},
		{"relaxed", relax("relax"), profile, Allow, ""},
		{"enforced", relax("enforce"), profile, Refuse, RuleProfileAddr},
		{"relaxed for refresh only", relax("relax_refresh"), profile, Refuse, RuleProfileAddr},
		{"relaxed for refresh", relax("relax_refresh"), func(a *Access) { profile(a); a.Refresh = &Refresh{Issued: noon} }, Allow, ""},
		{"relaxed with two factors", relax("relax_with_mfa"), func(a *Access) { profile(a); a.Session.Level = High }, Allow, ""},
		{"one factor is asked for the second", relax("relax_with_mfa"), profile, StepUp, RuleProfileAddr},
		{"inside, one factor is enough", relax("relax_with_mfa"), same, Allow, ""},
		{"asking for the second is not blocked as too weak", open(func(p *Policy) { p.IPRelaxation, p.OnLowLevel = "relax_with_mfa", "block" }), profile, StepUp, RuleProfileAddr},
		{"within the login hours", open(func(*Policy) {}), func(a *Access) { a.Hours = untilHour(13) }, Allow, ""},
		{"after the login hours", open(func(*Policy) {}), func(a *Access) { a.Hours = untilHour(12) }, Refuse, RuleHours},
		{"relaxing lifts the profile's ranges only", open(func(p *Policy) { p.IPRelaxation, p.IPRanges = "relax", elsewhere }), same, Refuse, RuleAppAddress},
	})
}

// untilHour are login hours from midnight to an hour, UTC.
type untilHour int

func (h untilHour) Open(at time.Time) bool { return at.UTC().Hour() < int(h) }
func (h untilHour) String() string         { return "some hours" }

func TestDecideRefresh(t *testing.T) {
	refresh := func(issued, used time.Duration) func(*Access) {
		return func(a *Access) {
			a.Refresh = &Refresh{Issued: noon.Add(-issued)}
			if used > 0 {
				a.Refresh.Used = noon.Add(-used)
			}
		}
	}
	rule := func(r string) Policy { return open(func(p *Policy) { p.RefreshToken = r }) }
	day := 24 * time.Hour
	runPolicyCases(t, []policyCase{
		{"unset is infinite", rule(""), refresh(1000*day, 0), Allow, ""},
		{"infinite", rule("infinite"), refresh(1000*day, 0), Allow, ""},
		{"immediate", rule("immediate"), refresh(0, 0), Refuse, RuleRefresh},
		{"immediate lets a person sign on", rule("immediate"), same, Allow, ""},
		{"within its life", rule("lifetime:7d"), refresh(7*day-time.Second, 0), Allow, ""},
		{"its life is over", rule("lifetime:7d"), refresh(7*day, time.Minute), Refuse, RuleRefresh},
		{"never used for too long", rule("idle:1h"), refresh(time.Hour, 0), Refuse, RuleRefresh},
		{"used lately", rule("idle:1h"), refresh(1000*day, time.Hour-time.Second), Allow, ""},
		{"not used for too long", rule("idle:1h"), refresh(1000*day, time.Hour), Refuse, RuleRefresh},
		{"a rule that cannot be read", rule("idle:soon"), refresh(0, 0), Refuse, RuleRefresh},
		{"a rule that nobody knows", rule("lucky:7d"), refresh(0, 0), Refuse, RuleRefresh},
	})
}

func TestDecideGranted(t *testing.T) {
	until := func(at time.Time) func(*Access) { return func(a *Access) { a.Granted = at } }
	nobody := only(func(*Policy) {})
	runPolicyCases(t, []policyCase{
		{"granted on request", nobody, until(noon.Add(time.Second)), Allow, ""},
		{"the grant has ended", nobody, until(noon), Refuse, RulePermitted},
		{"a grant does not open a policy without a mode", Policy{}, until(noon.Add(time.Hour)), Refuse, RulePermitted},
	})
}

func TestDecideStrength(t *testing.T) {
	level := func(l Level) func(*Access) { return func(a *Access) { a.Session.Level = l } }
	needs := func(l Level, on string) Policy {
		return open(func(p *Policy) { p.MinLevel, p.OnLowLevel = l, on })
	}
	age := func(d time.Duration) Policy { return open(func(p *Policy) { p.MaxAuthAge = d }) }
	asked := func(d Demand) func(*Access) { return func(a *Access) { a.Asked = d } }
	runPolicyCases(t, []policyCase{
		{"not signed in", open(func(*Policy) {}), func(a *Access) { a.Session = Evidence{} }, StepUp, RuleLevel},
		{"not signed in and block", needs(High, "block"), func(a *Access) { a.Session = Evidence{} }, StepUp, RuleLevel},
		{"low is enough", needs("", ""), level(Low), Allow, ""},
		{"standard is enough", needs(Standard, ""), same, Allow, ""},
		{"too weak", needs(High, ""), same, StepUp, RuleLevel},
		{"too weak and raise", needs(High, "raise"), same, StepUp, RuleLevel},
		{"too weak and block", needs(High, "block"), same, Refuse, RuleLevel},
		{"stronger", needs(Standard, "block"), level(High), Allow, ""},
		{"unknown level is weak", needs(Low, "block"), level("godlike"), Refuse, RuleLevel},
		{"fresh enough", age(time.Hour), same, Allow, ""},
		{"too old", age(59 * time.Minute), same, StepUp, RuleAuthFreshness},
		{"the request asks for more", needs(Low, ""), asked(Demand{MinLevel: High}), StepUp, RuleLevel},
		{"the request asks for less", needs(High, ""), asked(Demand{MinLevel: Low}), StepUp, RuleLevel},
		{"forced now", age(0), asked(Demand{AuthAfter: noon.Add(-time.Minute)}), StepUp, RuleAuthFreshness},
		{"forced and done", age(0), asked(Demand{AuthAfter: noon.Add(-2 * time.Hour)}), Allow, ""},
		{"the request cannot soften the age", age(time.Minute), asked(Demand{AuthAfter: noon.Add(-2 * time.Hour)}), StepUp, RuleAuthFreshness},
	})
}

// The first rule that refuses gives the reason, in the order of the constants, and all rules are reported.
func TestDecideOrder(t *testing.T) {
	p := Policy{PermittedUsers: PermitPreauthorized, NotAfter: noon, IPRanges: ranges("198.51.100.0/24"), MinLevel: High}
	a := entitled()
	p.RefreshToken, a.Refresh = "immediate", &Refresh{Issued: noon}
	a.State, a.Person.Active, a.ProfileRanges, a.Hours = Blocked, false, ranges("198.51.100.0/24"), untilHour(0)
	steps := []struct {
		rule Rule
		heal func()
	}{
		{RuleAppState, func() { a.State = Active }},
		{RuleUserActive, func() { a.Person.Active = true }},
		{RuleWindow, func() { p.NotAfter = time.Time{} }},
		{RuleHours, func() { a.Hours = nil }},
		{RulePermitted, func() { p.PermittedUsers = PermitAll }},
		{RuleAppAddress, func() { p.IPRanges = nil }},
		{RuleProfileAddr, func() { a.ProfileRanges = nil }},
		{RuleRefresh, func() { a.Refresh = nil }},
	}
	for _, s := range steps {
		v := p.Decide(a)
		if v.Outcome != Refuse || v.Rule != s.rule || len(v.Rules) != ruleCount {
			t.Fatalf("got %s by %s with %d rules, want %s", v.Outcome, v.Rule, len(v.Rules), s.rule)
		}
		s.heal()
	}
	v := p.Decide(a)
	if v.Outcome != StepUp || v.Rule != RuleLevel || v.Need != High || len(v.Rules) != ruleCount {
		t.Errorf("at the end: %+v", v)
	}
}

func TestVerdictSaysWhatIsNeeded(t *testing.T) {
	p := Policy{PermittedUsers: PermitAll, MinLevel: Standard, MaxAuthAge: time.Minute}
	a := entitled()
	a.Asked = Demand{MinLevel: High, AuthAfter: noon.Add(-time.Hour)}
	v := p.Decide(a)
	if v.Need != High || !v.AuthAfter.Equal(noon.Add(-time.Minute)) {
		t.Errorf("need %s after %v", v.Need, v.AuthAfter)
	}
}

// Every rule says what it weighed, and what would change its refusal.
func TestExplainWords(t *testing.T) {
	a := entitled()
	p := Policy{PermittedUsers: PermitPreauthorized, NotAfter: noon, IPRanges: ranges("198.51.100.0/24"), MinLevel: High, RefreshToken: "immediate"}
	a.State, a.Person.Active, a.ProfileRanges, a.Hours, a.Refresh = Blocked, false, ranges("198.51.100.0/24"), untilHour(0), &Refresh{Issued: noon}
	a.Asked.AuthAfter = noon
	inputs := map[Rule]string{
		RuleAppState: "blocked", RuleUserActive: "disabled", RuleWindow: "2026-11-24 12:00 UTC", RuleHours: "some hours",
		RulePermitted: "nobody", RuleAppAddress: "198.51.100.0/24, and the address is 192.0.2.7", RuleProfileAddr: "198.51.100.0/24",
		RuleRefresh: "immediate", RuleLevel: "needs high, the session is standard", RuleAuthFreshness: "signed in 2026-11-24 11:00 UTC",
	}
	for _, w := range p.Decide(a).Rules {
		if w.Outcome == Allow {
			t.Errorf("%s allows", w.Rule)
		}
		if got := p.Inputs(a, w.Rule); !strings.Contains(got, inputs[w.Rule]) {
			t.Errorf("%s weighs %q, want %q in it", w.Rule, got, inputs[w.Rule])
		}
		if p.Remedy(a, w.Rule) == "" {
			t.Errorf("%s has no remedy", w.Rule)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	p := Policy{PermittedUsers: PermitPreauthorized, Profiles: []string{"prf_x", "prf_employee"},
		IPRanges: ranges("192.0.2.0/24"), MinLevel: Standard}
	a := entitled()
	b.ReportAllocs()
	for b.Loop() {
		if v := p.Decide(a); v.Outcome != Allow {
			b.Fatal(v)
		}
	}
}
