package sp

import (
	"encoding/base64"
	"strings"
	"testing"
)

func TestKeysOfClients(t *testing.T) {
	rsa := func(bytes int) string {
		return `{"kty":"RSA","e":"AQAB","n":"` + base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", bytes))) + `"`
	}
	const ec = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"`
	for key, says := range map[string]string{
		rsa(256) + `}`:                                 "",
		ec + `,"kid":"a","use":"sig"}`:                 "",
		ec + `,"x5t#S256":"AAA","key_ops":["verify"]}`: "",
		`{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`: "", // RFC 8037, A.2
		rsa(255) + `}`:             "2040 bits",
		rsa(128) + `}`:             "1024 bits",
		rsa(1025) + `}`:            "8200 bits",
		`{"kty":"RSA","e":"AQAB"}`: "no modulus",
		strings.Replace(rsa(256), "AQAB", "AQ", 1) + `}`:           "exponent",
		strings.Replace(rsa(256), "AQAB", "AQAA", 1) + `}`:         "exponent",
		rsa(256) + `,"p":"AQAB"}`:                                  "private part",
		ec + `,"d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}`: "private part",
		ec + `,"D":"x"}`: "private part",
		strings.Replace(ec, "P-256", "secp256k1", 1) + `}`:                              `not known, "secp256k1"`,
		strings.Replace(ec, "P-256", "P-384", 1) + `}`:                                  "no point",
		strings.Replace(ec, "f83", "e83", 1) + `}`:                                      "no point",
		`{"kty":"OKP","crv":"Ed448","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`: "not known",
		`{"kty":"OKP","crv":"Ed25519","x":"11qY"}`:                                      "cut off",
		`{"kty":"oct","k":"c2VjcmV0"}`:                                                  "shared secret",
		`{"kty":"AKP"}`:                                                                 "neither",
		`{"n":5}`:                                                                       "no JSON Web Key",
		`"text"`:                                                                        "no JSON Web Key",
	} {
		err := checkKeySet(`{"keys":[` + key + `]}`)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "key 1 ")) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
