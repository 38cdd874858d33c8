package idptest

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	dsig "github.com/russellhaering/goxmldsig"
)

const (
	algSHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
	algSHA1   = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
)

func zlibbed(t *testing.T, message string) []byte {
	var b bytes.Buffer
	z := zlib.NewWriter(&b)
	if _, err := z.Write([]byte(message)); err != nil {
		t.Fatal(err)
	}
	z.Close()
	return b.Bytes()
}

// rsaOver is an RSA-SHA256 signature, in base64.
func rsaOver(t *testing.T, sp *SP, octets string) string {
	t.Helper()
	sum := sha256.Sum256([]byte(octets))
	signature, err := rsa.SignPKCS1v15(rand.Reader, sp.Key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(signature)
}

// querySignatures: the signature is over the octets as they were sent, in the order that the binding fixes.
func (w *world) querySignatures(t *testing.T, sp *SP) {
	spellings := map[string]func(string) string{
		"BND-08 as Go escapes":           func(s string) string { return s },
		"BND-08 lower-case escapes":      lowerEscapes,
		"BND-08 + left as it is":         func(s string) string { return strings.ReplaceAll(s, "%2B", "+") },
		"BND-08 / left as it is":         func(s string) string { return strings.ReplaceAll(s, "%2F", "/") },
		"BND-08 = left as it is":         func(s string) string { return strings.ReplaceAll(s, "%3D", "=") },
		"BND-08 RelayState with %20":     func(s string) string { return strings.ReplaceAll(s, "RelayState=a+b", "RelayState=a%20b") },
		"BND-08 needlessly escaped text": func(s string) string { return strings.ReplaceAll(s, "RelayState=a", "RelayState=%61") },
	}
	for name, spell := range spellings {
		t.Run(name, func(t *testing.T) {
			message, ask := w.request(sp, Ask{RelayState: new("a b")})
			octets := spell(redirectQuery(t, message) + "&RelayState=a+b&SigAlg=" + url.QueryEscape(algSHA256))
			signature := spell(url.QueryEscape(rsaOver(t, sp, octets)))
			w.check(t, w.raw(t, octets+"&Signature="+signature), sp, ask, issued())
		})
	}
	w.signedOrder(t, sp)
	w.signedAlgorithms(t, sp)
}

func lowerEscapes(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '%' {
			copy(b[i:], strings.ToLower(s[i:i+3]))
		}
	}
	return string(b)
}

// signedOrder: order on the wire is free, the signed one is not; RelayState belongs to it exactly when it is sent.
func (w *world) signedOrder(t *testing.T, sp *SP) {
	algorithm := "SigAlg=" + url.QueryEscape(algSHA256)
	sign := func(t *testing.T, octets string) string {
		return "Signature=" + url.QueryEscape(rsaOver(t, sp, octets))
	}
	wire := map[string]struct {
		relay *string
		build func(t *testing.T, request string) string
		want  outcome
	}{
		"BND-10 SigAlg first on the wire": {nil, func(t *testing.T, r string) string {
			return algorithm + "&" + sign(t, r+"&"+algorithm) + "&" + r
		}, issued()},
		"BND-10 signed in another order": {nil, func(t *testing.T, r string) string {
			return r + "&" + algorithm + "&" + sign(t, algorithm+"&"+r)
		}, here("bad_signature")},
		"BND-10 other parameters between": {nil, func(t *testing.T, r string) string {
			return "utm=1&" + r + "&x=2&" + algorithm + "&" + sign(t, r+"&"+algorithm)
		}, issued()},
		"BND-09 signed without RelayState": {nil, func(t *testing.T, r string) string {
			return r + "&" + algorithm + "&" + sign(t, r+"&"+algorithm)
		}, issued()},
		"BND-09 signed with an empty RelayState": {new(""), func(t *testing.T, r string) string {
			r += "&RelayState="
			return r + "&" + algorithm + "&" + sign(t, r+"&"+algorithm)
		}, issued()},
		"BND-09 RelayState added after signing": {nil, func(t *testing.T, r string) string {
			return r + "&" + algorithm + "&" + sign(t, r+"&"+algorithm) + "&RelayState=evil"
		}, here("bad_signature")},
		"BND-09 RelayState taken away after signing": {nil, func(t *testing.T, r string) string {
			return r + "&" + algorithm + "&" + sign(t, r+"&RelayState=x&"+algorithm)
		}, here("bad_signature")},
		"BND-09 empty RelayState added after signing": {nil, func(t *testing.T, r string) string {
			return r + "&RelayState=&" + algorithm + "&" + sign(t, r+"&"+algorithm)
		}, here("bad_signature")},
	}
	for name, c := range wire {
		t.Run(name, func(t *testing.T) {
			message, ask := w.request(sp, Ask{RelayState: c.relay})
			w.check(t, w.raw(t, c.build(t, redirectQuery(t, message))), sp, ask, c.want)
		})
	}
}

// signedAlgorithms: the algorithm on the wire must be on the list and fit the key.
func (w *world) signedAlgorithms(t *testing.T, sp *SP) {
	sha1Of := func(t *testing.T, octets string) []byte {
		sum := sha1.Sum([]byte(octets))
		signature, err := rsa.SignPKCS1v15(rand.Reader, sp.Key, crypto.SHA1, sum[:])
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	hmacOf := func(t *testing.T, octets string) []byte {
		mac := hmac.New(sha1.New, sp.DER)
		mac.Write([]byte(octets))
		return mac.Sum(nil)
	}
	sha256Of := func(t *testing.T, octets string) []byte {
		signature, err := base64.StdEncoding.DecodeString(rsaOver(t, sp, octets))
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
	for _, c := range []struct {
		name, uri, reason string
		sign              func(*testing.T, string) []byte
	}{
		{"BND-12 CRY-04 rsa-sha1", algSHA1, "refused_algorithm", sha1Of},
		{"BND-12 CRY-04 rsa-md5", "http://www.w3.org/2001/04/xmldsig-more#rsa-md5", "refused_algorithm", sha256Of},
		{"BND-12 dsa-sha1", "http://www.w3.org/2000/09/xmldsig#dsa-sha1", "refused_algorithm", sha1Of},
		{"BND-12 CRY-23 hmac-sha1", "http://www.w3.org/2000/09/xmldsig#hmac-sha1", "refused_algorithm", hmacOf},
		{"BND-12 CRY-23 hmac-sha256", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256", "refused_algorithm", hmacOf},
		{"BND-12 none", "none", "refused_algorithm", sha256Of},
		{"BND-12 empty", "", "refused_algorithm", sha256Of},
		{"BND-12 ecdsa with an RSA key", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256", "bad_signature", sha256Of},
		{"BND-12 another digest than it says", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", "bad_signature", sha256Of},
	} {
		t.Run(c.name, func(t *testing.T) {
			message, _ := w.request(sp, Ask{})
			octets := redirectQuery(t, message) + "&SigAlg=" + url.QueryEscape(c.uri)
			signature := url.QueryEscape(base64.StdEncoding.EncodeToString(c.sign(t, octets)))
			w.checkHere(t, w.raw(t, octets+"&Signature="+signature), c.reason)
		})
	}
}

// TestSAMLEnvelopedSignatures is BND-14, BND-15 and the rows of section 4 about what a posted signature may be.
func TestSAMLEnvelopedSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sp := w.signing(t, "enveloped")
	const reference = `<ds:Reference`
	edits := map[string]func(string) string{
		"BND-14 two References": func(m string) string {
			return strings.Replace(m, "</ds:SignedInfo>", cutOut(m, reference, "</ds:Reference>")+"</ds:SignedInfo>", 1)
		},
		"BND-14 an XSLT transform":           transformTo("http://www.w3.org/TR/1999/REC-xslt-19991116"),
		"BND-14 an XPath transform":          transformTo("http://www.w3.org/TR/1999/REC-xpath-19991116"),
		"BND-14 a base64 transform":          transformTo("http://www.w3.org/2000/09/xmldsig#base64"),
		"BND-14 an empty URI":                func(m string) string { return emptyURI.ReplaceAllString(m, `URI=""`) },
		"BND-14 an xpointer":                 func(m string) string { return emptyURI.ReplaceAllString(m, `URI="#xpointer(/)"`) },
		"BND-14 an outside URI":              func(m string) string { return emptyURI.ReplaceAllString(m, `URI="`+w.URL+`/saml/metadata"`) },
		"BND-14 one letter of the reference": func(m string) string { return strings.Replace(m, `URI="#_`, `URI="X_`, 1) },
		"CRY-23 HMAC":                        methodTo("http://www.w3.org/2000/09/xmldsig#hmac-sha1"),
		"CRY-23 HMAC of one bit": func(m string) string {
			return signatureMethod.ReplaceAllString(m, `<ds:SignatureMethod Algorithm="http://www.w3.org/2000/09/xmldsig#hmac-sha1"><ds:HMACOutputLength>1</ds:HMACOutputLength></ds:SignatureMethod>`)
		},
		"CRY-04 RSA-MD5": methodTo("http://www.w3.org/2001/04/xmldsig-more#rsa-md5"),
		"CRY-04 MD5 digest": func(m string) string {
			return strings.Replace(m, "http://www.w3.org/2001/04/xmlenc#sha256", "http://www.w3.org/2001/04/xmldsig-more#md5", 1)
		},
		"SEC-02 a comment in the DigestValue": func(m string) string {
			return strings.Replace(m, "<ds:DigestValue>", "<ds:DigestValue><!-- -->", 1)
		},
		"SEC-02 a second SignedInfo": func(m string) string {
			info := cutOut(m, "<ds:SignedInfo>", "</ds:SignedInfo>")
			return strings.Replace(m, info, info+info, 1)
		},
		"BND-14 an Object": func(m string) string {
			return strings.Replace(m, "</ds:Signature>", "<ds:Object><x/></ds:Object></ds:Signature>", 1)
		},
		"REQ-05 a changed attribute": func(m string) string { return strings.Replace(m, ` ForceAuthn="false"`, ` ForceAuthn="true"`, 1) },
		"REQ-03 no signature": func(m string) string {
			return strings.Replace(m, cutOut(m, "<ds:Signature ", "</ds:Signature>"), "", 1)
		},
	}
	for name, edit := range edits {
		t.Run(name, func(t *testing.T) {
			message, _ := w.request(sp, Ask{Attributes: `ForceAuthn="false"`})
			signed := sp.SignXML(message)
			edited := edit(signed)
			if edited == signed {
				t.Fatalf("the edit changed nothing:\n%s", signed)
			}
			w.refusedSignature(t, w.ana(t).CrossPost(w.sso, postOf(edited)))
		})
	}
	t.Run("BND-15 signature wrapping", func(t *testing.T) { w.wrapping(t, sp) })
	t.Run("CRY-22 KeyInfo is not trusted", func(t *testing.T) {
		foreign := *sp
		stranger := NewSP(t, "stranger")
		foreign.Key, foreign.DER = stranger.Key, stranger.DER
		message, _ := w.request(sp, Ask{})
		w.checkHere(t, w.ana(t).CrossPost(w.sso, postOf(foreign.SignXML(message))), "bad_signature")
	})
	t.Run("CRY-04 RSA-SHA1, refused by name", func(t *testing.T) {
		page := w.ana(t).CrossPost(w.sso, postOf(w.signedBySHA1(t, sp)))
		w.checkHere(t, page, "refused_algorithm")
		if !strings.Contains(page.Body, "rsa-sha1") || !strings.Contains(page.Body, "saml.signature_algorithm") {
			t.Errorf("the page names neither algorithm nor setting:\n%s", page.Body)
		}
	})
	t.Run("CRY-04 RSA-SHA1 at an app that is set to it", func(t *testing.T) {
		w.set(t, sp, "saml.signature_algorithm", "rsa-sha1")
		if page := w.ana(t).CrossPost(w.sso, postOf(w.signedBySHA1(t, sp))); page.Action() != sp.ACS[0] {
			t.Errorf("rests at %s with %d", page.URL, page.Status)
		}
	})
}

func (w *world) signedBySHA1(t *testing.T, sp *SP) string {
	t.Helper()
	message, _ := w.request(sp, Ask{})
	signer, err := dsig.NewSigningContext(sp.Key, [][]byte{sp.DER})
	if err != nil {
		t.Fatal(err)
	}
	if err := signer.SetSignatureMethod(dsig.RSASHA1SignatureMethod); err != nil {
		t.Fatal(err)
	}
	return envelope(t, signer, message)
}
