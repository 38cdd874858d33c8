package idptest

import (
	"bytes"
	"compress/flate"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/crewjam/saml"
	"github.com/crewjam/saml/samlsp"
	dsig "github.com/russellhaering/goxmldsig"
)

// standIn is a small identity provider made with crewjam's pieces, to prove the peers without Gatehouse. It signs Ana in
// without asking and encrypts with AES-128-GCM and RSA-OAEP when encryptFor is set.
type standIn struct {
	*httptest.Server
	idp        *saml.IdentityProvider
	key        Key
	sp         *saml.EntityDescriptor
	encryptFor *rsa.PublicKey
	lastQuery  string // raw query of the last AuthnRequest
	lastXML    []byte // last response
}

func newStandIn(t *testing.T) *standIn {
	s := &standIn{key: NewKey(t, "stand-in")}
	mux := http.NewServeMux()
	mux.HandleFunc("/sso", s.sso)
	mux.HandleFunc("/launch", s.launch)
	mux.HandleFunc("/metadata", func(w http.ResponseWriter, r *http.Request) { w.Write(s.metadata(t)) })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	block, _ := pem.Decode(s.key.Private)
	private, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode(s.key.Certificate)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	base, _ := url.Parse(s.URL)
	s.idp = &saml.IdentityProvider{Key: private, Certificate: cert, MetadataURL: *base.JoinPath("metadata"), SSOURL: *base.JoinPath("sso"),
		ServiceProviderProvider: s, SignatureMethod: dsig.RSASHA256SignatureMethod}
	return s
}

func (s *standIn) metadata(t testing.TB) []byte {
	text, err := xml.Marshal(s.idp.Metadata())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// trust registers a service provider; only the last one counts.
func (s *standIn) trust(t testing.TB, metadata []byte) {
	entity, err := samlsp.ParseMetadata(metadata)
	if err != nil {
		t.Fatalf("service provider's metadata: %v\n%s", err, metadata)
	}
	s.sp = entity
}

// encrypt makes the answers encrypted for a peer's certificate (PEM).
func (s *standIn) encrypt(t testing.TB, certificate []byte) {
	block, _ := pem.Decode(certificate)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	s.encryptFor = cert.PublicKey.(*rsa.PublicKey)
}

// GetServiceProvider is what crewjam asks. Keys are hidden from it, because it would encrypt in its own way.
func (s *standIn) GetServiceProvider(_ *http.Request, id string) (*saml.EntityDescriptor, error) {
	if s.sp == nil || s.sp.EntityID != id {
		return nil, os.ErrNotExist
	}
	entity := *s.sp
	entity.SPSSODescriptors = append([]saml.SPSSODescriptor(nil), entity.SPSSODescriptors...)
	entity.SPSSODescriptors[0].KeyDescriptors = nil
	return &entity, nil
}

func (s *standIn) sso(w http.ResponseWriter, r *http.Request) {
	s.lastQuery = r.URL.RawQuery
	req, err := saml.NewIdpAuthnRequest(s.idp, r)
	if err == nil {
		err = req.Validate()
	}
	s.finish(w, req, err)
}

func (s *standIn) launch(w http.ResponseWriter, r *http.Request) {
	entity, err := s.GetServiceProvider(r, s.sp.EntityID)
	role := &entity.SPSSODescriptors[0]
	s.finish(w, &saml.IdpAuthnRequest{IDP: s.idp, HTTPRequest: r, RelayState: r.FormValue("RelayState"), ServiceProviderMetadata: entity,
		SPSSODescriptor: role, ACSEndpoint: &role.AssertionConsumerServices[0], Now: time.Now()}, err)
}

// finish answers with the auto-post page.
func (s *standIn) finish(w http.ResponseWriter, req *saml.IdpAuthnRequest, err error) {
	if err == nil {
		ana := &saml.Session{ID: "1", Index: "s1", NameID: "ana", UserName: "ana", UserEmail: "ana+x@example.com", UserCommonName: `Ana <"O'Neil"> & Žofie`}
		err = saml.DefaultAssertionMaker{}.MakeAssertion(req, ana)
	}
	if err == nil {
		req.Assertion.Subject.SubjectConfirmations[0].SubjectConfirmationData.Address = ""
		err = req.MakeAssertionEl()
	}
	if err == nil && s.encryptFor != nil {
		req.AssertionEl, err = encryptGCM(req.AssertionEl, s.encryptFor)
	}
	if err == nil {
		err = req.MakeResponse()
	}
	if err == nil {
		doc := etree.NewDocument()
		doc.SetRoot(req.ResponseEl.Copy())
		s.lastXML, err = doc.WriteToBytes()
	}
	if err == nil {
		err = req.WriteResponse(w)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

// encryptGCM is XML Encryption 1.1 with AES-128-GCM and rsa-oaep-mgf1p with SHA-1.
func encryptGCM(assertion *etree.Element, public *rsa.PublicKey) (*etree.Element, error) {
	doc := etree.NewDocument()
	doc.SetRoot(assertion.Copy())
	doc.Root().CreateAttr("xmlns:xs", "http://www.w3.org/2001/XMLSchema") // crewjam declares it on the Response only
	plain, err := doc.WriteToBytes()
	if err != nil {
		return nil, err
	}
	key, nonce := make([]byte, 16), make([]byte, 12)
	rand.Read(key)
	rand.Read(nonce)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	wrapped, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, public, key, nil)
	if err != nil {
		return nil, err
	}
	out := etree.NewDocument()
	err = out.ReadFromString(fmt.Sprintf(`<saml:EncryptedAssertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">`+
		`<xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element">`+
		`<xenc:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes128-gcm"/><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">`+
		`<xenc:EncryptedKey><xenc:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/>`+
		`<xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo>`+
		`<xenc:CipherData><xenc:CipherValue>%s</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData></saml:EncryptedAssertion>`,
		base64.StdEncoding.EncodeToString(wrapped), base64.StdEncoding.EncodeToString(gcm.Seal(nonce, nonce, plain, nil))))
	return out.Root(), err
}

// inflate decodes the SAMLRequest of a Redirect query.
func inflate(t testing.TB, query string) []byte {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(values.Get("SAMLRequest") + values.Get("SAMLResponse")) // one of them
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(flate.NewReader(bytes.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
