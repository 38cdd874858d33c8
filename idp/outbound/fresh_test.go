package outbound

import (
	"net/http"
	"testing"
	"time"
)

func TestFresh(t *testing.T) {
	for _, c := range []struct {
		header map[string]string
		want   time.Duration
	}{
		{nil, Unsaid},
		{map[string]string{"Cache-Control": "public"}, Unsaid},
		{map[string]string{"Cache-Control": "public, Max-Age=600"}, 10 * time.Minute},
		{map[string]string{"Cache-Control": `max-age="600"`}, 10 * time.Minute},
		{map[string]string{"Cache-Control": "max-age=600, max-age=6"}, 10 * time.Minute},
		{map[string]string{"Cache-Control": "s-maxage=600"}, Unsaid},
		{map[string]string{"Cache-Control": "max-age=600", "Age": "100"}, 500 * time.Second},
		{map[string]string{"Cache-Control": "max-age=600", "Age": "1000"}, 0},
		{map[string]string{"Cache-Control": "max-age=600", "Age": "-5"}, 10 * time.Minute},
		{map[string]string{"Cache-Control": "max-age=600, no-store"}, 0},
		{map[string]string{"Cache-Control": "no-cache"}, 0},
		{map[string]string{"Cache-Control": "max-age=ten"}, 0},
		{map[string]string{"Cache-Control": "max-age=-1"}, 0},
		{map[string]string{"Cache-Control": "max-age"}, 0},
		{map[string]string{"Cache-Control": "max-age=99999999999999999999999"}, longest * time.Second},
		{map[string]string{"Expires": "Thu, 26 Nov 2026 13:00:00 GMT"}, 0},
		{map[string]string{"Expires": "Thu, 26 Nov 2026 13:00:00 GMT", "Date": "Thu, 26 Nov 2026 12:30:00 GMT"}, 30 * time.Minute},
		{map[string]string{"Expires": "Thu, 26 Nov 2026 11:00:00 GMT", "Date": "Thu, 26 Nov 2026 12:30:00 GMT"}, 0},
		{map[string]string{"Expires": "0"}, 0},
		{map[string]string{"Expires": "Thu, 26 Nov 2026 13:00:00 GMT", "Cache-Control": "max-age=5"}, 5 * time.Second},
	} {
		h := http.Header{}
		for name, value := range c.header {
			h.Set(name, value)
		}
		if got := fresh(h); got != c.want {
			t.Errorf("%v: %v, want %v", c.header, got, c.want)
		}
	}
}
