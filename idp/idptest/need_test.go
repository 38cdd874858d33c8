package idptest

import "testing"

// TestTools installs, before all other packages are tested, what their tests drive: they find it or leave themselves out.
func TestTools(t *testing.T) {
	for _, tool := range Tools() {
		t.Run(string(tool), func(t *testing.T) { Need(t, tool) })
	}
}
