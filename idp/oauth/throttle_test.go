package oauth

import (
	"strconv"
	"testing"
	"time"
)

// TestThrottleWhenFull: who comes from more networks than are counted singly is slowed down all the same, and memory stays bounded.
func TestThrottleWhenFull(t *testing.T) {
	t.Parallel()
	var slow throttle
	now := time.Unix(0, 0)
	slow.count("early", now)
	for i := range 3 * maxCounted {
		slow.count(strconv.Itoa(i), now)
	}
	for range wrongPerMinute {
		slow.count("late", now)
	}
	if !slow.full("late", now) {
		t.Error("who comes late is not slowed down")
	}
	if slow.full("early", now) {
		t.Error("who was counted by itself shares with others")
	}
	if n := len(slow.wrong); n > maxCounted+shared {
		t.Errorf("%d are counted", n)
	}
	if slow.full("late", now.Add(time.Minute)) {
		t.Error("the minute does not end")
	}
}
