package idptest

import (
	"strings"
	"testing"

	"gatehouse/sp"
)

// TestDevicePages looks at the pages by which a person connects a device, and at what the account says of it.
func TestDevicePages(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	tv := s.Client(t, "lobby", map[string]any{
		"client_name": "Lobby screen", "redirect_uris": []string{}, "grant_types": []string{sp.GrantDevice, sp.GrantRefresh},
		"token_endpoint_auth_method": "none", "scope": "openid email offline_access",
	}, nil)
	asked := tv.Device()
	g := newGallery(t)
	g.visit("device", asked.Text("verification_uri"))
	g.Expect("422")
	g.Type("#f-user_code", "bcdfghjk")
	g.Click("form button.primary")
	g.WaitFor("#e-user_code")
	g.look("device-wrong")
	g.Open(asked.Text("verification_uri_complete"))
	g.Click("form button.primary")
	g.WaitFor("#f-name")
	g.signIn("ana", Password)
	g.WaitFor(".asks")
	g.look("device-confirm")
	g.Click("form button.primary")
	g.WaitFor(".big-icon.ok")
	g.look("device-connected")
	if reply := tv.Poll(asked); reply.Text("access_token") == "" {
		t.Errorf("%d %s", reply.Status, reply.Raw)
	}
	g.Click(`.actions a[href="/account#apps"]`)
	g.WaitFor("#apps")
	g.visit("account-tokens", s.URL+"/account")
	if text := g.Text("main"); !strings.Contains(text, "Do all of this while you are away") || strings.Contains(text, "offline_access") || !strings.Contains(text, "with one factor, such as a password") || strings.Contains(text, "level ") {
		t.Errorf("the account says:\n%s", text)
	}
	g.visit("device-cancelled", s.URL+"/device/cancelled")
}
