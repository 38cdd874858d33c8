package idptest

import (
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
	app := s.AddApp(t, NewSP(t, "ending").Metadata(), map[string]string{"name": "Ending"}) // its certificate ends in two years
	told := func() (list []string) {
		t.Helper()
		deadline := time.Now().Add(5 * time.Second)
		for seen := -1; ; time.Sleep(50 * time.Millisecond) {
			entries, err := s.API.Audit(t.Context(), api.AuditQuery{Kind: "certificate.expiring", Limit: 50})
			if err != nil {
				t.Fatal(err)
			}
			if seen == len(entries.Items) && (seen > 0 || time.Now().After(deadline)) || time.Now().After(deadline) {
				for _, e := range entries.Items {
					list = append(list, e.App.Name+e.Facts["key"][:min(4, len(e.Facts["key"]))]+" "+e.Facts["within_days"])
				}
				return list
			}
			seen = len(entries.Items)
		}
	}
	twoYears := time.Until(time.Now().AddDate(2, 0, 0))
	day := 24 * time.Hour
	for _, c := range []struct {
		left time.Duration
		want string
	}{{85 * day, "Ending 90"}, {84 * day, "Ending 90"}, {20 * day, "Ending 30,Ending 90"}, {5 * day, "Ending 7,Ending 30,Ending 90"}, {-day, "Ending 7,Ending 30,Ending 90"}} {
		s.Stop()
		clock.moved.Store(int64(twoYears - c.left))
		s = Start(t, options)
		if got := strings.Join(told(), ","); got != c.want {
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
	if got := strings.Join(told(), ","); !strings.HasPrefix(got, "key_ 30") {
		t.Errorf("our own key: %q", got)
	}
	keys, err := s.API.Keys(t.Context())
	if err != nil || len(keys.Items[0].Warnings) != 1 {
		t.Errorf("%+v %v", keys.Items, err)
	}
}
