package federation

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// provider is an identity provider's descriptor.
func provider(name, attributes string, keys ...*signer) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<EntityDescriptor %s ID="_p" entityID="https://%s.example/idp" %s><IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">`, mdNS, name, attributes)
	for _, key := range keys {
		fmt.Fprintf(&b, `<KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>%s</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`, base64.StdEncoding.EncodeToString(key.der))
	}
	fmt.Fprintf(&b, `<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://%s.example/sso"/></IDPSSODescriptor></EntityDescriptor>`, name)
	return b.String()
}

// upstream adds an upstream that follows an address, as an administrator does.
func (w *world) upstream(name string, pinned string) {
	w.t.Helper()
	u := Upstream{}
	if pinned != "" {
		must(w.t, u.set("metadata_keys", pinned))
	}
	found, err := w.FetchProvider(w.t.Context(), Looked{URL: w.web.URL + "/" + name}, u.Pinned)
	must(w.t, err)
	values := map[string]string{}
	if pinned != "" {
		values["metadata_keys"] = pinned
	}
	u, err = NewUpstream(name, &found, values, "uid 0", w.clock)
	must(w.t, err)
	must(w.t, w.Store.Update(w.t.Context(), func(tx store.Tx) error { return Upstreams.Put(tx, &u) }))
}

func (w *world) known(name string) Upstream {
	w.t.Helper()
	var u Upstream
	must(w.t, w.Store.View(w.t.Context(), func(tx store.Tx) (err error) {
		u, _, err = Upstreams.Get(tx, name)
		return err
	}))
	return u
}

// due lets time pass until the next look, and looks.
func (w *world) due(after time.Duration) {
	w.t.Helper()
	w.clock = w.clock.Add(after)
	must(w.t, w.RefreshDue(w.t.Context()))
}

func TestUpstreamFollowsItsAddress(t *testing.T) {
	w := newWorld(t)
	first, second := newSigner()
	w.web.set("/uni", provider("uni", until(30*days), first))
	w.upstream("uni", "")
	keys := func() int { u := w.known("uni"); return len(u.Provider.SigningKeys()) }

	w.due(time.Hour)
	if got := w.web.asked.Load(); got != 1 {
		t.Errorf("asked %d times before it is due", got)
	}
	w.due(24 * time.Hour)
	if w.web.asked.Load() != 2 || w.web.sent.Load() != 1 || w.events("upstream.refresh") != 0 {
		t.Errorf("what is unchanged is sent again, or leaves an entry: %d, %d, %d", w.web.asked.Load(), w.web.sent.Load(), w.events("upstream.refresh"))
	}
	w.web.set("/uni", provider("uni", until(30*days), first, second))
	w.due(24 * time.Hour)
	if keys() != 2 || w.events("upstream.refresh") != 1 {
		t.Errorf("a rollover: %d keys, %d entries", keys(), w.events("upstream.refresh"))
	}
	w.web.set("/uni", provider("uni", until(30*days), second))
	w.due(24 * time.Hour)
	if keys() != 1 || w.events("upstream.refresh") != 2 {
		t.Errorf("the end of a rollover: %d keys, %d entries", keys(), w.events("upstream.refresh"))
	}
	for name, bad := range map[string]string{"another entity": provider("other", "", first), "no XML": "nothing", "expired": provider("uni", until(-days), first), "no keys": provider("uni", "")} {
		t.Run(name, func(t *testing.T) {
			before := w.events("upstream.refresh")
			w.web.set("/uni", bad)
			w.due(24 * time.Hour)
			w.due(24 * time.Hour)
			u := w.known("uni")
			if u.Look.Failures == 0 || u.Look.Error == "" || keys() != 1 || w.events("upstream.refresh") != before+1 {
				t.Errorf("%+v, %d keys, %d more entries", u.Look, keys(), w.events("upstream.refresh")-before)
			}
			w.web.set("/uni", provider("uni", until(60*days), second))
			if err := w.RefreshUpstream(t.Context(), "uni", "uid 0"); err != nil {
				t.Error(err)
			}
			if u := w.known("uni"); u.Look.Failures != 0 || u.Look.Error != "" {
				t.Errorf("after a good one: %+v", u.Look)
			}
		})
	}
	w.web.fail(true)
	w.due(90 * days)
	u := w.known("uni")
	if !u.Provider.Expired(w.clock) {
		t.Error("what is known outlives its end")
	}
}

// TestUpstreamPinned: where a key is pinned, the address alone is not believed.
func TestUpstreamPinned(t *testing.T) {
	w := newWorld(t)
	registrar, other := newSigner()
	w.web.set("/uni", registrar.sign(t, provider("uni", "", registrar)))
	w.upstream("uni", registrar.pem())
	for name, bad := range map[string]string{"unsigned": provider("uni", "", other), "by another": other.sign(t, provider("uni", "", other))} {
		w.web.set("/uni", bad)
		if err := w.RefreshUpstream(t.Context(), "uni", "uid 0"); err == nil {
			t.Errorf("%s is taken", name)
		}
		if u := w.known("uni"); fingerprints(u.Provider.SigningKeys()) == fingerprints(nil) || u.Provider.SigningKeys()[0].Fingerprint() != u.Pinned[0].Fingerprint() {
			t.Errorf("%s changed the keys", name)
		}
	}
	w.web.set("/uni", registrar.sign(t, provider("uni", "", registrar, other)))
	must(t, w.RefreshUpstream(t.Context(), "uni", "uid 0"))
	if u := w.known("uni"); len(u.Provider.SigningKeys()) != 2 {
		t.Errorf("%d keys after a signed rollover", len(u.Provider.SigningKeys()))
	}
}

func TestLookAfter(t *testing.T) {
	for name, c := range map[string]struct {
		provider metadata.Provider
		want     time.Duration
	}{
		"says nothing":            {metadata.Provider{}, 24 * time.Hour},
		"as it says":              {metadata.Provider{CacheDuration: 6 * time.Hour}, 6 * time.Hour},
		"in time before its end":  {metadata.Provider{ValidUntil: noon.Add(12 * time.Hour)}, 6 * time.Hour},
		"but not all the time":    {metadata.Provider{ValidUntil: noon.Add(time.Minute)}, time.Hour},
		"nor after it has ended":  {metadata.Provider{ValidUntil: noon.Add(-time.Hour)}, time.Hour},
		"an end that is far away": {metadata.Provider{ValidUntil: noon.Add(30 * days)}, 24 * time.Hour},
	} {
		if got := lookAfter(&c.provider, c.provider.CacheDuration, noon); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// TestUpstreamPinnedLater: what was known before a key was pinned is looked at again, whatever the server says of it.
func TestUpstreamPinnedLater(t *testing.T) {
	w := newWorld(t)
	registrar, other := newSigner()
	w.web.set("/uni", provider("uni", "", other))
	w.upstream("uni", "")
	must(t, w.Store.Update(t.Context(), func(tx store.Tx) error {
		u, _, err := Upstreams.Get(tx, "uni")
		must(t, err)
		must(t, u.Change(map[string]string{"metadata_keys": registrar.pem()}))
		return Upstreams.Put(tx, &u)
	}))
	w.due(time.Minute)
	if u := w.known("uni"); u.Look.Failures != 1 {
		t.Errorf("unsigned metadata goes on: %+v", u.Look)
	}
}
