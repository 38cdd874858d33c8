package sp

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestMisfit: who writes client metadata with a slip is told which member it is.
func TestMisfit(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"redirect_uris":"https://a.example/cb"}`:        ": redirect_uris has to be a list, like",
		`{"client_name":1}`:                               ": client_name has to be a text, like",
		`{"require_pushed_authorization_requests":"yes"}`: ": require_pushed_authorization_requests has to be true or false, like",
		`{"client_name":"A",`:                             "(RFC 7591), like",
		`[]`:                                              "(RFC 7591), like",
		`{"redirect_uris":[1],"client_name":"the list is one"}`: ": redirect_uris has to be",
	} {
		if _, err := ReadRegistration([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

// TestUnreadable: whoever sends JSON that does not fit is told what does not, and never in the words of a programming language.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"name":7}`: "does not fit: name has to be a text", `{"list":{}}`: "does not fit: list has to be a list", `{"inner":{"yes":"a"}}`: "does not fit: inner.yes has to be true or false",
		`{"inner":[]}`: "does not fit: inner has to be an object", `{"set":[]}`: "does not fit: set has to be an object", `{"count":1.5}`: "does not fit: count has to be a whole number",
		`{"at":"today"}`: `does not fit: "today" has to be a time, like 2026-01-31T08:00:00Z`, `{"at":1}`: "does not fit: one of its values is not of the kind that it has to be",
		`{"nmae":1}`: `has a member that is not known: "nmae": correct its name, or leave it out`, `[]`: "has to be a JSON object, in curly brackets", `{"any":1e999}`: "holds a number that is too large: 1e999",
		``: "is empty: send a JSON object", `{`: "cannot be read as JSON: it ends too early", `{"name":}`: "cannot be read as JSON: see its byte 9",
	} {
		var into struct {
			Name  string   `json:"name"`
			List  []string `json:"list"`
			Inner struct {
				Yes bool `json:"yes"`
			} `json:"inner"`
			Set   map[string]string `json:"set"`
			Count int               `json:"count"`
			At    time.Time         `json:"at"`
			Any   any               `json:"any"`
		}
		d := json.NewDecoder(strings.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&into); err == nil || Unreadable(err) != want {
			t.Errorf("%s: %v, want %q", text, Unreadable(err), want)
		}
	}
	var value any
	if err := json.Unmarshal([]byte(`{"a":`), &value); Unreadable(err) != "cannot be read as JSON: it ends too early" {
		t.Error(Unreadable(err))
	}
}

// TestAdministratorsAreToldOfEverything: a member that would not count is refused by its name; of clients that register themselves it
// is ignored.
func TestAdministratorsAreToldOfEverything(t *testing.T) {
	for text, want := range map[string]string{
		`{"client_name":"x","software_id":"y"}`:      `a member "software_id", which Gatehouse does not know:`,
		`{"client_name":"x","redirect_uri":["y"]}`:   `(did you mean redirect_uris?)`,
		`{"client_name":"x","client_id":"mine"}`:     "has a client_id, but Gatehouse chooses",
		`{"client_name":"x","client_secret":"mine"}`: "has a client_secret, but Gatehouse chooses",
		`{"redirect_uris":"x"}`:                      "has to be a list",
	} {
		if _, err := ReadAdministered([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := ReadRegistration([]byte(text)); (err == nil) == strings.Contains(want, "list") {
			t.Errorf("of a client that registers itself, %s: %v", text, err)
		}
	}
	whole := `{"client_name":"x","redirect_uris":["https://x.example/"],"tls_client_auth_san_dns":"x.example","jwks":{"keys":[]},"dpop_bound_access_tokens":true}`
	if r, err := ReadAdministered([]byte(whole)); err != nil || r.DNS != "x.example" || !r.RequireDPoP {
		t.Errorf("%+v, %v", r, err)
	}
}
