package idptest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

const (
	encGCM256 = "http://www.w3.org/2009/xmlenc11#aes256-gcm"
	encGCM128 = "http://www.w3.org/2009/xmlenc11#aes128-gcm"
	encCBC256 = "http://www.w3.org/2001/04/xmlenc#aes256-cbc"
	encCBC128 = "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
	encRSA15  = "http://www.w3.org/2001/04/xmlenc#rsa-1_5"
	encOAEP   = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
	encOAEP11 = "http://www.w3.org/2009/xmlenc11#rsa-oaep"
	hashSHA1  = "http://www.w3.org/2000/09/xmldsig#sha1"
	hashSHA2  = "http://www.w3.org/2001/04/xmlenc#sha256"
	pathData0 = "./EncryptedAssertion/EncryptedData"
	pathKey0  = pathData0 + "/KeyInfo/EncryptedKey"
)

// TestSAMLCrypto is section 4 of the requirements. What a received signature may be is in saml_signatures_test.go.
func TestSAMLCrypto(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	t.Run("signing algorithms", func(t *testing.T) { w.signingAlgorithms(t) })
	t.Run("keys of apps", func(t *testing.T) { w.appKeys(t) })
	t.Run("encryption", func(t *testing.T) { w.encryption(t) })
	t.Run("encryption refused", func(t *testing.T) { w.encryptionRefused(t) })
	t.Run("names", func(t *testing.T) { w.encryptedNames(t) })
	t.Run("attributes", func(t *testing.T) { w.encryptedAttributes(t) })
	t.Run("profiles", func(t *testing.T) { w.encryptionProfiles(t) })
	t.Run("CRY-24 the private key is told to nobody", func(t *testing.T) { w.keysStayHome(t) })
	w.everything(t)
}

// signingAlgorithms: ours are what the app is set to, or lists; SHA-256 by default.
func (w *world) signingAlgorithms(t *testing.T) {
	check := func(t *testing.T, sp *SP, method, digest string) {
		r := w.issue(t, w.ana(t), sp, Ask{})
		w.xmlsec(t, r.XML, "Response", "Assertion")
		for _, info := range r.Root.FindElements(".//SignedInfo") {
			got := info.FindElement("./SignatureMethod").SelectAttrValue("Algorithm", "")
			if d := info.FindElement("./Reference/DigestMethod").SelectAttrValue("Algorithm", ""); got != method || d != digest {
				t.Errorf("signed with %s over %s, want %s over %s", got, d, method, digest)
			}
		}
	}
	t.Run("CRY-01 the default", func(t *testing.T) { check(t, w.sp(t, "default", nil), algSHA256, hashSHA2) })
	for name, uri := range map[string]string{
		"rsa-sha384": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384", "rsa-sha512": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
		"rsa-pss-sha256": "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
	} {
		t.Run("CRY-03 "+name, func(t *testing.T) {
			sp := w.sp(t, name, map[string]string{"saml.signature_algorithm": name})
			r := w.send(t, w.ana(t), sp, Ask{ID: newRequestID()}, false).Response(t)
			w.sent = append(w.sent, r)
			if name == "rsa-pss-sha256" {
				w.verifyPSS(t, r)
			} else {
				w.xmlsec(t, r.XML, "Response", "Assertion")
			}
			if got := r.Attr(".//SignatureMethod", "Algorithm"); got != uri {
				t.Errorf("signed with %s", got)
			}
		})
	}
	listed := func(name, method, digest string) *SP {
		sp := w.newSP(t, name)
		metadata := string(metadataWith(sp, "", `<Extensions xmlns:alg="urn:oasis:names:tc:SAML:metadata:algsupport"><alg:DigestMethod Algorithm="`+digest+
			`"/><alg:SigningMethod Algorithm="`+method+`"/></Extensions>`+acsAt(bindingPost, sp.ACS[0], 0, "")))
		w.AddApp(t, []byte(metadata), nil)
		return sp
	}
	t.Run("CRY-17 what the metadata lists", func(t *testing.T) {
		const sha512 = "http://www.w3.org/2001/04/xmlenc#sha512"
		check(t, listed("lists-512", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", sha512), "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512", sha512)
	})
	t.Run("CRY-04 CRY-17 only what is refused is listed", func(t *testing.T) {
		sp := listed("lists-sha1", algSHA1, hashSHA1)
		page := w.send(t, w.ana(t), sp, Ask{ID: newRequestID()}, false)
		w.checkHere(t, page, "cannot_sign")
	})
}

// appKeys: every form in which metadata gives a key works; weak ones draw a warning.
func (w *world) appKeys(t *testing.T) {
	signer := spIdentity()
	public := signer.Key.PublicKey
	value := `<KeyDescriptor><ds:KeyInfo><ds:KeyValue><ds:RSAKeyValue><ds:Modulus>` + base64.StdEncoding.EncodeToString(public.N.Bytes()) +
		`</ds:Modulus><ds:Exponent>` + base64.StdEncoding.EncodeToString(big.NewInt(int64(public.E)).Bytes()) + `</ds:Exponent></ds:RSAKeyValue></ds:KeyValue></ds:KeyInfo></KeyDescriptor>`
	for name, descriptor := range map[string]string{"CRY-19 one key without use": keyDescriptor("", signer.DER, ""), "CRY-20 a KeyValue": value} {
		t.Run(name, func(t *testing.T) {
			sp := w.newSP(t, "key-"+name[4:6])
			sp.Signed, sp.Encrypt = true, true
			w.AddApp(t, metadataWith(sp, `AuthnRequestsSigned="true"`, descriptor+acsAt(bindingPost, sp.ACS[0], 0, "")), nil)
			for _, post := range []bool{false, true} {
				ask := Ask{ID: newRequestID()}
				w.open(t, w.check(t, w.send(t, w.ana(t), sp, ask, post), sp, ask, issued()), sp)
			}
		})
	}
	t.Run("CRY-02 an app that signs with P-256", func(t *testing.T) { w.ecdsaRequests(t) })
	t.Run("CRY-18 an EC key and a weak key before a good one", func(t *testing.T) {
		sp := w.newSP(t, "three-keys")
		sp.Encrypt = true
		w.AddApp(t, metadataWith(sp, "", keyDescriptor("encryption", certificateOf(t, ecKey(t)), "")+keyDescriptor("encryption", certificateOf(t, weakKey(t)), "")+
			keyDescriptor("encryption", sp.DER, "")+acsAt(bindingPost, sp.ACS[0], 0, "")), nil)
		w.open(t, w.issue(t, w.ana(t), sp, Ask{}), sp)
	})
	t.Run("CRY-21 a key of 1,024 bits draws a warning", func(t *testing.T) {
		sp := w.newSP(t, "weak")
		metadata := metadataWith(sp, "", keyDescriptor("signing", certificateOf(t, weakKey(t)), "")+acsAt(bindingPost, sp.ACS[0], 0, ""))
		added, err := w.API.AddApp(t.Context(), api.NewApp{Metadata: string(metadata)})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(added.Warnings, func(w api.Warning) bool { return strings.Contains(w.Text, "1024") || strings.Contains(w.Text, "1,024") }) {
			t.Errorf("warnings %+v", added.Warnings)
		}
	})
}

func ecKey(t *testing.T) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func weakKey(t *testing.T) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func certificateOf(t *testing.T, key crypto.Signer) []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(9), Subject: pkix.Name{CommonName: "app"}, NotBefore: time.Now(), NotAfter: time.Now().AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// ecdsaRequests signs a query and a posted message with P-256: r and s side by side.
func (w *world) ecdsaRequests(t *testing.T) {
	key := ecKey(t).(*ecdsa.PrivateKey)
	der := certificateOf(t, key)
	sp := w.newSP(t, "ec")
	w.AddApp(t, metadataWith(sp, `AuthnRequestsSigned="true"`, keyDescriptor("signing", der, "")+acsAt(bindingPost, sp.ACS[0], 0, "")), nil)
	const algorithm = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
	message, ask := w.request(sp, Ask{})
	octets := redirectQuery(t, message) + "&SigAlg=" + url.QueryEscape(algorithm)
	sum := sha256.Sum256([]byte(octets))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	raw := make([]byte, 64)
	r.FillBytes(raw[:32])
	s.FillBytes(raw[32:])
	w.check(t, w.raw(t, octets+"&Signature="+url.QueryEscape(base64.StdEncoding.EncodeToString(raw))), sp, ask, issued())
	raw[40] ^= 1
	message, _ = w.request(sp, Ask{})
	octets = redirectQuery(t, message) + "&SigAlg=" + url.QueryEscape(algorithm)
	w.checkHere(t, w.raw(t, octets+"&Signature="+url.QueryEscape(base64.StdEncoding.EncodeToString(raw))), "bad_signature")
}

// keysStayHome looks for private key material in everything that the server says about its keys.
func (w *world) keysStayHome(t *testing.T) {
	keys, err := w.API.Keys(t.Context())
	if err != nil || len(keys.Items) == 0 {
		t.Fatal(keys, err)
	}
	listed, err := json.Marshal(keys)
	if err != nil {
		t.Fatal(err)
	}
	for _, said := range []string{string(listed), string(w.idp), string(w.cert), fmt.Sprint(w.Audit(t))} {
		if strings.Contains(said, "PRIVATE") || strings.Contains(strings.ToLower(said), "private_key") {
			t.Errorf("a private key in:\n%s", said)
		}
	}
}
