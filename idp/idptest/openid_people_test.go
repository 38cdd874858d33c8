package idptest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/idp/upstream"
	"gatehouse/store"
)

// told signs in at the fake provider, which says this of the person, and gives the status and the newest reason of a sign-in.
func (b *fakeBroker) told(t *testing.T, change map[string]any) (status, reason string) {
	t.Helper()
	c, ask := b.begin(t, Ask{})
	claims := b.claims(ask, change)
	b.op.say(b.op.key.sign(t, claims, nil), map[string]any{"sub": claims["sub"]})
	top, _ := c.Get(b.answer(ask)).Response(t).Status()
	return top, b.Audit(t)[1].Reason
}

// TestOpenIDUpstreamLookalikes: who is called nearly as somebody here is not that person.
func TestOpenIDUpstreamLookalikes(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, map[string]string{"match": "username"})
	for _, name := range []string{"mike", "strasse", "rené", "last."} {
		b.AddPerson(t, name, "Employees", func(n *api.NewUser) { n.Email = "" })
	}
	for name, reason := range map[string]string{
		"mike": "", "MIKE": "", "ren\u00e9": "", "rene\u0301": "", "REN\u00c9": "", // the same letters, but for case and how accents are put
		"mi\u212ae": "upstream_name", "m\u0130ke": "unknown_user", "mike\u200b": "unknown_user", "\uff4dike": "upstream_name", "m\u0456ke": "unknown_user",
		"mike ": "upstream_name", " mike": "upstream_name", "mike\u00a0": "upstream_name", "mike.": "unknown_user", "last": "unknown_user", "mike\t": "upstream_name",
		"stra\u00dfe": "upstream_name", "\u017ftrasse": "upstream_name", "rene": "unknown_user", "": "upstream_name",
	} {
		t.Run("OUP-04 "+fmt.Sprintf("%+q", name), func(t *testing.T) {
			if status, got := b.told(t, map[string]any{"preferred_username": name}); (status == "Success") != (reason == "") || reason != "" && got != reason {
				t.Errorf("%s, %s", status, got)
			}
		})
	}
}

// TestOpenIDUpstreamLinked: a link leads to the one whom the first sign-in made, and to nobody else.
func TestOpenIDUpstreamLinked(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, map[string]string{"match": "link", "create": "true", "profile": "Employees"})
	nora := map[string]any{"sub": "n1", "preferred_username": "nora", "email": "nora@example.org"}
	if status, _ := b.told(t, nora); status != "Success" {
		t.Fatal(status, b.Audit(t)[0])
	}
	first, err := b.API.User(t.Context(), "nora")
	if err != nil {
		t.Fatal(err)
	}
	t.Run("OUP-04 who is disabled", func(t *testing.T) {
		if _, err := b.API.EnableUser(t.Context(), "nora", false); err != nil {
			t.Fatal(err)
		}
		if status, reason := b.told(t, nora); status == "Success" || reason != "disabled" {
			t.Errorf("%s %s", status, reason)
		}
	})
	t.Run("OUP-04 who was removed, and is somebody else now", func(t *testing.T) {
		if err := b.API.RemoveUser(t.Context(), "nora"); err != nil {
			t.Fatal(err)
		}
		b.AddPerson(t, "nora", "Employees")
		if status, reason := b.told(t, nora); status == "Success" || reason != "upstream_create" {
			t.Errorf("%s %s", status, reason)
		}
	})
	t.Run("OUP-04 who was removed, and comes again", func(t *testing.T) {
		if err := b.API.RemoveUser(t.Context(), "nora"); err != nil {
			t.Fatal(err)
		}
		if status, reason := b.told(t, nora); status != "Success" {
			t.Fatal(status, reason)
		}
		if again, err := b.API.User(t.Context(), "nora"); err != nil || again.ID == first.ID {
			t.Errorf("%+v, %v", again, err)
		}
	})
}

// TestOpenIDUpstreamTampered: state and nonce of one sign-in do not do for another one of the same browser.
func TestOpenIDUpstreamTampered(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, nil)
	t.Run("OUP-03 the answer to another request of the same browser", func(t *testing.T) {
		c, one := b.begin(t, Ask{})
		two := question(t, b.choose(t, c, b.sp, Ask{}), b.op.URL+"/auth")
		b.op.say(b.op.key.sign(t, b.claims(one, nil), nil), map[string]any{"sub": "s1"})
		b.refused(t, c, c.Get(b.answer(two)), "upstream_answer", "nonce")
		if top, _ := c.Get(b.answer(one)).Response(t).Status(); top != "Success" {
			t.Errorf("the other one: %s, %+v", top, b.Audit(t)[0])
		}
	})
	t.Run("OUP-03 a state that is nearly ours", func(t *testing.T) {
		c, ask := b.begin(t, Ask{})
		state := ask.Get("state")
		for _, bad := range []string{strings.ToLower(state), state + "=", state[:len(state)-1], " " + state} {
			b.refused(t, c, c.Get(b.answer(ask, "state", bad)), "expired_flow", "")
		}
	})
}

// TestOpenIDUpstreamManyAsk: however many networks ask upstreams for nothing that waits here, the disk is not full of it, and whoever an
// app sends is not kept out.
func TestOpenIDUpstreamManyAsk(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, nil)
	const most = 20_000
	err := b.Store.Update(t.Context(), func(tx store.Tx) error {
		for i := range most {
			q := &upstream.Inquiry{ID: fmt.Sprint("many", i), Upstream: "uni", Address: fmt.Sprintf("10.%d.%d.1", i/256, i%256), Made: b.clock.now()}
			if err := upstream.Inquiries.Put(tx, q); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	page := b.browser(t).Post("/login/upstream/uni", url.Values{"next": {"/"}})
	if page.Status != http.StatusTooManyRequests || page.Header.Get("Retry-After") == "" || !strings.Contains(page.Body, "Open your app itself") {
		t.Errorf("%d:\n%s", page.Status, page.Body)
	}
	b.begin(t, Ask{}) // fails unless it is sent there
}
