package idptest

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// TestExpiryAnnounced: an entry 90, 30 and 7 days before a certificate ends, once each, also over restarts.
func TestExpiryAnnounced(t *testing.T) {
	t.Parallel()
	clock := &clock{}
	options := Options{Dir: t.TempDir(), Now: clock.now, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	s := Start(t, options)
	ending := NewSP(t, "ending")
	app := s.AddApp(t, ending.Metadata(), map[string]string{"name": "Ending"}) // its certificate ends in two years
	told := func() (list []string) {
		t.Helper()
		entries, err := s.API.Audit(t.Context(), api.AuditQuery{Kind: "certificate.expiring", Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries.Items {
			list = append(list, e.App.Name+e.Facts["key"][:min(4, len(e.Facts["key"]))]+" "+e.Facts["within_days"])
		}
		return list
	}
	twoYears := time.Until(time.Now().AddDate(2, 0, 0))
	day := 24 * time.Hour
	for i, c := range []struct {
		left time.Duration
		want string
	}{{85 * day, "Ending 90"}, {84 * day, "Ending 90"}, {20 * day, "Ending 30,Ending 90"}, {5 * day, "Ending 7,Ending 30,Ending 90"}, {-day, "Ending 7,Ending 30,Ending 90"}} {
		moved := twoYears - c.left
		news := fmt.Sprint("News ", i) // what is announced after this restart, together with all else that is due
		s.AddApp(t, endsAt(t, ending, fmt.Sprint("news-", i), time.Now().Add(moved+89*day+day/2)).Metadata(), map[string]string{"name": news})
		s.Stop()
		clock.moved.Store(int64(moved))
		s = Start(t, options)
		eventually(t, "nothing is announced after the start", func() bool { return slices.Contains(told(), news+" 90") })
		others := slices.DeleteFunc(told(), func(line string) bool { return strings.HasPrefix(line, "News ") })
		if got := strings.Join(others, ","); got != c.want {
			t.Errorf("%v before the end: %q, want %q", c.left, got, c.want)
		}
	}
	shown, err := s.API.App(t.Context(), app.ID)
	if err != nil || !slices.ContainsFunc(shown.Warnings, func(w api.Warning) bool {
		return w.Code == "certificate_ends" && strings.Contains(w.Text, "ended on")
	}) {
		t.Errorf("%+v %v", shown.Warnings, err)
	}
	s.Stop()
	clock.moved.Store(int64(10*365*day - 20*day))
	s = Start(t, options)
	eventually(t, "our own key is not announced", func() bool { return slices.Contains(told(), "key_ 30") })
	keys, err := s.API.Keys(t.Context())
	if err != nil || len(keys.Items[0].Warnings) != 1 {
		t.Errorf("%+v %v", keys.Items, err)
	}
}

// endsAt is another app with the key of one, whose certificate ends at a time.
func endsAt(t *testing.T, like *SP, name string, at time.Time) *SP {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: at}
	der, err := x509.CreateCertificate(rand.Reader, template, template, like.Key.Public(), like.Key)
	if err != nil {
		t.Fatal(err)
	}
	sp := *like
	sp.EntityID, sp.DER = "https://"+name+".example.org/saml", der
	return &sp
}
