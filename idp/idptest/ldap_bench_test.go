package idptest

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"gatehouse/idp/api"
)

// BenchmarkLDAPSync brings 10,000 people with 100 groups over, then looks again when nothing has changed, while somebody signs in.
func BenchmarkLDAPSync(b *testing.B) {
	const people = 10_000
	l, s := StartSlapd(b), Start(b, Options{})
	l.Do(b, func(c *ldap.Conn) error {
		for i := range people {
			if err := c.Add(l.person(fmt.Sprintf("p%05d", i), "")); err != nil {
				return err
			}
		}
		return nil
	})
	l.AddPerson(b, "mia", "mias password")
	for g := range 100 {
		var uids []string
		for i := range 100 {
			uids = append(uids, fmt.Sprintf("p%05d", g*100+i))
		}
		l.SetGroup(b, fmt.Sprintf("g%02d", g), uids...)
	}
	ldapSource(b, s, l, map[string]string{"interval": "30d", "permission_sets": "g07=VPN"})
	slowest := make(chan time.Duration, 1)
	stop := make(chan struct{})
	go func() {
		var worst time.Duration
		for {
			select {
			case <-stop:
				slowest <- worst
				return
			default:
			}
			start := time.Now()
			tryLDAP(b, s, "mia", "mias password")
			worst = max(worst, time.Since(start))
		}
	}()
	b.ResetTimer()
	for b.Loop() {
		start := time.Now()
		first := runSync(b, s, api.RunSync{Force: true})
		b.ReportMetric(time.Since(start).Seconds(), "s/first")
		start = time.Now()
		again := runSync(b, s, api.RunSync{})
		b.ReportMetric(time.Since(start).Seconds(), "s/quiet")
		if first.Found != people+1 || again.Created+again.Changed+again.Disabled != 0 {
			b.Fatalf("%+v, then %+v", first, again)
		}
	}
	close(stop)
	b.ReportMetric((<-slowest).Seconds(), "s/slowest-sign-in")
}
