package directory

import "testing"

func TestFullName(t *testing.T) {
	for want, user := range map[string]User{
		"Ana S.": {Name: "ana", DisplayName: "Ana S.", GivenName: "Ana", Surname: "Sample"}, "Ana Sample": {Name: "ana", GivenName: "Ana", Surname: "Sample"},
		"Ana": {Name: "ana", GivenName: "Ana"}, "Sample": {Name: "ana", Surname: "Sample"}, "ana": {Name: "ana"}, "": {},
	} {
		if got := user.FullName(); got != want {
			t.Errorf("%+v is called %q, want %q", user, got, want)
		}
	}
}
