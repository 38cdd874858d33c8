package idptest

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// TestBrowserAsksAndApproves drives the whole road in Chromium: ben asks, eve says yes, ben opens the app.
func TestBrowserAsksAndApproves(t *testing.T) {
	t.Parallel()
	w := newAsking(t)
	b := NewBrowser(t)
	enter := func(name string) {
		b.Fresh()
		b.Open(w.URL)
		b.signIn(name, Password)
		b.WaitFor(".person-menu")
	}
	enter("bob")
	b.Expect("403")
	b.Open(w.URL + "/launch/" + w.app.ID)
	b.Click(`.actions a[href^="/ask/"]`)
	b.Type("#f-why", "Month's end, I stand in for Anna.")
	if shown := b.Texts(".until label"); len(shown) != 0 {
		t.Errorf("a date is asked for beside a time: %q", shown)
	}
	b.Click(`form[action^="/ask/"] button.primary`)
	b.WaitFor(".notice.ok")
	if states := b.Texts(".rows .state"); len(states) != 1 || states[0] != "waiting" {
		t.Errorf("own requests are %q", states)
	}
	enter("eve")
	b.Click(".to-answer")
	b.WaitFor(".request")
	if why := b.Text(".request .quote"); why != "Month's end, I stand in for Anna." {
		t.Errorf("eve reads %q", why)
	}
	b.Type(".request textarea", "Welcome.")
	b.Click(".request button.primary")
	b.WaitFor(".notice.ok")
	enter("bob")
	b.WaitFor(`#tiles a[href="/launch/` + w.app.ID + `"]`)
	if grants := w.grants(t); len(grants) != 1 || grants[0].User.Name != "bob" || grants[0].By.Name != "eve" {
		t.Errorf("%+v", grants)
	}
	// Without script, the other answer.
	if _, err := w.API.RevokeGrant(t.Context(), api.RevokeGrant{User: "bob", App: w.app.ID}); err != nil {
		t.Fatal(err)
	}
	request := w.ask(t, w.SignedIn(t, "bob"))
	b.JavaScript(false)
	enter("eve")
	b.Open(w.URL + "/requests")
	b.Click(`.request button[formaction$="/deny"]`)
	b.WaitFor(".notice.ok")
	if denied := w.requests(t, "denied"); len(denied) != 1 || denied[0].ID != request.ID {
		t.Errorf("%+v", denied)
	}
}

// requestPages are those of asking and answering: ben, who is signed in, asks; ada answers.
func requestPages(g *gallery, s *Server) {
	g.t.Helper()
	var ids []string
	for _, name := range []string{"Payroll Console", longName + " II", "Travel desk"} {
		added, err := s.API.AddApp(g.t.Context(), api.NewApp{
			EntityID: "https://" + url.PathEscape(name[:6]) + ".example/saml", ACS: "https://asked.example/acs", Name: name,
			Set: map[string]string{"policy.permitted_users": "preauthorized", "policy.profiles": "Administrators", "policy.approvers": "ada", "description": "Salaries, and who is paid when."},
		})
		if err != nil {
			g.t.Fatal(err)
		}
		ids = append(ids, added.App.ID)
	}
	g.visit("ask", s.URL+"/ask")
	g.Open(s.URL + "/ask/" + ids[0])
	g.look("ask-app")
	g.Expect("422")
	g.Click(`form[action^="/ask/"] button.primary`)
	g.WaitFor(".field-error")
	g.look("ask-app-error")
	g.Expect("403")
	g.visit("refused-ask", s.URL+"/launch/"+ids[0])
	ben := s.SignedIn(g.t.(*testing.T), "ben")
	for i, form := range []url.Values{
		{"why": {"Month's end:\nI stand in for Ana until she is back."}, "span": {"7d"}},
		{"why": {strings.Repeat("averylongword", 30)}, "span": {"date"}, "until": {time.Now().AddDate(0, 0, 35).Format(time.DateOnly)}},
		{"why": {"To book the journey."}, "span": {"1d"}},
	} {
		ben.Post("/ask/"+ids[i], form)
	}
	answered, err := s.API.Requests(g.t.Context(), api.RequestQuery{App: ids[2]})
	if err != nil {
		g.t.Fatal(err)
	}
	if _, err := s.API.ApproveRequest(g.t.Context(), answered.Items[0].ID, api.Answer{For: "7d", Text: "Book by Friday, please."}); err != nil {
		g.t.Fatal(err)
	}
	g.visit("ask-own", s.URL+"/ask")
	g.Fresh()
	g.Open(s.URL)
	g.signIn("ada", Password)
	g.WaitFor(".to-answer")
	g.look("portal-approver")
	g.visit("requests", s.URL+"/requests")
	for _, view := range []string{"waiting", "all", "now"} {
		g.visit("console-requests-"+view, s.URL+"/admin/requests?view="+view)
	}
	g.visit("app-requests", s.URL+"/admin/apps/"+ids[0]+"/requests")
	g.visit("app-requests-now", s.URL+"/admin/apps/"+ids[2]+"/requests?view=now")
}
