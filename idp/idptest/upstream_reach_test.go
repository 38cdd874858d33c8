package idptest

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestUpstreamReach: that another identity provider could sign somebody in with two factors does not keep who signs in here, and has
// one, from setting up the second: they are not asked for their password for ever.
func TestUpstreamReach(t *testing.T) {
	t.Parallel()
	b := newOpenIDBroker(t, nil, map[string]string{"levels": classMFA + "=high", "match": "email"})
	high := b.Client(t, "high", nil, map[string]string{"policy.min_level": "high", "policy.consent": "never"})
	plain := b.Client(t, "plain", nil, map[string]string{"policy.consent": "never"})
	for name, ask := range map[string]url.Values{
		"the policy": high.Ask(), "a level": plain.Ask("acr_values", "urn:gatehouse:level:high"), "MFA": plain.Ask("acr_values", classMFA),
		"an essential acr": plain.Ask("claims", `{"id_token":{"acr":{"essential":true,"values":["`+classMFA+`"]}}}`),
	} {
		t.Run("asked by "+name, func(t *testing.T) {
			c := b.browser(t)
			page := c.SignIn(c.Get("/oauth/authorize?"+ask.Encode()), "ana", Password)
			if page.URL.Path != "/login/enrol" {
				t.Errorf("after the password the browser rests at %s (%d)", page.URL, page.Status)
			}
		})
	}
	t.Run("who came to the portal before may still choose the other", func(t *testing.T) {
		c := b.browser(t)
		c.SignIn(c.Get("/"), "ana", Password)
		b.clock.advance(2 * time.Minute)
		page := high.Visit(c, high.Ask())
		if page.URL.Path != "/login" || !strings.Contains(page.Body, "/login/upstream/uni") {
			t.Fatalf("the browser rests at %s (%d)", page.URL, page.Status)
		}
		if page = c.SignIn(page, "ana", Password); page.URL.Path != "/login/enrol" {
			t.Errorf("after the password the browser rests at %s (%d)", page.URL, page.Status)
		}
	})
	t.Run("explained", func(t *testing.T) {
		explained, err := b.API.Explain(t.Context(), "ana", high.ID, "", b.clock.now())
		if err != nil || explained.Outcome != "step_up" || !strings.Contains(explained.Text, "set one up") {
			t.Errorf("%+v, %v", explained, err)
		}
	})
	t.Run("where an administrator gives second factors", func(t *testing.T) {
		b.organisation(t, "signin.mfa_enrolment", "admin")
		c := b.browser(t)
		told := high.Callback(c.SignIn(high.Visit(c, high.Ask()), "ana", Password))
		if told.Get("error") == "" || !strings.Contains(told.Get("error_description"), "stronger sign-in") {
			t.Errorf("the app is told %v", told)
		}
		if entry := b.newest(t, "signon"); entry.Reason != "level_unreachable" {
			t.Errorf("%+v", entry)
		}
	})
}
