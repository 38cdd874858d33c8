package federation

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/sp"
	"gatehouse/sp/metadata"
)

const encoded = "/mdq/entities/https%3A%2F%2Fone.example%2Fsp"

// one is an entity with an ID that a signature can name.
func one(attributes string, keys ...*signer) string {
	return strings.Replace(entity("one", attributes, keys...), "entityID", `ID="_e" entityID`, 1)
}

// TestMDQ asks a server for entities, and takes no answer that is not right.
func TestMDQ(t *testing.T) {
	key, other := newSigner()
	w := newWorld(t)
	w.source("mdq", MDQ, key, "apply", "automatic")
	find := func(name string) string {
		_, _, err := w.Find(t.Context(), "mdq", "https://"+name+".example/sp")
		if err == nil {
			return ""
		}
		code, _ := worded(err)
		return code
	}
	for _, c := range []struct{ name, text, code string }{
		{"MDC-21 another entity", key.sign(t, strings.ReplaceAll(one(until(14*days)), "one.example", "two.example")), CodeOtherEntity},
		{"MDC-21 unsigned", one(until(14 * days)), metadata.CodeUnsigned},
		{"MDC-21 wrong key", other.sign(t, one(until(14*days))), metadata.CodeWrongKey},
		{"MDC-21 a group around it", key.sign(t, group(until(14*days), one(""))), CodeMetadata},
		{"MDC-21 no service provider", key.sign(t, strings.ReplaceAll(one(until(14*days)), "SPSSODescriptor", "IDPSSODescriptor")), CodeNotThere},
		{"MDC-07 no validUntil", key.sign(t, one("")), metadata.CodeNoEnd},
		{"MDC-07 expired", key.sign(t, one(until(-time.Hour))), metadata.CodeExpired},
		{"MDC-07 too far", key.sign(t, one(until(400*days))), metadata.CodeTooLong},
		{"MDC-11 DOCTYPE", "<!DOCTYPE x>" + key.sign(t, one(until(14*days))), CodeMetadata},
		{"MDC-11 more than 1 MiB", strings.Repeat(" ", 1<<20+1), CodeFetch},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.web.set(encoded, c.text)
			if code := find("one"); code != c.code && !(c.name == "MDC-07 expired" && code == CodeMetadata) {
				t.Errorf("got %q, want %q", code, c.code)
			}
		})
	}
	t.Run("MDC-20 by encoded entity id, verified, gzip", func(t *testing.T) {
		w.web.set(encoded, key.sign(t, one(until(14*days)+` cacheDuration="PT3H"`, key)))
		if code := find("one"); code != "" {
			t.Fatal(code)
		}
	})
	t.Run("MDC-20 by hash, for servers that know only that", func(t *testing.T) {
		sum := sha1.Sum([]byte("https://two.example/sp"))
		w.web.set("/mdq/entities/%7Bsha1%7D"+hex.EncodeToString(sum[:]), key.sign(t, strings.Replace(entity("two", until(14*days)), "entityID", `ID="_e" entityID`, 1)))
		if code := find("two"); code != "" {
			t.Error(code)
		}
	})
	t.Run("MDC-22 an answer is kept, and so is that there is none, for a while", func(t *testing.T) {
		asked := w.web.asked.Load()
		for range 50 {
			find("one")
			if code := find("nobody"); code != CodeNotThere {
				t.Fatal(code)
			}
		}
		if n := w.web.asked.Load() - asked; n != 2 { // by id and by hash, once
			t.Errorf("asked %d times", n)
		}
		w.clock = w.clock.Add(absentFor + time.Second)
		if find("nobody"); w.web.asked.Load()-asked != 4 {
			t.Error("never asked again")
		}
		w.clock = noon
	})
}

// TestMDQRefresh is what becomes of an app of an MDQ server.
func TestMDQRefresh(t *testing.T) {
	key, other := newSigner()
	w := newWorld(t)
	w.source("mdq", MDQ, key)
	w.web.set(encoded, key.sign(t, one(until(14*days)+` cacheDuration="PT3H"`, key)))
	id := w.connect("mdq", "one", sp.RefreshAutomatic)
	t.Run("MDC-23 refreshed when due: the new key comes, the old one goes", func(t *testing.T) {
		must(t, w.RefreshDue(t.Context()))
		asked := w.web.asked.Load()
		w.clock = noon.Add(2 * time.Hour)
		if must(t, w.RefreshDue(t.Context())); w.web.asked.Load() != asked {
			t.Error("asked before it was due")
		}
		w.web.set(encoded, key.sign(t, one(until(14*days)+` cacheDuration="PT3H"`, key, other)))
		w.clock = noon.Add(3*time.Hour + time.Minute)
		if must(t, w.RefreshDue(t.Context())); w.keys(id) != 2 {
			t.Fatalf("%d keys", w.keys(id))
		}
		w.web.set(encoded, key.sign(t, one(until(14*days)+` cacheDuration="PT3H"`, other)))
		w.clock = noon.Add(7 * time.Hour)
		must(t, w.RefreshDue(t.Context()))
		if app, _ := w.app(id); w.keys(id) != 1 || string(app.Definition.SAML.Metadata.Keys[0].Certificate) != string(other.der) {
			t.Errorf("%d keys", w.keys(id))
		}
	})
	t.Run("MDC-20 MDC-23 304", func(t *testing.T) {
		sent := w.web.sent.Load()
		w.clock = noon.Add(11 * time.Hour)
		if must(t, w.RefreshDue(t.Context())); w.web.sent.Load() != sent {
			t.Error("sent again")
		}
		if _, f := w.app(id); !f.Good.Equal(w.clock) {
			t.Errorf("%+v", f)
		}
		asked := w.web.asked.Load()
		w.clock = noon.Add(14*time.Hour + time.Minute)
		if must(t, w.RefreshDue(t.Context())); w.web.asked.Load() == asked {
			t.Error("not asked again after the cacheDuration")
		}
	})
	t.Run("MDC-04 gone or down: what is known holds", func(t *testing.T) {
		for i, step := range []func(){func() { w.web.fail(true) }, func() { w.web.fail(false); w.web.set(encoded, "rubbish") }} {
			step()
			w.clock = w.clock.Add(36 * time.Hour)
			must(t, w.RefreshDue(t.Context()))
			_, f := w.app(id)
			if fmt.Sprint(f.Failures, w.keys(id)) != fmt.Sprint(i+1, 1) || f.Error == "" {
				t.Errorf("%d: %+v", i, f)
			}
		}
	})
}
