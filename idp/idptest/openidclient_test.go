package idptest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// peerQuestion is what the openid-client program grants.js asks of the test, or its results.
type peerQuestion struct {
	Open   string                    `json:"open"`
	Device string                    `json:"device"`
	Set    string                    `json:"set"`
	Key    string                    `json:"key"`
	Value  string                    `json:"value"`
	Done   map[string]map[string]any `json:"done"`
}

// TestOpenIDClientGrants lets npm's openid-client go through what it knows beyond the plain flow.
func TestOpenIDClientGrants(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	rp := s.Client(t, "peer", map[string]any{"scope": "openid email offline_access peer.read peer.write"}, nil)
	made, err := s.API.RegistrationToken(t.Context(), rp.App)
	if err != nil {
		t.Fatal(err)
	}
	results := s.runPeer(t, "grants.js", map[string]string{"issuer": s.URL, "token": made.Token, "redirect": rp.Redirect})
	for _, row := range []struct {
		name, scenario string
		want           map[string]any
	}{
		{"OPR-13 ORF-12 openid-client registers", "registers", map[string]any{"name": "Self-made", "secret": "string", "method": "client_secret_basic", "bad": "invalid_redirect_uri"}},
		{"OPR-13 ORF-13 ORF-14 ORF-15 openid-client with private_key_jwt, pushed requests and DPoP", "pushed", map[string]any{
			"only": "client_id request_uri", "type": "dpop", "email": "ana@example.org", "rotated": true, "active": true, "bearer": "OAUTH_WWW_AUTHENTICATE_CHALLENGE", "revoked": true}},
		{"OPR-13 OBP-23 openid-client with a signed request", "signedRequest", map[string]any{"only": "client_id request", "type": "bearer"}},
		{"OPR-13 ORF-11 openid-client on a device", "device", map[string]any{"email": "ana@example.org"}},
		{"OPR-13 OPR-04 OGR-05 openid-client by itself, and an exchange", "alone", map[string]any{"refused": "unauthorized_client", "scope": "peer.read peer.write", "narrower": "peer.read", "active": true}},
	} {
		t.Run(row.name, func(t *testing.T) {
			have := results[row.scenario]
			if have["failed"] != nil || len(have) == 0 {
				t.Fatalf("%v", have)
			}
			for name, want := range row.want {
				if have[name] != want {
					t.Errorf("%s: %v, want %v", name, have[name], want)
				}
			}
		})
	}
}

// TestOpenIDClientCertificate lets openid-client prove itself by a certificate, at the listener that asks for one.
func TestOpenIDClientCertificate(t *testing.T) {
	t.Parallel()
	c := newCertified(t)
	mine := newHolder(t, c.root, "peer", nil)
	rp := c.Client(t, "certified", map[string]any{
		"scope": "openid email offline_access", "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_subject_dn": "CN=peer,O=Example AB",
		"tls_client_certificate_bound_access_tokens": true,
	}, nil)
	cert, key := mine.pem(t)
	ca, _ := c.server.pem(t)
	have := c.runPeer(t, "mtls.js", map[string]string{"issuer": c.URL, "client_id": rp.ID, "redirect": rp.Redirect, "cert": string(cert), "key": string(key), "ca": string(ca)})["certified"]
	t.Run("OPR-13 ORF-19 openid-client with a certificate", func(t *testing.T) {
		for name, want := range map[string]any{"email": "ana@example.org", "stolen": "invalid_token", "unproved": "OAUTH_WWW_AUTHENTICATE_CHALLENGE", "active": true, "thumb": mine.thumb()} {
			if have[name] != want {
				t.Errorf("%s: %v, want %v: %v", name, have[name], want, have)
			}
		}
	})
}

// runPeer runs one of the programs and does what it asks for.
func (s *Server) runPeer(t *testing.T, program string, ask map[string]string) map[string]map[string]any {
	t.Helper()
	config, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	modules, dir := openIDClient(t), t.TempDir()
	writeFiles(t, dir, 0o600, map[string][]byte{"config.json": config})
	command := exec.CommandContext(t.Context(), "node", filepath.Join(modules, program), filepath.Join(dir, "config.json"))
	var complaints bytes.Buffer
	command.Stderr = &complaints
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	browser, lines := s.SignedIn(t, "ana"), bufio.NewScanner(out)
	var last peerQuestion
	for last.Done == nil && lines.Scan() {
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil {
			t.Fatalf("%s: %v", lines.Bytes(), err)
		}
		answer, _ := json.Marshal(s.answerPeer(t, browser, &last))
		if _, err := in.Write(append(answer, '\n')); err != nil {
			t.Fatal(err)
		}
		last = peerQuestion{Done: last.Done}
	}
	if err := command.Wait(); err != nil || last.Done == nil {
		t.Fatalf("%v\n%s", err, complaints.String())
	}
	return last.Done
}

func (s *Server) answerPeer(t *testing.T, browser *Client, q *peerQuestion) string {
	t.Helper()
	switch {
	case q.Open != "":
		return browser.Agree(browser.Get(strings.TrimPrefix(q.Open, s.URL))).Header.Get("Location")
	case q.Device != "":
		page := browser.Get(strings.TrimPrefix(q.Device, s.URL))
		page = browser.Agree(browser.Post("/device", url.Values{"user_code": {page.Field("user_code")}}))
		return page.URL.Path
	case q.Set != "":
		if _, err := s.API.SetApp(t.Context(), q.Set, api.Change{Set: map[string]string{q.Key: q.Value}}); err != nil {
			t.Error(err)
		}
	}
	return ""
}
