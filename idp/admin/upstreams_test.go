package admin

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// providerMetadata is that of the identity provider in the scripts of the command line.
func providerMetadata(t *testing.T) string {
	t.Helper()
	script, err := os.ReadFile("../../testdata/cli/upstream.txtar")
	must(t, err)
	_, rest, found := strings.Cut(string(script), "-- idp.xml --\n")
	text, _, ended := strings.Cut(rest, "\n-- ")
	if !found || !ended {
		t.Fatal("the script has no idp.xml any more")
	}
	return text
}

func TestUpstreamForms(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada", RoleOwner)
	w.actor = ada.Actor
	server := w.server()
	post := func(path string, fields ...string) (int, string) {
		form := url.Values{}
		for i := 0; i+1 < len(fields); i += 2 {
			form.Set(fields[i], fields[i+1])
		}
		return send(t, server, "POST", path, "application/x-www-form-urlencoded", form.Encode())
	}
	status, body := post(upstreamsPath, "name", "uni", "metadata", "<nothing/>", "match", "email", "domains", "example.org")
	if status != 422 || !strings.Contains(body, "there is no SAML 2.0 identity provider") || !strings.Contains(body, `value="example.org"`) {
		t.Errorf("bad metadata: %d %s", status, body)
	}
	if status, body = post(upstreamsPath, "name", "uni", "metadata", providerMetadata(t), "match", "email", "domains", "example.org", "create", "true", "level", "standard"); status != 303 {
		t.Fatalf("added: %d %s", status, body)
	}
	if status, body = post(upstreamsPath+"/uni", "label", "Uni", "match", "email", "level", "high", "levels", "nonsense"); status != 422 || !strings.Contains(body, "CLASS=low") || !strings.Contains(body, `value="nonsense"`) {
		t.Errorf("a bad setting: %d %s", status, body)
	}
	if status, body = post(upstreamsPath+"/uni", "label", "Uni", "match", "email", "domains", "", "level", "high", "metadata_keys", "", "profile", ""); status != 303 {
		t.Errorf("saved: %d %s", status, body)
	}
	u, err := w.Upstream(t.Context(), "uni")
	must(t, err)
	if u.Title != "Uni" || valueOf(u.Settings, "level") != "high" || valueOf(u.Settings, "domains") != "" || valueOf(u.Settings, "profile") != "Standard" {
		t.Errorf("%+v", u)
	}
	if status, body = post(upstreamsPath+"/uni/test", ""); status != 200 || !strings.Contains(body, "What the test found") || !strings.Contains(body, "nobody looks for newer") {
		t.Errorf("test: %d %s", status, body)
	}
	if status, body = post(upstreamsPath+"/uni/refresh", ""); status != 422 || !strings.Contains(body, "came from a file") {
		t.Errorf("refresh: %d %s", status, body)
	}
	if status, _ = post(upstreamsPath+"/uni/remove", ""); status != 303 {
		t.Errorf("remove: %d", status)
	}
	if status, _ = post(upstreamsPath+"/uni/test", ""); status != 404 {
		t.Errorf("gone: %d", status)
	}
}

// TestUpstreamFormsAreWhole: whatever the command line sets of an upstream the console sets too, and shows.
func TestUpstreamFormsAreWhole(t *testing.T) {
	w := newWorld(t)
	w.actor = w.person("ada", RoleOwner).Actor
	w.Seal = func(_ string, secret []byte) []byte { return secret }
	server := w.server()
	var provider *httptest.Server
	provider = httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(out).Encode(map[string]any{"issuer": provider.URL, "authorization_endpoint": provider.URL, "token_endpoint": provider.URL, "jwks_uri": provider.URL, "pushed_authorization_request_endpoint": provider.URL})
	}))
	t.Cleanup(provider.Close)
	_, err := w.AddUpstream(t.Context(), socket, api.NewUpstream{Name: "uni", Metadata: providerMetadata(t), Set: map[string]string{"create": "true"}})
	must(t, err)
	_, err = w.AddUpstream(t.Context(), socket, api.NewUpstream{Name: "corp", Issuer: provider.URL, Secret: "s", Set: map[string]string{"client_id": "gatehouse", "create": "true"}})
	must(t, err)
	pem := "-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString(certificateUntil(t, testNow.Add(time.Hour))) + "\n-----END CERTIFICATE-----\n"
	other := map[string]string{
		"label": "Other", "match": "username", "attribute": "x", "domains": "example.org", "create": "false", "profile": "Guests", "admins": "true", "level": "high", "levels": "urn:x=high", "requester_id": "off",
		"metadata_keys": pem, "client_id": "other", "scopes": "email", "token_endpoint_auth_method": "private_key_jwt", "require_pushed_authorization_requests": "true", "state": "off",
	}
	_, err = profiles.add(t.Context(), w.Actions, socket, api.Named{Name: "Guests"})
	must(t, err)
	for _, name := range []string{"uni", "corp"} {
		was, err := w.Upstream(t.Context(), name)
		must(t, err)
		_, page := send(t, server, "GET", upstreamsPath+"/"+name, "", "")
		form := url.Values{}
		for _, s := range was.Settings {
			if !strings.Contains(page, ` name="`+s.Key+`"`) {
				t.Errorf("%s: the page has no %s", name, s.Key)
			}
			form.Set(s.Key, other[s.Key])
		}
		if status, body := send(t, server, "POST", upstreamsPath+"/"+name, "application/x-www-form-urlencoded", form.Encode()); status != 303 {
			t.Fatalf("%d %s", status, body)
		}
		is, err := w.Upstream(t.Context(), name)
		must(t, err)
		for i, s := range is.Settings {
			if s.Value == was.Settings[i].Value || s.Value != other[s.Key] && s.Key != "metadata_keys" {
				t.Errorf("%s: %s is %q", name, s.Key, s.Value)
			}
		}
		back := url.Values{"profile": {"default"}}
		if form.Has("metadata_keys") {
			back.Set("metadata_keys", "default")
		}
		if _, page = send(t, server, "GET", upstreamsPath+"/"+name, "", ""); !strings.Contains(page, `<option value="default">The standard one`) {
			t.Errorf("%s: the page cannot set the standard profile", name)
		}
		send(t, server, "POST", upstreamsPath+"/"+name, "application/x-www-form-urlencoded", back.Encode())
		is, err = w.Upstream(t.Context(), name)
		must(t, err)
		if valueOf(is.Settings, "profile") != "Standard" || valueOf(is.Settings, "metadata_keys") != "" {
			t.Errorf("%s: %+v", name, is.Settings)
		}
	}
}

// TestUpstreamRights: who is believed to be whom is the owner's to say.
func TestUpstreamRights(t *testing.T) {
	w := newWorld(t)
	server := w.server()
	for role, want := range map[string][2]int{RoleOwner: {200, 404}, RoleAuditor: {200, 403}, RoleAppAdmin: {403, 403}, RoleHelpDesk: {403, 403}} {
		person := w.person("p-"+strings.ReplaceAll(role, "_", "-"), role)
		w.actor = person.Actor
		read, _ := send(t, server, "GET", upstreamsPath, "", "")
		write, _ := send(t, server, "POST", upstreamsPath+"/uni/test", "application/x-www-form-urlencoded", "")
		if got := [2]int{read, write}; got != want {
			t.Errorf("%s: %v, want %v", role, got, want)
		}
	}
}

// TestUpstreamExpiry: certificates of upstreams are announced once, like those of apps, and want attention on the overview.
func TestUpstreamExpiry(t *testing.T) {
	w := newWorld(t)
	before, rest, _ := strings.Cut(providerMetadata(t), "<X509Certificate>")
	_, after, _ := strings.Cut(rest, "</X509Certificate>")
	soon := base64.StdEncoding.EncodeToString(certificateUntil(t, testNow.Add(20*24*time.Hour)))
	for name, text := range map[string]string{"uni": before + "<X509Certificate>" + soon + "</X509Certificate>" + after, "other": strings.ReplaceAll(providerMetadata(t), "uni.example.org/idp", "other.example.org")} {
		_, err := w.AddUpstream(t.Context(), socket, api.NewUpstream{Name: name, Metadata: text})
		must(t, err)
	}
	s, err := w.Summary(t.Context())
	must(t, err)
	if tasks := upstreamTasks(s.Upstreams); len(tasks) != 1 || tasks[0].Link.Href != "/admin/upstreams/uni" || !strings.Contains(tasks[0].Text, "in 20 days") {
		t.Errorf("%+v", tasks)
	}
	for range 2 {
		must(t, w.AnnounceExpiring(t.Context()))
	}
	entries := w.entries("certificate.expiring")
	if len(entries) != 1 || entries[0].Facts["upstream"] != "uni" || entries[0].Facts["within_days"] != "30" || entries[0].App.ID != "" {
		t.Errorf("%+v", entries)
	}
	u, err := w.Upstream(t.Context(), "uni")
	must(t, err)
	if len(u.Warnings) != 1 || u.Warnings[0].Code != "certificate_ends" {
		t.Errorf("%+v", u.Warnings)
	}
}
