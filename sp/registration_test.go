package sp

import (
	"strings"
	"testing"
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
