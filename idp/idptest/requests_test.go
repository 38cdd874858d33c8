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
	deadline := time.Now().Add(10 * time.Second)
	for len(w.events(t, "access.end")) == 0 && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	ends := w.events(t, "access.end")
	if len(ends) != 1 || ends[0].Actor.Name != "system" || ends[0].User.Name != "bob" || ends[0].Facts["request"] != request.ID || ends[0].Facts["sessions"] != "1" {
		t.Errorf("access.end: %+v", ends)
	}
	if w.reached(t) != 0 {
		t.Error("the app is still in bob's session")
	}
}

// TestAnswersToRequests walks the ways in which a request is answered, or must not be.
func TestAnswersToRequests(t *testing.T) {
	t.Parallel()
	w := newAsking(t)
	people := map[string]*Client{}
	for _, name := range []string{"ana", "eve", "bob", "dan", "ada"} {
		people[name] = w.SignedIn(t, name)
	}
	bob, eve := people["bob"], people["eve"]

	t.Run("denied", func(t *testing.T) {
		request := w.ask(t, bob)
		eve.Post("/requests/"+request.ID+"/deny", url.Values{"span": {"nonsense"}, "text": {"Ask Ana."}})
		if denied := w.requests(t, "denied"); len(denied) != 1 || denied[0].By.Name != "eve" || denied[0].Answer != "Ask Ana." {
			t.Errorf("%+v", denied)
		}
		if page := bob.Get("/ask"); !strings.Contains(page.Body, "Ask Ana.") {
			t.Errorf("bob does not see why:\n%s", page.Body)
		}
		w.refused(t, bob)
		if entries := w.events(t, "access.deny"); len(entries) != 1 || entries[0].Actor.Name != "eve" {
			t.Errorf("%+v", entries)
		}
		w.stays(t, people["ana"], request.ID, http.StatusConflict, "answered_already")
	})
	t.Run("withdrawn", func(t *testing.T) {
		request := w.ask(t, bob)
		if page := people["dan"].Post("/requests/"+request.ID+"/withdraw", nil); page.Status != http.StatusNotFound {
			t.Errorf("somebody else's: %d", page.Status)
		}
		if page := bob.Post("/requests/"+request.ID+"/withdraw", nil); page.URL.Path != "/ask" || !strings.Contains(page.Body, "is withdrawn") {
			t.Errorf("%d at %s", page.Status, page.URL)
		}
		if len(w.requests(t, "asked")) != 0 || len(w.events(t, "access.withdraw")) != 1 {
			t.Error("it is not withdrawn, or the audit does not know")
		}
		w.stays(t, eve, request.ID, http.StatusConflict, "answered_already")
	})
	t.Run("one at a time", func(t *testing.T) {
		request := w.ask(t, bob)
		page := bob.Post("/ask/"+w.app.ID, url.Values{"why": {"Again."}, "span": {"1d"}})
		if page.Status != http.StatusUnprocessableEntity || !strings.Contains(page.Body, "You asked for Payroll already") || len(w.requests(t, "asked")) != 1 {
			t.Errorf("%d:\n%s", page.Status, page.Body)
		}
		bob.Post("/requests/"+request.ID+"/withdraw", nil)
	})
	t.Run("by who must not", func(t *testing.T) { w.mustNot(t, people) })
	t.Run("to what must not be granted", func(t *testing.T) { w.notGrantable(t, people) })
	t.Run("bad values", func(t *testing.T) { w.badValues(t, bob, eve) })
	t.Run("revoked", func(t *testing.T) { w.revoked(t, people) })
	t.Run("renewed after it expired", func(t *testing.T) { w.expires(t, bob, eve) })
}

// stays demands that a yes and a no are refused, and that nothing changes by them.
func (w *asking) stays(t *testing.T, c *Client, id string, status int, reason string) {
	t.Helper()
	state := func() string { return fmt.Sprintf("%+v\n%+v", w.requests(t, ""), w.grants(t)) }
	before := state()
	for _, word := range []string{"approve", "deny"} {
		page := c.Post("/requests/"+id+"/"+word, url.Values{"span": {"1d"}})
		if page.Status != status {
			t.Errorf("%s: %d, want %d\n%s", word, page.Status, status, page.Body)
		}
		if reason == "" {
			continue
		}
		if entry := w.Audit(t)[0]; entry.Outcome != "refused" || entry.Reason != reason {
			t.Errorf("%s: audit %+v, want %s", word, entry, reason)
		}
	}
	if after := state(); after != before {
		t.Errorf("before %s\nafter %s", before, after)
	}
}

func (w *asking) mustNot(t *testing.T, people map[string]*Client) {
	request := w.ask(t, people["bob"])
	w.stays(t, people["bob"], request.ID, http.StatusForbidden, "own_request")
	w.stays(t, people["dan"], request.ID, http.StatusForbidden, "not_approver")
	w.stays(t, people["ada"], request.ID, http.StatusForbidden, "not_approver") // an owner answers in the console
	w.stays(t, people["eve"], "req_"+strings.Repeat("a", 26), http.StatusNotFound, "")
	if page := people["dan"].Get("/requests"); strings.Contains(page.Body, request.ID) || !strings.Contains(page.Body, "You do not answer requests") {
		t.Errorf("dan sees:\n%s", page.Body)
	}
	w.setApp(t, map[string]string{"policy.approvers": "ana"})
	w.stays(t, people["eve"], request.ID, http.StatusForbidden, "not_approver")
	if page := people["eve"].Get("/requests"); strings.Contains(page.Body, request.ID) {
		t.Error("a former approver still sees the request")
	}
	w.setApp(t, map[string]string{"policy.approvers": "eve,ana,bob"})
	w.stays(t, people["bob"], request.ID, http.StatusForbidden, "own_request") // an approver himself by now
	if page := people["bob"].Get("/requests"); strings.Contains(page.Body, request.ID) {
		t.Error("an approver sees his own request")
	}
	w.setApp(t, map[string]string{"policy.approvers": "default"})
	w.stays(t, people["ana"], request.ID, http.StatusForbidden, "not_approver")
	people["bob"].Post("/requests/"+request.ID+"/withdraw", nil)
	if page := people["bob"].Post("/ask/"+w.app.ID, url.Values{"why": {"x"}, "span": {"1d"}}); page.Status != http.StatusForbidden || len(w.requests(t, "asked")) != 0 {
		t.Errorf("asking where nobody answers: %d", page.Status)
	}
	if page := people["bob"].Get("/launch/" + w.app.ID); strings.Contains(page.Body, "/ask/") || !strings.Contains(page.Body, "Ask your administrator") {
		t.Errorf("the refusal leads to a form that nobody answers:\n%s", page.Body)
	}
	w.setApp(t, map[string]string{"policy.approvers": "eve,ana"})
	w.disabledApprover(t, people)
}

func (w *asking) disabledApprover(t *testing.T, people map[string]*Client) {
	request := w.ask(t, people["bob"])
	if _, err := w.API.EnableUser(t.Context(), "eve", false); err != nil {
		t.Fatal(err)
	}
	if page := people["eve"].Post("/requests/"+request.ID+"/approve", url.Values{"span": {"1d"}}); page.URL.Path != "/login" || len(w.requests(t, "asked")) != 1 {
		t.Errorf("a disabled approver rests at %s with %d", page.URL, page.Status)
	}
	if _, err := w.API.EnableUser(t.Context(), "eve", true); err != nil {
		t.Fatal(err)
	}
	w.signInAgain(t, people["eve"], "eve")
	people["bob"].Post("/requests/"+request.ID+"/withdraw", nil)
}

// signInAgain gives a browser that was signed out a new session; it stays the outer test's.
func (w *asking) signInAgain(t *testing.T, c *Client, name string) {
	t.Helper()
	fresh := w.SignedIn(t, name)
	fresh.t = c.t
	*c = *fresh
}

func (w *asking) notGrantable(t *testing.T, people map[string]*Client) {
	request := w.ask(t, people["dan"])
	if _, err := w.API.EnableUser(t.Context(), "dan", false); err != nil {
		t.Fatal(err)
	}
	page := people["eve"].Post("/requests/"+request.ID+"/approve", url.Values{"span": {"1d"}})
	if page.Status != http.StatusConflict || !strings.Contains(page.Body, "account of dan is not active") || len(w.grants(t)) != 0 {
		t.Errorf("a disabled person: %d\n%s", page.Status, page.Body)
	}
	if _, err := w.API.EnableUser(t.Context(), "dan", true); err != nil {
		t.Fatal(err)
	}
	if _, err := w.API.MoveApp(t.Context(), w.app.ID, "block"); err != nil {
		t.Fatal(err)
	}
	if page := people["eve"].Post("/requests/"+request.ID+"/approve", url.Values{"span": {"1d"}}); page.Status != http.StatusConflict || len(w.grants(t)) != 0 {
		t.Errorf("a blocked app: %d", page.Status)
	}
	if page := people["eve"].Get("/requests"); strings.Contains(page.Body, request.ID) {
		t.Error("a request for a blocked app waits for an answer")
	}
	if page := people["bob"].Get("/ask"); strings.Contains(page.Body, `class="tile" href="/ask/`+w.app.ID) {
		t.Error("a blocked app can be asked for")
	}
	if page := people["bob"].Post("/ask/"+w.app.ID, url.Values{"why": {"x"}, "span": {"1d"}}); page.Status != http.StatusForbidden {
		t.Errorf("asking for a blocked app: %d", page.Status)
	}
	if _, err := w.API.MoveApp(t.Context(), w.app.ID, "unblock"); err != nil {
		t.Fatal(err)
	}
	w.setApp(t, map[string]string{"policy.ip_ranges": "192.0.2.0/24"})
	if page := people["bob"].Get("/ask"); strings.Contains(page.Body, "/ask/"+w.app.ID) {
		t.Error("an app that another rule refuses is offered")
	}
	if page := people["bob"].Post("/ask/"+w.app.ID, url.Values{"why": {"x"}, "span": {"1d"}}); page.Status != http.StatusForbidden || len(w.requests(t, "asked")) != 1 {
		t.Errorf("asking for an app that another rule refuses: %d", page.Status)
	}
	w.setApp(t, map[string]string{"policy.ip_ranges": "default"})
	if page := people["ana"].Post("/ask/"+w.app.ID, url.Values{"why": {"x"}, "span": {"1d"}}); page.Status >= 500 || len(w.requests(t, "asked")) != 1 {
		t.Errorf("asking for what one has: %d", page.Status)
	}
	if err := w.API.RemoveUser(t.Context(), "dan"); err != nil || len(w.requests(t, "asked")) != 0 {
		t.Errorf("a removed person's request still waits: %v", err)
	}
}

func (w *asking) badValues(t *testing.T, bob, eve *Client) {
	long := strings.Repeat("ä", 501)
	tomorrow, past, far := w.clock.now().AddDate(0, 0, 1), w.clock.now().AddDate(0, 0, -2), w.clock.now().AddDate(2, 0, 0)
	for name, form := range map[string]url.Values{
		"no reason":        {"why": {" \n "}, "span": {"1d"}},
		"a long reason":    {"why": {long}, "span": {"1d"}},
		"steers":           {"why": {"a\x1b[31m"}, "span": {"1d"}},
		"turned round":     {"why": {"a\u202eb"}, "span": {"1d"}},
		"broken text":      {"why": {"\xff"}, "span": {"1d"}},
		"no time":          {"why": {"x"}},
		"a time of ours":   {"why": {"x"}, "span": {"5d"}},
		"no date":          {"why": {"x"}, "span": {"date"}},
		"a date that is":   {"why": {"x"}, "span": {"date"}, "until": {"2027-02-30"}},
		"a date that was":  {"why": {"x"}, "span": {"date"}, "until": {past.Format(time.DateOnly)}},
		"a date far ahead": {"why": {"x"}, "span": {"date"}, "until": {far.Format(time.DateOnly)}},
	} {
		page := bob.Post("/ask/"+w.app.ID, form)
		if page.Status != http.StatusUnprocessableEntity || !strings.Contains(page.Body, "field-error") || len(w.requests(t, "asked")) != 0 {
			t.Errorf("%s: %d\n%s", name, page.Status, page.Body)
		}
	}
	bob.Post("/ask/"+w.app.ID, url.Values{"why": {long[:1000]}, "span": {"date"}, "until": {tomorrow.Format(time.DateOnly)}})
	request := w.requests(t, "asked")[0]
	if y, m, d := tomorrow.UTC().Date(); !request.WantedUntil.Equal(time.Date(y, m, d, 23, 59, 59, 0, time.UTC)) {
		t.Errorf("wanted until %v", request.WantedUntil)
	}
	for name, form := range map[string]url.Values{
		"a long answer": {"text": {long}, "span": {"1d"}}, "no time": {"span": {""}}, "a past date": {"span": {"date"}, "until": {"2001-01-01"}},
	} {
		page := eve.Post("/requests/"+request.ID+"/approve", form)
		if page.Status != http.StatusUnprocessableEntity || !strings.Contains(page.Body, "-"+request.ID) || len(w.grants(t)) != 0 {
			t.Errorf("answer, %s: %d\n%s", name, page.Status, page.Body)
		}
	}
	bob.Post("/requests/"+request.ID+"/withdraw", nil)
}

func (w *asking) revoked(t *testing.T, people map[string]*Client) {
	bob, ada := people["bob"], people["ada"]
	request := w.ask(t, bob)
	if page := ada.Post("/admin/requests/"+request.ID+"/approve", url.Values{"span": {"7d"}, "back": {w.app.ID}}); page.URL.Path != "/admin/apps/"+w.app.ID+"/requests" {
		t.Fatalf("the console rests at %s with %d:\n%s", page.URL, page.Status, page.Body)
	}
	w.enters(t, bob)
	list := ada.Get("/admin/apps/" + w.app.ID + "/requests?view=now")
	form := url.Values{"user": {list.Field("user")}, "app": {list.Field("app")}, "back": {list.Field("back")}}
	if page := people["eve"].Post("/admin/grants/revoke", form); page.Status != http.StatusForbidden || len(w.grants(t)) != 1 {
		t.Errorf("without a role: %d", page.Status)
	}
	if page := ada.Post("/admin/grants/revoke", form); page.URL.Path != "/admin/apps/"+w.app.ID+"/requests" || !strings.Contains(page.Body, "Nobody has access") {
		t.Errorf("%d at %s:\n%s", page.Status, page.URL, page.Body)
	}
	w.refused(t, bob)
	entries := w.events(t, "access.revoke")
	if w.reached(t) != 0 || len(entries) != 1 || entries[0].Actor.Name != "ada" || entries[0].Facts["sessions"] != "1" {
		t.Errorf("%d sessions, %+v", w.reached(t), entries)
	}
	if _, err := w.API.RevokeGrant(t.Context(), api.RevokeGrant{User: "bob", App: "Payroll"}); err == nil {
		t.Error("it is revoked twice")
	}
	if page := bob.Get("/"); page.Status != http.StatusOK {
		t.Error("bob's session is gone too")
	}
}

func (w *asking) expires(t *testing.T, bob, eve *Client) {
	request := w.ask(t, bob)
	w.clock.advance(30*24*time.Hour + time.Minute)
	w.signInAgain(t, bob, "bob")
	w.signInAgain(t, eve, "eve")
	w.stays(t, eve, request.ID, http.StatusConflict, "answered_already")
	if page := bob.Get("/ask"); !strings.Contains(page.Body, "expired") {
		t.Errorf("bob does not see that it expired:\n%s", page.Body)
	}
	again := w.ask(t, bob) // closes the other, if the job has not come to it
	if entries := w.events(t, "access.expire"); len(entries) != 1 || entries[0].Facts["request"] != request.ID {
		t.Errorf("%+v", entries)
	}
	if open := w.requests(t, "asked"); len(open) != 1 || open[0].ID != again.ID {
		t.Errorf("%+v", open)
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
