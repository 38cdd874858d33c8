package idptest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/store"
)

// manyPeople stores n people with e-mail addresses, in batches. Their ids and names are in order, which the store likes best.
func manyPeople(b *testing.B, s *Server, n int) {
	b.Helper()
	began := time.Now()
	for from := 0; from < n; from += 20_000 {
		err := s.Store.Update(b.Context(), func(tx store.Tx) error {
			profile, err := directory.StandardProfile(tx)
			for i := from; i < min(from+20_000, n) && err == nil; i++ {
				name := fmt.Sprintf("person%07d", i)
				err = directory.Users.Put(tx, &directory.User{
					ID: fmt.Sprintf("usr_%026d", i), Name: name, Email: name + "@example.org", DisplayName: "Person " + name, Profile: profile,
				})
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d people stored in %v", n, time.Since(began).Round(time.Millisecond))
}

// BenchmarkServerPeople compares sign-ins and searches among 1,000 people with those among 1,000,000.
func BenchmarkServerPeople(b *testing.B) {
	medians := map[string][]time.Duration{}
	for _, n := range []int{1000, 1_000_000} {
		b.Run(fmt.Sprintf("people=%d", n), func(b *testing.B) {
			s := Start(b, Options{})
			manyPeople(b, s, n)
			s.AddPerson(b, "zoe", "Standard")
			if info, err := os.Stat(filepath.Join(s.Dir, "gatehouse.db")); err == nil {
				b.ReportMetric(float64(info.Size())/(1<<20), "file-MiB")
			}
			for b.Loop() {
				for what, act := range peopleActs(b, s, n) {
					took := median(act)
					medians[what] = append(medians[what], took)
					b.ReportMetric(float64(took.Microseconds())/1000, what+"-ms")
				}
			}
		})
	}
	for what, took := range medians {
		if len(took) == 2 {
			b.Logf("%s: %v among 1,000, %v among 1,000,000", what, took[0], took[1])
		}
	}
}

// peopleActs are what is measured.
func peopleActs(b *testing.B, s *Server, n int) map[string]func() {
	search := func(text string, want int) func() {
		return func() {
			if list, err := s.API.Users(b.Context(), text, ""); err != nil || len(list.Items) != want {
				b.Fatalf("%q finds %d people, %v", text, len(list.Items), err)
			}
		}
	}
	unknown := 0
	return map[string]func(){
		"sign-in": func() {
			c := s.NewClient(b)
			if page := c.SignIn(c.Get("/login?next=/"), "zoe@example.org", Password); page.Status != http.StatusOK {
				b.Fatalf("%d", page.Status)
			}
		},
		"unknown-name": func() {
			unknown++
			c := s.NewClient(b)
			if page := c.SignIn(c.Get("/login?next=/"), fmt.Sprintf("nobody%d", unknown), "wrong password"); page.Status != http.StatusForbidden {
				b.Fatalf("%d", page.Status)
			}
		},
		"search-one":  search(fmt.Sprintf("person%07d", n/2), 1),
		"search-tens": search(fmt.Sprintf("person%06d", n/2/10), 10),
		"search-none": search("quetzal", 0),
	}
}

// median is the middle of 25 measurements.
func median(act func()) time.Duration {
	var took []time.Duration
	for range 25 {
		began := time.Now()
		act()
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}
