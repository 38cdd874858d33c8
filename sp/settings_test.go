package sp

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func sampleApp() App {
	return New("Benefits", Definition{SAML: &SAML{Metadata: Metadata{
		EntityID: "https://app.example.org/sp",
		ACS:      []Endpoint{{Binding: BindingPOST, Location: "https://app.example.org/acs"}},
	}}, OAuth: &OAuth{RedirectURIs: []string{"https://app.example.org/cb"}}}, PermitAll, "usr_ada", noon)
}

// settingCase says for a key what is taken (and how it reads afterwards, when that differs) and what is refused.
type settingCase struct {
	fallback string
	good     map[string]string
	bad      []string
}

func good(values ...string) map[string]string {
	m := make(map[string]string)
	for _, v := range values {
		m[v] = v
	}
	return m
}

var (
	texts     = settingCase{"none", map[string]string{"Some words": "Some words", "  trimmed ": "trimmed", "": "none"}, []string{"two\nlines", "\x00", strings.Repeat("x", 1001)}}
	addresses = settingCase{"none", good("https://app.example.org/x?y=1#/home", "http://localhost:8000/"),
		[]string{"javascript:alert(1)", "http://app.example.org/", "/x", "https://a@b/", "https://", "data:,x", "https://a.example;script-src/", "https://*/"}}
	idLists = settingCase{"none", map[string]string{"a,b": "a,b", ` a , b,a`: "a,b", `["x,y","z"]`: `["x,y","z"]`, "": "none", "[]": "none", `["default"]`: `["default"]`},
		[]string{"a,,b", `["a"`, `[1]`, `["a"] x`, strings.Repeat("x", 1025), "a,b\x01"}}
	instants = settingCase{"none", map[string]string{"2027-01-31": "2027-01-31T00:00:00Z", "2027-01-31T18:00:00+02:00": "2027-01-31T16:00:00Z", "none": "none"},
		[]string{"tomorrow", "31.1.2027", ""}}
)

func choices(first string, more ...string) settingCase {
	return settingCase{first, good(append(more, first)...), []string{"", "nonsense", strings.ToUpper(first), first + " "}}
}

func flags(fallback string) settingCase {
	return settingCase{fallback, good("true", "false"), []string{"", "yes", "1", "TRUE"}}
}

func settingCases() map[string]settingCase {
	bounds := settingCase{"no bound", good("a,b"), []string{"[]", "a,,b"}}
	return map[string]settingCase{
		"name":        {"app.example.org", map[string]string{" Travel ": "Travel", "Büro & Co": "Büro & Co"}, []string{"a\nb", strings.Repeat("x", 101), "Pay\u202egpj", "Orders\u200b"}},
		"description": texts, "platform": texts, "contact": texts, "saml.default_relay_state": texts, "saml.affiliation": texts, "saml.may_map_to": idLists,
		"logo_url": addresses, "privacy_url": addresses, "terms_url": addresses, "start_url": addresses, "mobile_start_url": addresses,
		"saml.defaults":                choices("saas", "saml2int", "custom"),
		"saml.sign":                    choices("both", "assertion", "response"),
		"saml.signature_algorithm":     choices("rsa-sha256", "rsa-sha384", "rsa-sha512", "rsa-pss-sha256", "ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512", "rsa-sha1"),
		"saml.signing_key":             {"active", map[string]string{"active": "active", "key_1": "key_1"}, []string{"a b", "a,b"}},
		"saml.require_signed_requests": flags("false"),
		"saml.encrypt":                 choices("auto", "always", "never"),
		"saml.encrypt_logout":          choices("off", "on"),
		"saml.encrypt_attributes":      choices("off", "on"),
		"saml.encryption_algorithm":    choices("aes256-gcm", "aes128-gcm", "aes256-cbc", "aes128-cbc"),
		"saml.key_transport":           choices("rsa-oaep-mgf1p", "rsa-oaep"),
		"saml.nameid_format":           choices("persistent", "emailAddress", "transient", "unspecified", "none"),
		"saml.nameid_source": {"opaque for persistent, email for emailAddress, username for unspecified",
			good("opaque", "email", "username", "attribute:employee_no"), []string{"attribute:", "attribute:a b", "phone", "EMAIL"}},
		"saml.attributes": {formatAttributes(defaultAttributes()), map[string]string{
			"[]": "[]",
			`[{"name":"mail","format":"basic","source":"email"}]`:                 `[{"name":"mail","format":"` + FormatBasic + `","source":"email"}]`,
			`[{"name":"a","source":"user.groups.filter(g, g != \"x\" && true)"}]`: `[{"name":"a","source":"user.groups.filter(g, g != \"x\" && true)"}]`,
		}, []string{"", "mail", "null", "{}", `[{"name":"","source":"email"}]`, `[{"name":"a"}]`, `[{"name":"a","source":"b","x":1}]`, `[] []`,
			`[{"name":"a","source":"b","format":"nonsense"}]`, `[{"name":"1 a","source":"b","format":"basic"}]`, `[{"name":"a b","source":"b"}]`,
			"[" + strings.Repeat(`{"name":"a","source":"b"},`, 128) + `{"name":"a","source":"b"}]`}},
		"saml.release": choices("all", "requested", "required"), "saml.slo": choices("auto", "off"), "saml.ecp": choices("off", "on"),
		"saml.authenticating_authority": choices("on", "off"), "saml.send_consent": choices("off", "on"),
		"saml.missing_attributes": choices("release", "refuse"), "saml.empty_values": choices("omit", "send"),
		"saml.metadata_refresh":    {"review", good("review", "automatic", "off"), []string{"", "auto"}},
		"saml.allow_idp_initiated": flags("true"), "saml.one_time_use": {"false", map[string]string{"true": "true", "false": "false"}, []string{"", "yes"}},
		"saml.allowed_relay_states":   idLists,
		"saml.relay_state_limit":      choices("lenient", "80"),
		"saml.denied_answer":          choices("sp", "page"),
		"saml.authn_context_leniency": choices("stronger-ok", "exact"),
		"saml.assertion_lifetime":     {"5m", map[string]string{"90s": "1m30s", "1h": "1h", "24h": "1d"}, []string{"", "29s", "25h", "-5m", "soon", "none", "5"}},
		"saml.session_lifetime":       {"none", map[string]string{"8h": "8h", "1d12h": "1d12h", "none": "none"}, []string{"1s", "366d", "xd", "99999999d", ""}},
		"policy.permitted_users":      choices("all", "preauthorized"),
		"policy.profiles":             idLists, "policy.permission_sets": idLists, "policy.groups": idLists, "policy.users": idLists, "policy.approvers": idLists,
		"custom_attributes": {"none", map[string]string{`[{"name":"costCentre","source":"cost_centre"}]`: `[{"name":"costCentre","source":"cost_centre"}]`, "[]": "none"},
			[]string{"{}", "[1]", `[{"name":"a"}]`, `[{"source":"b"}]`, `[{"name":"a","source":"b","x":1}]`, `[{"name":"a","source":"b"},{"name":"a","source":"c"}]`, "[" + strings.Repeat(`{"name":"a","source":"b"},`, 128) + `{"name":"a","source":"b"}]`}},
		"policy.consent": choices("auto", "always", "never"),
		"policy.ip_ranges": {"anywhere", map[string]string{"192.0.2.7": "192.0.2.7/32", "10.1.2.3/8,2001:db8::/32": "10.0.0.0/8,2001:db8::/32", "": "anywhere"},
			[]string{"10.0.0.0/33", "10.0.0.1-10.0.0.9", "localhost", "fe80::1%eth0", "::ffff:10.0.0.0/104"}},
		"policy.ip_relaxation":   choices("enforce", "relax_refresh", "relax_with_mfa", "relax"),
		"policy.min_level":       choices("low", "standard", "high"),
		"policy.on_low_level":    choices("raise", "block"),
		"policy.max_auth_age":    {"none", map[string]string{"12h": "12h", "none": "none", "0d30m": "30m"}, []string{"", "-1h", "0s", "1e9h", "3651d"}},
		"policy.session_timeout": {"none", map[string]string{"2h": "2h"}, []string{"5s", "x"}},
		"policy.refresh_token":   {"infinite", good("infinite", "immediate", "lifetime:30d", "idle:8h"), []string{"never", "lifetime:", "idle:1s", "lifetime:x", "forever:1d"}},
		"policy.not_before":      instants, "policy.not_after": instants,
		"policy.scopes": bounds, "policy.attributes": bounds,
	}
}

func TestEverySetting(t *testing.T) {
	cases := settingCases()
	maps.Copy(cases, oauthSettingCases())
	for _, s := range Settings() {
		tt, ok := cases[s.Key]
		if !ok {
			t.Errorf("%s has no test", s.Key)
			continue
		}
		if s.Label == "" || s.Help == "" || s.Kind == "" || s.Default == "" || s.Kind == KindChoice && len(s.Options) == 0 {
			t.Errorf("%s is described incompletely: %+v", s.Key, s)
		}
		for _, option := range s.Options {
			if s.Words[option] == "" {
				t.Errorf("%s=%s has no words (settings_words.go)", s.Key, option)
			}
		}
		if len(s.Words) != len(s.Options) {
			t.Errorf("%s has words for what is no option: %v", s.Key, s.Words)
		}
		delete(cases, s.Key)
		t.Run(s.Key, func(t *testing.T) { trySetting(t, s.Key, tt) })
	}
	for key := range cases {
		t.Errorf("%s is not a setting", key)
	}
}

func trySetting(t *testing.T, key string, tt settingCase) {
	for in, want := range tt.good {
		a := sampleApp()
		if err := a.Set(key, in); err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if err := a.Validate(); err != nil {
			t.Errorf("%q stored, but %v", in, err)
		}
		if got, _, err := stored(t, a).Setting(key); got != want || err != nil {
			t.Errorf("%q reads %q, want %q (%v)", in, got, want, err)
		}
		if err := a.Set(key, Undo); err != nil {
			t.Errorf("undo: %v", err)
		}
		if got, _, _ := a.Setting(key); got != tt.fallback {
			t.Errorf("undone reads %q, want %q", got, tt.fallback)
		}
	}
	for _, in := range tt.bad {
		a := sampleApp()
		before := stored(t, a)
		err := a.Set(key, in)
		var refused *SettingError
		if !errors.As(err, &refused) || refused.Key != key || !strings.HasPrefix(err.Error(), key+": ") {
			t.Errorf("%q: %v", in, err)
		}
		if !reflect.DeepEqual(before, stored(t, a)) {
			t.Errorf("%q was refused and yet changed the app", in)
		}
	}
}

// stored is the app as the store gives it back.
func stored(t *testing.T, a App) *App {
	t.Helper()
	encoded, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back App
	if err := json.Unmarshal(encoded, &back); err != nil {
		t.Fatal(err)
	}
	return &back
}

func TestIsDefault(t *testing.T) {
	a := sampleApp()
	for _, s := range Settings() {
		_, isDefault, err := a.Setting(s.Key)
		if set := s.Key == "name" || s.Key == "policy.permitted_users" || s.Key == "oauth.redirect_uris"; err != nil || isDefault == set {
			t.Errorf("%s of a new app: default %v, %v", s.Key, isDefault, err)
		}
	}
}

func TestUnknownSetting(t *testing.T) {
	a := sampleApp()
	for key, hint := range map[string]string{
		"sign": "saml.sign", "saml.sgin": "saml.sign", "min_level": "policy.min_level", "policy.groop": "policy.groups",
		"app.name": "name", "completely.different.thing": "lists them", strings.Repeat("x", 5000): "is not a setting", "": "is not a setting",
		"oauth.run_at": "oauth.run_as",
	} {
		var refused *SettingError
		if err := a.Set(key, "x"); !errors.As(err, &refused) || !strings.Contains(refused.Reason, hint) {
			t.Errorf("%.40q: %v", key, err)
		}
	}
	a.Definition.SAML, a.Definition.OAuth = nil, nil
	if err := a.Set("oauth.scopes", "openid"); err == nil || !strings.Contains(err.Error(), "does not use OAuth") {
		t.Error(err)
	}
	if err := a.Set("saml.sign", "both"); err == nil || !strings.Contains(err.Error(), "does not use SAML") {
		t.Error(err)
	}
	if err := a.Validate(); err != nil {
		t.Errorf("an app without SAML: %v", err)
	}
}

func TestSetDoesNotTouchCopies(t *testing.T) {
	a := sampleApp()
	b := a
	if err := a.Set("saml.sign", "response"); err != nil || b.Definition.SAML.Settings.Sign != "" {
		t.Errorf("the copy changed too (%v)", err)
	}
}

func TestApply(t *testing.T) {
	a := sampleApp()
	window := map[string]string{"policy.not_before": "2027-01-01", "policy.not_after": "2027-02-01"}
	if err := a.Apply(window); err != nil {
		t.Fatal(err)
	}
	later := map[string]string{"policy.not_before": "2028-01-01", "policy.not_after": "2028-02-01"}
	if err := a.Apply(later); err != nil {
		t.Errorf("a window cannot be moved at once: %v", err)
	}
	before := a
	for _, bad := range []map[string]string{
		{"policy.not_after": "2027-01-01"},
		{"description": "new", "saml.sign": "nonsense"},
		{"description": "new", "saml.sing": "both"},
	} {
		if err := a.Apply(bad); err == nil || !reflect.DeepEqual(before, a) {
			t.Errorf("%v: %v, description %q", bad, err, a.Definition.Description)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, spoil := range map[string]func(*App){
		"no name":      func(a *App) { a.Definition.Name = "" },
		"no entity id": func(a *App) { a.Definition.SAML.Metadata.EntityID = "" },
		"no acs":       func(a *App) { a.Definition.SAML.Metadata.ACS = nil },
		"bad choice":   func(a *App) { a.Definition.SAML.Settings.Sign = "none" },
		"bad mode":     func(a *App) { a.Policy.PermittedUsers = "some" },
		"bad address":  func(a *App) { a.Definition.StartURL = "javascript:1" },
		"bad window":   func(a *App) { a.Policy.NotBefore, a.Policy.NotAfter = noon, noon },
		"bad lifetime": func(a *App) { a.Definition.SAML.Settings.AssertionLifetime = time.Second },
	} {
		a := sampleApp()
		if spoil(&a); a.Validate() == nil {
			t.Errorf("%s passes", name)
		}
	}
}

func TestDurations(t *testing.T) {
	for in, want := range map[string]string{"1h30m": "1h30m", "36h": "1d12h", "90m": "1h30m", "14d": "14d", "1d1s": "1d1s", "500ms": "500ms", "1h0m5s": "1h0m5s", "0s": "0s", "10m": "10m", "10h": "10h"} {
		d, err := ParseDuration(in)
		if err != nil || FormatDuration(d) != want {
			t.Errorf("%s: %s %v", in, FormatDuration(d), err)
		}
		if back, err := ParseDuration(FormatDuration(d)); back != d || err != nil {
			t.Errorf("%s does not come back: %v %v", in, back, err)
		}
	}
	for _, in := range []string{"", "d", "-1d", "1dd", "1w", "1d-1h", "70000d", "9999999h"} {
		if d, err := ParseDuration(in); err == nil {
			t.Errorf("%q is %v", in, d)
		}
	}
}

func TestDurationsInWords(t *testing.T) {
	for in, want := range map[string]string{
		"10m": "10 minutes", "1h": "1 hour", "90m": "1 hour 30 minutes", "14d": "14 days", "1d12h": "1 day 12 hours", "90s": "1 minute 30 seconds",
		"0s": "none", "none": "none", "500ms": "500ms", "as the metadata says": "as the metadata says",
	} {
		if got := DurationInWords(in); got != want {
			t.Errorf("%s: %q", in, got)
		}
	}
}

func TestSettingsIsACopy(t *testing.T) {
	Settings()[0].Key = "changed"
	if slices.ContainsFunc(Settings(), func(s Setting) bool { return s.Key == "changed" }) {
		t.Error("the table can be changed from outside")
	}
}
