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
