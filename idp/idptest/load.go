package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Load is many connections of one signed-in person, each sending a fresh AuthnRequest as soon as it has the answer.
type Load struct {
	Server *Server
	SP     *SP
	Cookie *http.Cookie
	// Answered, if set, is called with the request id of every answer that arrived whole.
	Answered func(id string)
}

// Result is what a Load measured.
type Result struct {
	Answers   int
	Took      time.Duration
	Latencies []time.Duration // sorted
	Errors    []error         // at most a few
}

// Percentile is a latency; p is between 0 and 1.
func (r *Result) Percentile(p float64) time.Duration {
	if len(r.Latencies) == 0 {
		return 0
	}
	return r.Latencies[min(int(p*float64(len(r.Latencies))), len(r.Latencies)-1)]
}

// add joins another measurement of the same kind, which came after this one.
func (r *Result) add(other *Result) {
	r.Answers += other.Answers
	r.Took += other.Took
	r.Latencies = append(r.Latencies, other.Latencies...)
	slices.Sort(r.Latencies)
}

// Run keeps connections busy until the time is over, or until every one of them failed.
func (l *Load) Run(connections int, d time.Duration) *Result {
	return Drive(connections, d, func(client *http.Client, _ int) (time.Duration, error) {
		id := "_" + rand.Text()
		target := l.SP.RedirectURL(l.Server.URL+"/saml/sso", Ask{ID: id})
		began := time.Now()
		err := l.ask(client, target)
		took := time.Since(began)
		if err == nil && l.Answered != nil {
			l.Answered(id)
		}
		return took, err
	})
}

// ErrSpent ends a connection that has nothing more to send.
var ErrSpent = errors.New("nothing is left to send")

// Drive keeps connections busy until the time is over, or until every one of them failed or is spent. ask sends one request of a
// connection and tells how long its answer took.
func Drive(connections int, d time.Duration, ask func(client *http.Client, connection int) (time.Duration, error)) *Result {
	var mu sync.Mutex
	var all Result
	var wg sync.WaitGroup
	began := time.Now()
	for connection := range connections {
		wg.Go(func() {
			one := drive(began.Add(d), func(client *http.Client) (time.Duration, error) { return ask(client, connection) })
			mu.Lock()
			defer mu.Unlock()
			all.Answers += len(one.Latencies)
			all.Latencies = append(all.Latencies, one.Latencies...)
			all.Errors = append(all.Errors, one.Errors...)
		})
	}
	wg.Wait()
	all.Took = time.Since(began)
	slices.Sort(all.Latencies)
	return &all
}

func drive(until time.Time, ask func(*http.Client) (time.Duration, error)) (r Result) {
	client := &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 1},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       patience,
	}
	defer client.CloseIdleConnections()
	for time.Now().Before(until) {
		took, err := ask(client)
		switch {
		case errors.Is(err, ErrSpent):
			return r
		case err != nil:
			r.Errors = append(r.Errors, err)
			return r
		}
		r.Latencies = append(r.Latencies, took)
	}
	return r
}

type notAnAnswer string

func (e notAnAnswer) Error() string { return "no SAMLResponse: " + string(e) }

func (l *Load) ask(client *http.Client, target string) error {
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	r.AddCookie(l.Cookie)
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if !strings.Contains(string(body), "SAMLResponse") {
		return notAnAnswer(response.Status + "\n" + string(body))
	}
	return nil
}

// AddCookie gives the client a cookie of another one.
func (c *Client) AddCookie(cookie *http.Cookie) {
	c.t.Helper()
	base, err := url.Parse(c.server.URL)
	if err != nil {
		c.t.Fatal(err)
	}
	c.http.Jar.SetCookies(base, []*http.Cookie{cookie})
}

// SessionCookie is the session cookie of a signed-in client.
func (c *Client) SessionCookie() *http.Cookie {
	c.t.Helper()
	base, err := url.Parse(c.server.URL)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, cookie := range c.http.Jar.Cookies(base) {
		if strings.HasSuffix(cookie.Name, "gatehouse_session") {
			return cookie
		}
	}
	c.t.Fatal("no session cookie")
	return nil
}

// RawRSA is the processor time of one raw RSA-2048 signature over a SHA-256 digest, the mean of n on a locked thread.
func RawRSA(t testing.TB, n int) time.Duration {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return rawSignature(t, key, n)
}

// RawECDSA is that of one raw ECDSA signature on P-256.
func RawECDSA(t testing.TB, n int) time.Duration {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return rawSignature(t, key, n)
}

func rawSignature(t testing.TB, key crypto.Signer, n int) time.Duration {
	t.Helper()
	digest := sha256.Sum256([]byte("gatehouse"))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadCPU(t)
	for range n {
		if _, err := key.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
			t.Fatal(err)
		}
	}
	return (threadCPU(t) - before) / time.Duration(n)
}

func threadCPU(t testing.TB) time.Duration {
	t.Helper()
	const thisThread = 1 // RUSAGE_THREAD, see getrusage(2)
	return usedCPU(t, thisThread)
}

// usedCPU is the processor time of this process or thread, as getrusage(2) counts it.
func usedCPU(t testing.TB, who int) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(who, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
