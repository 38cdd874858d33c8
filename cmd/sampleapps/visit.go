package sampleapps

import (
	"crypto/rand"
	"net/http"
	"sync"

	"golang.org/x/oauth2"
)

// visit is what a client knows of one browser.
type visit struct {
	mu sync.Mutex

	// of a sign-in that waits for its answer
	state, nonce, verifier, redirect string
	phone                            *loopback

	token   *oauth2.Token // nil: nobody is signed in
	idToken string
	claims  map[string]any // of the ID token
	person  map[string]any // what userinfo says
	ends    string         // when the refresh token dies, as the identity provider says
	rows    []Row          // what the API said last
	notice  notice
	journal []exchange
}

// notice is the outcome of what was done last, in plain words.
type notice struct {
	Bad         bool
	Title, Text string
	Next        string // what to do
}

const journalLimit = 12

func (v *visit) note(e exchange) {
	v.journal = append(v.journal, e)
	if extra := len(v.journal) - journalLimit; extra > 0 {
		v.journal = v.journal[extra:]
	}
}

// forget ends the sign-in here, and says so.
func (v *visit) forget(n notice) {
	v.hangUp()
	v.token, v.idToken, v.claims, v.person, v.ends, v.rows, v.notice = nil, "", nil, nil, "", nil, n
}

// hangUp closes the loopback listener of a sign-in that nobody finished.
func (v *visit) hangUp() {
	if v.phone != nil {
		v.phone.close()
		v.phone = nil
	}
}

// visits are the browsers that a client knows by its cookie.
type visits struct {
	cookie string
	mu     sync.Mutex
	known  map[string]*visit
}

func newVisits(cookie string) *visits { return &visits{cookie: cookie, known: map[string]*visit{}} }

// of finds the visit of a browser, or begins one. The caller unlocks it.
func (s *visits) of(w http.ResponseWriter, r *http.Request) *visit {
	s.mu.Lock()
	var v *visit
	if cookie, err := r.Cookie(s.cookie); err == nil {
		v = s.known[cookie.Value]
	}
	if v == nil {
		v = s.begin(w)
	}
	s.mu.Unlock()
	v.mu.Lock()
	return v
}

// begin gives a browser a cookie. There are a thousand at once at most; which ones go is chance.
func (s *visits) begin(w http.ResponseWriter) *visit {
	for id, old := range s.known {
		if len(s.known) < waitingLimit {
			break
		}
		delete(s.known, id)
		go old.end(notice{})
	}
	v, id := &visit{}, rand.Text()
	s.known[id] = v
	http.SetCookie(w, &http.Cookie{Name: s.cookie, Value: id, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return v
}

// end forgets a visit that no handler holds.
func (v *visit) end(n notice) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forget(n)
}

// leave ends every visit whose ID token names the session, as a logout token does.
func (s *visits) leave(session string, n notice) {
	for _, v := range s.all() {
		v.mu.Lock()
		if sid, _ := v.claims["sid"].(string); sid == session && session != "" {
			v.forget(n)
		}
		v.mu.Unlock()
	}
}

func (s *visits) all() []*visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]*visit, 0, len(s.known))
	for _, v := range s.known {
		list = append(list, v)
	}
	return list
}

func (s *visits) close() {
	for _, v := range s.all() {
		v.end(notice{})
	}
}
