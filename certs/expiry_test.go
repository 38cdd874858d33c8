package certs_test

import (
	"testing"
	"time"

	"gatehouse/certs"
	"gatehouse/store"
)

const day = 24 * time.Hour

func TestThreshold(t *testing.T) {
	now := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		left time.Duration
		want int
	}{
		{91 * day, 0}, {90*day + 1, 0}, {90 * day, 90}, {31 * day, 90}, {30 * day, 30}, {8 * day, 30}, {7 * day, 7}, {1, 7}, {0, 0}, {-day, 0},
	} {
		if got := certs.Threshold(now.Add(c.left), now); got != c.want {
			t.Errorf("%v before the end: %d, want %d", c.left, got, c.want)
		}
	}
}

// Each threshold is told once for a holder's certificate; a server that slept tells only the nearest.
func TestDueOnce(t *testing.T) {
	s := open(t)
	end := time.Date(2027, 6, 1, 0, 0, 0, 0, time.UTC)
	tell := func(holder string, left time.Duration) (days int) {
		t.Helper()
		err := s.Update(t.Context(), func(tx store.Tx) (err error) {
			if days, err = certs.Due(tx, holder, []byte("der"), end, end.Add(-left)); err != nil || days == 0 {
				return err
			}
			return certs.Told(tx, holder, []byte("der"), end, days)
		})
		if err != nil {
			t.Fatal(err)
		}
		return days
	}
	for i, c := range []struct {
		holder string
		left   time.Duration
		want   int
	}{
		{"app_1", 100 * day, 0}, {"app_1", 80 * day, 90}, {"app_1", 79 * day, 0}, {"app_1", 20 * day, 30}, {"app_1", 19 * day, 0},
		{"app_1", 5 * day, 7}, {"app_1", 4 * day, 0}, {"app_1", -day, 0}, {"app_2", 5 * day, 7}, {"app_2", 4 * day, 0},
	} {
		if got := tell(c.holder, c.left); got != c.want {
			t.Errorf("%d: %s %v before the end: %d, want %d", i, c.holder, c.left, got, c.want)
		}
	}
	err := s.Update(t.Context(), func(tx store.Tx) error {
		n, err := certs.Notices.Sweep(tx, end.Add(2*day), 0)
		if n != 2 {
			t.Errorf("%d notices went with their certificates", n)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
