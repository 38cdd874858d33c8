package sp

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestDecideAgainstTheRuleBook compares Decide with the rules as the design states them, written the long way, over random
// policies and accesses.
func TestDecideAgainstTheRuleBook(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	outcomes, reasons := map[Outcome]int{}, map[Rule]int{}
	for range 50_000 {
		p, a := randomPolicy(r), randomAccess(r)
		v := p.Decide(a)
		want, rule := ruleBook(&p, &a)
		if v.Outcome != want || v.Rule != rule {
			t.Fatalf("got %s by %q, the rule book says %s by %q\npolicy %+v\naccess %+v", v.Outcome, v.Rule, want, rule, p, a)
		}
		if !reflect.DeepEqual(v, p.Decide(a)) {
			t.Fatal("not pure")
		}
		if app := (App{State: a.State, Policy: p}); v.Outcome != Refuse && !a.Granted.After(a.Now) && !meet(app.audience(), a.Person.Audiences()) {
			t.Fatalf("the index of audiences misses %+v for %+v", p, a.Person)
		}
		outcomes[v.Outcome]++
		reasons[v.Rule]++
	}
	for _, outcome := range []Outcome{Allow, StepUp, Refuse} {
		if outcomes[outcome] < 500 {
			t.Errorf("only %d times %s: the cases say little", outcomes[outcome], outcome)
		}
	}
	if len(reasons) != ruleCount+1 {
		t.Errorf("not every rule decided once: %v", reasons)
	}
}

// ruleBook states each rule on its own: who is refused, then who is asked for more.
func ruleBook(p *Policy, a *Access) (Outcome, Rule) {
	for _, refusal := range []struct {
		rule Rule
		hit  bool
	}{
		{RuleAppState, a.State != Active},
		{RuleUserActive, !a.Person.Active},
		{RuleWindow, a.Now.Before(p.NotBefore) || !p.NotAfter.IsZero() && !a.Now.Before(p.NotAfter)},
		{RuleHours, a.Hours != nil && !a.Hours.Open(a.Now)},
		{RulePermitted, !inLists(p, a)},
		{RuleAppAddress, outside(p.IPRanges, a.Address)},
		{RuleProfileAddr, outside(a.ProfileRanges, a.Address) && !relaxed(p, a) && p.IPRelaxation != "relax_with_mfa"},
		{RuleRefresh, a.Refresh != nil && tokenDead(p, a)},
		{RuleLevel, a.Session.Level != "" && weak(p, a) && p.OnLowLevel == "block"},
	} {
		if refusal.hit {
			return Refuse, refusal.rule
		}
	}
	switch {
	case outside(a.ProfileRanges, a.Address) && !relaxed(p, a):
		return StepUp, RuleProfileAddr
	case weak(p, a):
		return StepUp, RuleLevel
	case a.Session.AuthAt.Before(a.Asked.AuthAfter), p.MaxAuthAge > 0 && a.Now.Sub(a.Session.AuthAt) > p.MaxAuthAge:
		return StepUp, RuleAuthFreshness
	}
	return Allow, ""
}

func meet(a, b []string) bool {
	return slices.ContainsFunc(a, func(one string) bool { return slices.Contains(b, one) })
}

func inLists(p *Policy, a *Access) bool {
	if p.PermittedUsers != PermitPreauthorized {
		return p.PermittedUsers == PermitAll
	}
	held := append(append([]string{a.Person.ID, a.Person.Profile}, a.Person.PermissionSets...), a.Person.Groups...)
	named := slices.Concat(p.Users, p.Profiles, p.PermissionSets, p.Groups)
	for _, one := range held {
		if slices.Contains(named, one) {
			return true
		}
	}
	return a.Granted.After(a.Now)
}

func outside(ranges []netip.Prefix, address netip.Addr) bool {
	for _, r := range ranges {
		if r.Contains(address.Unmap()) {
			return false
		}
	}
	return len(ranges) > 0
}

func relaxed(p *Policy, a *Access) bool {
	return p.IPRelaxation == "relax" || p.IPRelaxation == "relax_refresh" && a.Refresh != nil ||
		p.IPRelaxation == "relax_with_mfa" && a.Session.Level == High
}

func tokenDead(p *Policy, a *Access) bool {
	switch p.RefreshToken {
	case "immediate":
		return true
	case "lifetime:2h":
		return a.Now.Sub(a.Refresh.Issued) >= 2*time.Hour
	case "idle:1h":
		return a.Now.Sub(a.Refresh.Issued) >= time.Hour && (a.Refresh.Used.IsZero() || a.Now.Sub(a.Refresh.Used) >= time.Hour)
	}
	return false
}

func weak(p *Policy, a *Access) bool {
	order := []Level{"", Low, Standard, High}
	need := max(slices.Index(order, p.MinLevel), slices.Index(order, a.Asked.MinLevel), 1)
	return slices.Index(order, a.Session.Level) < need
}

// pick takes one of the choices; the earlier ones are likelier, so that most accesses get far.
func pick[T any](r *rand.Rand, choices ...T) T {
	return choices[min(r.IntN(len(choices)), r.IntN(2*len(choices)))]
}

func randomPolicy(r *rand.Rand) Policy {
	return Policy{
		PermittedUsers: pick(r, PermitPreauthorized, PermitAll, PermitAll, ""),
		Users:          pick(r, nil, []string{"usr_1"}, []string{"usr_2"}),
		Profiles:       pick(r, []string{"prf_1"}, nil, []string{"prf_2"}),
		PermissionSets: pick(r, nil, []string{"ps_1", "ps_2"}),
		Groups:         pick(r, nil, []string{"grp_1"}),
		IPRanges:       pick(r, nil, nil, ranges("192.0.2.0/24"), ranges("2001:db8::/32", "10.0.0.0/8")),
		IPRelaxation:   pick(r, "", "enforce", "relax_refresh", "relax_with_mfa", "relax"),
		MinLevel:       pick(r, "", Low, Standard, High),
		OnLowLevel:     pick(r, "", "raise", "block"),
		MaxAuthAge:     pick(r, 0, time.Hour, time.Minute),
		RefreshToken:   pick(r, "", "infinite", "lifetime:2h", "idle:1h", "immediate"),
		NotBefore:      pick(r, time.Time{}, noon.Add(-time.Hour), noon, noon.Add(time.Hour)),
		NotAfter:       pick(r, time.Time{}, noon.Add(2*time.Hour), noon),
	}
}

func randomAccess(r *rand.Rand) Access {
	a := Access{
		State: pick(r, Active, Active, Active, Blocked, Pending, Removed),
		Person: Person{
			ID: pick(r, "usr_1", "usr_3"), Active: pick(r, true, true, true, false), Profile: pick(r, "prf_1", "prf_3"),
			PermissionSets: pick(r, nil, []string{"ps_2"}, []string{"ps_3"}), Groups: pick(r, nil, []string{"grp_1"}, []string{"grp_2"}),
		},
		Granted:       pick(r, time.Time{}, noon.Add(time.Minute), noon, noon.Add(-time.Minute)),
		Session:       Evidence{Level: pick(r, Standard, High, Low, ""), AuthAt: noon.Add(-pick(r, 0, time.Minute, time.Hour, 5*time.Hour))},
		Asked:         Demand{MinLevel: pick(r, "", Low, High), AuthAfter: pick(r, time.Time{}, noon.Add(-time.Hour), noon)},
		Address:       netip.MustParseAddr(pick(r, "192.0.2.7", "::ffff:192.0.2.7", "2001:db8::1", "203.0.113.5", "10.1.2.3")),
		ProfileRanges: pick(r, nil, nil, ranges("192.0.2.0/25"), ranges("203.0.113.0/24")),
		Hours:         pick[Hours](r, nil, nil, untilHour(13), untilHour(12)),
		Now:           noon.Add(pick(r, 0, time.Minute, 30*time.Minute)),
	}
	if r.IntN(3) == 0 {
		a.Refresh = &Refresh{Issued: a.Now.Add(-pick(r, time.Minute, time.Hour, 3*time.Hour)), Used: pick(r, time.Time{}, a.Now.Add(-time.Minute), a.Now.Add(-time.Hour))}
	}
	return a
}
