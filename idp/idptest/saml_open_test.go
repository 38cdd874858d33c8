package idptest

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

// open decrypts an answer and verifies with xmlsec1 what was inside, byte for byte.
func (w *world) open(t *testing.T, r *Response, sp *SP) {
	t.Helper()
	plain := w.decrypt(t, r, sp)
	w.xmlsec(t, plain, "Assertion")
	if !strings.Contains(string(plain), "<saml:Assertion ") || r.Attr(pathData0, "Type") != "http://www.w3.org/2001/04/xmlenc#Element" {
		t.Errorf("Type %s of:\n%s", r.Attr(pathData0, "Type"), plain)
	}
}

// decrypt opens an answer with the app's key: with xmlsec1 where Debian's knows the key transport, which is MGF1P with
// SHA-1; else with Go's own OAEP, whose digest and mask are given apart.
func (w *world) decrypt(t *testing.T, r *Response, sp *SP) []byte {
	t.Helper()
	transport, digest := r.Attr(pathKey0+"/EncryptionMethod", "Algorithm"), r.Attr(pathKey0+"/EncryptionMethod/DigestMethod", "Algorithm")
	if transport != encOAEP || digest != hashSHA1 {
		return openGCM(t, r, sp)
	}
	der, err := x509.MarshalPKCS8PrivateKey(sp.Key)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := w.xml.Decrypt(r.XML, keyPEM(der))
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// openGCM reads the message's algorithms as XML Encryption 1.1 says: MGF1 is with SHA-1 unless an MGF element names another.
func openGCM(t *testing.T, r *Response, sp *SP) []byte {
	t.Helper()
	hashes := map[string]crypto.Hash{hashSHA1: crypto.SHA1, hashSHA2: crypto.SHA256, "": crypto.SHA1, "http://www.w3.org/2009/xmlenc11#mgf1sha256": crypto.SHA256}
	options := &rsa.OAEPOptions{
		Hash:    hashes[r.Attr(pathKey0+"/EncryptionMethod/DigestMethod", "Algorithm")],
		MGFHash: hashes[r.Attr(pathKey0+"/EncryptionMethod/MGF", "Algorithm")],
	}
	key, err := sp.Key.Decrypt(nil, fromBase64(t, r.Text(pathKey0+"/CipherData/CipherValue")), options)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	sealed := fromBase64(t, r.Text(pathData0+"/CipherData/CipherValue"))
	plain, err := gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], nil)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

func fromBase64(t *testing.T, text string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// verifyPSS checks what neither goxmldsig nor Debian's xmlsec1 can: RSA-PSS over the canonical SignedInfo, and its digest.
func (w *world) verifyPSS(t *testing.T, r *Response) {
	t.Helper()
	block, _ := pem.Decode(w.cert)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, signed := range []*etree.Element{r.Root.SelectElement("Assertion"), r.Root} {
		signature := signed.SelectElement("Signature")
		sum := sha256.Sum256(canonical(t, signature.SelectElement("SignedInfo")))
		value := fromBase64(t, signature.SelectElement("SignatureValue").Text())
		if err := rsa.VerifyPSS(certificate.PublicKey.(*rsa.PublicKey), crypto.SHA256, sum[:], value, nil); err != nil {
			t.Errorf("signature of %s: %v", signed.Tag, err)
		}
		bare := signed.Copy()
		bare.RemoveChild(bare.SelectElement("Signature"))
		sum = sha256.Sum256(canonical(t, bare))
		if got := signature.FindElement("./SignedInfo/Reference/DigestValue").Text(); got != base64.StdEncoding.EncodeToString(sum[:]) {
			t.Errorf("digest of %s: %s", signed.Tag, got)
		}
	}
}

func canonical(t *testing.T, e *etree.Element) []byte {
	t.Helper()
	space, err := etreeutils.NSBuildParentContext(e)
	if err != nil {
		t.Fatal(err)
	}
	alone, err := etreeutils.NSDetatch(space, e)
	if err != nil {
		t.Fatal(err)
	}
	octets, err := dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("").Canonicalize(alone)
	if err != nil {
		t.Fatal(err)
	}
	return octets
}
