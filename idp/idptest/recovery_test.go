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

// asksForLink posts the form of a forgotten password.
func asksForLink(c *Client, name string) *Page {
	return c.Post("/forgot", url.Values{"name": {name}})
}

// choose posts the form of a one-time link.
func choose(c *Client, link, password string) *Page {
	c.t.Helper()
	return c.Post("/link", url.Values{"key": {keyOf(c.t, link)}, "new": {password}, "repeat": {password}})
}

func keyOf(t testing.TB, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil || len(u.Query().Get("key")) != 43 {
		t.Fatalf("%q is no one-time link: %v", link, err)
	}
	return u.Query().Get("key")
}

// over demands that a link does not work, neither to look at nor to use.
func (w *world) over(t *testing.T, link, why string) {
	t.Helper()
	c := w.browser(t)
	for _, page := range []*Page{c.Get(link), choose(c, link, "something else entirely")} {
		if page.Status != http.StatusGone || !strings.Contains(page.Body, "This link does not work any more") {
			t.Errorf("%s: the link gives %d:\n%s", why, page.Status, page.Body)
		}
	}
}

const renewed = "quite another horse"

// mailWorld is a server that sends mail, with the mail server.
func mailWorld(t *testing.T) (*world, *SMTP) {
	w, sink := newWorld(t), StartSMTP(t, SMTPOptions{})
	w.SendsMail(t, sink, nil)
	return w, sink
}

// TestForgottenPassword is the way back in by e-mail: what it lets through, and what it does not.
func TestForgottenPassword(t *testing.T) {
	t.Parallel()
	w, sink := mailWorld(t)
	w.AddPerson(t, "dora", "Employees")
	laptop, phone := w.signedIn(t, "dora"), w.signedIn(t, "dora")
	c := w.browser(t)
	if page := c.Get("/login"); !strings.Contains(page.Body, `href="/forgot"`) {
		t.Error("the sign-in page does not lead to the forgotten password")
	}
	says(t, asksForLink(c, "dora"), http.StatusOK, "If there is an account for <strong>dora</strong>")
	sink.Wait(t, "dora@example.org", 1) // about the phone
	mail := sink.Wait(t, "dora@example.org", 2)
	link := mail.Link(t)
	if mail.Subject != "Choose a new password for Example Ltd" || !strings.Contains(mail.Text, "the account dora at Example Ltd") {
		t.Errorf("%q\n%s", mail.Subject, mail.Text)
	}
	for range 3 { // the mailbox's scanner looks too
		page := w.browser(t).Get(link)
		if page.Status != http.StatusOK || page.Header.Get("Referrer-Policy") != "no-referrer" || !strings.Contains(page.Header.Get("Cache-Control"), "no-store") {
			t.Fatalf("%d %v\n%s", page.Status, page.Header, page.Body)
		}
	}
	says(t, c.Post("/link", url.Values{"key": {keyOf(t, link)}, "new": {renewed}, "repeat": {"other words here"}}), http.StatusUnprocessableEntity, "not the same")
	says(t, choose(c, link, "dora@example.org"), http.StatusUnprocessableEntity, "is your name")
	says(t, choose(c, link, strings.Repeat("x", 20_000)), http.StatusUnprocessableEntity, "too long")
	says(t, c.Post("/link", url.Values{"key": {keyOf(t, link)}, "new": {strings.Repeat("x", 70_000)}}), http.StatusRequestEntityTooLarge, "too large")
	if laptop.Get("/account").URL.Path != "/account" {
		t.Error("a link that was not used ended a session")
	}
	page := choose(c, link, renewed)
	if page.URL.Path != "/login" || !strings.Contains(page.Body, "Your new password is set") || c.Get("/account").URL.Path != "/login" {
		t.Fatalf("the used link rests at %s: a link signs nobody in\n%s", page.URL, page.Body)
	}
	for _, old := range []*Client{laptop, phone} {
		if old.Get("/account").URL.Path != "/login" {
			t.Error("an old session lives on")
		}
	}
	if w.signsIn(t, "dora", Password) || !w.signsIn(t, "dora", renewed) {
		t.Error("the old password works, or the new one does not")
	}
	w.over(t, link, "used")
	sink.About(t, "dora@example.org", "Your password for Example Ltd was replaced")
	w.leaks(t, keyOf(t, link), renewed)
	w.audited(t, "link.ask", "ok", "", "link.use", "ok", "", "link.use", "refused", "link_over")
}

// audited demands audit entries: kind, outcome, reason, three and three.
func (w *world) audited(t *testing.T, want ...string) {
	t.Helper()
	entries := w.Audit(t)
	for one := range slices.Chunk(want, 3) {
		if !slices.ContainsFunc(entries, func(e api.AuditEntry) bool { return e.Kind == one[0] && e.Outcome == one[1] && e.Reason == one[2] }) {
			t.Errorf("the audit has no %v", one)
		}
	}
}

// TestLinkEnds: whatever makes a link doubtful ends it.
func TestLinkEnds(t *testing.T) {
	t.Parallel()
	w, sink := mailWorld(t)
	n := 0
	fresh := func(name string) string { // asks for a link as a person who is new each time
		n++
		asksForLink(w.browser(t), name)
		return sink.Wait(t, name+"@example.org", 1).Link(t)
	}
	person := func(name string) string {
		w.AddPerson(t, name, "Employees")
		return fresh(name)
	}
	tampered := person("tam")
	for _, other := range []string{tampered[:len(tampered)-1], tampered + "A", strings.ToUpper(tampered[:len(tampered)-43]) + tampered[len(tampered)-43:], w.URL + "/link", w.URL + "/link?key=" + strings.Repeat("A", 43), w.URL + "/link?key=%00%ff"} {
		if page := w.browser(t).Get(other); page.Status != http.StatusGone && page.Status != http.StatusNotFound {
			t.Errorf("%s gives %d", other, page.Status)
		}
	}
	old := person("ned")
	asksForLink(w.browser(t), "ned@example.org")
	newer := sink.Wait(t, "ned@example.org", 2).Link(t)
	w.over(t, old, "a newer one was made")

	changed := person("cha")
	if page := change(w.signedIn(t, "cha"), Password, renewed, renewed); page.Status != http.StatusOK {
		t.Fatalf("%d: %s", page.Status, page.Body)
	}
	w.over(t, changed, "the password was changed")

	disabled := person("dis")
	if _, err := w.API.EnableUser(t.Context(), "dis", false); err != nil {
		t.Fatal(err)
	}
	w.over(t, disabled, "the account was disabled")
	if _, err := w.API.EnableUser(t.Context(), "dis", true); err != nil {
		t.Fatal(err)
	}
	w.over(t, disabled, "the account was disabled and enabled")

	moved := person("mov")
	if _, err := w.API.SetUser(t.Context(), "mov", api.Change{Set: map[string]string{"email": "new@example.org"}}); err != nil {
		t.Fatal(err)
	}
	w.over(t, moved, "the address was changed")

	removed := person("rem")
	if err := w.API.RemoveUser(t.Context(), "rem"); err != nil {
		t.Fatal(err)
	}
	w.over(t, removed, "the person was removed")

	late := person("lat")
	w.clock.advance(31 * time.Minute)
	w.over(t, late, "it is too old")
	w.over(t, newer, "it is too old")
	if n == 0 || !w.signsIn(t, "lat", Password) {
		t.Error("a link that was not used changed the password")
	}
}

// TestForgottenTellsNothing: whoever is asked for, the page is the same and takes the same time; mail goes to those who are there.
func TestForgottenTellsNothing(t *testing.T) {
	t.Parallel()
	w, sink := mailWorld(t)
	w.AddPerson(t, "known", "Employees")
	w.AddPerson(t, "closed", "Employees")
	w.AddPerson(t, "nomail", "Employees", func(n *api.NewUser) { n.Email = "" })
	w.AddPerson(t, "keyless", "Employees", func(n *api.NewUser) { n.Password = "" })
	if _, err := w.API.EnableUser(t.Context(), "closed", false); err != nil {
		t.Fatal(err)
	}
	names := []string{"known", "known@example.org", "closed", "nomail", "keyless", "nobody", "nobody@example.org", strings.Repeat("x", 5000), "a\x00b"}
	first := ""
	least := map[string]time.Duration{} // the least of many: what others do on this machine only adds
	defer w.clock.stand()()
	uneven := func(name string) bool {
		ratio := float64(least[name]) / float64(least["nobody"])
		return ratio > 3 || ratio < 1.0/3
	}
	for round := 0; round < 12 || round < 120 && slices.ContainsFunc(names, uneven); round++ {
		for _, name := range names {
			began := time.Now()
			page := asksForLink(w.browser(t), name)
			if took := time.Since(began); least[name] == 0 || took < least[name] {
				least[name] = took
			}
			plain := strings.ReplaceAll(page.Body, page.Field("name"), "")
			start, rest, _ := strings.Cut(plain, "<strong>")
			_, rest, _ = strings.Cut(rest, "</strong>")
			start = start[strings.Index(start, "<main"):]
			if shape := fmt.Sprint(page.Status, start, rest); first == "" {
				first = shape
			} else if shape != first {
				t.Errorf("%.20q is answered otherwise:\n%s\n%s", name, shape, first)
			}
		}
	}
	for _, name := range names {
		if uneven(name) {
			t.Errorf("%.20q takes %v, nobody %v", name, least[name], least["nobody"])
		}
	}
	t.Logf("known %v, disabled %v, unknown %v", least["known"], least["closed"], least["nobody"])
	sink.Wait(t, "known@example.org", 2)
	if kept := sink.Wait(t, "keyless@example.org", 1); !strings.Contains(kept.Text, "Your password is not kept there") || strings.Contains(kept.Text, "/link") {
		t.Errorf("%s", kept.Text)
	}
	eventually(t, "the wishes are not worked off", func() bool { return w.outboxEmpty(t) })
	if n := len(sink.To(t, "known@example.org")); n != 2 {
		t.Errorf("%d mails went to one person within a moment", n)
	}
	if n := len(sink.To(t, "closed@example.org")); n != 0 {
		t.Errorf("%d mails went to a disabled person", n)
	}
}

// TestForgottenIsThrottled: one network, or a whole botnet, floods nobody and keeps nobody out.
func TestForgottenIsThrottled(t *testing.T) {
	t.Parallel()
	w, sink := mailWorld(t)
	w.AddPerson(t, "vic", "Employees")
	one := w.NewClient(t) // one address
	refused := 0
	goOn := w.clock.stand()
	for range 30 {
		if page := asksForLink(one, "nobody"); page.Status == http.StatusTooManyRequests && page.Header.Get("Retry-After") != "" {
			refused++
		}
	}
	goOn()
	if refused != 10 {
		t.Errorf("%d of 30 were refused, want 10", refused)
	}
	for range 6 { // half an hour of it, from many addresses
		for range 10 {
			asksForLink(w.browser(t), "vic")
		}
		eventually(t, "the wishes are not worked off", func() bool { return w.outboxEmpty(t) })
		w.clock.advance(5 * time.Minute)
	}
	mails := sink.To(t, "vic@example.org")
	if len(mails) < 3 || len(mails) > 8 {
		t.Errorf("%d mails in half an hour", len(mails))
	}
	if !w.signsIn(t, "vic", Password) {
		t.Error("the password does not work any more")
	}
	if page := choose(w.browser(t), mails[len(mails)-1].Link(t), renewed); page.URL.Path != "/login" || !w.signsIn(t, "vic", renewed) {
		t.Errorf("the last link does not work: %s", page.Body)
	}
}

// TestLinkWorksOnce: of many who use a link at the same moment one succeeds.
func TestLinkWorksOnce(t *testing.T) {
	t.Parallel()
	w, sink := mailWorld(t)
	asksForLink(w.browser(t), "bob")
	link := sink.Wait(t, "bob@example.org", 1).Link(t)
	passwords := make([]string, 6)
	statuses := make([]int, len(passwords))
	var wg sync.WaitGroup
	for i := range passwords {
		passwords[i] = fmt.Sprintf("the horse number %d", i)
		c := w.browser(t)
		wg.Go(func() { statuses[i] = choose(c, link, passwords[i]).Status })
	}
	wg.Wait()
	won, opens := 0, 0
	for i, status := range statuses {
		if status == http.StatusOK {
			won++
		}
		if w.signsIn(t, "bob", passwords[i]) {
			opens++
		}
	}
	if won != 1 || opens != 1 {
		t.Errorf("%v: %d succeeded, %d of the passwords open", statuses, won, opens)
	}
}

// TestNoMailServer: without one nothing is promised.
func TestNoMailServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.browser(t)
	if page := c.Get("/login"); strings.Contains(page.Body, "/forgot") {
		t.Error("the sign-in page leads to a page that cannot help")
	}
	says(t, c.Get("/forgot"), http.StatusNotFound, "Ask your administrator for a new one")
	says(t, asksForLink(c, "ana"), http.StatusNotFound, "Ask your administrator for a new one")
}

// TestMailServerDown: mail waits until the mail server is back, and administrators see that it does.
func TestMailServerDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.SendsMail(t, &SMTP{Port: freePort(t)}, nil)
	asksForLink(w.browser(t), "ana")
	eventually(t, "the audit shows no mail that was not sent", func() bool {
		return slices.ContainsFunc(w.Audit(t), func(e api.AuditEntry) bool {
			return e.Kind == "mail.send" && e.Outcome == "failed" && e.Reason == "not_sent" && strings.Contains(e.Detail, "refused")
		})
	})
	sink := StartSMTP(t, SMTPOptions{})
	w.SendsMail(t, sink, nil)
	w.clock.advance(15 * time.Second)
	if page := choose(w.browser(t), sink.Wait(t, "ana@example.org", 1).Link(t), renewed); page.URL.Path != "/login" {
		t.Errorf("%s: %s", page.URL, page.Body)
	}
	sink.Wait(t, "ana@example.org", 2) // that the link was used
	w.SendsMail(t, &SMTP{Port: freePort(t)}, nil)
	w.clock.advance(time.Hour)
	asksForLink(w.browser(t), "ana")
	eventually(t, "no second failure", func() bool {
		return !w.outboxEmpty(t) && strings.Count(fmt.Sprint(w.Audit(t)), "not_sent") >= 2
	})
	w.SendsMail(t, sink, nil)
	before := len(sink.To(t, "ana@example.org"))
	w.clock.advance(time.Hour) // later than the link lives
	eventually(t, "an old mail is not dropped", func() bool { return w.outboxEmpty(t) })
	if after := len(sink.To(t, "ana@example.org")); after != before {
		t.Error("a mail with a link that is over was sent")
	}
	w.audited(t, "mail.send", "failed", "too_late")
}
