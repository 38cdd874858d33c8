package idptest

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// The tests of this file let SimpleSAMLphp and pysaml2, as Debian packages them, sign people in and out.

const mailAttribute = "urn:oid:0.9.2342.19200300.100.1.3"

// knows is the person that a page of a peer shows; nobody when it shows none.
func knows(page string) PeerPerson {
	var person PeerPerson
	if json.Unmarshal([]byte(page), &person) != nil {
		return PeerPerson{}
	}
	return person
}

// hasMail looks for Ana's address under the attribute's name, or the one that pysaml2 gives it.
func (p PeerPerson) hasMail() bool {
	return slices.Contains(p.Attributes[mailAttribute], "ana@example.org") || slices.Contains(p.Attributes["mail"], "ana@example.org")
}

// signsOn signs Ana in from the app and from the portal, and checks what the browser carried.
func (w *peerWorld) signsOn(t *testing.T, peer *PeerApp, format string, encrypted bool) {
	t.Helper()
	checkMessages(t, w.tools, peer.Metadata)
	mode := map[bool]string{true: "always", false: "never"}[encrypted] // SimpleSAMLphp always lists a key to decrypt with
	app := w.AddApp(t, peer.Metadata, map[string]string{"name": t.Name(), "saml.encrypt": mode})
	seen := &wire{}
	first := knows(w.person(t, seen, peer.LoginURL))
	second := knows(w.person(t, seen, w.URL+"/launch/"+app.ID))
	for start, person := range map[string]PeerPerson{"SP-initiated": first, "IdP-initiated": second} {
		if person.NameID == "" || person.NameIDFormat != format || person.SessionIndex == "" || !person.hasMail() {
			t.Errorf("%s: the app knows %+v\n%s", start, person, peer.Log())
		}
	}
	if same := first.NameID == second.NameID; same == (format == transientFormat) {
		t.Errorf("the names are %q and %q", first.NameID, second.NameID)
	}
	w.answers(t, seen, peer.Key, encrypted, 2)
	w.requests(t, seen, peer.Key, true)
}

func TestSimpleSAMLEndToEnd(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	for name, c := range map[string]struct {
		format    string
		encrypted bool
		options   map[string]any
	}{
		"plain":               {persistentFormat, false, nil},
		"encrypted":           {persistentFormat, true, map[string]any{"assertion.encryption": true}},
		"encrypted transient": {transientFormat, true, map[string]any{"assertion.encryption": true}},
	} {
		t.Run(name, func(t *testing.T) {
			peer := StartSimpleSAML(t, SimpleSAMLOptions{IDPMetadata: w.metadata, NameIDFormat: c.format, Options: c.options})
			w.signsOn(t, peer, c.format, c.encrypted)
		})
	}
}

func TestPySAMLEndToEnd(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	for name, opts := range map[string]PySAMLOptions{
		"plain":            {NameIDFormat: persistentFormat},
		"encrypted":        {NameIDFormat: persistentFormat, Encrypt: true},
		"posted":           {NameIDFormat: transientFormat, PostBinding: true},
		"posted encrypted": {NameIDFormat: emailFormat, PostBinding: true, Encrypt: true},
	} {
		t.Run(name, func(t *testing.T) {
			opts.IDPMetadata = w.metadata
			w.signsOn(t, StartPySAML(t, opts), opts.NameIDFormat, opts.Encrypt)
		})
	}
}

// peerLogout lets two apps of a kind, of which only the first takes logouts from server to server, sign Ana out each way round.
type peerLogout struct {
	*peerWorld
	soap, front *PeerApp
	silent      bool              // the first ends its session, and fails to say so
	settings    map[string]string // of the second; nil: its name alone
}

// in is a browser in which Ana is signed in at both.
func (w peerLogout) in(t *testing.T) (*visitor, *wire) {
	t.Helper()
	seen := &wire{}
	v := newVisitor(t)
	v.Transport = seen
	_, page := v.open(w.soap.LoginURL)
	_, fields := formOf(page)
	fields.Set("name", "ana")
	fields.Set("password", Password)
	v.rest(v.PostForm(w.URL+"/login", fields))
	v.open(w.front.LoginURL)
	for _, peer := range []*PeerApp{w.soap, w.front} {
		if _, page := v.open(peer.MeURL); knows(page).NameID == "" {
			t.Fatalf("not signed in at %s:\n%s\n%s", peer.URL, page, peer.Log())
		}
	}
	return v, seen
}

// out checks that nobody knows Ana any more, and what was said of it.
func (w peerLogout) out(t *testing.T, v *visitor, seen *wire) {
	t.Helper()
	for _, peer := range []*PeerApp{w.soap, w.front} {
		if status, page := v.open(peer.MeURL); status != 401 {
			t.Errorf("%s still knows somebody:\n%s\n%s", peer.URL, page, peer.Log())
		}
		if _, page := v.open(peer.LoginURL); !strings.Contains(page, `name="password"`) {
			t.Errorf("the session goes on here:\n%s", page)
		}
	}
	for _, query := range seen.queries {
		checkMessages(t, w.tools, inflate(t, query))
	}
	for _, query := range seen.answers {
		checkMessages(t, w.tools, inflate(t, query))
	}
	if len(seen.answers) == 0 {
		t.Error("no LogoutResponse went through the browser")
	}
}

func (w peerLogout) run(t *testing.T) {
	w.AddApp(t, w.soap.Metadata, map[string]string{"name": "soap"})
	if w.settings == nil {
		w.settings = map[string]string{"name": "front"}
	}
	w.AddApp(t, w.front.Metadata, w.settings)
	for name, peer := range map[string]*PeerApp{"from the app with SOAP": w.soap, "from the app without": w.front} {
		t.Run(name, func(t *testing.T) {
			v, seen := w.in(t)
			status, page := v.open(peer.LogoutURL)
			if status == 200 && strings.Contains(page, "data-leave") { // the other one is told through the browser
				status, page = v.open(w.URL + nextLink.FindStringSubmatch(page)[1])
			}
			if status != 200 || !strings.Contains(page, "public page") {
				t.Fatalf("it ends with %d:\n%s\n%s", status, page, peer.Log())
			}
			w.out(t, v, seen)
		})
	}
	t.Run("SLO-15 SLO-16 SLO-23 from the portal", func(t *testing.T) {
		v, seen := w.in(t)
		_, page := v.rest(v.PostForm(w.URL+"/logout", url.Values{}))
		led := 0
		for link := nextLink.FindStringSubmatch(page); link != nil && led < 3; link = nextLink.FindStringSubmatch(page) {
			_, page = v.open(w.URL + link[1])
			led++
		}
		if want := map[bool]int{false: 1, true: 2}[w.silent]; led != want || strings.Count(page, "signed out</span>") != 2 {
			t.Errorf("%d apps were told through the browser, want %d", led, want)
			t.Errorf("it ends with:\n%s\n%s\n%s", page, w.front.Log(), w.soap.Log())
		}
		w.out(t, v, seen)
	})
	t.Run("by an administrator", func(t *testing.T) {
		v, _ := w.in(t)
		if _, err := w.API.MoveApp(t.Context(), "soap", "block"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the app still knows somebody", func() bool {
			_, page := v.open(w.soap.MeURL)
			return knows(page).NameID == ""
		})
	})
}

func TestSimpleSAMLLogout(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	// SimpleSAMLphp before 2.0 answers a LogoutRequest by SOAP with a TypeError of its own, after it ended the session: the browser is
	// led there then. It encrypts names with AES-CBC alone.
	frontOnly := map[string]any{"SingleLogoutServiceBinding": []string{bindingRedirect}, "assertion.encryption": true, "nameid.encryption": true}
	peerLogout{
		peerWorld: w,
		soap:      StartSimpleSAML(t, SimpleSAMLOptions{IDPMetadata: w.metadata, NameIDFormat: persistentFormat}),
		front:     StartSimpleSAML(t, SimpleSAMLOptions{IDPMetadata: w.metadata, Options: frontOnly}),
		silent:    true,
		settings:  map[string]string{"name": "front", "saml.encryption_algorithm": "aes128-cbc"},
	}.run(t)
}

func TestPySAMLLogout(t *testing.T) {
	t.Parallel()
	w := newPeerWorld(t)
	peerLogout{
		peerWorld: w,
		soap:      StartPySAML(t, PySAMLOptions{IDPMetadata: w.metadata, NameIDFormat: persistentFormat, SOAP: true}),
		front:     StartPySAML(t, PySAMLOptions{IDPMetadata: w.metadata, NameIDFormat: transientFormat, Encrypt: true}),
	}.run(t)
}
