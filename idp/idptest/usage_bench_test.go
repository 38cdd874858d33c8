package idptest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/store"
)

// crowd lets 100,000 people use an app, over 80 days up to now.
func crowd(b *testing.B, s *Server, app string, people int) {
	b.Helper()
	start := time.Now().AddDate(0, 0, -80)
	log := &audit.Log{Node: "crowd", Key: []byte("key")}
	for from := 0; from < people; from += 5000 {
		err := s.Store.Update(b.Context(), func(tx store.Tx) error {
			for i := from; i < min(from+5000, people); i++ {
				log.Now = func() time.Time { return start.Add(80 * 24 * time.Hour / time.Duration(people) * time.Duration(i)) }
				user := fmt.Sprintf("usr_%026d", i)
				if _, err := log.Append(tx, audit.Event{Kind: "signon", Outcome: audit.OK, Actor: user, User: user, App: app, Address: "192.0.2.1"}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if _, err := audit.RollUp(context.Background(), s.Store); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkUsagePage is the activity page of an app with 100,000 people, over HTTP.
func BenchmarkUsagePage(b *testing.B) {
	s := Start(b, Options{})
	s.AddPerson(b, "ada", "Administrators", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	app := s.AddApp(b, NewSP(b, "wiki").Metadata(), nil)
	crowd(b, s, app.ID, 100_000)
	ada := s.SignedIn(b, "ada")
	for b.Loop() {
		if page := ada.Get("/admin/apps/" + app.ID + "/activity"); page.Status != http.StatusOK || !bytes.Contains([]byte(page.Body), []byte("100,000")) {
			b.Fatalf("%d", page.Status)
		}
	}
}

// BenchmarkExport is one entry of an export over the socket, and what a long one needs in memory.
func BenchmarkExport(b *testing.B) {
	for _, format := range []string{"jsonl", "csv"} {
		b.Run(format, func(b *testing.B) {
			s := Start(b, Options{})
			app := s.AddApp(b, NewSP(b, "wiki").Metadata(), nil)
			crowd(b, s, app.ID, b.N)
			runtime.GC()
			var memory runtime.MemStats
			runtime.ReadMemStats(&memory)
			before := memory.HeapInuse
			b.ResetTimer()
			if err := s.API.ExportAudit(b.Context(), api.AuditQuery{Kind: "signon"}, format, io.Discard); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			runtime.ReadMemStats(&memory)
			b.ReportMetric(float64(max(memory.HeapInuse, before)-before)/(1<<20), "MiB-more")
		})
	}
}
