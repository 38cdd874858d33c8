package idptest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/sp"
	"gatehouse/store"
)

// BenchmarkServerPortal measures the portal page of a person in an organisation of 10,000 apps and 1,000 permission sets, of
// which this person holds 30: 300 tiles. The time is the whole exchange, the server's and the client's.
func BenchmarkServerPortal(b *testing.B) {
	const apps, sets, held = 10_000, 1000, 30
	s := Start(b, Options{})
	ids := manySets(b, s, sets)
	manyApps(b, s, apps, ids)
	s.AddPerson(b, "ana", "Employees", func(n *api.NewUser) { n.PermissionSets = ids[:held] })
	c := s.SignedIn(b, "ana")
	var took []time.Duration
	for b.Loop() {
		for range 50 {
			began := time.Now()
			page := c.Get("/")
			took = append(took, time.Since(began))
			if n := strings.Count(page.Body, `class="tile"`); page.Status != http.StatusOK || n != apps/sets*held {
				b.Fatalf("%d with %d tiles", page.Status, n)
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

func manySets(b *testing.B, s *Server, n int) []string {
	var ids []string
	err := s.Store.Update(b.Context(), func(tx store.Tx) error {
		ids = nil
		for i := range n {
			set, err := directory.AllPermissionSets.Add(tx, directory.PermissionSet{Name: fmt.Sprintf("Set %d", i)})
			if err != nil {
				return err
			}
			ids = append(ids, set.ID)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return ids
}

// manyApps stores copies of one real app, each permitted by one of the permission sets in turn.
func manyApps(b *testing.B, s *Server, n int, sets []string) {
	added := s.AddApp(b, NewSP(b, "original").Metadata(), map[string]string{"policy.permitted_users": "preauthorized", "description": "One of very many."})
	for begin := 0; begin < n; begin += 1000 {
		err := s.Store.Update(b.Context(), func(tx store.Tx) error {
			original, _, err := sp.Apps.Get(tx, added.ID)
			if err != nil {
				return err
			}
			for i := begin; i < begin+1000; i++ {
				app, saml := original, *original.Definition.SAML
				saml.Metadata.EntityID = fmt.Sprintf("https://sp-%d.example.org/saml", i)
				app.ID, app.Definition.SAML, app.Definition.Name = sp.NewID(), &saml, fmt.Sprintf("App number %d", i)
				app.Policy.PermissionSets = []string{sets[i%len(sets)]}
				if err := sp.Apps.Put(tx, &app); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
