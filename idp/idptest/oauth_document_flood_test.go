package idptest

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// documentFlood: strangers cannot make Gatehouse fetch without end, whoever they ask about.
func (w *world) documentFlood(t *testing.T, d *documentServer) {
	w.clock.advance(time.Minute)
	defer w.clock.stand()()
	ask := func(path string, from http.RoundTripper) *Reply {
		rp := w.documented(t, d, path)
		rp.http = &http.Client{Transport: from}
		return rp.Send("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {rp.ID}})
	}
	before := d.total()
	last := &Reply{}
	for i := range 40 { // of one server, from many networks
		last = ask(fmt.Sprintf("/flood%d", i), manyHops{&w.address})
	}
	if n := d.total() - before; n != 30 || last.Status != http.StatusTooManyRequests || last.Header.Get("Retry-After") == "" {
		t.Errorf("fetched %d times, %d %s", n, last.Status, last.Raw)
	}
	w.clock.advance(time.Minute)
	for i := range 40 { // from one network, of many servers that do not answer
		rp := w.documented(t, d, "/")
		rp.ID, rp.http = fmt.Sprintf("https://127.0.0.1:%d/id", 1+i), &http.Client{Transport: oneHop("203.0.113.5")}
		last = rp.Send("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {rp.ID}})
	}
	if last.Status != http.StatusTooManyRequests {
		t.Errorf("%d %s", last.Status, last.Raw)
	}
	w.clock.advance(time.Minute)
	err := w.Store.Update(t.Context(), func(tx store.Tx) error {
		for range sp.MaxWaiting {
			app := sp.NewChild(nil, w.clock.now())
			app.Definition.Name, app.Network = "Filler", "203.0.113.9"
			if err := sp.Apps.Put(tx, &app); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	d.publish("/onemore", nil)
	reply := ask("/onemore", oneHop("203.0.113.9"))
	w.refusedBy(t, reply, http.StatusTooManyRequests, "temporarily_unavailable", "too_many_waiting")
	w.organisation(t, "oauth.open_registration", "true")
	register := func(from string) *Reply {
		return w.rest(t, http.MethodPost, w.URL+"/oauth/register", "", map[string]any{"redirect_uris": []string{"https://a.example/cb"}}, oneHop(from))
	}
	w.refusedBy(t, register("203.0.113.9"), http.StatusTooManyRequests, "temporarily_unavailable", "too_many_waiting")
	if reply := register("203.0.114.9"); reply.Status != http.StatusCreated {
		t.Errorf("from another network: %d %s", reply.Status, reply.Raw)
	}
}

func (d *documentServer) total() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, one := range d.asked {
		n += one
	}
	return n
}

// documentsPushedOut: however many others strangers name, a client that is known is asked for no more often.
func (w *world) documentsPushedOut(t *testing.T, d *documentServer) {
	w.clock.advance(time.Minute)
	defer w.clock.stand()()
	d.publish("/kept", nil)
	rp := w.documented(t, d, "/kept")
	rp.http = &http.Client{Transport: oneHop("203.0.113.77")}
	ask := func(id string) {
		rp.Send("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {id}})
	}
	ask(rp.ID)
	w.approve(t, rp)
	for i := range 4000 {
		ask(fmt.Sprintf("https://127.0.0.1:1/id%d", i))
	}
	for range 10 {
		ask(rp.ID)
	}
	if n := d.count("/kept"); n != 1 {
		t.Errorf("fetched %d times within a minute", n)
	}
}

// documentPicture: a picture that a client names after it was approved is fetched when somebody has looked at that too.
func (w *world) documentPicture(t *testing.T, d *documentServer) {
	w.clock.advance(time.Minute)
	d.publish("/pictured", nil)
	d.answer("/late.png", func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write(picture(t)) })
	rp := w.documented(t, d, "/pictured")
	ask := func() {
		rp.Send("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {rp.ID}})
	}
	ask()
	w.approve(t, rp)
	d.publish("/pictured", map[string]any{"logo_uri": d.URL + "/late.png"})
	w.clock.advance(2 * time.Hour)
	ask()
	look := func() { w.browser(t).Get("/app-logo/" + rp.App + "/" + flow.LogoVersion(d.URL+"/late.png")) }
	if look(); d.count("/late.png") != 0 {
		t.Errorf("fetched while the client waits")
	}
	w.approve(t, rp)
	if look(); d.count("/late.png") != 1 {
		t.Errorf("fetched %d times once it was approved", d.count("/late.png"))
	}
}
