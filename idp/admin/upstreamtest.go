package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/federation"
	"gatehouse/idp/outbound"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// upstreamTest gathers what a look at an upstream finds.
type upstreamTest struct{ checks []api.UpstreamCheck }

func (t *upstreamTest) note(what, outcome, text string, values ...any) {
	t.checks = append(t.checks, api.UpstreamCheck{What: what, Outcome: outcome, Text: fmt.Sprintf(text, values...)})
}

// TestUpstream looks at everything that a sign-in at an upstream needs, without signing in, and changes nothing.
func (a *Actions) TestUpstream(ctx context.Context, name string) (api.UpstreamTest, error) {
	var u federation.Upstream
	var others int
	err := a.view(ctx, func(tx store.Tx) (err error) {
		if u, err = findUpstream(tx, name); err == nil {
			others, err = federation.Upstreams.Count(tx, store.Page{}, 0)
		}
		return err
	})
	if err != nil {
		return api.UpstreamTest{}, err
	}
	t := &upstreamTest{}
	if u.OpenID != nil {
		a.testOpenID(ctx, t, &u)
	} else {
		a.testMetadata(ctx, t, &u)
		a.testKeys(t, &u)
	}
	a.testReach(ctx, t, &u)
	testSettings(t, &u, others > 1)
	good := !slices.ContainsFunc(t.checks, func(c api.UpstreamCheck) bool { return c.Outcome == api.CheckBad })
	return api.UpstreamTest{Name: u.Name, Good: good, Checks: t.checks}, nil
}

// testMetadata compares what is known with what is at the address now.
func (a *Actions) testMetadata(ctx context.Context, t *upstreamTest, u *federation.Upstream) {
	const what = "metadata"
	switch end := u.Provider.ValidUntil; {
	case u.Provider.Expired(a.Now()):
		t.note(what, api.CheckBad, "The metadata %s, so nobody can sign in there: give newer metadata.", ends(end, a.Now()))
	case end.IsZero():
		t.note(what, api.CheckGood, "The metadata of %.200s is complete and has no end.", u.Provider.EntityID)
	default:
		t.note(what, api.CheckGood, "The metadata of %.200s is complete and %s.", u.Provider.EntityID, ends(end, a.Now()))
	}
	if u.Look.URL == "" {
		t.note("newer metadata", api.CheckWarn, "The metadata came from a file, so nobody looks for newer: give its address with `gatehouse upstream set %s --metadata URL`.", u.Name)
		return
	}
	found, err := a.Sources.FetchProvider(ctx, federation.Looked{URL: u.Look.URL}, u.Pinned)
	switch {
	case err != nil:
		t.note("newer metadata", api.CheckWarn, "%s", plainText(err))
	case found.Provider.EntityID != u.Provider.EntityID:
		t.note("newer metadata", api.CheckWarn, "The address holds the metadata of another identity provider now, %.200s.", found.Provider.EntityID)
	default:
		if diff := metadata.ProviderDiff(u.Provider, found.Provider); len(diff) > 0 {
			t.note("newer metadata", api.CheckGood, "The address has newer metadata, which is taken at the next look: `gatehouse upstream refresh %s` looks now.", u.Name)
			return
		}
		t.note("newer metadata", api.CheckGood, "The address has what is known here.")
	}
}

// plainText is the sentence of an error that has one.
func plainText(err error) string {
	var fetched *outbound.Error
	var known *federation.Error
	switch {
	case errors.As(err, &known):
		return known.Text
	case errors.As(err, &fetched):
		return fetched.Text
	}
	return "It could not be looked at: the server's log says why."
}

// testKeys looks at what the upstream may sign with. A certificate that has ended does not keep its key from being believed.
func (a *Actions) testKeys(t *upstreamTest, u *federation.Upstream) {
	ending := a.endingOf(u.Party())
	for _, c := range ending {
		t.note("certificates", api.CheckWarn, "The certificate %.80q %s: the identity provider will sign with another one, so see that its metadata is newer by then.", c.subject, ends(c.notAfter, a.Now()))
	}
	if len(ending) == 0 {
		t.note("certificates", api.CheckGood, "The keys that it may sign with are known (%d), and no certificate ends within 90 days.", len(u.Provider.SigningKeys()))
	}
}

// testReach asks its addresses for an answer. People's browsers go there, so an address that only this server cannot reach is a
// warning.
func (a *Actions) testReach(ctx context.Context, t *upstreamTest, u *federation.Upstream) {
	if unreached := (*outbound.Error)(nil); errors.As(a.Sources.Fetch.Reach(ctx, u.Address()), &unreached) {
		t.note("sign-in address", api.CheckWarn, "%s: %s. People's browsers may reach it all the same.", u.Address(), unreached.What)
	} else {
		t.note("sign-in address", api.CheckGood, "%s answers.", u.Address())
	}
	if u.Party().LogoutWay(u.Protocol()) == sp.LogoutNone {
		t.note("sign-out", api.CheckWarn, "It takes no sign-out, so people stay signed in there when they sign out here.")
		return
	}
	t.note("sign-out", api.CheckGood, "It is told when people sign out here.")
}

// testSettings looks for settings that keep people out, or let others in.
func testSettings(t *upstreamTest, u *federation.Upstream, others bool) {
	const what = "settings"
	if u.Off {
		t.note(what, api.CheckBad, "It is switched off, so nobody can sign in there: set state=on.")
	}
	if others && u.Match == federation.MatchEmail && len(u.Domains) == 0 {
		t.note(what, api.CheckWarn, "There are several upstreams, and this one may speak for every e-mail address: set domains to those of its people.")
	}
	if u.Admins {
		t.note(what, api.CheckWarn, "It may sign in people who administer Gatehouse, so whoever runs it can become one: set admins=false unless that is meant.")
	}
	if u.Highest() == sp.Low {
		t.note(what, api.CheckWarn, "Sign-ins there count as low, so apps that ask for more refuse them: set level or levels to what it really checks.")
	}
	if !slices.ContainsFunc(t.checks, func(c api.UpstreamCheck) bool { return c.What == what }) {
		t.note(what, api.CheckGood, "People are found by %s.", strings.ReplaceAll(u.Match, "link", "their lasting name there"))
	}
}
