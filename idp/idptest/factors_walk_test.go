package idptest

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// way is a way to something that only two factors open. It tells whether it opened.
type way struct {
	name string
	try  func(t *testing.T, c *Client) bool
}

// TestNoPathAroundTheFactor walks every way to an app and to the built-in apps whose policies want two factors: with a password
// alone none opens, and with the second factor each does, so that a way that never opens would show.
func TestNoPathAroundTheFactor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "olga", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	strong := w.newSP(t, "strong")
	others := acsAt(bindingPAOS, "https://strong.example.org/paos", 1, "") + acsAt(bindingArtifact, "https://strong.example.org/artifact", 2, "")
	high := map[string]string{"policy.min_level": "high", "saml.ecp": "on"}
	app := w.AddApp(t, metadataWith(strong, "", keyDescriptor("signing", strong.DER, "")+acsAt(bindingPost, strong.ACS[0], 0, "")+others), high)
	phone, codes := w.withApp(t, "olga")
	for _, id := range []string{"portal", "account", "console"} {
		if _, err := w.API.SetApp(t.Context(), id, api.Change{Set: map[string]string{"policy.min_level": "high"}}); err != nil {
			t.Fatal(err)
		}
	}
	ways := slices.Concat(w.waysIn(app, strong), w.oauthWays(t), w.waysInside())
	t.Run("with a password alone", func(t *testing.T) {
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				if c := w.passwordSession(t, "olga"); way.try(t, c) {
					t.Error("it opens")
				}
			})
		}
		t.Run("ECP", func(t *testing.T) {
			answer := w.ecp(t, strong, Ask{}, "olga", Password, "198.51.100.9")
			if r := answer.response(t); r == nil || r.Root.FindElement(".//Assertion") != nil {
				t.Errorf("%d %s", answer.status, answer.body)
			} else if top, nested := r.Status(); top != "Responder" || nested != "NoAuthnContext" {
				t.Errorf("status %s/%s", top, nested)
			}
		})
	})
	t.Run("around the steps", func(t *testing.T) { w.aroundTheSteps(t, strong, codes) })
	t.Run("with both factors", func(t *testing.T) {
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				w.clock.advance(time.Minute)
				c := w.passwordSession(t, "olga")
				if page := c.enters(c.Get("/login/factor?next=/account"), phone.code(t, 0)); page.URL.Path != "/account" {
					t.Fatalf("the code leads to %s", page.URL)
				}
				if !way.try(t, c) {
					t.Error("it does not open")
				}
			})
		}
	})
	t.Run("tokens from before", func(t *testing.T) { w.raisedBehind(t, phone) })
}

// passwordSession is a browser whose session comes from a password; it stops at whatever that leads to.
func (w *world) passwordSession(t *testing.T, name string) *Client {
	t.Helper()
	c := w.browser(t)
	if page := c.SignIn(c.Get("/login"), name, Password); page.URL.Path != "/login/factor" {
		t.Fatalf("the password leads to %s (%d)", page.URL, page.Status)
	}
	return c
}

// issues tells whether a page hands anything to an app.
func issues(page *Page) bool {
	_, posts := page.LookupField("SAMLResponse")
	_, artifact := page.LookupField("SAMLart")
	return (posts || artifact || strings.Contains(page.Header.Get("Location"), "SAMLart=")) && page.Status < 400
}

// waysIn are those into an app.
func (w *world) waysIn(app api.App, strong *SP) []way {
	send := func(sp *SP, ask Ask, post bool) func(*testing.T, *Client) bool {
		return func(t *testing.T, c *Client) bool { return issues(w.send(t, c, sp, ask, post)) }
	}
	return []way{
		{"HTTP-Redirect", send(strong, Ask{}, false)},
		{"HTTP-POST", send(strong, Ask{}, true)},
		{"HTTP-Artifact", send(strong, Ask{Attributes: `ProtocolBinding="` + bindingArtifact + `"`}, false)},
		{"a request for a password context", send(strong, classes("exact", classPPT), false)},
		{"launch", func(_ *testing.T, c *Client) bool { return issues(c.Get("/launch/" + app.ID)) }},
		{"launch by a posted form", func(_ *testing.T, c *Client) bool { return issues(c.Post("/launch/"+app.ID, nil)) }},
	}
}

// waysInside are those into the built-in apps.
func (w *world) waysInside() []way {
	page := func(path, sign string) way {
		return way{"GET " + path, func(_ *testing.T, c *Client) bool {
			p := c.Get(path)
			return p.Status == http.StatusOK && p.URL.Path == path && strings.Contains(p.Body, sign)
		}}
	}
	reads := func(path string) way {
		return way{"GET " + path, func(_ *testing.T, c *Client) bool { return c.Get(path).Status == http.StatusOK }}
	}
	return []way{
		page("/", "Your apps"), page("/ask", "app"), page("/account", "Ways to sign in"), page("/admin/", "Overview"), page("/admin/users", "olga"), page("/admin/keys", "Keys"),
		reads("/api/v1/users"), reads("/api/v1/audit"),
		{"POST /api/v1/groups", func(t *testing.T, c *Client) bool {
			r := c.request(http.MethodPost, "/api/v1/groups", nil)
			r.Body, r.ContentLength = http.NoBody, 0
			r.Header.Set("Sec-Fetch-Site", "same-origin")
			r.Header.Set("Content-Type", "application/json")
			return c.Do(r).Status != http.StatusUnauthorized // an empty body is refused, but not for who asks
		}},
		{"POST /admin/groups", func(t *testing.T, c *Client) bool {
			return c.Post("/admin/groups", url.Values{"name": {"g" + newRequestID()[1:9]}}).URL.Path == "/admin/groups"
		}},
	}
}

// aroundTheSteps: what a password session may try to get a second factor, or to lose the need of one.
func (w *world) aroundTheSteps(t *testing.T, strong *SP, codes []string) {
	c := w.passwordSession(t, "olga")
	user, err := w.API.User(t.Context(), "olga")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/login/enrol?next=/", "/login/enrol/app?next=/", "/account/factors/recovery", "/account/factors/" + user.Factors[0].ID + "/remove"} {
		if page := c.Get(path); page.URL.Path != "/login/factor" {
			t.Errorf("GET %s leads to %s", path, page.URL)
		}
	}
	for path, form := range map[string]url.Values{
		"/login/enrol/app": {"next": {"/"}, "code": {"000000"}, "token": {"x"}}, "/login/enrol/passkey": {"next": {"/"}, "token": {"x"}, "response": {"{}"}},
		"/login/enrol/later": {"next": {"/"}}, "/account/factors/recovery": {}, "/account/factors/" + user.Factors[0].ID + "/remove": {},
		"/account/password": {"current": {Password}, "new": {fresh}, "repeat": {fresh}}, "/login/factor/passkey": {"next": {"/"}, "token": {"x"}, "response": {"{}"}},
	} {
		if page := c.Post(path, form); !strings.HasPrefix(page.URL.Path, "/login/factor") {
			t.Errorf("POST %s leads to %s (%d)", path, page.URL, page.Status)
		}
	}
	ask := Ask{ID: newRequestID()}
	page := w.send(t, c, strong, ask, false)
	flow := url.PathEscape(page.Field("flow"))
	for _, path := range []string{"/flow/" + flow, "/consent?flow=" + flow, "/login/factor?flow=" + flow, "/login?flow=" + flow} {
		if issues(c.Get(path)) {
			t.Errorf("GET %s issues", path)
		}
	}
	again := c.SignIn(c.Get("/login?flow="+flow), "olga", Password) // the password once more is no second factor
	if again.URL.Path != "/login/factor" || issues(again) {
		t.Errorf("the password twice leads to %s", again.URL)
	}
	if after, err := w.API.User(t.Context(), "olga"); err != nil || len(after.Factors) != len(user.Factors) {
		t.Errorf("factors before %+v, after %+v: %v", user.Factors, after.Factors, err)
	}
	w.check(t, c.enters(again, codes[0]), strong, ask, issued()) // and the same flow opens with one
}
