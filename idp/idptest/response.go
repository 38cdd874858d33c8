package idptest

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

// Response is a SAML Response as a service provider reads it.
type Response struct {
	ACS        string
	RelayState *string // nil: the form had none
	XML        []byte
	Root       *etree.Element
}

// Response reads the auto-post form of a page; it fails the test when there is none.
func (p *Page) Response(t testing.TB) *Response {
	t.Helper()
	encoded, ok := p.LookupField("SAMLResponse")
	if !ok {
		t.Fatalf("no SAMLResponse on %s (%d):\n%s", p.URL, p.Status, p.Body)
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(raw); err != nil {
		t.Fatal(err)
	}
	response := &Response{ACS: p.Action(), XML: raw, Root: doc.Root()}
	if relay, ok := p.LookupField("RelayState"); ok {
		response.RelayState = &relay
	}
	return response
}

// Status is the top-level code and the nested one, without their URN prefix.
func (r *Response) Status() (top, nested string) {
	code := r.Root.FindElement("./Status/StatusCode")
	if code == nil {
		return "", ""
	}
	top = lastPart(code.SelectAttrValue("Value", ""))
	if inner := code.FindElement("./StatusCode"); inner != nil {
		nested = lastPart(inner.SelectAttrValue("Value", ""))
	}
	return top, nested
}

// Text is the content of the first element at an etree path below the Response, empty when there is none.
func (r *Response) Text(path string) string {
	if e := r.Root.FindElement(path); e != nil {
		return e.Text()
	}
	return ""
}

// Attr is an attribute of the first element at an etree path.
func (r *Response) Attr(path, name string) string {
	if e := r.Root.FindElement(path); e != nil {
		return e.SelectAttrValue(name, "")
	}
	return ""
}

// Attribute is the values of a released attribute.
func (r *Response) Attribute(name string) []string {
	var values []string
	for _, value := range r.Root.FindElements("./Assertion/AttributeStatement/Attribute[@Name='" + name + "']/AttributeValue") {
		values = append(values, value.Text())
	}
	return values
}

// Verify checks every signature against the certificates of the identity provider's metadata; there must be one at least.
func (r *Response) Verify(metadata []byte) error {
	store := &dsig.MemoryX509CertificateStore{}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(metadata); err != nil {
		return err
	}
	for _, e := range doc.FindElements("./EntityDescriptor/IDPSSODescriptor/KeyDescriptor/KeyInfo/X509Data/X509Certificate") {
		der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(e.Text()), ""))
		if err != nil {
			return err
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			return err
		}
		store.Roots = append(store.Roots, certificate)
	}
	signed := 0
	for _, e := range append([]*etree.Element{r.Root}, r.Root.FindElements("./Assertion")...) {
		if e.SelectElement("Signature") == nil {
			continue
		}
		signed++
		if _, err := dsig.NewDefaultValidationContext(store).Validate(e.Copy()); err != nil {
			return err
		}
	}
	if signed == 0 {
		return errors.New("nothing is signed")
	}
	return nil
}

func lastPart(urn string) string { return urn[strings.LastIndex(urn, ":")+1:] }
