package idptest

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

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
	if page := people["bob"].Post("/ask/"+w.app.ID, url.Values{"why": {"x"}, "span": {"1d"}}); page.Status != http.StatusNotFound || strings.Contains(page.Body, w.app.Name) {
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
