package idptest

import (
	"gatehouse/idp/api"
)

// factorPages are those of second factors and passkeys, on a server that has a name, so that passkeys work.
func factorPages(g *gallery) {
	g.t.Helper()
	s := Start(g.t, Options{Named: true})
	s.AddPerson(g.t, "eve", "Employees")
	s.AddPerson(g.t, "olga", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	app := s.AddApp(g.t, NewSP(g.t, "payroll").Metadata(), map[string]string{"name": "Payroll", "policy.min_level": "high", "policy.on_low_level": "grace"})
	if _, err := s.API.SetSettings(g.t.Context(), api.Change{Set: map[string]string{"signin.mfa_grace": "14d"}}); err != nil {
		g.t.Fatal(err)
	}
	g.noAutofill()
	g.plugIn(true)
	g.visit("sign-in-passkey", s.URL+"/login")
	g.Open(s.URL + "/launch/" + app.ID)
	g.signIn("eve", Password)
	g.WaitFor("form[data-passkey=create]")
	g.look("enrol")
	g.Click("a[href^='/login/enrol/app']")
	g.WaitFor("svg.qr")
	g.look("enrol-app")
	g.Expect("422")
	g.Type("#f-code", "000000")
	g.Click("form button.primary")
	g.WaitFor(".field-error")
	g.look("enrol-app-wrong")
	g.Open(s.URL + "/login/enrol?next=/account")
	g.Click("form[data-passkey=create] button")
	g.WaitFor(".codes")
	g.look("recovery-codes")
	if _, err := s.API.EnrolTOTP(g.t.Context(), "eve"); err != nil {
		g.t.Fatal(err)
	}
	g.visit("account-factors", s.URL+"/account")
	g.Click("#factors details.more summary")
	g.look("account-factor-rename")
	g.Click("#factors .rows a.button:last-child")
	g.WaitFor("button.danger")
	g.look("factor-remove")
	g.Fresh()
	g.Open(s.URL + "/launch/" + app.ID)
	g.signIn("eve", Password)
	g.WaitFor("#f-code")
	g.look("factor")
	g.Expect("403")
	g.Type("#f-code", "000000")
	g.Click("form button:not([name])[class=wide]")
	g.WaitFor("#summary")
	g.look("factor-wrong")
	g.Fresh()
	g.Open(s.URL + "/login?next=/admin/")
	g.signIn("olga", Password)
	g.WaitFor(".console-page")
	eve, err := s.API.User(g.t.Context(), "eve")
	if err != nil {
		g.t.Fatal(err)
	}
	g.visit("user-factors", s.URL+"/admin/users/"+eve.ID)
}
