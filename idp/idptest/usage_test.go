package idptest

import (
	"net/http"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// waitUsage asks until the figures of an app are there; they are a few seconds old at most.
func waitUsage(t *testing.T, client *api.Client, app string, signOns, refused int) api.AppUsage {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		usage, err := client.AppUsage(t.Context(), app)
		if err != nil {
			t.Fatal(err)
		}
		if usage.SignOns == signOns && usage.Refused == refused {
			return usage
		}
		if usage.SignOns > signOns || usage.Refused > refused || time.Now().After(deadline) {
			t.Fatalf("%+v, want %d sign-ons and %d refusals", usage, signOns, refused)
		}
	}
}

// TestUsageOverTheWire: sign-ons and refusals of a running server are counted in the background, once, over a restart too.
func TestUsageOverTheWire(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	s.AddPerson(t, "ana", "Employees")
	s.AddPerson(t, "ben", "Contractors")
	app := s.AddApp(t, NewSP(t, "wiki").Metadata(), map[string]string{"policy.permitted_users": "preauthorized", "policy.profiles": "Employees"})
	ana, ben := s.SignedIn(t, "ana"), s.SignedIn(t, "ben")
	for range 3 {
		ana.Get("/launch/" + app.ID).Response(t)
	}
	if page := ben.Get("/launch/" + app.ID); page.Status != http.StatusForbidden {
		t.Fatalf("ben gets %d", page.Status)
	}
	usage := waitUsage(t, s.API, app.ID, 3, 1)
	if usage.People30 != 1 || usage.People90 != 1 || usage.Unused || usage.Reasons[0] != (api.RefusalCount{Reason: "permitted_users", Count: 1}) || usage.Days[29].SignOns+usage.Days[28].SignOns != 3 {
		t.Errorf("%+v", usage)
	}
	ana.Get("/launch/" + app.ID).Response(t)
	s.Stop()
	s = Start(t, Options{Dir: s.Dir})
	waitUsage(t, s.API, app.ID, 4, 1)
	whole, err := s.API.VerifyAudit(t.Context(), "")
	if err != nil || !whole.Whole || len(whole.Chains) != 1 {
		t.Errorf("%+v, %v", whole, err)
	}
}

// backdate writes counters as if an app had been in use for a month.
func backdate(t *testing.T, s *Server, app string) {
	t.Helper()
	err := s.Store.Update(t.Context(), func(tx store.Tx) error {
		for back := range 30 {
			day := time.Now().UTC().AddDate(0, 0, -back).Format(time.DateOnly)
			record := audit.UsageDay{App: app, Day: day, SignOns: 40 + back*37%90, People: 3}
			if back%3 == 0 {
				record.Refused = map[string]int{"permitted_users": back%9 + 6, "app_ip_ranges": 2}
			}
			if err := audit.UsageDays.Put(tx, &record); err != nil {
				return err
			}
		}
		return audit.AppUses.Put(tx, &audit.AppUse{App: app, Last: time.Now().UTC()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// age makes people, an app, and what ben agreed to there half a year old, so that they count as unused.
func age(t *testing.T, s *Server, app api.App, ben api.User) {
	t.Helper()
	half := time.Now().AddDate(0, -6, 0)
	err := s.Store.Update(t.Context(), func(tx store.Tx) error {
		record, _, err := sp.Apps.Get(tx, app.ID)
		if err != nil {
			return err
		}
		record.Created = half
		if err := sp.Apps.Put(tx, &record); err != nil {
			return err
		}
		return grants.Consents.Put(tx, &grants.Consent{User: ben.ID, App: app.ID, Given: half})
	})
	if err != nil {
		t.Fatal(err)
	}
}
