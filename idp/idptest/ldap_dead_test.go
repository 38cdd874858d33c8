package idptest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"gatehouse/idp/api"
)

const directoryDown = "The directory of your organisation does not answer now."

// A directory that dies locks nobody out: its people read so, nothing is counted against them, and local people sign in as ever.
func TestLDAPDies(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	l, s := StartSlapd(t), Start(t, Options{Now: clock.now})
	furnish(t, s)
	l.AddPerson(t, "mia", "mias password")
	ldapSource(t, s, l, map[string]string{"interval": "30d"})
	if page := tryLDAP(t, s, "mia", "mias password"); page.URL.Path != "/" {
		t.Fatalf("mia: %d", page.Status)
	}
	runSync(t, s, api.RunSync{})
	l.Kill()
	clock.stand()
	asked, free, waits := atomic.Int64{}, func() {}, []time.Duration(nil)
	for i := range 30 { // three times as many as would make an account wait
		if i == 7 { // it is known to be down, so nobody waits for it: not one connection comes
			free, waits = countingListener(t, strings.TrimPrefix(l.LDAPS, "ldaps://"), &asked), nil
		}
		name := []string{"mia", "nobody"}[i%2]
		local := time.Now() // what anybody waits for a machine that has much to do
		tryLDAP(t, s, "ada", Password)
		began := time.Now()
		page := tryLDAP(t, s, name, "mias password")
		if page.Status != http.StatusServiceUnavailable || !strings.Contains(page.Body, directoryDown) || page.Header.Get("Retry-After") == "" {
			t.Fatalf("%s: %d\n%s", name, page.Status, page.Body)
		}
		waits = append(waits, time.Since(began)-began.Sub(local))
	}
	slices.Sort(waits)
	if n := asked.Load(); n != 0 || waits[len(waits)/2] > time.Second { // a server that hangs would take 3 s for each
		t.Errorf("the server was asked %d times, and most tries took longer than a local person's, by %s, although it is known to be down", n, waits)
	}
	free()
	if page := tryLDAP(t, s, "ada", "wrong"); page.Status != http.StatusServiceUnavailable {
		t.Errorf("a wrong local password while a directory is down: %d, which tells that the name is local", page.Status)
	}
	if page := tryLDAP(t, s, "ada", Password); page.URL.Path != "/" {
		t.Errorf("a local person: %d", page.Status)
	}
	if _, err := s.API.SyncDirectorySource(t.Context(), "corp", api.RunSync{}); err == nil || !strings.Contains(err.Error(), "could not be talked to") {
		t.Errorf("a run: %v", err)
	}
	if user := person(t, s, "mia"); user.Status != "active" {
		t.Error("a dead directory disabled somebody")
	}
	l.Run(t)
	seconds := 0
	for page := tryLDAP(t, s, "mia", "mias password"); page.URL.Path != "/"; page = tryLDAP(t, s, "mia", "mias password") {
		if page.Status != http.StatusServiceUnavailable || seconds == 20 {
			t.Fatalf("%d s after its return: %d\n%s", seconds, page.Status, page.Body)
		}
		clock.advance(time.Second)
		seconds++
	}
}

// countingListener stands where a dead server was and counts who comes, until free is called.
func countingListener(t testing.TB, address string, came *atomic.Int64) (free func()) {
	t.Helper()
	listener := listening(t, address, func(c net.Conn) {
		came.Add(1)
		c.Close()
	})
	return func() { listener.Close() }
}

// silent accepts and says nothing; with a text, it says that.
func silent(t testing.TB, text string) string {
	t.Helper()
	return listening(t, "127.0.0.1:0", func(c net.Conn) {
		t.Cleanup(func() { c.Close() })
		if text != "" {
			go func() { // reads on, so that nothing is reset
				_, _ = c.Write([]byte(text))
				_, _ = c.Read(make([]byte, 4096))
			}()
		}
	}).Addr().String()
}

// listening hands on who comes to an address, until it is closed or the test ends.
func listening(t testing.TB, address string, take func(net.Conn)) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			take(c)
		}
	}()
	return listener
}

// Servers that are no directories, hang, send junk or show a wrong certificate hold nobody up for long, and leave nothing behind.
func TestLDAPGarbage(t *testing.T) {
	t.Parallel()
	l := StartSlapd(t)
	own := ownGoroutines(t.Name())
	s := Start(t, Options{})
	furnish(t, s)
	other, _ := NewAuthority(t, net.IPv4(127, 0, 0, 1))
	before := own(t)
	for _, c := range []struct {
		name string
		set  map[string]string
		want string
	}{
		{"hangs in TLS", map[string]string{"url": "ldaps://" + silent(t, "")}, "did not answer in time"},
		{"hangs in StartTLS", map[string]string{"url": "ldap://" + silent(t, "")}, "could not be talked to"},
		{"hangs plain", map[string]string{"url": "ldap://" + silent(t, ""), "plain": "true"}, "did not answer in time"},
		{"http", map[string]string{"url": "ldap://" + silent(t, "HTTP/1.1 400 Bad Request\r\n\r\n"), "plain": "true"}, "did not answer in time"},
		{"junk", map[string]string{"url": "ldaps://" + silent(t, strings.Repeat("\x30\x84\xff\xff\xff\xff", 5000))}, "could not be talked to"},
		{"junk plain", map[string]string{"url": "ldap://" + silent(t, "\x30\x84\x7f\xff\xff\xff"+strings.Repeat("\x04\x84\x7f\xff\xff\x00", 100_000)), "plain": "true"}, "did not answer in time"},
		{"nobody", map[string]string{"url": "ldaps://127.0.0.1:1"}, "could not be talked to"},
		{"metadata service", map[string]string{"url": "ldaps://169.254.169.254"}, "no address that a directory can have"},
		{"other authority", map[string]string{"ca": string(other)}, "certificate"},
		{"other name", map[string]string{"url": strings.Replace(l.LDAPS, "127.0.0.1", "127.0.0.2", 1)}, "could not be talked to"},
		{"wrong bind password", map[string]string{"bind_dn": "cn=other," + SlapdBase}, "refused cn=other"},
		{"no such base", map[string]string{"base_dn": "ou=nowhere," + SlapdBase}, "knows no such place"},
		{"plain StartTLS", map[string]string{"url": l.LDAP}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ldapSource(t, s, l, c.set)
			defer s.API.RemoveDirectorySource(t.Context(), "corp")
			start := time.Now()
			_, err := s.API.TestDirectorySource(t.Context(), "corp", "mia")
			switch {
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want %q", err, c.want)
			case time.Since(start) > 18*time.Second:
				t.Errorf("it took %s", time.Since(start))
			}
			if page := tryLDAP(t, s, "ada", Password); page.URL.Path != "/" {
				t.Errorf("a local person: %d", page.Status)
			}
		})
	}
	eventually(t, fmt.Sprintf("far more than the %d goroutines of before are left", before), func() bool { return own(t) <= before+60 })
}

// ownGoroutines marks this goroutine and all that come of it, such as a server's, and returns what counts them: other tests run beside.
func ownGoroutines(name string) (count func(t *testing.T) int) {
	alike := regexp.MustCompile(`(?m)^(\d+) @ .*\n# labels: \{"test":"` + name + `"\}`)
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels("test", name)))
	return func(t *testing.T) (n int) {
		t.Helper()
		var all bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
			t.Fatal(err)
		}
		for _, record := range alike.FindAllStringSubmatch(all.String(), -1) {
			of, err := strconv.Atoi(record[1])
			if err != nil {
				t.Fatal(err)
			}
			n += of
		}
		if n == 0 {
			t.Fatal("not even this goroutine is counted")
		}
		return n
	}
}

// cut passes a server's connections on, and breaks each off after so many bytes from it.
func cut(t testing.TB, server string, after int64) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			ours, err := listener.Accept()
			if err != nil {
				return
			}
			theirs, err := net.Dial("tcp", server)
			if err != nil {
				ours.Close()
				continue
			}
			go func() { _, _ = io.Copy(theirs, ours) }()
			go func() {
				_, _ = io.CopyN(ours, theirs, after)
				ours.Close()
				theirs.Close()
			}()
		}
	}()
	return "ldaps://" + listener.Addr().String()
}

// A server that dies in the middle of a run changes nothing: neither those who were read already nor those who were not.
func TestLDAPDiesMidRun(t *testing.T) {
	t.Parallel()
	l, s := StartSlapd(t), Start(t, Options{})
	furnish(t, s)
	l.Do(t, func(c *ldap.Conn) error {
		for i := range 500 {
			if err := c.Add(l.person(fmt.Sprintf("p%03d", i), "")); err != nil {
				return err
			}
		}
		return nil
	})
	ldapSource(t, s, l, map[string]string{"url": cut(t, strings.TrimPrefix(l.LDAPS, "ldaps://"), 60_000), "page_size": "50", "group_base": ""})
	for range 2 {
		if _, err := s.API.SyncDirectorySource(t.Context(), "corp", api.RunSync{Force: true}); err == nil || !strings.Contains(err.Error(), "could not be talked to") && !strings.Contains(err.Error(), "brought over") {
			t.Fatalf("a run that was cut: %v", err)
		}
		if list, err := s.API.Users(t.Context(), "p", ""); err != nil || len(list.Items) != 0 {
			t.Fatalf("%d people of half a run, %v", len(list.Items), err)
		}
	}
	ask := api.DirectorySourceChange{Set: map[string]string{"url": l.LDAPS}, BindPassword: SlapdPassword}
	if _, err := s.API.SetDirectorySource(t.Context(), "corp", ask); err != nil {
		t.Fatal(err)
	}
	if report := runSync(t, s, api.RunSync{}); report.Found != 500 {
		t.Errorf("the whole: %+v", report)
	}
}

// Many who wait for a server that hangs get their answer soon, and hold up nobody who is local.
func TestLDAPHangs(t *testing.T) {
	t.Parallel()
	l, s := StartSlapd(t), Start(t, Options{})
	furnish(t, s)
	ldapSource(t, s, l, map[string]string{"url": "ldaps://" + silent(t, ""), "interval": "30d"})
	start := time.Now()
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			if page := tryLDAP(t, s, fmt.Sprintf("p%02d", i), "some password"); page.Status != http.StatusServiceUnavailable {
				t.Errorf("%d", page.Status)
			}
		})
	}
	all.Go(func() {
		if page := tryLDAP(t, s, "ada", Password); page.URL.Path != "/" {
			t.Errorf("a local person: %d", page.Status)
		}
	})
	all.Wait()
	if took := time.Since(start); took > 25*time.Second {
		t.Errorf("60 sign-ins took %s", took)
	}
}
