package outbound

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Unsaid is the freshness of an answer whose server does not say how long it may be kept.
const Unsaid time.Duration = -1

// longest is what a longer time counts as (RFC 9111, 1.2.2).
const longest = 1<<31 - 1

// fresh is for how long the headers of an answer let us keep it without asking again, as a private cache (RFC 9111, 4.2): from now on, and
// 0 where they forbid it or cannot be read.
func fresh(h http.Header) time.Duration {
	life := lifetime(h)
	if age, err := strconv.ParseUint(h.Get("Age"), 10, 31); err == nil && life > 0 {
		life = max(0, life-time.Duration(age)*time.Second)
	}
	return life
}

func lifetime(h http.Header) time.Duration {
	life := Unsaid
	for directive := range strings.SplitSeq(strings.Join(h.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if life == Unsaid { // of several the first counts
				life = seconds(strings.Trim(value, `"`))
			}
		}
	}
	if life != Unsaid || h.Get("Expires") == "" {
		return life
	}
	expires, err := http.ParseTime(h.Get("Expires"))
	sent, dateErr := http.ParseTime(h.Get("Date"))
	if err != nil || dateErr != nil { // Expires: 0 is common
		return 0
	}
	return max(0, expires.Sub(sent))
}

func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		if strings.Trim(text, "0123456789") != "" || text == "" {
			return 0
		}
		n = longest
	}
	return time.Duration(min(n, longest)) * time.Second
}

// Keep is how long to keep an answer: as its server says, within bounds, or as usual where it does not say.
func (g *Got) Keep(least, usual, most time.Duration) time.Duration {
	if g.Fresh == Unsaid {
		return usual
	}
	return min(max(g.Fresh, least), most)
}
