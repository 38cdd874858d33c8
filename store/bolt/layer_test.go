package bolt

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"gatehouse/store"
)

// TestLayer compares the layer with a map under random puts.
func TestLayer(t *testing.T) {
	var l layer
	for round := range 3 {
		l.reset()
		model := map[string]string{}
		for range 2000 * (round + 1) {
			key, value := fmt.Sprintf("%04d", rand.IntN(3000)), fmt.Sprint(rand.IntN(100))
			model[key] = value
			l.put(write{[]byte(key), []byte(value)})
		}
		from, to := fmt.Sprintf("%04d", rand.IntN(1500)), fmt.Sprintf("%04d", 1500+rand.IntN(1500))
		expected := slices.Sorted(maps.Keys(model))
		expected = slices.DeleteFunc(expected, func(key string) bool { return key < from || key >= to })
		got := l.within(store.Range{From: []byte(from), To: []byte(to)})
		if len(got) != len(expected) {
			t.Fatalf("%d keys from %s to %s, want %d", len(got), from, to, len(expected))
		}
		for i, w := range got {
			if string(w.key) != expected[i] || string(w.value) != model[expected[i]] {
				t.Fatalf("key %d: %s=%s, want %s=%s", i, w.key, w.value, expected[i], model[expected[i]])
			}
			if found := l.get(w.key); found == nil || string(found.value) != string(w.value) {
				t.Fatalf("get %s: %v", w.key, found)
			}
		}
		if l.get([]byte("none")) != nil {
			t.Error("a key that was never put is there")
		}
	}
}
