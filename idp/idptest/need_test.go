package idptest

import "testing"

// TestTools installs, before all other packages are tested, what their tests drive: they find it or leave themselves out.
func TestTools(t *testing.T) {
	for _, tool := range Tools() {
		t.Run(string(tool), func(t *testing.T) { Need(t, tool) })
	}
	for name := range npmProjects() {
		t.Run(name, func(t *testing.T) { npmPackage(t, name) })
	}
	t.Run("oauth2-proxy", func(t *testing.T) { oauth2ProxyBinary(t) })
}
