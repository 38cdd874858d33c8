package idptest

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"gatehouse/cmd/sampleapps"
	"gatehouse/idp/api"
)

// portalWorld is a server with a sample app for everybody, one for employees, and one that is not connected.
func portalWorld(t *testing.T) (*Server, []*sampleapps.App) {
	t.Helper()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	s.AddPerson(t, "ben", "Contractors")
	s.AddPerson(t, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	apps, err := sampleapps.Start(t.Context(), sampleapps.Config{MetadataURL: s.URL + "/saml/metadata"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(apps.Close)
	s.AddApp(t, apps.List()[0].Metadata(), map[string]string{"name": "Your Benefits"})
	return s, apps.List()
}

// TestKeyboardAlone signs in and opens an app without a mouse, and sees where the focus is all the way.
func TestKeyboardAlone(t *testing.T) {
	t.Parallel()
	s, _ := portalWorld(t)
	b := NewBrowser(t)
	b.Open(s.URL)
	b.WaitFor("#f-name")
	b.Keys("ana" + kb.Tab + Password + kb.Enter)
	b.WaitFor("#tiles")
	for presses := 1; !ask(b, chromedp.Evaluate[bool](`document.activeElement.matches("a.tile")`)); presses++ {
		if presses > 10 {
			t.Fatal("the tab key does not come to the tile")
		}
		b.Keys(kb.Tab)
		if style := ask(b, chromedp.Evaluate[string](focusStyle)); style == "" {
			t.Errorf("the focus cannot be seen on stop %d of the portal", presses)
		}
	}
	b.Keys(kb.Enter)
	b.arrived("Your Benefits", "ana@example.org")
}

// focusStyle is how the focused element, or what stands around it, shows the focus; empty when nothing does.
const focusStyle = `(() => {
  const seen = (e) => { const s = getComputedStyle(e); return s.outlineStyle !== "none" || s.boxShadow !== "none" ? s.outline + s.boxShadow : ""; };
  const e = document.activeElement;
  return seen(e) || seen(e.parentElement);
})()`

// TestWithoutJavaScript does with scripts off what needs doing: signing in, opening an app from its tile and from itself,
// and connecting apps by an uploaded file and by pasted metadata.
func TestWithoutJavaScript(t *testing.T) {
	t.Parallel()
	s, apps := portalWorld(t)
	b := NewBrowser(t)
	b.JavaScript(false)
	b.Open(s.URL)
	b.signIn("ana", Password)
	b.wantTiles("Your Benefits")
	b.clickTile("Your Benefits")
	b.pressContinue("Your Benefits")
	b.arrived("Your Benefits", "ana@example.org")
	b.Fresh()
	b.Open(apps[0].SignInURL())
	b.signIn("ben", Password)
	b.pressContinue("Your Benefits")
	b.arrived("Your Benefits", "ben@example.org")

	b.Fresh()
	b.Open(s.URL + "/admin/apps/new")
	b.signIn("ada", Password)
	b.upload(apps[1].Metadata())
	b.addApp("Payroll Console", "Employees")
	b.Open(s.URL + "/admin/apps/new")
	b.Click(".segments label:nth-child(2)")
	b.Do(chromedp.SetValue(chromedp.CSS("#f-metadata"), string(apps[2].Metadata())))
	b.addApp("Room Booking", "Contractors")

	b.Fresh()
	b.Open(s.URL)
	b.signIn("ben", Password)
	b.wantTiles("Room Booking", "Your Benefits")
	b.clickTile("Room Booking")
	b.pressContinue("Room Booking")
	b.arrived("Room Booking", "ben@example.org")
}

// pressContinue presses the button of the page that posts itself where scripts run.
func (b *Browser) pressContinue(app string) {
	b.t.Helper()
	b.WaitFor("body.post button")
	b.Show("continue")
	if label := b.Text("body.post button"); label != "Continue to "+app {
		b.t.Errorf("the button says %q", label)
	}
	b.Click("body.post button")
}

// upload chooses a metadata file on the page that adds an app.
func (b *Browser) upload(metadata []byte) {
	b.t.Helper()
	file := filepath.Join(b.t.TempDir(), "metadata.xml")
	if err := os.WriteFile(file, metadata, 0o600); err != nil {
		b.t.Fatal(err)
	}
	b.Do(chromedp.SetUploadFiles(chromedp.CSS("#f-file"), []string{file}))
}

// addApp names the app, permits a profile and sends the form.
func (b *Browser) addApp(name, profile string) {
	b.t.Helper()
	b.Type("#f-name", name)
	b.permit(profile)
	b.Click("form.form button.primary")
	b.WaitFor(".notice.ok")
}
