package flow

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/store/bolt"
	"gatehouse/templates"
)

// TestExplanationIsTheDecision compares what Suppose and Next say about thousands of random people, apps and places with what
// the road does when that person comes with a browser: the same facts, so the same outcome and reason.
func TestExplanationIsTheDecision(t *testing.T) {
	const cases = 3000
	road := newRoad(t)
	random := rand.New(rand.NewPCG(3, 4))
	outcomes := map[string]int{}
	for i := range cases {
		c := road.randomCase(t, random, i)
		explained, done := road.explain(t, c), road.travel(t, c)
		if explained != done {
			t.Fatalf("case %d: explained as %q, the road says %q\napp %+v\nuser %+v\nprofile %+v\naccess %+v", i, explained, done, c.app, c.user, c.profile, c.access)
		}
		outcomes[explained]++
	}
	for _, outcome := range []string{"issue", "step sign_in", "step second_factor", "step enrolment", "refuse permitted_users", "refuse profile_ip_ranges", "refuse login_hours", "refuse app_ip_ranges", "refuse user_active", "refuse access_window"} {
		if outcomes[outcome] < cases/200 {
			t.Errorf("only %d cases of %q: they say little", outcomes[outcome], outcome)
		}
	}
}

// road is an engine on a real store with a protocol that notes what it was asked for.
type road struct {
	*Engine
	kit  *web.Kit
	last string
}

func newRoad(t *testing.T) *road {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	now := func() time.Time { return noon }
	r := &road{kit: &web.Kit{
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: now, Brand: func(context.Context) templates.Brand { return templates.Brand{} },
		Busy: func(error) bool { return false },
	}}
	r.Engine = &Engine{
		Store: s, Sessions: &session.Keeper{Now: now}, Audit: &audit.Log{Node: "main", Now: now}, Strangers: &audit.Limiter{Now: now},
		Protocols: map[string]Protocol{"noted": noted{r}}, Now: now,
	}
	return r
}

// noted is a protocol whose answers only say which it was.
type noted struct{ *road }

func (noted) Asks(*Facts) []string { return nil }

func (n noted) Issue(context.Context, *Pass) (Answer, error) { return n.note("issue") }

func (n noted) Refuse(_ context.Context, _ *Pass, reason Reason) (Answer, error) {
	return n.note("refuse " + reason.Type)
}

func (n noted) note(what string) (Answer, error) {
	return Answer{Write: func(w http.ResponseWriter, _ *http.Request) error { n.last = what; return nil }}, nil
}

// situation is one random case, stored.
type situation struct {
	app      sp.App
	user     directory.User
	profile  directory.Profile
	access   *grants.Access
	address  netip.Addr
	session  session.Session
	secret   string
	second   bool     // the person has a second factor
	password bool     // they have one
	best     sp.Level // that they surely reach
}

func (r *road) randomCase(t *testing.T, random *rand.Rand, i int) *situation {
	t.Helper()
	r.Reachable = choose(random, sp.Standard, sp.High, sp.Low)
	c := &situation{second: random.IntN(2) == 0, best: r.Reachable, address: netip.MustParseAddr(choose(random, "192.0.2.7", "2001:db8::7", "203.0.113.9"))}
	ranges := func() []netip.Prefix {
		return choose(random, nil, nil, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")})
	}
	c.profile = directory.Profile{
		ID: fmt.Sprintf("prf_%d", i), Name: fmt.Sprintf("P%d", i), IPRanges: ranges(),
		LoginHours: choose(random, nil, nil, hours("mon-fri 08:00-13:00"), hours("tue 12:00-12:01 Europe/Berlin"), hours("tue 13:00-13:01 Europe/Berlin")),
	}
	c.user = directory.User{
		ID: fmt.Sprintf("usr_%d", i), Name: fmt.Sprintf("u%d", i), Profile: c.profile.ID, Disabled: random.IntN(12) == 0,
		Groups: choose(random, nil, []string{"grp_1"}), PermissionSets: choose(random, nil, []string{"pms_1", "pms_2"}),
	}
	c.app = sp.App{ID: fmt.Sprintf("app_%d", i), State: choose(random, slices.Concat(slices.Repeat([]sp.State{sp.Active}, 12), []sp.State{sp.Blocked, sp.Pending, sp.Removed})...), Policy: sp.Policy{
		PermittedUsers: choose(random, sp.PermitAll, sp.PermitPreauthorized, sp.PermitPreauthorized),
		Users:          choose(random, nil, []string{c.user.ID}), Profiles: choose(random, nil, nil, []string{c.profile.ID}),
		Groups: choose(random, nil, []string{"grp_1"}), PermissionSets: choose(random, nil, []string{"pms_2"}),
		IPRanges: ranges(), IPRelaxation: choose(random, "", "relax", "relax_with_mfa", "relax_refresh"),
		MinLevel: choose(random, "", "", sp.Low, sp.Standard, sp.High, sp.High), OnLowLevel: choose(random, "", "raise", "block", "grace"),
		MaxAuthAge: choose(random, 0, 0, time.Hour), NotBefore: choose(random, time.Time{}, time.Time{}, time.Time{}, noon, noon.Add(time.Hour)),
		NotAfter: choose(random, time.Time{}, time.Time{}, time.Time{}, noon.Add(time.Hour), noon),
	}}
	elsewhere := choose(random, Elsewhere{}, Elsewhere{}, Elsewhere{}, Elsewhere{}, Elsewhere{Level: sp.Low}, Elsewhere{Level: sp.High}, Elsewhere{Level: sp.High, Known: true})
	r.Upstream = func(store.Tx, *directory.Settings, *directory.User) (Elsewhere, error) { return elsewhere, nil }
	c.password = random.IntN(2) == 0
	if c.second || elsewhere.Level == sp.High && (elsewhere.Known || !c.password) {
		c.best = sp.High
	}
	c.session.Level = session.Level(c.best) // as an explanation supposes
	c.session.Methods = []session.Method{{Name: "password", At: noon}}
	if random.IntN(2) == 0 {
		c.session.Level = choose(random, session.Level(sp.Low), session.Level(sp.Standard), session.Level(sp.Standard))
		c.session.Methods[0].At = noon.Add(-choose(random, time.Minute, 2*time.Hour))
	}
	c.session.Methods[0].Level = c.session.Level
	if random.IntN(4) == 0 {
		c.access = &grants.Access{User: c.user.ID, App: c.app.ID, From: noon.Add(-time.Hour), Until: choose(random, noon.Add(time.Minute), noon)}
	}
	r.put(t, c)
	return c
}

func choose[T any](random *rand.Rand, choices ...T) T { return choices[random.IntN(len(choices))] }

func (r *road) put(t *testing.T, c *situation) {
	t.Helper()
	err := r.Store.Update(t.Context(), func(tx store.Tx) (err error) {
		if err := directory.Profiles.Put(tx, &c.profile); err != nil {
			return err
		}
		if err := directory.Users.Put(tx, &c.user); err != nil {
			return err
		}
		if err := sp.Apps.Put(tx, &c.app); err != nil {
			return err
		}
		if c.second {
			if _, err := directory.AddFactor(tx, directory.Factor{User: c.user.ID, Kind: directory.FactorTOTP, Name: "Phone"}); err != nil {
				return err
			}
		}
		if c.password {
			if err := directory.Credentials.Put(tx, &directory.Credential{User: c.user.ID, Password: "-"}); err != nil {
				return err
			}
		}
		if c.access != nil {
			if err := grants.Accesses.Put(tx, c.access); err != nil {
				return err
			}
		}
		c.secret, c.session, err = r.Sessions.Start(tx, session.Opening{
			User: c.user.ID, Methods: c.session.Methods, Limits: session.Limits{Idle: time.Hour, Max: time.Hour},
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *road) explain(t *testing.T, c *situation) string {
	t.Helper()
	var step Step
	err := r.Store.View(t.Context(), func(tx store.Tx) error {
		facts, err := r.Suppose(tx, Supposition{User: c.user.ID, App: c.app.ID, Address: c.address, At: noon})
		if err != nil {
			return err
		}
		if string(c.session.Level) != string(c.best) || !c.session.AuthAt().Equal(noon) {
			facts.Session = &c.session
		}
		step = Next(facts)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	switch step.Kind {
	case StepIssue:
		return "issue"
	case StepRefuse:
		return "refuse " + step.Reason.Type
	}
	return "step " + string(step.Kind)
}

// travel sends the person's browser to the app.
func (r *road) travel(t *testing.T, c *situation) string {
	t.Helper()
	r.last = ""
	route := web.Route{Method: http.MethodGet, Path: "/x", Permission: web.Public, Handle: func(w http.ResponseWriter, request *http.Request) error {
		return r.Begin(w, request, Request{Protocol: "noted", App: c.app.ID, Start: "SP"})
	}}
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil)
	request.RemoteAddr = netip.AddrPortFrom(c.address, 4711).String()
	jar := httptest.NewRecorder()
	r.Cookies.Set(jar, web.SessionCookie, c.secret, time.Hour)
	for _, cookie := range jar.Result().Cookies() {
		request.AddCookie(cookie)
	}
	answer := httptest.NewRecorder()
	r.kit.Wrap(route).ServeHTTP(answer, request)
	if r.last == "" && answer.Code == http.StatusSeeOther {
		for kind, path := range stepPaths {
			if strings.HasPrefix(answer.Header().Get("Location"), path+"?") {
				return "step " + string(kind)
			}
		}
	}
	if r.last == "" {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	return r.last
}
