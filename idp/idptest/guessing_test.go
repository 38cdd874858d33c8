package idptest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"gatehouse/idp/directory"
	"gatehouse/store"
)

// attack is a botnet that guesses.
type attack struct {
	server *Server
	tried  atomic.Int64 // answered “wrong”
	put    atomic.Int64 // answered “wait”
}

// guess sends one password from an address.
func (a *attack) guess(t *testing.T, name, password, address string) {
	form := url.Values{"next": {"/"}, "name": {name}, "password": {password}}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, a.server.URL+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Forwarded-For", address)
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Error(err)
		return
	}
	response.Body.Close()
	switch response.StatusCode {
	case http.StatusForbidden:
		a.tried.Add(1)
	case http.StatusTooManyRequests:
		a.put.Add(1)
	default:
		t.Errorf("a guess is answered with %d", response.StatusCode)
	}
}

// all sends n guesses, 32 at once.
func (a *attack) all(t *testing.T, n int, guess func(i int) (name, address string)) {
	var wg sync.WaitGroup
	next := atomic.Int64{}
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				name, address := guess(i)
				a.guess(t, name, fmt.Sprintf("guess %d", i), address)
			}
		})
	}
	wg.Wait()
}

// addGuessable stores people whose password costs next to nothing to check, so that a test can afford many guesses.
func addGuessable(t *testing.T, s *Server, n int) {
	t.Helper()
	s.AddPerson(t, "somebody", "Employees")
	salt := []byte("sixteen byte salt")
	encode := base64.RawStdEncoding.EncodeToString
	hash := fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", encode(salt), encode(argon2.IDKey([]byte(Password), salt, 1, 8, 1, 32)))
	err := s.Store.Update(t.Context(), func(tx store.Tx) error {
		profile, err := directory.StandardProfile(tx)
		for i := 0; i < n && err == nil; i++ {
			user := directory.User{ID: fmt.Sprintf("usr_%d", i), Name: fmt.Sprintf("person%d", i), Profile: profile}
			if err = directory.Users.Put(tx, &user); err == nil {
				err = directory.Credentials.Put(tx, &directory.Credential{User: user.ID, Password: hash})
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestGuessingAttack sends 10,000 wrong passwords for 500 accounts from 1,000 addresses in one moment: ten for each account are
// tried, and the true owner comes in all the same.
func TestGuessingAttack(t *testing.T) {
	t.Parallel()
	frozen := &atomic.Int64{}
	frozen.Store(time.Now().UnixNano())
	s := Start(t, Options{Now: func() time.Time { return time.Unix(0, frozen.Load()) }, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	addGuessable(t, s, 600)
	signsIn := func(name, address string) int {
		c := s.NewClient(t)
		c.http.Transport = oneHop(address)
		page := c.SignIn(c.Get("/login?next=/"), name, Password)
		return page.Status
	}
	const home, abroad = "203.0.113.7", "198.51.100.9"
	if status := signsIn("person0", home); status != http.StatusOK {
		t.Fatalf("the owner's first sign-in: %d", status)
	}
	bots := &attack{server: s}
	began := time.Now()
	bots.all(t, 10_000, func(i int) (string, string) {
		return fmt.Sprintf("person%d", i%500), fmt.Sprintf("10.1.%d.%d", i/7%1000/250, i/7%250)
	})
	t.Logf("of 10,000 guesses %d were tried and %d told to wait, in %v", bots.tried.Load(), bots.put.Load(), time.Since(began).Round(time.Millisecond))
	if tried := bots.tried.Load(); tried != 5000 || bots.put.Load() != 5000 {
		t.Errorf("%d guesses were tried, want ten for each of 500 accounts", tried)
	}
	stored := 0
	err := s.Store.View(t.Context(), func(tx store.Tx) error {
		stored = 0
		return directory.Activities.Each(tx, store.Page{}, func(_ string, a *directory.Activity) error { stored += a.Failures; return nil })
	})
	if err != nil || stored != 5000 {
		t.Errorf("%d failures are stored, %v", stored, err)
	}
	if status := signsIn("person0", home); status != http.StatusOK {
		t.Errorf("the owner cannot sign in from a network that they are known from: %d", status)
	}
	if status := signsIn("person1", abroad); status != http.StatusTooManyRequests {
		t.Errorf("an owner from a new network is answered %d at once, want %d", status, http.StatusTooManyRequests)
	}
	frozen.Add(int64(15 * time.Second))
	if status := signsIn("person1", abroad); status != http.StatusOK {
		t.Errorf("an owner from a new network cannot sign in after the wait: %d", status)
	}
	one := &attack{server: s}
	one.all(t, 600, func(i int) (string, string) { return fmt.Sprintf("person%d", 500+i%100), "10.2.0.1" })
	if tried := one.tried.Load(); tried != 300 {
		t.Errorf("%d of 600 guesses from one address were tried, want 300", tried)
	}
}
