package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestUnsaved: who saves in the console when the session is over comes back to the page of the form after the sign-in, and reads there
// that nothing was saved. No other page leads anywhere by it.
func TestUnsaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.AddPerson(t, "olga", "Members", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	for from, want := range map[string]string{
		w.URL + "/admin/groups?search=a":     "/admin/groups?done=unsaved&search=a",
		"":                                   "/admin/?done=unsaved",
		"https://evil.example/admin/groups":  "/admin/?done=unsaved",
		w.URL + ".evil.example/admin/groups": "/admin/?done=unsaved",
		w.URL + "/launch/app":                "/admin/?done=unsaved",
		w.URL + "/admin/" + strings.Repeat("x", 3000): "/admin/?done=unsaved",
	} {
		c := w.browser(t)
		r := c.request(http.MethodPost, "/admin/groups", url.Values{"name": {"Lost"}})
		r.Header.Set("Referer", from)
		page := c.SignIn(c.Do(r), "olga", Password)
		if got := page.URL.RequestURI(); got != want || page.Status != http.StatusOK || !strings.Contains(page.Body, "was not saved") {
			t.Errorf("from %.80q the browser comes to %s (%d), want %s", from, got, page.Status, want)
		}
	}
	if _, err := w.API.Named(t.Context(), "groups", "Lost"); err == nil {
		t.Error("who was signed out saved something")
	}
}
