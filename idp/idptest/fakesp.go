package idptest

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// SP is a service provider that sends what a test wants, also nonsense. It has no listener: tests carry the messages.
type SP struct {
	EntityID string
	ACS      []string
	Signed   bool // its metadata says AuthnRequestsSigned, and it signs
	Key      *rsa.PrivateKey
	DER      []byte
	Encrypt  bool // its metadata has an encryption key
	SLO      []sloService
	NID      []sloService // ManageNameIDService
	t        testing.TB
	now      func() time.Time // nil: the true time
}

// NewSP makes a service provider with a key of its own; the name becomes its host.
func NewSP(t testing.TB, name string) *SP {
	t.Helper()
	key, err := partyKeys.take(t)
	if err != nil {
		t.Fatal(err)
	}
	return spWith(t, name, key)
}

// spWith is NewSP with a certain key.
func spWith(t testing.TB, name string, key *rsa.PrivateKey) *SP {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(2, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	base := "https://" + name + ".example.org"
	return &SP{EntityID: base + "/saml", ACS: []string{base + "/acs"}, Key: key, DER: der, t: t}
}

// Metadata describes the service provider.
func (sp *SP) Metadata() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="%s">`, sp.EntityID)
	fmt.Fprintf(&b, `<SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol" AuthnRequestsSigned="%t">`, sp.Signed)
	uses := []string{"signing"}
	if sp.Encrypt {
		uses = append(uses, "encryption")
	}
	for _, use := range uses {
		fmt.Fprintf(&b, `<KeyDescriptor use="%s"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>%s</X509Certificate></X509Data></KeyInfo></KeyDescriptor>`,
			use, base64.StdEncoding.EncodeToString(sp.DER))
	}
	for _, service := range sp.SLO {
		b.WriteString(service.xml())
	}
	for _, service := range sp.NID {
		b.WriteString(strings.Replace(service.xml(), "SingleLogoutService", "ManageNameIDService", 1))
	}
	for i, acs := range sp.ACS {
		fmt.Fprintf(&b, `<AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="%s" index="%d"/>`, acs, i)
	}
	b.WriteString(`</SPSSODescriptor></EntityDescriptor>`)
	return []byte(b.String())
}

func newRequestID() string { return "_" + rand.Text() }

// Ask is an AuthnRequest; zero fields are left out of it, save ID, Issuer, IssueInstant and Destination, which "-" leaves out.
type Ask struct {
	ID, Issuer, Instant, Destination string
	Attributes                       string // more attributes of the root, as XML
	Body                             string // more content behind the Issuer, as XML
	Header                           string // header blocks of the SOAP envelope, if there is one, as XML
	RelayState                       *string
}

// Request writes an AuthnRequest for an endpoint.
func (sp *SP) Request(endpoint string, ask Ask) string {
	id := ask.ID
	if id == "" {
		id = newRequestID()
	}
	var b strings.Builder
	b.WriteString(`<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" Version="2.0"`)
	for _, one := range [][3]string{
		{"ID", id, id}, {"IssueInstant", ask.Instant, time.Now().UTC().Format("2006-01-02T15:04:05Z")},
		{"Destination", ask.Destination, endpoint},
	} {
		value := one[1]
		if value == "" {
			value = one[2]
		}
		if value != "-" {
			fmt.Fprintf(&b, ` %s="%s"`, one[0], value)
		}
	}
	b.WriteString(" " + ask.Attributes + ">")
	if ask.Issuer == "" {
		ask.Issuer = sp.EntityID
	}
	if ask.Issuer != "-" {
		b.WriteString("<saml:Issuer>" + ask.Issuer + "</saml:Issuer>")
	}
	b.WriteString(ask.Body + "</samlp:AuthnRequest>")
	return b.String()
}

// RedirectURL is the request as HTTP-Redirect carries it, signed if the service provider signs.
func (sp *SP) RedirectURL(endpoint string, ask Ask) string {
	sp.t.Helper()
	return sp.redirectTo(endpoint, "SAMLRequest", sp.Request(endpoint, ask), ask.RelayState, sp.Signed)
}

// SignQuery adds SigAlg and Signature (RSA-SHA256) to a query.
func (sp *SP) SignQuery(query string) string {
	sp.t.Helper()
	query += "&SigAlg=" + url.QueryEscape(dsig.RSASHA256SignatureMethod)
	sum := sha256.Sum256([]byte(query))
	signature, err := rsa.SignPKCS1v15(rand.Reader, sp.Key, crypto.SHA256, sum[:])
	if err != nil {
		sp.t.Fatal(err)
	}
	return query + "&Signature=" + url.QueryEscape(base64.StdEncoding.EncodeToString(signature))
}

// PostForm is the request as HTTP-POST carries it, with an enveloped signature if the service provider signs.
func (sp *SP) PostForm(endpoint string, ask Ask) url.Values {
	sp.t.Helper()
	message := sp.Request(endpoint, ask)
	if sp.Signed {
		message = sp.SignXML(message)
	}
	form := url.Values{"SAMLRequest": {base64.StdEncoding.EncodeToString([]byte(message))}}
	if ask.RelayState != nil {
		form.Set("RelayState", *ask.RelayState)
	}
	return form
}

// SignXML envelopes a signature in a message, second after its Issuer.
func (sp *SP) SignXML(message string) string {
	sp.t.Helper()
	doc := etree.NewDocument()
	if err := doc.ReadFromString(message); err != nil {
		sp.t.Fatal(err)
	}
	signer, err := dsig.NewSigningContext(sp.Key, [][]byte{sp.DER})
	if err != nil {
		sp.t.Fatal(err)
	}
	signer.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	signature, err := signer.ConstructSignature(doc.Root(), true)
	if err != nil {
		sp.t.Fatal(err)
	}
	doc.Root().InsertChildAt(1, signature)
	signed, err := doc.WriteToString()
	if err != nil {
		sp.t.Fatal(err)
	}
	return signed
}
