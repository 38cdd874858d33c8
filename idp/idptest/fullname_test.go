package idptest

import (
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestFullName: who has no display name is called by given name and surname, else by user name, wherever a name is told or shown.
func TestFullName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rp := w.Client(t, "names", nil, map[string]string{"policy.consent": "never"})
	sp := w.sp(t, "named", map[string]string{"saml.attributes": `[{"name":"called","format":"basic","source":"display_name"}]`})
	for _, one := range []struct {
		name, want string
		change     func(*api.NewUser)
	}{
		{"nia", "Nia Sample", func(n *api.NewUser) { n.DisplayName, n.GivenName = "", "Nia" }},
		{"ned", "ned", func(n *api.NewUser) { n.DisplayName, n.GivenName, n.Surname = "", "", "" }},
		{"nell", "The nell", func(*api.NewUser) {}},
	} {
		w.AddPerson(t, one.name, "Members", one.change)
		c := w.browser(t)
		account := c.SignIn(c.Get("/account"), one.name, Password)
		if fact := account.Body[strings.Index(account.Body, "User name"):]; !strings.Contains(fact[:strings.Index(fact, "E-mail")], ">"+one.want+"<") {
			t.Errorf("the account page of %s does not say %q", one.name, one.want)
		}
		if got := rp.UserInfo(rp.Tokens(c, "scope", "openid profile").Text("access_token")).Text("name"); got != one.want {
			t.Errorf("the name of %s is told as %q, want %q", one.name, got, one.want)
		}
		if got := c.Get(sp.RedirectURL(w.sso, Ask{})).Response(t).Attribute("called"); len(got) != 1 || got[0] != one.want {
			t.Errorf("the displayName of %s is told as %v, want %q", one.name, got, one.want)
		}
	}
}
