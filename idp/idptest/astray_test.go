package idptest

import (
	"net/http"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestAstray: an address that is none is answered in the form of what is around it, and leads back there.
func TestAstray(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	s.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	ada, ana, stranger := s.SignedIn(t, "ada"), s.SignedIn(t, "ana"), s.NewClient(t)
	for _, c := range []struct {
		who    *Client
		path   string
		status int
		want   string
	}{
		{stranger, "/api", 404, `"reason":"not_found"`}, {stranger, "/api/", 404, `"text":"There is nothing`},
		{ada, "/api/v2/apps", 404, `begins with /api/v1/`}, {ada, "/api/v1", 404, `"not_found"`}, {ada, "/api/v1/nothing", 404, `"not_found"`},
		{ada, "/apis", 404, `href="/">Go to your apps`},
		{ada, "/admin/nothing", 404, `href="/admin/">Go to the console`}, {ada, "/admin/apps/app_nothing", 404, `href="/admin/">Go to the console`},
		{ana, "/admin/nothing", 404, `href="/">Go to your apps`}, {stranger, "/admin/nothing", 404, `href="/">Go to your apps`},
		{ada, "/api/v1/apps?limit=banana", 400, `"field":"limit"`}, {ada, "/api/v1/users?limit=-1", 400, `from 1 to 1000`},
		{ada, "/api/v1/apps?limit=", 400, `"bad_value"`}, {ada, "/api/v1/audit?limit=0", 400, `"bad_value"`},
		{ada, "/api/v1/apps?limit=1", 200, `"next":`}, {ada, "/api/v1/apps?limit=99999", 200, `"items":`},
	} {
		page := c.who.Get(c.path)
		if page.Status != c.status || !strings.Contains(page.Body, c.want) {
			t.Errorf("%s: %d %s", c.path, page.Status, page.Body)
		}
		if json := strings.HasPrefix(page.Header.Get("Content-Type"), "application/json"); json != strings.HasPrefix(c.path, "/api") && c.path != "/apis" {
			t.Errorf("%s is %s", c.path, page.Header.Get("Content-Type"))
		}
	}
	if page := ada.Post("/api/v1/version", nil); page.Status != http.StatusMethodNotAllowed || !strings.Contains(page.Body, "the method POST") {
		t.Errorf("%d %s", page.Status, page.Body)
	}
}
