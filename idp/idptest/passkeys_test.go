package idptest

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"gatehouse/cmd/sampleapps"
	"gatehouse/idp/api"
)

// request makes an action of a command of the DevTools protocol that answers.
func request[P, R any](command cdp.Command[P, R], params P) chromedp.Action[R] {
	return func(ctx context.Context, target *chromedp.Target) (R, error) {
		return cdp.Call(ctx, target, command, params)
	}
}

// plugIn gives the browser an authenticator: a built-in one that verifies people, or a plain security key.
func (b *Browser) plugIn(verifies bool) webauthn.AuthenticatorID {
	b.t.Helper()
	b.Do(call(webauthn.Enable, webauthn.EnableParams{}))
	options := webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportUsb, AutomaticPresenceSimulation: true,
	}
	if verifies {
		options.Transport, options.HasResidentKey, options.HasUserVerification, options.IsUserVerified = webauthn.AuthenticatorTransportInternal, true, true, true
	}
	return ask(b, request(webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &options})).AuthenticatorID
}

// noAutofill keeps passkeys out of the autofill from the next page on, so that the virtual authenticator waits for the button; the
// function that it returns undoes that.
func (b *Browser) noAutofill() (undo func()) {
	b.t.Helper()
	added := ask(b, request(cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{
		Source: `PublicKeyCredential.isConditionalMediationAvailable = async () => false`,
	}))
	return func() {
		b.Do(call(cdppage.RemoveScriptToEvaluateOnNewDocument, cdppage.RemoveScriptToEvaluateOnNewDocumentParams{Identifier: added.Identifier}))
	}
}

// passkeyWorld is a server that people open by a name, with apps that Chromium can be sent to.
type passkeyWorld struct {
	*Server
	*Browser
	strong, plain api.App
}

func newPasskeyWorld(t *testing.T) *passkeyWorld {
	t.Helper()
	w := &passkeyWorld{Server: Start(t, Options{Named: true}), Browser: NewBrowser(t)}
	w.AddPerson(t, "ana", "Employees")
	apps, err := sampleapps.Start(t.Context(), sampleapps.Config{
		MetadataURL: w.Server.URL + "/saml/metadata", Apps: []sampleapps.Spec{{Name: "Strong"}, {Name: "Plain"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(apps.Close)
	w.strong = w.AddApp(t, apps.List()[0].Metadata(), map[string]string{"name": "Strong", "policy.min_level": "high"})
	w.plain = w.AddApp(t, apps.List()[1].Metadata(), map[string]string{"name": "Plain"})
	return w
}

// addsPasskey registers the authenticator on the page that offers second factors, and goes on from the recovery codes.
func (w *passkeyWorld) addsPasskey() {
	w.t.Helper()
	w.WaitFor("form[data-passkey=create]")
	w.Click("form[data-passkey=create] button")
	w.WaitFor(".codes")
	if n := len(w.Texts(".codes li")); n != 10 {
		w.t.Errorf("%d recovery codes", n)
	}
	w.Click("a.button.primary")
}

// last is the newest audit entry of a kind.
func (s *Server) last(t testing.TB, kind string) api.AuditEntry {
	t.Helper()
	for _, e := range s.Audit(t) {
		if e.Kind == kind {
			return e
		}
	}
	t.Errorf("no audit entry %s", kind)
	return api.AuditEntry{}
}

// TestPasskeys: a passkey is set up because an app asks for it, and then signs in alone, by its button and by autofill.
func TestPasskeys(t *testing.T) {
	t.Parallel()
	w := newPasskeyWorld(t)
	w.plugIn(true)
	autofill := w.noAutofill()
	w.Open(w.Server.URL + "/launch/" + w.strong.ID)
	w.signIn("ana", Password)
	w.addsPasskey()
	w.WaitFor("#nameid")
	if added := w.last(t, "factor.add"); added.Facts["kind"] != "passkey" {
		t.Errorf("%+v", added)
	}
	w.Fresh()
	w.Open(w.Server.URL + "/launch/" + w.strong.ID)
	w.Click("form[data-passkey=get] button")
	w.WaitFor("#nameid")
	in := w.last(t, "signin")
	if in.Outcome != "ok" || in.Facts["method"] != "passkey" || in.Facts["level"] != "high" {
		t.Errorf("%+v", in)
	}
	if told := w.last(t, "signon"); told.Facts["class"] != refedsMFA {
		t.Errorf("the app was told %q", told.Facts["class"])
	}
	w.Fresh()
	autofill()
	w.Open(w.Server.URL + "/login") // the virtual authenticator chooses the passkey that autofill offers
	w.WaitFor("#tiles")
	user, err := w.API.User(t.Context(), "ana")
	if err != nil || len(user.Factors) != 2 || user.Factors[0].LastUsed.IsZero() {
		t.Errorf("%+v: %v", user.Factors, err)
	}
}

// TestPasskeyIsTheSecondFactor: after a password the page asks for the passkey alone, and raises the session. A security key, which
// verifies nobody, is a second factor and never a sign-in of its own.
func TestPasskeyIsTheSecondFactor(t *testing.T) {
	t.Parallel()
	for _, verifies := range []bool{true, false} {
		t.Run(map[bool]string{true: "passkey", false: "security key"}[verifies], func(t *testing.T) {
			w := newPasskeyWorld(t)
			w.plugIn(verifies)
			w.noAutofill()
			w.Open(w.Server.URL + "/login?next=%2Flogin%2Fenrol%3Fnext%3D%2Faccount")
			w.signIn("ana", Password)
			w.addsPasskey()
			w.WaitFor("#factors .rows")
			w.Fresh()
			w.Open(w.Server.URL + "/launch/" + w.plain.ID)
			w.signIn("ana", Password)
			w.WaitFor("#nameid")
			before := w.last(t, "signin")
			w.Open(w.Server.URL + "/launch/" + w.strong.ID)
			w.WaitFor("form[data-passkey=get]")
			if fields := w.Texts("input[name=password]"); len(fields) > 0 {
				t.Error("the password is asked again")
			}
			w.Click("form[data-passkey=get] button")
			w.WaitFor("#nameid")
			want := map[bool]string{true: "passkey", false: "security_key"}[verifies]
			after := w.last(t, "signin")
			if after.Facts["method"] != want || after.Facts["level"] != "high" || after.Facts["session"] != before.Facts["session"] {
				t.Errorf("%+v", after)
			}
			w.refusesAlone(t, verifies)
		})
	}
}

// refusesAlone: what verifies nobody cannot sign in by itself.
func (w *passkeyWorld) refusesAlone(t *testing.T, verifies bool) {
	t.Helper()
	w.Fresh()
	w.Open(w.Server.URL + "/login")
	w.Click("form[data-passkey=get] button")
	if verifies {
		w.WaitFor("#tiles")
		return
	}
	w.WaitFor("form[data-passkey=get] [role=alert]")
	if text := w.Text("form[data-passkey=get] [role=alert]"); text == "" {
		t.Error("no word about why")
	}
}

// TestPasskeysThatMustNotCount: a counter that goes back, a challenge that was used, and one of another browser.
func TestPasskeysThatMustNotCount(t *testing.T) {
	t.Parallel()
	w := newPasskeyWorld(t)
	key := w.plugIn(true)
	w.noAutofill()
	w.Open(w.Server.URL + "/launch/" + w.strong.ID)
	w.signIn("ana", Password)
	w.addsPasskey()
	w.WaitFor("#nameid")
	w.Expect("403")
	w.answersTwice(t)
	w.copies(t, key)
}

// answersTwice keeps what the browser sends and sends it again.
func (w *passkeyWorld) answersTwice(t *testing.T) {
	t.Helper()
	w.Fresh()
	w.Open(w.Server.URL + "/login")
	w.Do(chromedp.Evaluate[chromedp.Void](`HTMLFormElement.prototype.submit = function () { window.kept = new URLSearchParams(new FormData(this)).toString() }`))
	w.Click("form[data-passkey=get] button")
	var kept string
	eventually(t, "the browser gave no answer", func() bool {
		kept = ask(w.Browser, chromedp.Evaluate[string](`window.kept ?? ""`))
		return kept != ""
	})
	again := func(c string) string {
		return ask(w.Browser, chromedp.Evaluate[string](`(async () => { const r = await fetch("/login/passkey", {method: "POST", body: new URLSearchParams(`+c+`)}); return r.status + " " + new URL(r.url).pathname })()`, chromedp.EvalAwaitPromise))
	}
	if got := again("window.kept"); got != "200 /" {
		t.Errorf("the first time: %s", got)
	}
	if got := again("window.kept"); got != "403 /login/passkey" {
		t.Errorf("the second time: %s", got)
	}
	if refused := w.last(t, "signin"); refused.Reason != "expired_challenge" {
		t.Errorf("%+v", refused)
	}
	w.Fresh()
	if got := again("window.kept"); got != "403 /login/passkey" {
		t.Errorf("another browser: %s", got)
	}
	if got := again(`"token=x&response=%7B%7D"`); got != "403 /login/passkey" {
		t.Errorf("rubbish: %s", got)
	}
}

// copies sets the authenticator's counter back, as that of a copied key would be.
func (w *passkeyWorld) copies(t *testing.T, key webauthn.AuthenticatorID) {
	t.Helper()
	held := ask(w.Browser, request(webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: key})).Credentials
	if len(held) != 1 {
		t.Fatalf("%d credentials", len(held))
	}
	w.Do(call(webauthn.ClearCredentials, webauthn.ClearCredentialsParams{AuthenticatorID: key}))
	w.Do(chromedp.Func(func(ctx context.Context, target *chromedp.Target) error { // without the newer fields, which this authenticator refuses
		return target.Call(ctx, "WebAuthn.addCredential", map[string]any{"authenticatorId": key, "credential": map[string]any{
			"credentialId": held[0].CredentialID, "isResidentCredential": true, "rpId": "localhost", "privateKey": held[0].PrivateKey,
			"userHandle": held[0].UserHandle, "signCount": 0,
		}}, &struct{}{})
	}))
	w.Fresh()
	w.Open(w.Server.URL + "/login")
	w.Click("form[data-passkey=get] button")
	w.WaitFor("#summary")
	if refused := w.last(t, "signin"); refused.Reason != "sign_count" || refused.User.Name != "ana" {
		t.Errorf("%+v", refused)
	}
}

// TestPasskeyOfAPersonOfADirectory: it signs in as long as the directory says who is there, and a new browser is told of like any other.
func TestPasskeyOfAPersonOfADirectory(t *testing.T) {
	t.Parallel()
	l, sink, w := StartSlapd(t), StartSMTP(t, SMTPOptions{}), newPasskeyWorld(t)
	w.SendsMail(t, sink, nil)
	l.AddPerson(t, "mia", "mias password")
	ldapSource(t, w.Server, l, nil)
	w.plugIn(true)
	w.noAutofill()
	w.Open(w.Server.URL + "/launch/" + w.strong.ID)
	w.signIn("mia", "mias password")
	w.addsPasskey()
	w.WaitFor("#nameid")
	w.Fresh()
	w.Open(w.Server.URL + "/launch/" + w.strong.ID)
	w.Click("form[data-passkey=get] button")
	w.WaitFor("#nameid")
	sink.About(t, "mia@example.org", "A new sign-in to Example Ltd")
	if _, err := w.API.SetDirectorySource(t.Context(), "corp", api.DirectorySourceChange{Set: map[string]string{"state": "paused"}}); err != nil {
		t.Fatal(err)
	}
	w.Fresh()
	w.Open(w.Server.URL + "/launch/" + w.strong.ID)
	w.Expect("403")
	w.Click("form[data-passkey=get] button")
	w.WaitFor("#summary")
	if text := w.Text("#summary"); !strings.Contains(text, "Nobody of your directory can sign in now") {
		t.Errorf("the page says %q", text)
	}
	if refused := w.last(t, "signin"); refused.Outcome != "refused" || refused.Reason != "source_left" {
		t.Errorf("%+v", refused)
	}
}
