package federation

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// The rows are those of saml-requirements.md, section 12, as far as sources and refreshes fulfil them; rows about what one
// entity's metadata means are tests of sp/metadata. MDC-26 (filters by registrar) is not claimed.

// TestAggregate imports, refreshes and refuses documents over the wire.
func TestAggregate(t *testing.T) {
	key, other := newSigner()
	w := newWorld(t)
	w.source("all", Aggregate, key)
	good := key.sign(t, group(until(14*days)+` cacheDuration="PT2H"`, entity("one", ""), group("", entity("two", ""), group("", entity("three", ""))),
		`<EntityDescriptor `+mdNS+` entityID="https://idp.example"><IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"/></EntityDescriptor>`))
	w.web.set("/all", good)
	t.Run("MDC-02 groups in groups, only service providers, searchable", func(t *testing.T) {
		if code := w.refresh("all"); code != "" {
			t.Fatal(code)
		}
		f := w.found("all")
		if f.Entities != 4 || f.Providers != 3 || f.Left != 0 || !f.ValidUntil.Equal(noon.Add(14*days)) || !f.Next.Equal(noon.Add(2*time.Hour)) {
			t.Errorf("%+v", f)
		}
		must(t, w.Store.View(t.Context(), func(tx store.Tx) error {
			list, next, err := Search(tx, "all", "EXAMPLE", "", 2)
			rest, end, _ := Search(tx, "all", "example", next, 2)
			one, _, _ := Search(tx, "all", "three.example", "", 2)
			if len(list) != 2 || len(rest) != 1 || end != "" || len(one) != 1 {
				t.Errorf("%v %v %v", list, rest, one)
			}
			return err
		}))
	})
	t.Run("MDC-24 an aggregate makes no apps", func(t *testing.T) {
		must(t, w.Store.View(t.Context(), func(tx store.Tx) error {
			n, err := sp.Apps.Count(tx, store.Page{}, 0)
			if n != 0 {
				t.Errorf("%d apps", n)
			}
			return err
		}))
	})
	one := w.connect("all", "one", sp.RefreshAutomatic)
	for _, c := range refusedDocuments(t, key, other, good) {
		t.Run(c.name, func(t *testing.T) {
			w.web.set("/all", c.text)
			if code := w.refresh("all"); code != c.code {
				t.Errorf("got %q, want %q", code, c.code)
			}
			app, _ := w.app(one)
			if f := w.found("all"); f.Code != c.code || f.Error == "" || f.Providers != 3 || app.Definition.SAML.Metadata.ACS[0].Location != "https://one.example/acs" {
				t.Errorf("%+v", f)
			}
		})
	}
	t.Run("MDC-09 three minutes of skew", func(t *testing.T) {
		w.web.set("/all", key.sign(t, group(until(-2*time.Minute), entity("one", ""), entity("two", ""), entity("three", ""))))
		if code := w.refresh("all"); code != "" {
			t.Error(code)
		}
		w.web.set("/all", key.sign(t, group(until(-4*time.Minute), entity("one", ""))))
		if code := w.refresh("all"); code != metadata.CodeExpired {
			t.Error(code)
		}
	})
	t.Run("MDC-05 the key of another source is not believed", func(t *testing.T) {
		w.source("partner", Aggregate, other)
		w.web.set("/partner", good)
		if code := w.refresh("partner"); code != metadata.CodeWrongKey {
			t.Error(code)
		}
	})
	t.Run("MDC-30 private addresses are not fetched", func(t *testing.T) {
		w.source("inside", Aggregate, key, "url", "http://10.0.0.1/metadata")
		if code := w.refresh("inside"); code != CodeFetch {
			t.Error(code)
		}
	})
}

type refusedDocument struct{ name, text, code string }

func refusedDocuments(t *testing.T, key, other *signer, good string) []refusedDocument {
	changed := strings.Replace(entity("one", ""), "https://one.example/acs", "https://evil.example/acs", 1)
	return []refusedDocument{
		{"MDC-05 unsigned", group(until(14*days), changed), metadata.CodeUnsigned},
		{"MDC-05 wrong key", other.sign(t, group(until(14*days), changed)), metadata.CodeWrongKey},
		{"MDC-05 changed after signing", strings.Replace(good, "https://one.example/acs", "https://evil.example/acs", 1), metadata.CodeDigest},
		{"MDC-06 only an entity inside is signed", group(until(14*days), key.sign(t, strings.Replace(changed, "entityID", `ID="_e" entityID`, 1))), metadata.CodeUnsigned},
		{"MDC-06 wrapped", group(until(14*days), changed, good), metadata.CodeUnsigned},
		{"MDC-06 wrapped with the signature moved up", strings.Replace(group(until(14*days), changed), ">", ">"+good[strings.Index(good, "<ds:Signature"):strings.Index(good, "</ds:Signature>")]+"</ds:Signature>", 1), metadata.CodeDigest},
		{"MDC-05 SHA-1 digest", strings.Replace(good, "xmlenc#sha256", "xmldsig#sha1", 1), metadata.CodeAlgorithm},
		{"MDC-07 no validUntil", key.sign(t, group("", changed)), metadata.CodeNoEnd},
		{"MDC-07 expired", key.sign(t, group(until(-time.Hour), changed)), metadata.CodeExpired},
		{"MDC-07 too far", key.sign(t, group(until(31*days), changed)), metadata.CodeTooLong},
		{"MDC-11 DOCTYPE", `<!DOCTYPE x [<!ENTITY a "b">]>` + good, CodeMetadata},
		{"MDC-11 entities that multiply", `<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]>` + good, CodeMetadata},
		{"MDC-11 nested for ever", key.sign(t, group(until(14*days), strings.Repeat(`<EntitiesDescriptor>`, 40)+strings.Repeat(`</EntitiesDescriptor>`, 40))), CodeMetadata},
		{"MDC-11 cut off", good[:len(good)/2], CodeMetadata},
		{"no metadata", "<html/>", metadata.CodeUnsigned},
	}
}

// TestFollowing is what a source's refresh does to apps.
func TestFollowing(t *testing.T) {
	key, next := newSigner()
	w, publish, auto, slow := followers(t)
	publish("aa", entity("auto", "", key), entity("slow", "", key), entity("off", "", key))
	off := w.connect("all", "off", sp.RefreshOff)
	publish("b", entity("auto", "", key, next), entity("slow", "", key, next), entity("off", "", key, next))
	t.Run("MDC-03 applied by itself, waiting for a yes, or left alone", func(t *testing.T) {
		if w.keys(auto) != 2 || w.keys(slow) != 1 || w.keys(off) != 1 {
			t.Errorf("keys: %d %d %d", w.keys(auto), w.keys(slow), w.keys(off))
		}
		_, f := w.app(slow)
		if f.Waiting == nil || len(f.Waiting.SigningKeys()) != 2 || w.events("app.metadata_waits") != 1 || w.events("app.replace") != 1 {
			t.Errorf("%+v", f)
		}
	})
	t.Run("MDC-13 the new key comes beside the old one, which goes with the metadata", func(t *testing.T) {
		publish("c", entity("auto", "", next), entity("slow", "", next), entity("off", "", next))
		app, _ := w.app(auto)
		if keys := app.Definition.SAML.Metadata.SigningKeys(); len(keys) != 1 || string(keys[0].Certificate) != string(next.der) {
			t.Errorf("%d keys", len(keys))
		}
	})
	t.Run("MDC-25 the waiting difference is the newest, and is taken by a yes", func(t *testing.T) {
		must(t, w.Store.Update(t.Context(), func(tx store.Tx) error {
			md, err := Take(tx, slow, version(t, tx, slow), false)
			if err != nil {
				return err
			}
			app, _, err := sp.Apps.Get(tx, slow)
			if err != nil {
				return err
			}
			_, err = Apply(tx, &app, md, w.clock)
			return err
		}))
		if app, f := w.app(slow); f.Waiting != nil || string(app.Definition.SAML.Metadata.SigningKeys()[0].Certificate) != string(next.der) {
			t.Errorf("%+v", f)
		}
		err := w.Store.Update(t.Context(), func(tx store.Tx) error { _, err := Take(tx, slow, "", false); return err })
		if code, _ := worded(err); code != CodeNothing {
			t.Errorf("a second yes: %v", err)
		}
	})
}

// followers are a source and two apps of it, which take what is new, and wait for a yes.
func followers(t *testing.T) (w *world, publish func(name string, entities ...string), auto, slow string) {
	key, _ := newSigner()
	w = newWorld(t)
	w.source("all", Aggregate, key)
	publish = func(name string, entities ...string) {
		t.Helper()
		w.web.set("/all", key.sign(t, group(until(14*days)+` Name="`+name+`"`, entities...)))
		if code := w.refresh("all"); code != "" {
			t.Fatal(code)
		}
	}
	publish("a", entity("auto", "", key), entity("slow", "", key))
	return w, publish, w.connect("all", "auto", sp.RefreshAutomatic), w.connect("all", "slow", sp.RefreshReview)
}

// TestFollowingKeeps is what a refresh must not do.
func TestFollowingKeeps(t *testing.T) {
	key, next := newSigner()
	w, publish, auto, slow := followers(t)
	t.Run("MDC-25 what was dismissed does not ask again until it changes", func(t *testing.T) {
		publish("d", entity("auto", "", next), entity("slow", "", next))
		must(t, w.Store.Update(t.Context(), func(tx store.Tx) error { _, err := Take(tx, slow, version(t, tx, slow), true); return err }))
		publish("dd", entity("auto", "", next), entity("slow", "", next))
		if _, f := w.app(slow); f.Waiting != nil {
			t.Error("asks again")
		}
		publish("ddd", entity("auto", "", next), entity("slow", "", key, next))
		if _, f := w.app(slow); f.Waiting == nil {
			t.Error("asks no more")
		}
	})
	t.Run("MDC-03 policy and local settings stay, nothing is lowered", func(t *testing.T) {
		must(t, w.Store.Update(t.Context(), func(tx store.Tx) error {
			app, _, err := sp.Apps.Get(tx, auto)
			if err == nil {
				err = app.Apply(map[string]string{"policy.permitted_users": "preauthorized", "policy.groups": "grp_1", "name": "Ours"})
			}
			return errors.Join(err, sp.Apps.Put(tx, &app))
		}))
		signed := strings.Replace(entity("auto", "", next), "protocolSupport", `AuthnRequestsSigned="true" protocolSupport`, 1)
		publish("e", signed)
		publish("f", entity("auto", "", next))
		app, _ := w.app(auto)
		if app.Definition.Name != "Ours" || app.Policy.PermittedUsers != "preauthorized" || len(app.Policy.Groups) != 1 || !app.Definition.SAML.RequireSigned() ||
			app.Definition.SAML.Settings.NameIDFormat != "emailAddress" {
			t.Errorf("%+v", app)
		}
	})
	t.Run("MDC-08 the smallest end wins, and a later end is taken without a yes", func(t *testing.T) {
		publish("g", entity("auto", until(3*days)), entity("slow", "", key))
		app, _ := w.app(auto)
		if end := app.Definition.SAML.Metadata.ValidUntil; !end.Equal(noon.Add(3 * days)) {
			t.Errorf("ends %s", end)
		}
		w.clock = noon.Add(day)
		w.web.set("/all", key.sign(t, group(until(20*days)+` Name="h"`, entity("auto", until(3*days)), entity("slow", "", key))))
		if code := w.refresh("all"); code != "" {
			t.Fatal(code)
		}
		app, f := w.app(slow)
		if end := app.Definition.SAML.Metadata.ValidUntil; f.Waiting == nil && !end.Equal(noon.Add(20*days)) {
			t.Errorf("ends %s", end)
		}
	})
	t.Run("MDC-04 gone from the source: what is known holds until its end", func(t *testing.T) {
		publish("i", entity("other", ""))
		app, f := w.app(auto)
		if f.Code != CodeNotThere || app.Definition.SAML.Metadata.Expired(w.clock) || !app.Definition.SAML.Metadata.Expired(noon.Add(4*days)) {
			t.Errorf("%+v", f)
		}
	})
}

const day = days

// TestSchedule is the background job: what is due and what is not, 304, failures and their retries.
func TestSchedule(t *testing.T) {
	key, _ := newSigner()
	w := newWorld(t)
	w.source("all", Aggregate, key)
	w.web.set("/all", key.sign(t, group(until(14*days)+` cacheDuration="PT10M"`, entity("one", ""))))
	due := func() (asked, sent int64) {
		t.Helper()
		a, s := w.web.asked.Load(), w.web.sent.Load()
		must(t, w.RefreshDue(t.Context()))
		return w.web.asked.Load() - a, w.web.sent.Load() - s
	}
	t.Run("MDC-03 a cacheDuration of minutes is an hour here", func(t *testing.T) {
		if asked, _ := due(); asked != 1 || !w.found("all").Next.Equal(noon.Add(time.Hour)) {
			t.Errorf("%d %+v", asked, w.found("all"))
		}
		w.clock = noon.Add(59 * time.Minute)
		if asked, _ := due(); asked != 0 {
			t.Error("asked before it was due")
		}
	})
	one := w.connect("all", "one", "")
	t.Run("MDC-03 304 keeps what there is", func(t *testing.T) {
		w.clock = noon.Add(time.Hour)
		if asked, sent := due(); asked != 1 || sent != 0 {
			t.Errorf("asked %d, sent %d", asked, sent)
		}
		if f := w.found("all"); !f.Good.Equal(w.clock) || f.Providers != 1 || !f.Next.Equal(w.clock.Add(time.Hour)) {
			t.Errorf("%+v", f)
		}
	})
	t.Run("MDC-04 source down: retried ever more slowly, one audit entry, last good kept until its end", func(t *testing.T) {
		w.web.fail(true)
		entries := w.events("metadata_source.refresh")
		for _, wait := range []time.Duration{24 * time.Hour, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute} {
			w.clock = w.clock.Add(wait)
			if asked, _ := due(); asked != 1 {
				t.Errorf("asked %d times after %s", asked, wait)
			}
			if asked, _ := due(); asked != 0 {
				t.Error("asked again at once")
			}
		}
		app, _ := w.app(one)
		if f := w.found("all"); f.Failures != 4 || f.Code != CodeFetch || w.events("metadata_source.refresh") != entries+1 || app.Definition.SAML.Metadata.Expired(w.clock) {
			t.Errorf("%+v", f)
		}
		if !app.Definition.SAML.Metadata.Expired(noon.Add(15 * days)) {
			t.Error("holds past its end")
		}
		w.web.fail(false)
		w.clock = w.clock.Add(80 * time.Minute)
		if due(); w.found("all").Failures != 0 {
			t.Errorf("%+v", w.found("all"))
		}
	})
	t.Run("paused", func(t *testing.T) {
		must(t, w.Store.Update(t.Context(), func(tx store.Tx) error {
			source, _, err := Sources.Get(tx, "all")
			return errors.Join(err, source.Change(map[string]string{"state": "paused"}), Sources.Put(tx, &source))
		}))
		w.clock = w.clock.Add(48 * time.Hour)
		if asked, _ := due(); asked != 0 {
			t.Error("a paused source is asked")
		}
	})
}

// TestAddress is an app whose metadata came from an address of its own.
func TestAddress(t *testing.T) {
	key, next := newSigner()
	w := newWorld(t)
	w.web.set("/sp", entity("sp", until(3*days)+` cacheDuration="PT8H"`, key))
	parsed, err := metadata.Parse([]byte(entity("sp", until(3*days), key)), metadata.Options{Now: noon})
	must(t, err)
	parsed.Metadata.SourceURL = w.web.URL + "/sp"
	id := w.add("sp", parsed.Metadata, sp.RefreshAutomatic)
	at := func(d time.Duration, text string) Follow {
		t.Helper()
		w.clock = noon.Add(d)
		if text != "" {
			w.web.set("/sp", text)
		}
		must(t, w.RefreshDue(t.Context()))
		_, f := w.app(id)
		return f
	}
	t.Run("MDC-03 looked at after a day at the latest", func(t *testing.T) {
		at(23*time.Hour, "")
		if n := w.web.asked.Load(); n != 0 {
			t.Errorf("asked %d times", n)
		}
		if f := at(24*time.Hour, ""); !f.Good.Equal(w.clock) || !f.Next.Equal(w.clock.Add(8*time.Hour)) || f.ETag == "" {
			t.Errorf("%+v", f)
		}
	})
	t.Run("MDC-03 304", func(t *testing.T) {
		sent := w.web.sent.Load()
		if f := at(48*time.Hour, ""); !f.Good.Equal(w.clock) || !f.Next.Equal(w.clock.Add(8*time.Hour)) || w.web.sent.Load() != sent {
			t.Errorf("%+v", f)
		}
	})
	t.Run("MDC-04 down until the end of the metadata", func(t *testing.T) {
		w.web.fail(true)
		f := at(72*time.Hour, "")
		app, _ := w.app(id)
		if f.Failures != 1 || f.Code != CodeFetch || app.Definition.SAML.Metadata.Expired(w.clock) || !app.Definition.SAML.Metadata.Expired(w.clock.Add(3*time.Minute)) {
			t.Errorf("%+v", f)
		}
		w.web.fail(false)
	})
	t.Run("MDC-13 a second key is taken by itself", func(t *testing.T) {
		if f := at(72*time.Hour+10*time.Minute, entity("sp", until(9*days), key, next)); f.Failures != 0 || w.keys(id) != 2 {
			t.Errorf("%+v %d", f, w.keys(id))
		}
	})
	t.Run("MDC-25 a new host waits for a yes, where only an address vouches for it", func(t *testing.T) {
		f := at(5*days, strings.Replace(entity("sp", until(9*days), key), "https://sp.example/acs", "https://elsewhere.example/acs", 1))
		app, _ := w.app(id)
		if f.Waiting == nil || app.Definition.SAML.Metadata.ACS[0].Location != "https://sp.example/acs" {
			t.Errorf("%+v", f)
		}
	})
	for _, c := range []struct{ name, text, code string }{
		{"MDC-25 another entity", entity("else", until(30*days), key), CodeOtherEntity},
		{"MDC-04 an expired document", entity("sp", until(-time.Hour), key), CodeMetadata},
		{"MDC-11 DOCTYPE", "<!DOCTYPE x>" + entity("sp", "", key), CodeMetadata},
		{"MDC-27 an address that is no https", strings.Replace(entity("sp", until(30*days), key), "https://sp.example/acs", "javascript:alert(1)", 1), CodeMetadata},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.web.set("/sp", c.text)
			err := w.RefreshApp(t.Context(), id, "uid 0")
			code, _ := worded(err)
			if app, f := w.app(id); code != c.code || f.Code != c.code || w.keys(id) != 2 || app.EntityID() != "https://sp.example/sp" {
				t.Errorf("%q %+v", code, f)
			}
		})
	}
}
