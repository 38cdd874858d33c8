package idptest

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestOwnScopes is about the scopes that administrators define.
func TestOwnScopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("what a scope may be", func(t *testing.T) { w.badScopes(t) })
	t.Run("OPR-06 the words of consent", func(t *testing.T) { w.scopeWords(t) })
}

func (w *world) badScopes(t *testing.T) {
	add := func(name, description string) error {
		_, err := w.API.AddScope(t.Context(), api.NewScope{Name: name, Description: description})
		return err
	}
	if err := add("reports_read", "Read the reports"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, description, field string
		status                   int
	}{
		{"1reports", "x", "name", http.StatusBadRequest}, {"_reports", "x", "name", http.StatusBadRequest}, {"re ports", "x", "name", http.StatusBadRequest},
		{"re-ports", "x", "name", http.StatusBadRequest}, {"", "x", "name", http.StatusBadRequest}, {strings.Repeat("r", 101), "x", "name", http.StatusBadRequest},
		{"openid", "x", "name", http.StatusBadRequest}, {"directory.write", "x", "name", http.StatusBadRequest}, {"reports_read", "y", "name", http.StatusConflict},
		{"r1", "", "description", http.StatusBadRequest}, {"r1", strings.Repeat("ü", 61), "description", http.StatusBadRequest}, {"r1", "a\nb", "description", http.StatusBadRequest},
		{"r1", "Read the reports", "description", http.StatusConflict},
	} {
		refused, ok := add(c.name, c.description).(*api.Error)
		if !ok || refused.Status != c.status || refused.Field != c.field {
			t.Errorf("%q %q: %v", c.name, c.description, refused)
		}
	}
	if err := add("r2", strings.Repeat("ü", 60)); err != nil {
		t.Error(err)
	}
	rp := w.Client(t, "reports", map[string]any{"scope": "openid reports_read"}, nil)
	if _, err := w.API.SetApp(t.Context(), rp.App, api.Change{Set: map[string]string{"oauth.scopes": "openid,nothing.such"}}); err == nil || !strings.Contains(err.Error(), "nothing.such") {
		t.Errorf("a scope that there is not is given to an app: %v", err)
	}
	if _, err := w.API.SetApp(t.Context(), rp.App, api.Change{Set: map[string]string{"policy.scopes": "openid,nothing.such"}}); err == nil || !strings.Contains(err.Error(), "nothing.such") {
		t.Errorf("a scope that there is not bounds an app: %v", err)
	}
	if _, err := w.API.SetApp(t.Context(), rp.App, api.Change{Set: map[string]string{"policy.scopes": "openid,reports_read,refresh_token"}}); err != nil {
		t.Error(err)
	}
	if _, err := w.API.RemoveScope(t.Context(), "reports_read"); err == nil || !strings.Contains(err.Error(), "reports") {
		t.Errorf("a scope that an app names is removed: %v", err)
	}
	if s, err := w.API.Scope(t.Context(), "reports_read"); err != nil || len(s.Apps) != 1 || s.Apps[0].ID != rp.App {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := w.API.RemoveScope(t.Context(), "r2"); err != nil {
		t.Error(err)
	}
	if _, err := w.API.SetScope(t.Context(), "reports_read", api.Change{Set: map[string]string{"name": "other"}}); err == nil {
		t.Error("a scope changes its name")
	}
}

func (w *world) scopeWords(t *testing.T) {
	rp := w.Client(t, "trips", map[string]any{"scope": "openid trips.read"}, nil)
	listed := func() bool {
		var document map[string]any
		w.JSON(t, "/.well-known/openid-configuration", &document)
		return slices.Contains(document["scopes_supported"].([]any), any("trips.read"))
	}
	if listed() {
		t.Error("discovery names a scope that is not listed")
	}
	if _, err := w.API.SetScope(t.Context(), "trips.read", api.Change{Set: map[string]string{"description": "See where you travel", "listed": "true"}}); err != nil {
		t.Fatal(err)
	}
	if !listed() {
		t.Error("discovery does not name a listed scope")
	}
	page := rp.Visit(w.ana(t), rp.Ask("scope", "openid trips.read"))
	if page.URL.Path != "/consent" || !strings.Contains(page.Body, "See where you travel") {
		t.Errorf("%s:\n%s", page.URL, page.Body)
	}
	tokens := rp.Tokens(w.ana(t), "scope", "openid trips.read")
	if rp.Introspect(tokens.Text("access_token")).Text("scope") != "openid trips.read" {
		t.Errorf("%s", tokens.Raw)
	}
}
