// Package idptest runs a whole Gatehouse on 127.0.0.1 for tests, with fake service providers, real peers and a real browser.
//
// Only tests import it. Read server.go for a server, client.go for a person with cookies, fakesp.go for a service provider
// that can misbehave, and the peers' files for software that nobody here wrote.
package idptest

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/certs"
	"gatehouse/idp"
	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

// Options change what Start does; the zero value is a server on plain http with an empty store.
type Options struct {
	Dir      string // data folder; empty: a temporary one
	Now      func() time.Time
	Proxies  []netip.Prefix
	Logs     io.Writer // nil: the test's log when it fails
	Store    func(store.Store) store.Store
	Named    bool     // people open http://localhost:…, where passkeys work; else http://127.0.0.1:…
	Breached string   // file of passwords that nobody may choose
	MTLS     idp.MTLS // with TLSCert it gets a listener too
}

// Server is a running Gatehouse.
type Server struct {
	URL   string
	Dir   string
	API   *api.Client // over the unix socket
	Store store.Store
	MTLS  string // public origin of the listener that asks for client certificates
	idp   *idp.Server
	stop  func()
}

// Start runs a server until the test ends, or until Stop.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	ctx, cancel := context.WithCancel(context.Background())
	config := open(t, ctx, o)
	server, err := idp.New(ctx, config)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	s := &Server{URL: config.BaseURL, Dir: o.Dir, API: api.OverSocket(o.Dir), Store: config.Store, MTLS: config.MTLS.URL, idp: server}
	s.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
		if err := config.Store.Close(); err != nil {
			t.Errorf("closing the store: %v", err)
		}
		s.stop = func() {}
	}
	t.Cleanup(func() { s.stop() })
	return s
}

// Stop ends the server cleanly and closes its store; Start may open the same folder again.
func (s *Server) Stop() { s.stop() }

func open(t testing.TB, ctx context.Context, o Options) idp.Config {
	t.Helper()
	database, err := bolt.Open(filepath.Join(o.Dir, "gatehouse.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := certs.Unlock(ctx, database, filepath.Join(o.Dir, "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	public, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	socket, err := api.Listen(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	config := idp.Config{
		BaseURL: "http://" + public.Addr().String(), Listener: public, Socket: socket,
		Store: database, Sealer: sealer, Proxies: o.Proxies, Now: o.Now, Breached: o.Breached, MTLS: o.MTLS, Log: logger(t, o.Logs),
		Fetch: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},
	}
	if o.Named {
		config.BaseURL = fmt.Sprintf("http://localhost:%d", public.Addr().(*net.TCPAddr).Port)
	}
	if o.MTLS.TLSCert != "" {
		if config.MTLS.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		config.MTLS.URL = "https://" + config.MTLS.Listener.Addr().String()
	}
	if o.Store != nil {
		config.Store = o.Store(database)
	}
	haveKey(t, ctx, &certs.Keyring{Seal: sealer, Now: o.Now}, database)
	return config
}

// keyPool hands out keys, which take long to make, again from one test to the next. No two parties of a test get the same, so that it
// finds out what one accepts of the other.
type keyPool[K any] struct {
	fresh func() (K, error)
	mu    sync.Mutex
	made  []K
	taken map[string]int // by test
}

// The first signing keys of servers, and the keys of those whom they talk to.
var (
	serverKeys = keyPool[*certs.Material]{
		fresh: func() (*certs.Material, error) { return certs.Generate(certs.RSA, "127.0.0.1", time.Now()) }, taken: map[string]int{},
	}
	partyKeys = keyPool[*rsa.PrivateKey]{
		fresh: func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) }, taken: map[string]int{},
	}
)

func (k *keyPool[K]) take(t testing.TB) (key K, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	test, _, _ := strings.Cut(t.Name(), "/")
	n := k.taken[test]
	if n == len(k.made) {
		if key, err = k.fresh(); err != nil {
			return key, err
		}
		k.made = append(k.made, key)
	}
	k.taken[test]++
	return k.made[n], nil
}

// haveKey gives an empty store its first signing key, as the server would with a new one.
func haveKey(t testing.TB, ctx context.Context, ring *certs.Keyring, database store.Store) {
	t.Helper()
	if ring.Now == nil {
		ring.Now = time.Now
	}
	err := database.Update(ctx, func(tx store.Tx) error {
		if keys, err := ring.List(tx); err != nil || len(keys) > 0 {
			return err
		}
		key, err := serverKeys.take(t)
		if err != nil {
			return err
		}
		entry, err := ring.Stage(tx, key)
		if err == nil {
			_, err = ring.Activate(tx, entry.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func logger(t testing.TB, w io.Writer) *slog.Logger {
	if w == nil {
		w = os.Stderr
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// People are the sample people that most tests need: name → user, all with the password Password.
const Password = "correct horse battery"

// AddPerson adds a person with a profile, which is added too if it is new.
func (s *Server) AddPerson(t testing.TB, name, profile string, change ...func(*api.NewUser)) api.User {
	t.Helper()
	if _, err := s.API.Named(t.Context(), "profiles", profile); err != nil {
		if _, err := s.API.AddNamed(t.Context(), "profiles", api.Named{Name: profile}); err != nil {
			t.Fatal(err)
		}
	}
	n := api.NewUser{
		Name: name, Email: name + "@example.org", DisplayName: "The " + name, GivenName: name, Surname: "Sample",
		Password: Password, Profile: profile,
	}
	for _, f := range change {
		f(&n)
	}
	ready := s.Store != nil && n.Password == Password
	if ready {
		n.Password = ""
	}
	user, err := s.API.AddUser(t.Context(), n)
	if err == nil && ready {
		err = s.Store.Update(t.Context(), func(tx store.Tx) error {
			return directory.Credentials.Put(tx, &directory.Credential{User: user.ID, Password: s.passwordHash(t), Changed: user.Created})
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	return user
}

// samplePassword is Password as a server hashes it, made once: it is what most people of most tests have.
var samplePassword struct {
	once sync.Once
	hash string
	err  error
}

func (s *Server) passwordHash(t testing.TB) string {
	t.Helper()
	one := &samplePassword
	one.once.Do(func() {
		one.hash, one.err = directory.New(s.Store, time.Now).HashPassword(t.Context(), Password, &directory.User{})
	})
	if one.err != nil {
		t.Fatal(one.err)
	}
	return one.hash
}

// AddApp registers a service provider's metadata, open to everybody unless settings say otherwise.
func (s *Server) AddApp(t testing.TB, metadata []byte, settings map[string]string) api.App {
	t.Helper()
	set := map[string]string{"policy.permitted_users": "all"}
	for key, value := range settings {
		set[key] = value
	}
	added, err := s.API.AddApp(t.Context(), api.NewApp{Metadata: string(metadata), Set: set})
	if err != nil {
		t.Fatal(err)
	}
	return added.App
}

// Audit returns the newest audit entries, newest first.
func (s *Server) Audit(t testing.TB) []api.AuditEntry {
	t.Helper()
	list, err := s.API.Audit(t.Context(), api.AuditQuery{Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	return list.Items
}
