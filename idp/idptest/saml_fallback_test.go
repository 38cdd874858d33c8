package idptest

import (
	"strings"
	"testing"
)

// secondWay: an app that does not confirm from server to server, and has a service for browsers too, is told by the browser.
func (w *logoutWorld) secondWay(t *testing.T) {
	both := w.newSP(t, "both-ways")
	server := both.listenSOAP(t)
	both.SLO = append(front("both-ways"), at(bindingSOAP, server.URL))
	app := w.AddApp(t, both.Metadata(), nil)
	leave := func(t *testing.T, mode string) (*Client, *Response, *Page) {
		server.set(mode)
		c := w.signedIn(t, "ana")
		told := w.enter(t, c, both, app)
		return c, told, c.Post("/logout", nil)
	}
	t.Run("not where SOAP works", func(t *testing.T) {
		if _, _, page := leave(t, ""); strings.Contains(page.Body, "Signing you out") || !strings.Contains(page.Body, "signed out</span>") {
			t.Errorf("\n%s", page.Body)
		}
	})
	for _, mode := range []string{"down", "error"} {
		t.Run(mode, func(t *testing.T) {
			c, told, page := leave(t, mode)
			request := w.next(t, c, page)
			w.toSP(t, request, "LogoutRequest", "https://both-ways.example.org/slo")
			isFor(t, request.Element, told)
			page = w.answers(t, c, both, request.SelectAttrValue("ID", ""), "")
			if !strings.Contains(page.Body, "<h1>You are signed out</h1>") || strings.Contains(page.Body, "did not confirm") {
				t.Errorf("at the end:\n%s", page.Body)
			}
			if entry := w.newest(t, "signout.result"); entry.Outcome != "ok" || !strings.Contains(entry.Facts["out"], app.ID) {
				t.Errorf("audit %+v", entry)
			}
		})
	}
	t.Run("nor there: it did not confirm", func(t *testing.T) {
		c, _, page := leave(t, "down")
		request := w.next(t, c, page)
		page = w.answers(t, c, both, request.SelectAttrValue("ID", ""), "Responder")
		if !strings.Contains(page.Body, "did not confirm") {
			t.Errorf("at the end:\n%s", page.Body)
		}
		if entry := w.newest(t, "signout.result"); entry.Reason != "partial_logout" {
			t.Errorf("audit %+v", entry)
		}
	})
	server.set("")
}
