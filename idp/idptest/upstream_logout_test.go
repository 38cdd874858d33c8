package idptest

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// came signs ana in at the upstream and on to an app.
func (w *logoutWorld) came(t *testing.T, b *broker, sp *SP, app api.App) (*Client, *Response, *http.Cookie) {
	t.Helper()
	c, id := b.begin(t, sp)
	if top, sub := b.bring(c, b.forge(t, forged{to: id})).Response(t).Status(); top != "Success" {
		t.Fatalf("%s %s", top, sub)
	}
	return c, w.enter(t, c, sp, app), w.cookie(t, c)
}

// theirs is a LogoutRequest of the upstream for what it said of ana.
func theirs() Leave {
	return Leave{Name: mailName("ana@example.org"), Indexes: []string{"there"}}
}

func TestUpstreamLogout(t *testing.T) {
	t.Parallel()
	b := newForger(t, nil, front("uni")...)
	w := &logoutWorld{b.world, b.URL + "/saml/slo", b.URL + "/saml/soap"}
	sp, app := w.leaver(t, "brokered", front("brokered")...)
	t.Run("the upstream signs out through the browser, and the app is told", func(t *testing.T) {
		c, told, cookie := w.came(t, b, sp, app)
		leave, state := theirs(), "their state"
		leave.RelayState = &state
		page := w.byRedirect(t, c, b.fake, leave)
		if !w.over(t, cookie) {
			t.Error("the session goes on")
		}
		request := w.next(t, c, page)
		w.toSP(t, request, "LogoutRequest", "https://brokered.example.org/slo")
		isFor(t, request.Element, told)
		answer := carried(t, w.answers(t, c, sp, request.SelectAttrValue("ID", ""), ""))
		w.toSP(t, answer, "LogoutResponse", "https://uni.example.org/slo")
		if answer.status() != "Success" || answer.relayState == nil || *answer.relayState != state {
			t.Errorf("the upstream is told %s", answer.status())
		}
		if entry := w.newest(t, "signout"); entry.User.Name != "ana" || entry.App.ID != "" || entry.Facts["start"] != "upstream "+b.fake.EntityID {
			t.Errorf("audit %+v", entry)
		}
	})
	t.Run("the upstream signs out by SOAP", func(t *testing.T) {
		_, _, cookie := w.came(t, b, sp, app)
		status, answer := w.bySOAP(t, b.fake, theirs())
		if status != http.StatusOK || answer.status() != "Success/PartialLogout" || !w.over(t, cookie) { // the app needs a browser
			t.Errorf("%d %s", status, answer.status())
		}
	})
	t.Run("the person signs out: the app is told first, the upstream last", func(t *testing.T) {
		c, _, cookie := w.came(t, b, sp, app)
		page := c.Post("/logout", nil)
		if !w.over(t, cookie) {
			t.Error("the session goes on")
		}
		page = w.answers(t, c, sp, w.next(t, c, page).SelectAttrValue("ID", ""), "")
		request := w.next(t, c, page)
		w.toSP(t, request, "LogoutRequest", "https://uni.example.org/slo")
		if name := request.FindElement("./NameID"); name.Text() != "ana@example.org" || request.FindElement("./SessionIndex").Text() != "there" {
			t.Errorf("the upstream is told of %q", name.Text())
		}
		page = w.answers(t, c, b.fake, request.SelectAttrValue("ID", ""), "")
		if !strings.Contains(page.Body, "<h1>You are signed out</h1>") || strings.Count(page.Body, "signed out</span>") != 2 {
			t.Errorf("at the end:\n%s", page.Body)
		}
	})
	t.Run("an upstream that does not confirm is named, and the app that asked learns it", func(t *testing.T) {
		c, told, _ := w.came(t, b, sp, app)
		request := w.next(t, c, w.byRedirect(t, c, sp, leaveOf(told)))
		w.toSP(t, request, "LogoutRequest", "https://uni.example.org/slo")
		answer := carried(t, w.answers(t, c, b.fake, request.SelectAttrValue("ID", ""), "PartialLogout"))
		if answer.status() != "Success/PartialLogout" {
			t.Errorf("the app is told %s", answer.status())
		}
		c, _, _ = w.came(t, b, sp, app)
		page := w.answers(t, c, sp, w.next(t, c, c.Post("/logout", nil)).SelectAttrValue("ID", ""), "")
		page = w.answers(t, c, b.fake, w.next(t, c, page).SelectAttrValue("ID", ""), "Responder")
		if !strings.Contains(page.Body, "You are signed out here") || strings.Count(page.Body, "did not confirm</span>") != 1 {
			t.Errorf("at the end:\n%s", page.Body)
		}
	})
	t.Run("who is somebody else there", func(t *testing.T) { w.othersLeave(t, b, sp, app) })
}

// othersLeave: messages that must end nothing.
func (w *logoutWorld) othersLeave(t *testing.T, b *broker, sp *SP, app api.App) {
	c, _, cookie := w.came(t, b, sp, app)
	stranger := w.newSP(t, "uni")
	thief := NewSP(t, "thief")
	stranger.Key, stranger.DER = thief.Key, thief.DER
	other := w.newSP(t, "second")
	other.SLO = front("second")
	b.addUpstream(t, "second", idpMetadata(other), nil)
	change := func(do func(*Leave)) Leave {
		leave := theirs()
		do(&leave)
		return leave
	}
	for name, row := range map[string]struct {
		from  *SP
		leave Leave
	}{
		"without a signature":  {b.fake, change(func(l *Leave) { l.Unsigned = true })},
		"by a stranger's key":  {stranger, theirs()},
		"by another upstream":  {other, theirs()},
		"another session":      {b.fake, change(func(l *Leave) { l.Indexes = []string{"elsewhere"} })},
		"another name":         {b.fake, change(func(l *Leave) { l.Name = mailName("bob@example.org") })},
		"another destination":  {b.fake, change(func(l *Leave) { l.Destination = "https://other.example/slo" })},
		"too late":             {b.fake, change(func(l *Leave) { l.NotOnOrAfter = "2001-01-01T00:00:00Z" })},
		"by an app's own name": {sp, theirs()},
	} {
		t.Run(name, func(t *testing.T) {
			w.byRedirect(t, w.browser(t), row.from, row.leave)
			if w.over(t, cookie) {
				t.Error("the session has ended")
			}
		})
	}
	w.byRedirect(t, c, b.fake, theirs())
	if !w.over(t, cookie) {
		t.Error("and the right message ends nothing")
	}
}

// TestUpstreamLogoutUntold: where the upstream takes no logout, the person is told to sign out there.
func TestUpstreamLogoutUntold(t *testing.T) {
	t.Parallel()
	b := newForger(t, nil)
	w := &logoutWorld{b.world, b.URL + "/saml/slo", b.URL + "/saml/soap"}
	sp, app := w.leaver(t, "brokered", front("brokered")...)
	c, _, _ := w.came(t, b, sp, app)
	page := w.answers(t, c, sp, w.next(t, c, c.Post("/logout", nil)).SelectAttrValue("ID", ""), "")
	if !strings.Contains(page.Body, "You are signed out here") || !strings.Contains(page.Body, `uni</span><span class="hint">sign out there`) {
		t.Errorf("at the end:\n%s", page.Body)
	}
}

// TestUpstreamLogoutBySOAP: an upstream that takes nothing else is told from server to server.
func TestUpstreamLogoutBySOAP(t *testing.T) {
	t.Parallel()
	b := &broker{world: newWorld(t)}
	b.fake = b.newSP(t, "uni")
	server := b.fake.listenSOAP(t)
	b.fake.SLO = []sloService{at(bindingSOAP, server.URL)}
	b.addUpstream(t, "uni", idpMetadata(b.fake), nil)
	w := &logoutWorld{b.world, b.URL + "/saml/slo", b.URL + "/saml/soap"}
	sp, app := w.leaver(t, "brokered", front("brokered")...)
	c, told, _ := w.came(t, b, sp, app)
	if answer := carried(t, w.byRedirect(t, c, sp, leaveOf(told))); answer.status() != "Success" {
		t.Errorf("the app is told %s", answer.status())
	}
	if got := server.requests(); len(got) != 1 || got[0].FindElement("./NameID").Text() != "ana@example.org" {
		t.Errorf("the upstream got %d requests", len(got))
	}
}

// TestUpstreamThatIsAnApp: one entity id on both sides, as of two Gatehouses in front of each other. Each message is taken for the
// side that it concerns.
func TestUpstreamThatIsAnApp(t *testing.T) {
	t.Parallel()
	b := newForger(t, nil, front("uni")...)
	w := &logoutWorld{b.world, b.URL + "/saml/slo", b.URL + "/saml/soap"}
	app := w.AddApp(t, b.fake.Metadata(), nil)
	sp, _ := w.leaver(t, "brokered", front("brokered")...)
	in := func(t *testing.T) (*Client, *Response, *http.Cookie) {
		c, id := b.begin(t, sp)
		b.bring(c, b.forge(t, forged{to: id})).Response(t)
		return c, w.enter(t, c, b.fake, app), w.cookie(t, c)
	}
	t.Run("as the upstream", func(t *testing.T) {
		c, _, cookie := in(t)
		w.byRedirect(t, c, b.fake, theirs())
		if !w.over(t, cookie) || w.newest(t, "signout").Facts["start"] != "upstream "+b.fake.EntityID {
			t.Errorf("audit %+v", w.newest(t, "signout"))
		}
	})
	t.Run("as the app", func(t *testing.T) {
		c, told, cookie := in(t)
		w.byRedirect(t, c, b.fake, leaveOf(told))
		if entry := w.newest(t, "signout"); !w.over(t, cookie) || entry.App.ID != app.ID || entry.Facts["start"] != "SP" {
			t.Errorf("audit %+v", entry)
		}
	})
	t.Run("its answers count for the side that was asked", func(t *testing.T) {
		c, _, _ := in(t)
		page := c.Post("/logout", nil)
		for range 3 { // brokered, uni as an app, uni as the upstream
			request := w.next(t, c, page)
			from := b.fake
			if strings.HasPrefix(request.location, "https://brokered.") {
				from = sp
			}
			page = w.answers(t, c, from, request.SelectAttrValue("ID", ""), "")
		}
		if !strings.Contains(page.Body, "<h1>You are signed out</h1>") || strings.Count(page.Body, "signed out</span>") != 3 {
			t.Errorf("at the end:\n%s", page.Body)
		}
	})
}

// TestUpstreamLogoutNameless: an upstream that named nobody cannot be told whose session ends, and the page says so.
func TestUpstreamLogoutNameless(t *testing.T) {
	t.Parallel()
	b := newForger(t, nil, front("uni")...)
	sp := b.sp(t, "brokered", nil)
	c, id := b.begin(t, sp)
	mail := `</saml:AuthnStatement><saml:AttributeStatement><saml:Attribute Name="mail"><saml:AttributeValue>ana@example.org</saml:AttributeValue></saml:Attribute></saml:AttributeStatement></saml:Assertion>`
	unsigned := strings.Replace(b.forge(t, forged{to: id, bare: true}), mailName("ana@example.org"), "", 1)
	if top, sub := b.bring(c, b.fake.SignXML(strings.Replace(unsigned, `</saml:AuthnStatement></saml:Assertion>`, mail, 1))).Response(t).Status(); top != "Success" {
		t.Fatalf("%s %s", top, sub)
	}
	page := c.Post("/logout", nil)
	if !strings.Contains(page.Body, "You are signed out here") || !strings.Contains(page.Body, `uni</span><span class="hint">sign out there`) {
		t.Errorf("at the end:\n%s", page.Body)
	}
}
