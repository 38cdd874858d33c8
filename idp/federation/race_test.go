package federation

import (
	"context"
	"errors"
	"strings"
	"testing"

	"gatehouse/sp"
	"gatehouse/store"
)

// set changes settings of a source as an owner does.
func (w *world) set(name string, values map[string]string) {
	w.t.Helper()
	must(w.t, w.Store.Update(w.t.Context(), func(tx store.Tx) error {
		source, _, err := Sources.Get(tx, name)
		return errors.Join(err, source.Change(values), Sources.Put(tx, &source))
	}))
}

// entities counts what is kept of a source.
func (w *world) entities(source string) int {
	w.t.Helper()
	var list []Entity
	must(w.t, w.Store.View(w.t.Context(), func(tx store.Tx) (err error) {
		list, _, err = Search(tx, source, "", "", 100)
		return err
	}))
	return len(list)
}

// What was fetched while the source was believed for its address alone is not kept, nor offered to apps as signed, once a key is
// pinned: the fetch may take minutes.
func TestKeyPinnedDuringAFetch(t *testing.T) {
	key, _ := newSigner()
	w := newWorld(t)
	source, err := NewSource("all", Aggregate, map[string]string{"url": w.web.URL + "/all", "unsigned": "true", "max_validity": "none"}, "uid 0", w.clock)
	must(t, err)
	must(t, w.Store.Update(t.Context(), func(tx store.Tx) error { return Sources.Put(tx, &source) }))
	w.web.set("/all", group("", entity("one", "", key)))
	if code := w.refresh("all"); code != "" {
		t.Fatal(code)
	}
	one := w.connect("all", "one", sp.RefreshAutomatic)
	w.web.set("/all", group("", strings.Replace(entity("one", ""), "one.example/acs", "evil.example/acs", 1), entity("two", "")))
	w.web.while = func() { w.set("all", map[string]string{"keys": key.pem(), "unsigned": "false"}) }
	if code := w.refresh("all"); code != CodeChanged {
		t.Errorf("got %q", code)
	}
	app, f := w.app(one)
	if app.Definition.SAML.Metadata.ACS[0].Location != "https://one.example/acs" || f.Waiting != nil || f.Failures != 0 || w.entities("all") != 1 {
		t.Errorf("%+v %+v, %d entities", app.Definition.SAML.Metadata.ACS, f, w.entities("all"))
	}
	if f := w.found("all"); !f.Good.IsZero() || f.Failures != 0 || !f.Next.IsZero() {
		t.Errorf("the job does not fetch it anew: %+v", f)
	}
}

// A source that was removed while it was fetched leaves nothing behind.
func TestRemovedDuringAFetch(t *testing.T) {
	key, _ := newSigner()
	w := newWorld(t)
	w.source("all", Aggregate, key)
	w.web.set("/all", key.sign(t, group(until(14*days), entity("one", ""))))
	w.web.while = func() {
		must(t, w.Store.Update(t.Context(), func(tx store.Tx) error { return Sources.Delete(tx, "all") }))
	}
	if code := w.refresh("all"); code != CodeChanged || w.entities("all") != 0 {
		t.Errorf("%q, %d entities", code, w.entities("all"))
	}
}

// An MDQ server's answer that was believed for its address alone is offered to no app once a key is pinned.
func TestMDQKeyPinnedDuringAFetch(t *testing.T) {
	key, _ := newSigner()
	w := newWorld(t)
	source, err := NewSource("mdq", MDQ, map[string]string{"url": w.web.URL, "unsigned": "true", "max_validity": "none"}, "uid 0", w.clock)
	must(t, err)
	must(t, w.Store.Update(t.Context(), func(tx store.Tx) error { return Sources.Put(tx, &source) }))
	const path = "/entities/https%3A%2F%2Fone.example%2Fsp"
	w.web.set(path, entity("one", "", key))
	one := w.connect("mdq", "one", sp.RefreshAutomatic)
	w.web.set(path, strings.Replace(entity("one", ""), "one.example/acs", "evil.example/acs", 1))
	w.web.while = func() { w.set("mdq", map[string]string{"keys": key.pem(), "unsigned": "false"}) }
	_ = w.refresh("mdq")
	if app, f := w.app(one); app.Definition.SAML.Metadata.ACS[0].Location != "https://one.example/acs" || f.Waiting != nil {
		t.Errorf("%+v %+v", app.Definition.SAML.Metadata.ACS, f)
	}
}

// An app that was given to another source meanwhile gets nothing of the former one.
func TestAppMovedToAnotherSource(t *testing.T) {
	w, publish, auto, _ := followers(t)
	key, _ := newSigner()
	w.source("other", Aggregate, key)
	must(t, w.Store.Update(t.Context(), func(tx store.Tx) error {
		app, _, err := sp.Apps.Get(tx, auto)
		md := app.Definition.SAML.Metadata
		md.Source = "other"
		return errors.Join(err, app.ReplaceMetadata(md, w.clock), sp.Apps.Put(tx, &app), Track(tx, &app, 0, w.clock))
	}))
	publish("b", strings.Replace(entity("auto", "", key), "auto.example/acs", "evil.example/acs", 1))
	source, _, err := w.Keeper.source(t.Context(), "all")
	must(t, err)
	must(t, w.offerKept(t.Context(), &source, auto)) // as a refresh does that listed its apps before
	if app, f := w.app(auto); app.Definition.SAML.Metadata.Source != "other" || f.Failures != 0 || f.Waiting != nil {
		t.Errorf("%+v %+v", app.Definition.SAML.Metadata, f)
	}
}

// A document that takes too long to read is left at that, before and after its signature.
func TestReadingEnds(t *testing.T) {
	key, _ := newSigner()
	w := newWorld(t)
	w.source("all", Aggregate, key)
	source, own, err := w.Keeper.source(t.Context(), "all")
	must(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errTooLong)
	copied := &timed{strings.NewReader(key.sign(t, group(until(14*days), entity("one", "")))), ctx}
	if err := w.verify(&source, copied); err == nil || !strings.Contains(err.Error(), "longer than 5 minutes") {
		t.Error(err)
	}
	if _, _, err := w.keep(t.Context(), &source, own, copied); err == nil || w.entities("all") != 0 {
		t.Errorf("%v, %d entities", err, w.entities("all"))
	}
}

// What waited goes when the source is back at what was dismissed: nobody can say yes to what is not published any more.
func TestDismissedComesBack(t *testing.T) {
	w, publish, _, slow := followers(t)
	key, next := newSigner()
	publish("b", entity("auto", "", key), entity("slow", "", next))
	must(t, w.Store.Update(t.Context(), func(tx store.Tx) error { _, err := Take(tx, slow, version(t, tx, slow), true); return err }))
	publish("c", entity("auto", "", key), entity("slow", "", key, next))
	if _, f := w.app(slow); f.Waiting == nil {
		t.Fatal("asks no more")
	}
	publish("d", entity("auto", "", key), entity("slow", "", next))
	if _, f := w.app(slow); f.Waiting != nil {
		t.Error("what is not published any more waits for a yes")
	}
}

// Metadata that does not go with one app's settings is that app's failure, and the other apps of the source go on.
func TestUnfitAppHoldsUpNobody(t *testing.T) {
	w, publish, auto, slow := followers(t)
	key, next := newSigner()
	for _, id := range []string{auto, slow} {
		must(t, w.Store.Update(t.Context(), func(tx store.Tx) error {
			app, _, err := sp.Apps.Get(tx, id)
			app.Definition.SAML.Settings.MetadataRefresh = sp.RefreshAutomatic
			if id == min(auto, slow) { // the first of the source's apps
				app.Definition.Name = ""
			}
			return errors.Join(err, sp.Apps.Put(tx, &app))
		}))
	}
	publish("b", entity("auto", "", key, next), entity("slow", "", key, next))
	if _, f := w.app(min(auto, slow)); f.Code != CodeMetadata || f.Failures != 1 || w.keys(min(auto, slow)) != 1 {
		t.Errorf("the unfit one: %+v, %d keys", f, w.keys(min(auto, slow)))
	}
	if _, f := w.app(max(auto, slow)); f.Failures != 0 || w.keys(max(auto, slow)) != 2 {
		t.Errorf("the other: %+v, %d keys", f, w.keys(max(auto, slow)))
	}
}

// A source is fetched by one at a time.
func TestFetchedByOneAtATime(t *testing.T) {
	key, _ := newSigner()
	w := newWorld(t)
	w.source("all", Aggregate, key)
	w.web.set("/all", key.sign(t, group(until(14*days), entity("one", ""))))
	second := "not asked"
	w.web.while = func() { second = w.refresh("all") }
	if first := w.refresh("all"); first != "" || second != CodeBusy {
		t.Errorf("%q, meanwhile %q", first, second)
	}
	if code := w.refresh("all"); code != "" {
		t.Errorf("afterwards %q", code)
	}
}
