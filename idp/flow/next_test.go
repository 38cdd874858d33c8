package flow

import (
	"net/netip"
	"testing"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/sp"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// signedIn are the facts of a person who may enter; each case changes one thing.
func signedIn() *Facts {
	return &Facts{
		Request:   &Request{Protocol: "saml", App: "app_1"},
		App:       &sp.App{ID: "app_1", State: sp.Active, Policy: sp.Policy{PermittedUsers: sp.PermitAll}},
		User:      &directory.User{ID: "usr_1", Profile: "prf_1"},
		Profile:   &directory.Profile{ID: "prf_1"},
		Session:   liveSession("standard", noon.Add(-time.Hour)),
		Address:   netip.MustParseAddr("192.0.2.7"),
		Now:       noon,
		Reachable: sp.Standard,
	}
}

func liveSession(level session.Level, at time.Time) *session.Session {
	return &session.Session{
		ID: "s", User: "usr_1", Level: level, Methods: []session.Method{{Name: "password", At: at}},
		Ends: noon.Add(time.Hour), Idle: noon.Add(time.Hour),
	}
}

// second gives the person a second factor.
func second(f *Facts) { f.Second, f.Reachable = true, sp.High }

// elsewhere lets another identity provider give the level that is missing, for a request that comes after the sign-in.
func elsewhere(f *Facts) {
	f.App.Policy.MinLevel, f.Elsewhere.Level, f.Request.Created = sp.High, sp.High, noon
}

// signedInNow makes the session one that was begun for the request.
func signedInNow(f *Facts) { f.Session = liveSession("standard", noon) }

// putOff are the facts of somebody who said "not now" in this session.
func putOff(f *Facts) {
	f.App.Policy.MinLevel, f.App.Policy.OnLowLevel = sp.High, sp.OnLowGrace
	f.Enrols, f.PutOff = true, noon.Add(time.Second)
}

// proved makes the session one of these methods, checked an hour ago.
func proved(f *Facts, methods ...string) {
	f.Session.Methods = nil
	for _, name := range methods {
		f.Session.Methods = append(f.Session.Methods, session.Method{Name: name, At: noon.Add(-time.Hour)})
	}
	f.Session.Level = session.LevelOf(f.Session.Methods)
}

func hours(text string) *directory.Hours {
	h, err := directory.ParseHours(text)
	if err != nil {
		panic(err)
	}
	return h
}

func validUntil(end time.Time) *sp.SAML { return &sp.SAML{Metadata: sp.Metadata{ValidUntil: end}} }

func TestNext(t *testing.T) {
	cases := []struct {
		name   string
		change func(*Facts)
		kind   StepKind
		reason string
	}{
		{"everything in order", func(*Facts) {}, StepIssue, ""},
		{"no app", func(f *Facts) { f.App = nil }, StepRefuse, ReasonUnknownApp},
		{"removed app", func(f *Facts) { f.App.State = sp.Removed }, StepRefuse, ReasonUnknownApp},
		{"pending app", func(f *Facts) { f.App.State = sp.Pending }, StepRefuse, ReasonAppPending},
		{"blocked app", func(f *Facts) { f.App.State = sp.Blocked }, StepRefuse, ReasonAppBlocked},
		{"blocked app, nobody signed in", func(f *Facts) { f.App.State, f.Session = sp.Blocked, nil }, StepRefuse, ReasonAppBlocked},
		{"metadata past its end and the skew", func(f *Facts) { f.App.Definition.SAML = validUntil(noon.Add(-3 * time.Minute)) }, StepRefuse, ReasonMetadataExpired},
		{"metadata past its end, nobody signed in", func(f *Facts) {
			f.App.Definition.SAML, f.Session = validUntil(noon.Add(-time.Hour)), nil
		}, StepRefuse, ReasonMetadataExpired},
		{"metadata past its end within the skew", func(f *Facts) { f.App.Definition.SAML = validUntil(noon.Add(-179 * time.Second)) }, StepIssue, ""},
		{"a state nobody knows", func(f *Facts) { f.App.State = "odd" }, StepRefuse, ReasonAppPending},
		{"no session", func(f *Facts) { f.Session = nil }, StepSignIn, ""},
		{"no session, passive", func(f *Facts) { f.Session, f.Request.Passive = nil, true }, StepRefuse, ReasonNoPassive},
		{"session without its user", func(f *Facts) { f.User = nil }, StepSignIn, ""},
		{"session past its end", func(f *Facts) { f.Session.Ends = noon }, StepSignIn, ""},
		{"session idle for too long", func(f *Facts) { f.Session.Idle = noon.Add(-time.Second) }, StepSignIn, ""},
		{"passive with a session", func(f *Facts) { f.Request.Passive = true }, StepIssue, ""},
		{"disabled user", func(f *Facts) { f.User.Disabled = true }, StepRefuse, string(sp.RuleUserActive)},
		{"another subject asked for", func(f *Facts) { f.Request.Subject = "usr_2" }, StepRefuse, ReasonWrongSubject},
		{"this subject asked for", func(f *Facts) { f.Request.Subject = "usr_1" }, StepIssue, ""},
		{"not permitted", func(f *Facts) { f.App.Policy.PermittedUsers = sp.PermitPreauthorized }, StepRefuse, string(sp.RulePermitted)},
		{"not permitted, passive", func(f *Facts) { f.App.Policy.PermittedUsers, f.Request.Passive = "", true }, StepRefuse, string(sp.RulePermitted)},
		{"permitted by profile", func(f *Facts) {
			f.App.Policy = sp.Policy{PermittedUsers: sp.PermitPreauthorized, Profiles: []string{"prf_1"}}
		}, StepIssue, ""},
		{"ForceAuthn", func(f *Facts) { f.Request.Demand.AuthAfter = noon }, StepSignIn, ""},
		{"ForceAuthn, passive", func(f *Facts) { f.Request.Demand.AuthAfter, f.Request.Passive = noon, true }, StepRefuse, ReasonNoPassive},
		{"ForceAuthn, just signed in", func(f *Facts) {
			f.Request.Demand.AuthAfter, f.Session = noon, liveSession("standard", noon)
		}, StepIssue, ""},
		{"sign-in older than the policy wants", func(f *Facts) { f.App.Policy.MaxAuthAge = 30 * time.Minute }, StepSignIn, ""},
		{"a level out of reach", func(f *Facts) { f.Request.Demand.MinLevel = sp.High }, StepRefuse, ReasonLevel},
		{"a level in reach elsewhere", func(f *Facts) { elsewhere(f) }, StepSignIn, ""},
		{"a level in reach elsewhere, passive", func(f *Facts) { elsewhere(f); f.Request.Passive = true }, StepRefuse, ReasonNoPassive},
		{"a level in reach elsewhere alone, passive", func(f *Facts) {
			elsewhere(f)
			f.Request.Passive, f.Elsewhere.Alone = true, true
		}, StepSignIn, ""},
		{"a level in reach elsewhere, but signed in for this here", func(f *Facts) { elsewhere(f); signedInNow(f) }, StepRefuse, ReasonLevel},
		{"a level in reach elsewhere, but signed in for this here, and may set one up", func(f *Facts) {
			elsewhere(f)
			signedInNow(f)
			f.Enrols = true
		}, StepEnrol, ""},
		{"a level in reach elsewhere, signed in for this here, with a second factor", func(f *Facts) {
			elsewhere(f)
			signedInNow(f)
			second(f)
		}, StepFactor, ""},
		{"a level in reach elsewhere, signed in a moment before a visit", func(f *Facts) {
			elsewhere(f)
			f.Request.Protocol, f.Enrols, f.Session = BuiltinProtocol, true, liveSession("standard", noon.Add(-time.Second))
		}, StepEnrol, ""},
		{"a level in reach elsewhere, signed in long before a visit", func(f *Facts) {
			elsewhere(f)
			f.Request.Protocol, f.Enrols, f.Session = BuiltinProtocol, true, liveSession("standard", noon.Add(-time.Minute-1))
		}, StepSignIn, ""},
		{"a level that is too low elsewhere too", func(f *Facts) { elsewhere(f); f.Elsewhere.Level = sp.Standard }, StepRefuse, ReasonLevel},
		{"a level in reach elsewhere, from outside", func(f *Facts) {
			elsewhere(f)
			signedInNow(f)
			f.Profile.IPRanges, f.App.Policy.IPRelaxation, f.Enrols = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "relax_with_mfa", true
		}, StepRefuse, string(sp.RuleProfileAddr)},
		{"the second factor is missing", func(f *Facts) { f.App.Policy.MinLevel = sp.High; second(f) }, StepFactor, ""},
		{"the second factor is missing, asked by the request", func(f *Facts) { f.Request.Demand.MinLevel = sp.High; second(f) }, StepFactor, ""},
		{"the second factor is missing, passive", func(f *Facts) { f.App.Policy.MinLevel, f.Request.Passive = sp.High, true; second(f) }, StepRefuse, ReasonNoPassive},
		{"both factors are there", func(f *Facts) { f.App.Policy.MinLevel = sp.High; second(f); proved(f, "password", "totp") }, StepIssue, ""},
		{"a passkey is both", func(f *Facts) { f.App.Policy.MinLevel = sp.High; second(f); proved(f, "passkey") }, StepIssue, ""},
		{"a second factor without a first", func(f *Facts) { f.App.Policy.MinLevel = sp.High; second(f); proved(f, "totp") }, StepSignIn, ""},
		{"a link is no first factor", func(f *Facts) { f.App.Policy.MinLevel = sp.High; second(f); proved(f, "link") }, StepSignIn, ""},
		{"a second factor, blocked by policy", func(f *Facts) {
			f.App.Policy.MinLevel, f.App.Policy.OnLowLevel = sp.High, sp.OnLowBlock
			second(f)
		}, StepRefuse, string(sp.RuleLevel)},
		{"ForceAuthn begins with the first factor", func(f *Facts) {
			f.App.Policy.MinLevel, f.Request.Demand.AuthAfter = sp.High, noon
			second(f)
			proved(f, "password", "totp")
		}, StepSignIn, ""},
		{"ForceAuthn goes on with the second", func(f *Facts) {
			f.App.Policy.MinLevel, f.Request.Demand.AuthAfter = sp.High, noon.Add(-time.Hour).Add(time.Second)
			second(f)
			f.Session.Methods = []session.Method{{Name: "totp", At: noon.Add(-time.Hour)}, {Name: "password", At: noon}}
			f.Session.Level = session.High
		}, StepFactor, ""},
		{"ForceAuthn, both again", func(f *Facts) {
			f.App.Policy.MinLevel, f.Request.Demand.AuthAfter = sp.High, noon.Add(-time.Hour)
			second(f)
			proved(f, "password", "totp")
		}, StepIssue, ""},
		{"ForceAuthn without a level is content with one factor", func(f *Facts) {
			f.Request.Demand.AuthAfter = noon
			second(f)
			f.Session.Methods = []session.Method{{Name: "totp", At: noon.Add(-time.Hour)}, {Name: "password", At: noon}}
			f.Session.Level = session.High
		}, StepIssue, ""},
		{"no second factor yet", func(f *Facts) { f.App.Policy.MinLevel, f.Enrols = sp.High, true }, StepEnrol, ""},
		{"no second factor yet, passive", func(f *Facts) {
			f.App.Policy.MinLevel, f.Enrols, f.Request.Passive = sp.High, true, true
		}, StepRefuse, ReasonNoPassive},
		{"no second factor yet, an administrator gives it", func(f *Facts) { f.App.Policy.MinLevel = sp.High }, StepRefuse, ReasonLevel},
		{"no second factor yet, blocked by policy", func(f *Facts) {
			f.App.Policy.MinLevel, f.App.Policy.OnLowLevel, f.Enrols = sp.High, sp.OnLowBlock, true
		}, StepRefuse, string(sp.RuleLevel)},
		{"no second factor yet, and the sign-in is old", func(f *Facts) {
			f.App.Policy.MinLevel, f.App.Policy.MaxAuthAge, f.Enrols = sp.High, time.Minute, true
		}, StepSignIn, ""},
		{"put off within the grace", func(f *Facts) { putOff(f) }, StepIssue, ""},
		{"put off, and the grace is over", func(f *Facts) { putOff(f); f.PutOff = noon }, StepEnrol, ""},
		{"put off, where the policy knows no grace", func(f *Facts) { putOff(f); f.App.Policy.OnLowLevel = "raise" }, StepEnrol, ""},
		{"put off, where the app itself asks for more", func(f *Facts) { putOff(f); f.Request.Demand.MinLevel = sp.High }, StepEnrol, ""},
		{"put off, and then set up", func(f *Facts) { putOff(f); second(f) }, StepFactor, ""},
		{"a second factor set up from outside would lift nothing", func(f *Facts) {
			f.Profile.IPRanges, f.App.Policy.IPRelaxation, f.Enrols = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "relax_with_mfa", true
		}, StepRefuse, string(sp.RuleProfileAddr)},
		{"too low a level, blocked by policy", func(f *Facts) {
			f.App.Policy.MinLevel, f.App.Policy.OnLowLevel, f.Reachable = sp.High, "block", sp.High
		}, StepRefuse, string(sp.RuleLevel)},
		{"permitted for a time, on request", func(f *Facts) {
			f.App.Policy.PermittedUsers, f.Access = sp.PermitPreauthorized, &grants.Access{Until: noon.Add(time.Second)}
		}, StepIssue, ""},
		{"that time is over", func(f *Facts) {
			f.App.Policy.PermittedUsers, f.Access = sp.PermitPreauthorized, &grants.Access{Until: noon}
		}, StepRefuse, string(sp.RulePermitted)},
		{"outside the login hours", func(f *Facts) { f.Profile.LoginHours = hours("mon-fri 08:00-12:00") }, StepRefuse, string(sp.RuleHours)},
		{"within the login hours", func(f *Facts) { f.Profile.LoginHours = hours("mon-fri 08:00-13:00") }, StepIssue, ""},
		{"consent is missing", func(f *Facts) { f.Asks = []string{"mail"} }, StepConsent, ""},
		{"consent to less", func(f *Facts) {
			f.Asks, f.Consent = []string{"mail", "sn"}, &grants.Consent{Names: []string{"sn"}}
		}, StepConsent, ""},
		{"consent to more", func(f *Facts) {
			f.Asks, f.Consent = []string{"mail"}, &grants.Consent{Names: []string{"sn", "mail"}}
		}, StepIssue, ""},
		{"consent is missing, passive", func(f *Facts) { f.Asks, f.Request.Passive = []string{"mail"}, true }, StepRefuse, ReasonNoPassive},
		{"consent is asked for after a stronger sign-in", func(f *Facts) { f.Asks, f.App.Policy.MaxAuthAge = []string{"mail"}, time.Minute }, StepSignIn, ""},
		{"consent is not asked from those who may not enter", func(f *Facts) { f.Asks, f.App.Policy.PermittedUsers = []string{"mail"}, "" }, StepRefuse, string(sp.RulePermitted)},
		{"a second factor lifts the profile's ranges", func(f *Facts) {
			f.Profile.IPRanges, f.App.Policy.IPRelaxation = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "relax_with_mfa"
			second(f)
		}, StepFactor, ""},
		{"a second factor would, but there is none", func(f *Facts) {
			f.Profile.IPRanges, f.App.Policy.IPRelaxation = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "relax_with_mfa"
		}, StepRefuse, string(sp.RuleProfileAddr)},
		{"address outside the app's ranges", func(f *Facts) {
			f.App.Policy.IPRanges = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}, StepRefuse, string(sp.RuleAppAddress)},
		{"address outside the profile's ranges", func(f *Facts) {
			f.Profile.IPRanges = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		}, StepRefuse, string(sp.RuleProfileAddr)},
		{"before the access window", func(f *Facts) { f.App.Policy.NotBefore = noon.Add(time.Second) }, StepRefuse, string(sp.RuleWindow)},
		{"after the access window", func(f *Facts) { f.App.Policy.NotAfter = noon }, StepRefuse, string(sp.RuleWindow)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := signedIn()
			c.change(f)
			step := Next(f)
			if step.Kind != c.kind || step.Reason.Type != c.reason {
				t.Errorf("got %s %q, want %s %q", step.Kind, step.Reason.Type, c.kind, c.reason)
			}
			if step.Kind == StepRefuse && step.Reason.Text == "" {
				t.Error("a refusal without a sentence for the person")
			}
		})
	}
}

// TestNextNeverIssuesAgainstAnyFact walks every combination of what can be wrong: an issue needs all of them right.
func TestNextNeverIssuesAgainstAnyFact(t *testing.T) {
	wrong := []func(*Facts){
		func(f *Facts) { f.App.State = sp.Blocked },
		func(f *Facts) { f.Session.Ends = noon },
		func(f *Facts) { f.User.Disabled = true },
		func(f *Facts) { f.Request.Subject = "usr_2" },
		func(f *Facts) { f.App.Policy.PermittedUsers = sp.PermitPreauthorized },
		func(f *Facts) { f.Request.Demand.AuthAfter = noon },
		func(f *Facts) { f.Request.Demand.MinLevel = sp.High },
		func(f *Facts) { f.App.Policy.IPRanges = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} },
		func(f *Facts) { f.Profile.IPRanges = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} },
		func(f *Facts) { f.App.Policy.NotAfter = noon },
	}
	for mask := range 1 << len(wrong) {
		for _, passive := range []bool{false, true} {
			f := signedIn()
			f.Request.Passive = passive
			for i, change := range wrong {
				if mask&(1<<i) != 0 {
					change(f)
				}
			}
			f.Second, f.Enrols = mask%3 == 0, mask%2 == 0
			if mask%5 == 0 {
				f.Elsewhere, f.Request.Created = Elsewhere{Level: sp.High, Known: mask%7 == 0, Alone: mask%11 == 0 && !passive}, noon.Add(-time.Duration(mask%2)*2*time.Hour)
			}
			step := Next(f)
			if (step.Kind == StepIssue) != (mask == 0) {
				t.Fatalf("mask %b, passive %v: %s", mask, passive, step.Kind)
			}
			if passive && step.Kind != StepIssue && step.Kind != StepRefuse {
				t.Fatalf("mask %b: a page for a passive request", mask)
			}
		}
	}
}

func BenchmarkNext(b *testing.B) {
	f := signedIn()
	b.ReportAllocs()
	for b.Loop() {
		if Next(f).Kind != StepIssue {
			b.Fatal("not issued")
		}
	}
}
