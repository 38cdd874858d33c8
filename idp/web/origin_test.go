package web

import "testing"

func TestSameOrigin(t *testing.T) {
	for address, want := range map[string]bool{
		"https://id.example.org/admin/": true, "HTTPS://ID.Example.org:443/x": true, "https://ｉｄ.example.org/": true, "https://id\u00ad.example.org/": true,
		"https://id。example。org/":      true,
		"https://id.example.org:8443/": false, "http://id.example.org/": false, "https://app.example.org/": false, "https://id.example.org.evil.example/": false,
		"org.example.app:/cb": false, "": false,
	} {
		if SameOrigin(address, "https://id.example.org") != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
	if !SameOrigin("https://bücher.example/", "https://xn--bcher-kva.example") || SameOrigin("https://app.example/", "https://xn--bcher-kva.example") {
		t.Error("an international name")
	}
	if !SameOrigin("http://127.0.0.1:80/x", "http://127.0.0.1") {
		t.Error("the port that http has anyway")
	}
}
