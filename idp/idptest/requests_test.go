package idptest

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// asking is a server with an app that employees may use and that eve and ana answer for; bob and dan are contractors.
type asking struct {
	*Server
	clock *clock
	sp    *SP
	app   api.App
}

func newAsking(t *testing.T) *asking {
	t.Helper()
	w := &asking{clock: &clock{}, sp: NewSP(t, "payroll")}
	w.Server = Start(t, Options{Now: w.clock.now})
	for name, profile := range map[string]string{"ana": "Employees", "eve": "Employees", "bob": "Contractors", "dan": "Contractors"} {
		w.AddPerson(t, name, profile)
	}
	w.AddPerson(t, "ada", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	w.app = w.AddApp(t, w.sp.Metadata(), map[string]string{
		"name": "Payroll", "policy.permitted_users": "preauthorized", "policy.profiles": "Employees", "policy.approvers": "eve,ana",
	})
	w.set(t, map[string]string{"session.idle": "30d", "session.max": "40d"})
	return w
}

func (w *asking) set(t *testing.T, values map[string]string) {
	t.Helper()
	if _, err := w.API.SetSettings(t.Context(), api.Change{Set: values}); err != nil {
		t.Fatal(err)
	}
}

func (w *asking) setApp(t *testing.T, values map[string]string) {
	t.Helper()
	if _, err := w.API.SetApp(t.Context(), w.app.ID, api.Change{Set: values}); err != nil {
		t.Fatal(err)
	}
}

// ask has a person ask for the app for a day, and returns the request.
func (w *asking) ask(t *testing.T, c *Client) api.AccessRequest {
	t.Helper()
	page := c.Post("/ask/"+w.app.ID, url.Values{"why": {"Month's end."}, "span": {"1d"}})
	if page.Status != http.StatusOK || page.URL.Path != "/ask" {
		t.Fatalf("rests at %s with %d:\n%s", page.URL, page.Status, page.Body)
	}
	return w.requests(t, "asked")[0]
}

func (w *asking) requests(t *testing.T, state string) []api.AccessRequest {
	t.Helper()
	list, err := w.API.Requests(t.Context(), api.RequestQuery{State: state, App: w.app.ID})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func (w *asking) grants(t *testing.T) []api.Grant {
	t.Helper()
	list, err := w.API.Grants(t.Context(), api.RequestQuery{App: w.app.ID})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

// events are the audit entries of a kind about the app, newest first.
func (w *asking) events(t *testing.T, kind string) []api.AuditEntry {
	t.Helper()
	list, err := w.API.Audit(t.Context(), api.AuditQuery{App: w.app.ID, Kind: kind})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func (w *asking) reached(t *testing.T) int {
	t.Helper()
	list, err := w.API.Sessions(t.Context(), "bob", w.app.ID)
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

// refused demands that bob gets in neither from the app nor from the portal, where there is no tile.
func (w *asking) refused(t *testing.T, bob *Client) *Page {
	t.Helper()
	there := bob.Get(w.sp.RedirectURL(w.URL+"/saml/sso", Ask{Instant: w.clock.instant()})).Response(t)
	if top, nested := there.Status(); top != "Responder" || nested != "RequestDenied" {
		t.Errorf("the app is told %s/%s", top, nested)
	}
	page := bob.Get("/launch/" + w.app.ID)
	if page.Status != http.StatusForbidden {
		t.Errorf("opening the app from the portal: %d\n%s", page.Status, page.Body)
	}
	if entry := w.events(t, "signon")[0]; entry.Outcome != "refused" || entry.Reason != "permitted_users" {
		t.Errorf("audit: %+v", entry)
	}
	if strings.Contains(bob.Get("/").Body, `href="/launch/`+w.app.ID) {
		t.Error("a tile for an app that refuses")
	}
	return page
}

func (w *asking) enters(t *testing.T, bob *Client) {
	t.Helper()
	for name, page := range map[string]*Page{
		"from the app":    bob.Get(w.sp.RedirectURL(w.URL+"/saml/sso", Ask{Instant: w.clock.instant()})),
		"from the portal": bob.Get("/launch/" + w.app.ID),
	} {
		if page.Status != http.StatusOK {
			t.Fatalf("%s: %d\n%s", name, page.Status, page.Body)
		}
		if top, _ := page.Response(t).Status(); top != "Success" {
			t.Errorf("%s: %s", name, top)
		}
	}
	if !strings.Contains(bob.Get("/").Body, `href="/launch/`+w.app.ID) {
		t.Error("no tile for an app that opens")
	}
}

// TestAccessOnRequest is the whole road: refused, asked, approved, inside, and out again when the time is over.
func TestAccessOnRequest(t *testing.T) {
	t.Parallel()
	w := newAsking(t)
	bob, eve := w.SignedIn(t, "bob"), w.SignedIn(t, "eve")
	if page := w.refused(t, bob); !strings.Contains(page.Body, `href="/ask/`+w.app.ID+`"`) || !strings.Contains(page.Body, "Ask for an app") {
		t.Errorf("the refusal does not lead to the form:\n%s", page.Body)
	}
	if page := bob.Get("/ask"); !strings.Contains(page.Body, `href="/ask/`+w.app.ID+`"`) {
		t.Errorf("the app is not offered:\n%s", page.Body)
	}
	if page := bob.Get("/ask/" + w.app.ID); page.Status != http.StatusOK || !strings.Contains(page.Body, `action="/ask/`+w.app.ID+`"`) {
		t.Errorf("no form: %d\n%s", page.Status, page.Body)
	}
	const evil = "<script>alert(1)</script>\r\n\"'><b>now</b>"
	sent := bob.Post("/ask/"+w.app.ID, url.Values{"why": {evil}, "span": {"7d"}})
	if !strings.Contains(sent.Body, "Your request is sent") || !strings.Contains(sent.Body, "waiting") || strings.Contains(sent.Body, `class="tile" href="/ask/`) {
		t.Errorf("after sending:\n%s", sent.Body)
	}
	w.refused(t, bob)
	request := w.requests(t, "asked")[0]
	if request.User.Name != "bob" || request.WantedFor != "7d" || request.Why != strings.ReplaceAll(evil, "\r\n", "\n") {
		t.Errorf("%+v", request)
	}
	inbox := eve.Get("/requests")
	if strings.Contains(inbox.Body, "<script>alert") || strings.Contains(inbox.Body, "<b>now") || !strings.Contains(inbox.Body, "&lt;b&gt;now") {
		t.Errorf("what bob wrote is alive:\n%s", inbox.Body)
	}
	if !strings.Contains(eve.Get("/").Body, `<span class="number">1</span>`) || strings.Contains(bob.Get("/").Body, `href="/requests"`) {
		t.Error("the count is not with the approver alone")
	}
	done := eve.Post("/requests/"+request.ID+"/approve", url.Values{"span": {"1d"}, "text": {"Until Anna is back."}})
	if done.URL.Path != "/requests" || !strings.Contains(done.Body, "Approved.") || !strings.Contains(done.Body, "Nothing waits") {
		t.Errorf("after the answer: %d at %s\n%s", done.Status, done.URL, done.Body)
	}
	w.enters(t, bob)
	if own := bob.Get("/ask"); !strings.Contains(own.Body, "Until Anna is back.") || !strings.Contains(own.Body, "approved by The eve") {
		t.Errorf("bob does not see the answer:\n%s", own.Body)
	}
	w.endsByItself(t, bob, request)
}

func (w *asking) endsByItself(t *testing.T, bob *Client, request api.AccessRequest) {
	t.Helper()
	if w.reached(t) != 1 || len(w.grants(t)) != 1 {
		t.Fatalf("%d sessions, grants %+v", w.reached(t), w.grants(t))
	}
	for kind, who := range map[string]string{"access.ask": "bob", "access.approve": "eve"} {
		entries := w.events(t, kind)
		if len(entries) != 1 || entries[0].Actor.Name != who || entries[0].User.Name != "bob" || entries[0].Facts["request"] != request.ID {
			t.Errorf("%s: %+v", kind, entries)
		}
	}
	w.clock.advance(24*time.Hour - time.Minute)
	w.enters(t, bob)
	w.clock.advance(2 * time.Minute)
	w.refused(t, bob)
	if len(w.grants(t)) != 0 {
		t.Error("the grant is still listed")
	}
	w.Stop()
	again := Start(t, Options{Dir: w.Dir, Now: w.clock.now}) // its jobs run at the start
	w.Server = again
	eventually(t, "the access does not end by itself", func() bool { return len(w.events(t, "access.end")) > 0 })
	ends := w.events(t, "access.end")
	if len(ends) != 1 || ends[0].Actor.Name != "system" || ends[0].User.Name != "bob" || ends[0].Facts["request"] != request.ID || ends[0].Facts["sessions"] != "1" {
		t.Errorf("access.end: %+v", ends)
	}
	if w.reached(t) != 0 {
		t.Error("the app is still in bob's session")
	}
}

// TestManyRequests holds a person to 20 open requests.
func TestManyRequests(t *testing.T) {
	t.Parallel()
	w := newAsking(t)
	bob := w.SignedIn(t, "bob")
	for i := range 21 {
		name := fmt.Sprintf("app%02d", i)
		added, err := w.API.AddApp(t.Context(), api.NewApp{
			EntityID: "https://" + name + ".example/saml", ACS: "https://" + name + ".example/acs", Name: name,
			Set: map[string]string{"policy.permitted_users": "preauthorized", "policy.approvers": "eve"},
		})
		if err != nil {
			t.Fatal(err)
		}
		page := bob.Post("/ask/"+added.App.ID, url.Values{"why": {"x"}, "span": {"30d"}})
		switch {
		case i < 20 && page.URL.Path != "/ask":
			t.Fatalf("request %d: %d\n%s", i+1, page.Status, page.Body)
		case i == 20 && (page.Status != http.StatusUnprocessableEntity || !strings.Contains(page.Body, "You have 20 open requests")):
			t.Errorf("the 21st: %d\n%s", page.Status, page.Body)
		}
	}
	list, err := w.API.Requests(t.Context(), api.RequestQuery{State: "asked", User: "bob", Limit: 15})
	if err != nil || len(list.Items) != 15 || list.Next == "" {
		t.Fatalf("%d, %v", len(list.Items), err)
	}
	rest, err := w.API.Requests(t.Context(), api.RequestQuery{State: "asked", User: "bob", Limit: 15, After: list.Next})
	if err != nil || len(rest.Items) != 5 || rest.Next != "" || rest.Items[4].App.Name != "app00" {
		t.Errorf("%d more, next %q, %v", len(rest.Items), rest.Next, err)
	}
}

// TestOneAnswerWins sends yes and no at the same time.
func TestOneAnswerWins(t *testing.T) {
	t.Parallel()
	w := newAsking(t)
	request := w.ask(t, w.SignedIn(t, "bob"))
	clients := []*Client{w.SignedIn(t, "eve"), w.SignedIn(t, "ana")}
	statuses := make([]int, 12)
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() {
			word := []string{"approve", "deny"}[i/2%2]
			statuses[i] = clients[i%2].Post("/requests/"+request.ID+"/"+word, url.Values{"span": {"1d"}}).Status
		})
	}
	all.Wait()
	slices.Sort(statuses)
	if statuses[0] != http.StatusOK || statuses[1] != http.StatusConflict || statuses[11] != http.StatusConflict {
		t.Errorf("%v, want one 200 and eleven 409", statuses)
	}
	if n := len(w.events(t, "access.approve")) + len(w.events(t, "access.deny")); n != 1 {
		t.Errorf("%d answers in the audit", n)
	}
	if closed := w.requests(t, ""); closed[0].State == "approved" != (len(w.grants(t)) == 1) {
		t.Errorf("%+v with grants %+v", closed, w.grants(t))
	}
}
