package idptest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

// BenchmarkServerTokens measures what the token and introspection endpoints give a second, and each as a fraction of its own limit:
// the processor time of one raw signature, or of one update or view of a bolt store by as many goroutines as there are connections,
// divided by the server's processor time per answer. Once with few live refresh tokens in the store, once with a million.
func BenchmarkServerTokens(b *testing.B) {
	for _, live := range []int{1600, 1_000_000} {
		b.Run(fmt.Sprintf("live=%d", live), func(b *testing.B) {
			t := newTokenBench(b, live)
			for _, work := range t.works() {
				for _, connections := range []int{1, 8, 64} {
					b.Run(fmt.Sprintf("%s/connections=%d", work.name, connections), func(b *testing.B) { t.measure(b, work, connections) })
				}
			}
			b.Logf("memory (RssAnon) after the load: %.1f MiB", float64(t.Memory(b))/(1<<20))
		})
	}
}

// tokenBench is a server whose store holds live refresh tokens of one client, and who asks it.
type tokenBench struct {
	*Process
	private string // where it gives profiles, or "off"
	live    int
	cookie  *http.Cookie
	clients map[string]*RP // by how their tokens are signed

	mu      sync.Mutex
	refresh map[int]string // values that followed the first ones
	turn    []int          // per connection: which of its tokens is next
	access  []string       // some that were given
	codes   []string
}

// tokenWork is one kind of request.
type tokenWork struct {
	name  string
	limit func(b *testing.B, connections int) time.Duration
	ready func(b *testing.B) // before each slice; may be nil
	ask   func(connection int) (*RP, string, url.Values)
	took  func(connection int, answer map[string]any) // may be nil
}

func newTokenBench(b *testing.B, live int) *tokenBench {
	dir := b.TempDir()
	t := &tokenBench{Process: StartBinary(b, dir), live: live, clients: map[string]*RP{}, refresh: map[int]string{}, turn: make([]int, 64)}
	t.AddPerson(b, "ana", "Employees")
	key, err := t.API.StageKey(b.Context(), api.NewKey{Algorithm: "ecdsa"})
	if err == nil {
		_, err = t.API.ActivateKey(b.Context(), key.ID, api.Activation{})
	}
	if err != nil {
		b.Fatal(err)
	}
	for _, format := range []string{"opaque", "jwt"} {
		for _, algorithm := range []string{"RS256", "ES256"} {
			t.clients[format+algorithm] = t.Client(b, strings.ToLower(format+algorithm), map[string]any{
				"grant_types": []string{"authorization_code", "refresh_token", "client_credentials"}, "scope": "openid offline_access orders.read",
			}, map[string]string{
				"oauth.run_as": "ana", "oauth.introspect": "all", "oauth.id_token_signed_response_alg": algorithm, "oauth.access_token_format": format,
			})
		}
	}
	if err := t.Terminate(b.Context()); err != nil {
		b.Fatal(err)
	}
	t.fill(b)
	t.private = Profiled(b)
	t.Process = StartBinary(b, dir, "--private-listen", t.private)
	t.rest(b)
	b.Logf("start to the ready line: %v; memory (RssAnon) at rest: %.1f MiB", t.Start, float64(t.Memory(b))/(1<<20))
	ana := t.SignedIn(b, "ana")
	t.cookie = ana.SessionCookie()
	for _, rp := range t.clients {
		rp.server = &t.Server
		rp.Tokens(ana) // consent is given once
	}
	return t
}

// rest waits until the server has looked at its file.
func (t *tokenBench) rest(b *testing.B) {
	for before := time.Duration(-1); before != t.CPU(b); time.Sleep(500 * time.Millisecond) {
		before = t.CPU(b)
	}
}

// fill stores live refresh tokens with their grants, 50 of each person, as the token endpoint leaves them. In the order of their
// keys, which the store likes best.
func (t *tokenBench) fill(b *testing.B) {
	s, err := bolt.Open(filepath.Join(t.Dir, "gatehouse.db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}()
	began, app := time.Now(), t.clients["opaqueRS256"].App
	families := make([]string, t.live)
	numbers := make(map[string]int, t.live)
	for i := range families {
		families[i] = grants.Hash(family(i))
		numbers[families[i]] = i
	}
	slices.Sort(families)
	for from := 0; from < t.live; from += 20_000 {
		err := s.Update(b.Context(), func(tx store.Tx) error {
			profile, err := directory.StandardProfile(tx)
			for i := from; i < min(from+20_000, t.live) && err == nil; i++ {
				err = putLive(tx, app, profile, i, families[i], grants.Hash(fmt.Sprintf("rest-%d", numbers[families[i]])))
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d live refresh tokens of %d people stored in %v", t.live, t.live/grants.MaxPerPair, time.Since(began).Round(time.Millisecond))
}

func family(i int) string { return fmt.Sprintf("family-%d", i) }

// putLive stores the i-th grant and refresh token, and the person when the grant is their first.
func putLive(tx store.Tx, app, profile string, i int, family, rest string) error {
	now := time.Now().UTC()
	user := fmt.Sprintf("usr_%026d", i/grants.MaxPerPair)
	if i%grants.MaxPerPair == 0 {
		name := "person" + user[len(user)-7:]
		err := directory.Users.Put(tx, &directory.User{ID: user, Name: name, Email: name + "@example.org", DisplayName: "Person " + name, Profile: profile})
		if err != nil {
			return err
		}
	}
	g := &grants.Grant{
		ID: fmt.Sprintf("gnt_%026d", i), Type: sp.GrantCode, App: app, User: user, Scopes: []string{"openid", "offline_access", "orders.read"},
		Level: string(sp.Standard), Class: "urn:gatehouse:level:standard", Methods: []string{"password"}, AuthAt: now, Address: "127.0.0.1",
		Created: now, Used: now, Refresh: family,
	}
	if err := grants.AllGrants.Put(tx, g); err != nil {
		return err
	}
	return grants.RefreshTokens.Put(tx, &grants.RefreshToken{Family: family, Hash: rest, Grant: g.ID, Issued: now})
}

func (t *tokenBench) works() []tokenWork {
	alone := func(client string) func(int) (*RP, string, url.Values) {
		return func(int) (*RP, string, url.Values) {
			return t.clients[client], "/oauth/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"orders.read"}}
		}
	}
	redeem := func(client string) (func(*testing.B), func(int) (*RP, string, url.Values)) {
		return func(b *testing.B) { t.gather(b, t.clients[client], 400) }, func(int) (*RP, string, url.Values) { return t.redeem(t.clients[client]) }
	}
	readyRSA, redeemRSA := redeem("opaqueRS256")
	readyECDSA, redeemECDSA := redeem("opaqueES256")
	return []tokenWork{
		{"code/id-token=RS256", oneRSA, readyRSA, redeemRSA, nil},
		{"code/id-token=ES256", oneECDSA, readyECDSA, redeemECDSA, nil},
		{"client-credentials/opaque", oneWrite, nil, alone("opaqueRS256"), nil},
		{"client-credentials/jwt=RS256", oneRSA, nil, alone("jwtRS256"), nil},
		{"client-credentials/jwt=ES256", oneECDSA, nil, alone("jwtES256"), nil},
		{"refresh/opaque", oneWrite, nil, func(c int) (*RP, string, url.Values) { return t.renew(c, "orders.read") }, t.renewed},
		{"refresh/id-token=RS256", oneRSA, nil, func(c int) (*RP, string, url.Values) { return t.renew(c, "openid") }, t.renewed},
		{"introspect/opaque", oneRead, nil, t.introspect, nil},
	}
}

// gather brings a signed-in browser through the sign-in n times.
func (t *tokenBench) gather(b *testing.B, rp *RP, n int) {
	target := t.URL + "/oauth/authorize?" + rp.Ask().Encode()
	t.codes = t.codes[:0]
	result := Drive(8, time.Minute, func(client *http.Client, _ int) (time.Duration, error) {
		t.mu.Lock()
		full := len(t.codes) >= n
		t.mu.Unlock()
		if full {
			return 0, ErrSpent
		}
		r, err := http.NewRequest(http.MethodGet, target, nil)
		if err != nil {
			return 0, err
		}
		r.AddCookie(t.cookie)
		response, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body)
		location, err := response.Location()
		if err != nil || location.Query().Get("code") == "" {
			return 0, fmt.Errorf("no code but %s", response.Status)
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		t.codes = append(t.codes, location.Query().Get("code"))
		return 0, nil
	})
	if len(result.Errors) > 0 {
		b.Fatal(result.Errors)
	}
}

func (t *tokenBench) redeem(rp *RP) (*RP, string, url.Values) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.codes) == 0 {
		return nil, "", nil
	}
	code := t.codes[len(t.codes)-1]
	t.codes = t.codes[:len(t.codes)-1]
	return rp, "/oauth/token", url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {rp.Redirect}, "code_verifier": {rp.Verifier}}
}

// next is the number of the token whose turn it is; a connection has every 64th one, so live is a multiple of that.
func (t *tokenBench) next(connection int) int { return (connection + 64*t.turn[connection]) % t.live }

func (t *tokenBench) renew(connection int, scope string) (*RP, string, url.Values) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := t.next(connection)
	token, used := t.refresh[i]
	if !used {
		token = fmt.Sprintf("grt_%s.rest-%d", family(i), i)
	}
	return t.clients["opaqueRS256"], "/oauth/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "scope": {scope}}
}

func (t *tokenBench) renewed(connection int, answer map[string]any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.refresh[t.next(connection)], _ = answer["refresh_token"].(string)
	t.turn[connection]++
	access, _ := answer["access_token"].(string)
	t.access = append(t.access, access)
}

func (t *tokenBench) introspect(connection int) (*RP, string, url.Values) {
	t.mu.Lock()
	defer t.mu.Unlock()
	token := t.access[(connection+64*t.turn[connection])%len(t.access)]
	t.turn[connection]++
	return t.clients["opaqueRS256"], "/oauth/introspect", url.Values{"token": {token}}
}

// send asks once as a work does, and insists on a token or on active.
func (t *tokenBench) send(client *http.Client, work tokenWork, connection int) (time.Duration, error) {
	rp, path, form := work.ask(connection)
	if rp == nil {
		return 0, ErrSpent
	}
	r, err := http.NewRequest(http.MethodPost, t.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(rp.ID), url.QueryEscape(rp.Secret))
	began := time.Now()
	response, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	took := time.Since(began)
	var answer map[string]any
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	if err == nil && answer["active"] != true && answer["access_token"] == nil {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	if err == nil && work.took != nil {
		work.took(connection, answer)
	}
	return took, err
}

// measure loads the server in slices, with the limit measured in between.
func (t *tokenBench) measure(b *testing.B, work tokenWork, connections int) {
	const slices = 3
	defer Profile(b, t.private, b.Name(), 2)()
	for b.Loop() {
		var limit, cpu time.Duration
		var result Result
		for range slices {
			limit += work.limit(b, connections) / slices
			if work.ready != nil {
				work.ready(b)
			}
			before := t.CPU(b)
			part := Drive(connections, 500*time.Millisecond, func(client *http.Client, connection int) (time.Duration, error) {
				return t.send(client, work, connection)
			})
			cpu += t.CPU(b) - before
			if len(part.Errors) > 0 || part.Answers == 0 {
				b.Fatalf("%d answers, errors: %v", part.Answers, part.Errors)
			}
			result.add(part)
		}
		perAnswer := float64(cpu.Microseconds()) / float64(result.Answers)
		b.ReportMetric(float64(limit.Nanoseconds())/1000/perAnswer, "fraction-of-limit")
		b.ReportMetric(float64(limit.Nanoseconds())/1000, "limit-us")
		b.ReportMetric(perAnswer, "cpu-us/answer")
		b.ReportMetric(float64(result.Answers)/result.Took.Seconds(), "answers/s")
		b.ReportMetric(float64(result.Percentile(0.5).Microseconds()), "p50-us")
		b.ReportMetric(float64(result.Percentile(0.99).Microseconds()), "p99-us")
	}
}

func oneRSA(b *testing.B, _ int) time.Duration   { return RawRSA(b, 60) }
func oneECDSA(b *testing.B, _ int) time.Duration { return RawECDSA(b, 1000) }

// oneWrite is the processor time of one update that puts an access token, while as many goroutines as there are connections do so.
func oneWrite(b *testing.B, connections int) time.Duration {
	return oneTransaction(b, connections, func(s *bolt.Store, _ string) error { return putAccess(b, s, grants.Hash(sp.RandomSecret())) })
}

// oneRead is that of one view that gets one.
func oneRead(b *testing.B, connections int) time.Duration {
	return oneTransaction(b, connections, func(s *bolt.Store, known string) error {
		return s.View(b.Context(), func(tx store.Tx) error {
			_, _, err := grants.AccessTokens.Get(tx, known)
			return err
		})
	})
}

func putAccess(b *testing.B, s *bolt.Store, hash string) error {
	now := time.Now()
	return s.Update(b.Context(), func(tx store.Tx) error {
		return grants.AccessTokens.Put(tx, &grants.AccessToken{
			Hash: hash, Grant: "gnt_of_somebody", Scopes: []string{"orders.read"}, Address: "127.0.0.1", Issued: now, Expires: now.Add(time.Hour),
		})
	})
}

// oneTransaction is the processor time of one call of act on a store that holds one known access token.
func oneTransaction(b *testing.B, connections int, act func(s *bolt.Store, known string) error) time.Duration {
	const known = "known"
	s, err := bolt.Open(filepath.Join(b.TempDir(), "limit.db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := putAccess(b, s, known); err != nil {
		b.Fatal(err)
	}
	before := usedCPU(b, syscall.RUSAGE_SELF)
	result := Drive(connections, 300*time.Millisecond, func(*http.Client, int) (time.Duration, error) { return 0, act(s, known) })
	if len(result.Errors) > 0 || result.Answers == 0 {
		b.Fatalf("%d, errors: %v", result.Answers, result.Errors)
	}
	return (usedCPU(b, syscall.RUSAGE_SELF) - before) / time.Duration(result.Answers)
}
