package idptest

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"gatehouse/idp/api"
)

// The tests of this file are people with a real browser and a real mailbox.

// choose fills the form of a one-time link.
func (b *Browser) choose(password string) {
	b.t.Helper()
	b.Type("#f-new", password)
	b.Type("#f-repeat", password)
	b.Click("form button.primary")
}

// TestForgottenInBrowser is Ana, who has forgotten her password while an app waits for her sign-in.
func TestForgottenInBrowser(t *testing.T) {
	t.Parallel()
	s, sink := Start(t, Options{}), StartSMTP(t, SMTPOptions{TLS: "starttls"})
	s.SendsMail(t, sink, nil)
	s.AddPerson(t, "ana", "Employees")
	b := NewBrowser(t)
	b.Open(s.URL)
	b.Click(`a[href="/forgot"]`)
	b.Type("#f-name", "Ana@Example.org")
	b.Click("form button.primary")
	b.WaitFor(".big-icon.ok")
	mail := sink.Wait(t, "ana@example.org", 1)
	if !mail.Encrypted {
		t.Error("the mail server offers STARTTLS and it was not used")
	}
	b.Open(mail.Link(t))
	b.Expect("422")
	b.choose("ana@example.org")
	b.WaitFor(".field-error")
	b.choose(renewed)
	b.WaitFor(".notice.ok")
	b.signIn("ana", renewed)
	b.WaitFor("#tiles,.empty")
	if address := b.URL(); address != s.URL+"/" {
		t.Errorf("Ana rests at %s", address)
	}
	b.Expect("410")
	b.Open(mail.Link(t))
	if heading := b.Text("h1"); heading != "This link is over" {
		t.Errorf("a used link is headed %q", heading)
	}
}

// TestInvitationInBrowser is Ada in the console, who invites Ivo, and Ivo, who accepts.
func TestInvitationInBrowser(t *testing.T) {
	t.Parallel()
	s, sink := Start(t, Options{}), StartSMTP(t, SMTPOptions{})
	s.SendsMail(t, sink, nil)
	s.AddPerson(t, "ada", "Employees", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	b := NewBrowser(t)
	b.Open(s.URL + "/admin/users/new")
	b.signIn("ada", Password)
	b.WaitFor("#f-email")
	b.Type("#f-name", "ivo")
	b.Type("#f-email", "ivo@example.org")
	b.Click(`button[name="invite"]`)
	b.WaitFor("#invitation")
	shown := b.Text("#invitation code")
	mail := sink.Wait(t, "ivo@example.org", 1)
	if mail.Link(t) != shown || mail.Subject != "Your account at Example Ltd" || !strings.Contains(mail.Text, "Your user name is ivo.") {
		t.Errorf("the page shows %q, the mail says %q\n%s", shown, mail.Subject, mail.Text)
	}
	b.Click(`form[action$="/invite"] button`) // the mail got lost
	again := sink.Wait(t, "ivo@example.org", 2).Link(t)
	b.Fresh()
	b.Expect("410")
	b.Open(shown)
	b.Open(again)
	if name := ask(b, chromedp.Evaluate[string](`document.querySelector("[autocomplete=username]").value`)); name != "ivo" {
		t.Errorf("a password manager would keep the name %q", name)
	}
	b.choose(renewed)
	b.WaitFor(".notice.ok")
	b.signIn("ivo", renewed)
	b.WaitFor("#tiles,.empty")
	if _, err := s.API.Invite(t.Context(), "ivo"); err == nil || !strings.Contains(err.Error(), "has a password already") {
		t.Errorf("inviting twice: %v", err)
	}
}

var setUpLink = regexp.MustCompile(`http://\S+/link\?key=\S+`)

// TestSetUpInBrowser: a new Gatehouse shows its first owner in, once, and works without.
func TestSetUpInBrowser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := StartBinary(t, dir, "--verbose")
	first.AddPerson(t, "ana", "Employees") // an unfinished set-up blocks nothing
	first.SignedIn(t, "ana")
	old := first.setUpLink(t)
	p := StartBinary(t, dir, "--verbose", "--listen", strings.TrimPrefix(first.URL, "http://"))
	b := NewBrowser(t)
	b.Expect("410")
	b.Open(old)
	link := ""
	for range 2 { // looking uses nothing up
		b.Open(p.peekSetUpLink(t))
		b.WaitFor("#f-email")
		link = b.URL()
	}
	b.Type("#f-name", "ada")
	b.Type("#f-email", "ada@example.org")
	b.Expect("422")
	b.choose("gatehouse")
	b.WaitFor(".field-error")
	b.choose(renewed)
	b.WaitFor(".notice.ok")
	b.signIn("ada", renewed)
	b.WaitFor(".console-page")
	b.Open(link)
	if heading := b.Text("h1"); heading != "This link is over" {
		t.Errorf("a used link is headed %q", heading)
	}
	if users, err := p.API.Users(t.Context(), "ada", ""); err != nil || len(users.Items) != 1 || users.Items[0].Roles[0] != "owner" {
		t.Errorf("%+v, %v", users, err)
	}
	p.Kill()
	if n := strings.Count(p.logs.String(), keyOf(t, link)); n != 1 {
		t.Errorf("the secret of the link is %d times in what the server wrote, want 1", n)
	}
	third := StartBinary(t, dir)
	third.Kill()
	if strings.Contains(third.logs.String(), "/link") {
		t.Errorf("there is an owner, and a start prints\n%s", third.logs.String())
	}
}

// TestSocketOwnerEndsSetUp: an owner who is added otherwise ends the link too.
func TestSocketOwnerEndsSetUp(t *testing.T) {
	t.Parallel()
	p := StartBinary(t, t.TempDir())
	c := p.NewClient(t)
	link := p.peekSetUpLink(t)
	if page := c.Get(link); page.Status != 200 {
		t.Fatalf("%d", page.Status)
	}
	out, err := exec.Command(Binary(t), "user", "add", "ada", "--role", "owner", "--data", p.Dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, page := range []*Page{c.Get(link), choose(c, link, renewed)} {
		if page.Status != 410 || strings.Contains(page.Body, "Ask for a new one") || !strings.Contains(page.Body, "sign in") {
			t.Errorf("%d: %s", page.Status, page.Body)
		}
	}
}

// setUpLink ends the process and returns the set-up link that it printed.
func (p *Process) setUpLink(t *testing.T) string {
	t.Helper()
	p.Kill()
	link := setUpLink.FindString(p.logs.String())
	if link == "" || strings.Count(p.logs.String(), "/link") != 1 {
		t.Fatalf("want one set-up link in\n%s", p.logs.String())
	}
	return link
}

// peekSetUpLink reads the link while the process runs.
func (p *Process) peekSetUpLink(t *testing.T) string {
	t.Helper()
	link := ""
	eventually(t, "no set-up link is printed", func() bool {
		link = setUpLink.FindString(p.logs.String())
		return link != ""
	})
	return link
}
