package sp

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"net/url"
	"testing"
)

// certificateOf makes a self-signed certificate of a template.
func certificateOf(t *testing.T, template x509.Certificate) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// TestTLSSubject compares what is registered with what a certificate says (RFC 8705, 2.1.2).
func TestTLSSubject(t *testing.T) {
	name, err := url.Parse("spiffe://example.org/orders")
	if err != nil {
		t.Fatal(err)
	}
	uid := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: "o1"}
	cert := certificateOf(t, x509.Certificate{
		Subject:  pkix.Name{CommonName: `Orders, "main"`, Organization: []string{"Example AB"}, Country: []string{"SE"}, ExtraNames: []pkix.AttributeTypeAndValue{uid}},
		DNSNames: []string{"orders.example.org"}, URIs: []*url.URL{name}, IPAddresses: []net.IP{net.ParseIP("192.0.2.7")}, EmailAddresses: []string{"orders@example.org"},
	})
	for _, c := range []struct {
		subject TLSSubject
		is      bool
	}{
		{TLSSubject{DN: `UID=o1,CN=Orders\, \"main\",O=Example AB,C=SE`}, true},
		{TLSSubject{DN: `uid=o1, 2.5.4.3=Orders\2C \22main\22, o = Example AB ; c=SE`}, true},
		{TLSSubject{DN: `UID=o1,CN=Orders\, \"main\",O=Example AB`}, false}, // a part is missing
		{TLSSubject{DN: `C=SE,O=Example AB,CN=Orders\, \"main\",UID=o1`}, false},
		{TLSSubject{DN: `UID=o1,CN=orders\, \"main\",O=Example AB,C=SE`}, false},
		{TLSSubject{DN: `UID=o1+CN=Orders\, \"main\",O=Example AB,C=SE`}, false},
		{TLSSubject{DN: "CN=Orders"}, false},
		{TLSSubject{DNS: "ORDERS.example.org"}, true},
		{TLSSubject{DNS: "example.org"}, false},
		{TLSSubject{URI: "spiffe://example.org/orders"}, true},
		{TLSSubject{URI: "spiffe://example.org/orders/"}, false},
		{TLSSubject{IP: "192.0.2.7"}, true},
		{TLSSubject{IP: "::ffff:192.0.2.7"}, true},
		{TLSSubject{IP: "192.0.2.8"}, false},
		{TLSSubject{Email: "orders@example.org"}, true},
		{TLSSubject{Email: "Orders@example.org"}, false},
		{TLSSubject{}, false},
		{TLSSubject{IP: "192.0.2.7", DNS: "orders.example.org"}, false},
	} {
		if got := c.subject.Is(cert); got != c.is {
			t.Errorf("%+v: %v", c.subject, got)
		}
	}
	several := certificateOf(t, x509.Certificate{RawSubject: raw(t, pkix.RDNSequence{{{Type: []int{2, 5, 4, 10}, Value: "X"}}, {{Type: []int{2, 5, 4, 3}, Value: "a"}, uid}})})
	for dn, is := range map[string]bool{"CN=a+UID=o1,O=X": true, "UID=o1+CN=a,O=X": true, "CN=a,UID=o1,O=X": false, "CN=a+CN=a,O=X": false} {
		if got := (&TLSSubject{DN: dn}).Is(several); got != is {
			t.Errorf("%s: %v", dn, got)
		}
	}
	twice := certificateOf(t, x509.Certificate{RawSubject: raw(t, pkix.RDNSequence{{{Type: []int{2, 5, 4, 3}, Value: "a"}, {Type: []int{2, 5, 4, 3}, Value: "a"}}})})
	if (&TLSSubject{DN: "CN=a+UID=o1"}).Is(twice) {
		t.Error("a name that is there twice stands for another")
	}
}

func raw(t *testing.T, names pkix.RDNSequence) []byte {
	t.Helper()
	der, err := asn1.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
