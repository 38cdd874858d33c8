package web

import "testing"

func TestSameOrigin(t *testing.T) {
	for address, want := range map[string]bool{
		"https://id.example.org/admin/": true, "HTTPS://ID.Example.org:443/x": true, "https://ｉｄ.example.org/": true, "https://id\u00ad.example.org/": true,
		"https://id。example。org/":       true,
		"https://id.example.org:0443/x": true, "https://id.example.org:/x": true,
		"https://id.example.org:8443/": false, "https://id.example.org:0/": false, "http://id.example.org/": false, "https://app.example.org/": false, "https://id.example.org.evil.example/": false,
		"org.example.app:/cb": false, "": false,
	} {
		if SameOrigin(address, "https://id.example.org") != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
	if !SameOrigin("https://bücher.example/", "https://xn--bcher-kva.example") || SameOrigin("https://app.example/", "https://xn--bcher-kva.example") {
		t.Error("an international name")
	}
	for address, want := range map[string]bool{
		"https://10.0.0.5/x": true, "https://10.5/x": true, "https://0xa.0.0.5/x": true, "https://167772165/x": true, "https://10.0.0.05/": true, "https://10.0.0.0x5/": true,
		"https://10.0.0.6/": false, "https://10.example.org/": false, "https://[::1]/": false,
	} {
		if SameOrigin(address, "https://10.0.0.5") != want {
			t.Errorf("%q: %v", address, !want)
		}
	}
	if !SameOrigin("https://[0:0:0:0:0:0:0:1]/", "https://[::1]") || SameOrigin("https://[::2]/", "https://[::1]") {
		t.Error("an IPv6 address")
	}
	if !SameOrigin("http://127.0.0.1:80/x", "http://127.0.0.1") {
		t.Error("the port that http has anyway")
	}
}
