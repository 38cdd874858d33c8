package sampleapps

import "testing"

// TestCut: two tokens that begin alike can be told from each other, and neither is shown whole.
func TestCut(t *testing.T) {
	for secret, want := range map[string]string{
		"gh_acc_abcdefghijklmnopqrst": "gh_acc_a…qrst", "gh_acc_abcdefghijklmnopqrsu": "gh_acc_a…qrsu", "abcdefghijklmnopqrstuvwx": "…", "": "…",
	} {
		if got := cut(secret); got != want {
			t.Errorf("%q is shown as %q, want %q", secret, got, want)
		}
	}
}
