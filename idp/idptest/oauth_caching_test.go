package idptest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"gatehouse/idp/api"
)

// stages are how often an address was asked in all, after each of several times.
type stages []struct {
	later time.Duration
	asked int
}

// TestCacheHeaders: what clients publish is kept as long as their servers say, within our bounds.
func TestCacheHeaders(t *testing.T) {
	t.Parallel()
	w, d := newWorld(t), newDocumentServer(t)
	w.organisation(t, "oauth.client_id_metadata_documents", "true")
	saying := func(path string, headers map[string]string, answer http.HandlerFunc) {
		d.answer(path, func(out http.ResponseWriter, r *http.Request) {
			for name, value := range headers {
				out.Header().Set(name, value)
			}
			answer(out, r)
		})
	}
	held := func(what, path string, rows stages, use func()) {
		t.Helper()
		for _, stage := range rows {
			w.clock.advance(stage.later)
			if use(); d.count(path) != stage.asked {
				t.Errorf("%s, %v later: asked %d times, want %d", what, stage.later, d.count(path), stage.asked)
			}
		}
	}
	key := newSigningKey(t, jose.ES256, "one")
	for name, c := range map[string]struct {
		headers map[string]string
		rows    stages
	}{
		"nothing":      {nil, stages{{0, 1}, {9 * time.Minute, 1}, {2 * time.Minute, 2}}},
		"some-minutes": {map[string]string{"Cache-Control": "max-age=1200"}, stages{{0, 1}, {15 * time.Minute, 1}, {6 * time.Minute, 2}}},
		"not-at-all":   {map[string]string{"Cache-Control": "no-store"}, stages{{0, 1}, {20 * time.Second, 1}, {time.Minute, 2}}},
		"a-day":        {map[string]string{"Cache-Control": "max-age=86400"}, stages{{0, 1}, {28 * time.Minute, 1}, {3 * time.Minute, 2}}},
	} {
		path := "/keys/" + name
		saying(path, c.headers, func(out http.ResponseWriter, _ *http.Request) { _, _ = out.Write(keySet(key)) })
		rp := w.withKeys(t, "keys"+name, map[string]any{"jwks_uri": d.URL + path})
		held("keys that may be kept "+name, path, c.rows, func() {
			if reply := rp.Do(rp.Request("/oauth/token", asserted(key.sign(t, w.clientJWT(rp, nil), nil), alone))); reply.Status != http.StatusOK {
				t.Errorf("%s: %d %s", name, reply.Status, reply.Raw)
			}
		})
	}
	for name, c := range map[string]struct {
		headers map[string]string
		rows    stages
	}{
		"nothing":     {nil, stages{{0, 1}, {50 * time.Minute, 1}, {11 * time.Minute, 2}}},
		"three-hours": {map[string]string{"Cache-Control": "max-age=10800"}, stages{{0, 1}, {2 * time.Hour, 1}, {61 * time.Minute, 2}}},
		"until":       {map[string]string{"Expires": time.Now().Add(3 * time.Hour).UTC().Format(http.TimeFormat)}, stages{{0, 1}, {2 * time.Hour, 1}, {61 * time.Minute, 2}}},
		"not-at-all":  {map[string]string{"Cache-Control": "no-store"}, stages{{0, 1}, {20 * time.Second, 1}, {time.Minute, 2}}},
		"a-year":      {map[string]string{"Cache-Control": "max-age=31536000"}, stages{{0, 1}, {23 * time.Hour, 1}, {2 * time.Hour, 2}}},
	} {
		path := "/kept/" + name
		d.publish(path, nil)
		saying(path, c.headers, d.answers[path])
		rp := w.documented(t, d, path)
		held("a document that may be kept "+name, path, c.rows, func() {
			rp.Send("/oauth/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {rp.ID}})
		})
	}
}

// TestWordsAboutOpenIDUpstreams: what an administrator is told to do is what can be done about an OpenID provider.
func TestWordsAboutOpenIDUpstreams(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct{ issuer, metadata, says, keeps string }{
		{"http://127.0.0.1:1", "", "check the issuer.", "upload"},
		{"https://10.255.255.1", "", "--allow-fetch for that network.", "upload"},
		{w.URL + "/nothing", "", "check the issuer.", "upload"},
		{"", "http://127.0.0.1:1/metadata", "check the address, or upload the file.", "issuer"},
	} {
		_, err := w.API.AddUpstream(t.Context(), api.NewUpstream{Name: "away", Issuer: c.issuer, URL: c.metadata, Secret: map[bool]string{true: "secret"}[c.issuer != ""], Set: map[string]string{}})
		if err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), c.keeps) {
			t.Errorf("%s%s: %v", c.issuer, c.metadata, err)
		}
	}
}

// TestUpstreamKeysThatNothingCanBeSignedWith: the look at a provider counts its keys as a sign-in would.
func TestUpstreamKeysThatNothingCanBeSignedWith(t *testing.T) {
	t.Parallel()
	b := newFakeOpenID(t, nil)
	for _, c := range []struct {
		keys []*signingKey
		says string
	}{
		{[]*signingKey{b.op.key}, "can be had (1)"},
		{[]*signingKey{b.op.key, newSigningKey(t, jose.ES384, "two")}, "can be had (1)"},
		{[]*signingKey{newSigningKey(t, jose.ES384, "two")}, "holds no key that ID tokens could be signed with"}, // the provider offers ES256 and RS256
	} {
		b.op.mu.Lock()
		b.op.keys = c.keys
		b.op.mu.Unlock()
		test, err := b.API.TestUpstream(t.Context(), "uni")
		if err != nil {
			t.Fatal(err)
		}
		said := ""
		for _, one := range test.Checks {
			if one.What == "keys" {
				said = one.Text
			}
		}
		if !strings.Contains(said, c.says) {
			t.Errorf("%d keys: %s", len(c.keys), said)
		}
	}
}
