package idptest

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSAMLLogoutEdges are the ways in which a logout could lie, or end what it must not.
func TestSAMLLogoutEdges(t *testing.T) {
	w := newLogoutWorld(t)
	t.Run("SLO-13 SLO-26 an app that was given two names may use either", func(t *testing.T) {
		sp, _ := w.leaver(t, "two-names", front("two-names")...)
		named := func(c *Client, format string) Leave {
			ask := Ask{ID: newRequestID(), Body: `<samlp:NameIDPolicy Format="` + format + `" AllowCreate="true"/>`}
			return leaveOf(w.check(t, w.send(t, c, sp, ask, false), sp, ask, issued()))
		}
		c := w.signedIn(t, "ana")
		cookie := w.cookie(t, c)
		first := named(c, emailFormat)
		named(c, transientFormat)
		if answer := carried(t, w.byRedirect(t, c, sp, first)); answer.status() != "Success" || !w.over(t, cookie) {
			t.Errorf("%s, over %t", answer.status(), w.over(t, cookie))
		}
	})
	t.Run("SLO-05 a right index under a name that nobody has", func(t *testing.T) {
		sp, app := w.leaver(t, "wrong-name", front("wrong-name")...)
		c := w.signedIn(t, "ana")
		leave := leaveOf(w.enter(t, c, sp, app))
		leave.Name = `<saml:NameID>nobody</saml:NameID>`
		if answer := carried(t, w.byRedirect(t, c, sp, leave)); answer.status() != "Requester/UnknownPrincipal" || w.over(t, w.cookie(t, c)) {
			t.Errorf("%s", answer.status())
		}
	})
	t.Run("SLO-08 two people under one name are not signed out by it", func(t *testing.T) {
		sp, app := w.leaver(t, "shared-name", front("shared-name")...)
		w.set(t, sp, "saml.nameid_source", "attribute:'everybody'", "saml.nameid_format", "unspecified")
		ana, bob := w.signedIn(t, "ana"), w.signedIn(t, "bob")
		leave := leaveOf(w.enter(t, ana, sp, app))
		w.enter(t, bob, sp, app)
		index := leave.Indexes
		leave.Indexes = nil
		if answer := carried(t, w.byRedirect(t, ana, sp, leave)); answer.status() != "Requester/UnknownPrincipal" {
			t.Errorf("without an index: %s", answer.status())
		}
		leave.ID, leave.Indexes = newRequestID(), index
		anas, bobs := w.cookie(t, ana), w.cookie(t, bob)
		if answer := carried(t, w.byRedirect(t, ana, sp, leave)); answer.status() != "Success" || !w.over(t, anas) || w.over(t, bobs) {
			t.Errorf("with hers: %s, ana over %t, bob over %t", answer.status(), w.over(t, anas), w.over(t, bobs))
		}
	})
	t.Run("SLO-08 the audit names every session", func(t *testing.T) {
		sp, app := w.leaver(t, "both", front("both")...)
		c := w.signedIn(t, "ana")
		leave := leaveOf(w.enter(t, c, sp, app))
		w.enter(t, w.signedIn(t, "ana"), sp, app)
		leave.Indexes = nil
		carried(t, w.byRedirect(t, c, sp, leave))
		if entry := w.newest(t, "signout"); strings.Count(entry.Facts["session"], "ses_") != 2 || entry.Facts["sessions"] != "2" {
			t.Errorf("audit %+v", entry.Facts)
		}
	})
	t.Run("SLO-30 an app with saml.slo=off signs nobody out", func(t *testing.T) {
		sp, app := w.leaver(t, "switched-off", front("switched-off")...)
		c := w.signedIn(t, "ana")
		leave := leaveOf(w.enter(t, c, sp, app))
		w.set(t, sp, "saml.slo", "off")
		page := w.byRedirect(t, c, sp, leave)
		w.checkHere(t, page, "invalid_request")
		if w.over(t, w.cookie(t, c)) {
			t.Error("the session is over")
		}
	})
	t.Run("MDC-04 metadata past its end signs nobody out", func(t *testing.T) {
		sp := w.newSP(t, "ended")
		sp.SLO = front("ended")
		until := w.clock.now().Add(3 * time.Minute).UTC().Format(time.RFC3339)
		app := w.AddApp(t, []byte(strings.Replace(string(sp.Metadata()), "<EntityDescriptor ", `<EntityDescriptor validUntil="`+until+`" `, 1)), nil)
		c := w.signedIn(t, "ana")
		leave := leaveOf(w.enter(t, c, sp, app))
		w.clock.advance(20 * time.Minute)
		w.checkHere(t, w.byRedirect(t, c, sp, leave), "metadata_expired")
		if w.over(t, w.cookie(t, c)) {
			t.Error("the session is over")
		}
	})
	t.Run("ART-05 an artifact ends with its session", func(t *testing.T) { w.artifactEnds(t) })
	t.Run("ECP-09 what no app takes costs nobody a session", func(t *testing.T) { w.ecpLeavesNothing(t) })
}

func (w *logoutWorld) artifactEnds(t *testing.T) {
	sp := w.newSP(t, "artifact-ends")
	w.AddApp(t, metadataWith(sp, "", keyDescriptor("signing", sp.DER, "")+acsAt(bindingPost, sp.ACS[0], 0, "")+acsAt(bindingArtifact, "https://artifact-ends.example.org/artifact", 8, "")), nil)
	w.AddPerson(t, "eve", "Employees")
	take := func() string {
		ask := Ask{ID: newRequestID(), Attributes: `AssertionConsumerServiceIndex="8"`}
		value, _ := w.send(t, w.signedIn(t, "eve"), sp, ask, false).LookupField("SAMLart")
		return value
	}
	value := take()
	if _, err := w.API.EnableUser(t.Context(), "eve", false); err != nil {
		t.Fatal(err)
	}
	if _, answer := w.resolve(t, sp, value, true); inside(t, answer) != nil {
		t.Error("the answer about a disabled person is given out")
	}
	if entry := w.newest(t, "artifact"); entry.Outcome != "refused" || entry.User.Name != "eve" {
		t.Errorf("audit %+v", entry)
	}
	if _, err := w.API.EnableUser(t.Context(), "eve", true); err != nil {
		t.Fatal(err)
	}
	if _, answer := w.resolve(t, sp, take(), true); inside(t, answer) == nil {
		t.Error("an enabled person's is not")
	}
}

func (w *logoutWorld) ecpLeavesNothing(t *testing.T) {
	w.AddPerson(t, "kim", "Employees")
	browser := w.signedIn(t, "kim")
	sp := w.newSP(t, "ecp-leaves")
	w.AddApp(t, metadataWith(sp, "", acsAt(bindingPost, sp.ACS[0], 0, "")+acsAt(bindingPAOS, "https://ecp-leaves.example.org/paos", 1, "")),
		map[string]string{"saml.ecp": "on", "policy.min_level": "high"})
	for i := range 5 {
		for _, ask := range []Ask{{Issuer: "https://nobody.example.org"}, {}} {
			w.ecp(t, sp, ask, "kim", Password, fmt.Sprintf("198.51.100.%d", 10+i))
		}
	}
	list, err := w.API.Sessions(t.Context(), "kim", "")
	if err != nil || len(list.Items) != 1 || browser.Get("/account").URL.Path != "/account" {
		t.Errorf("%d sessions, %v", len(list.Items), err)
	}
}
