package idptest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	"github.com/russellhaering/goxmldsig/etreeutils"
)

const (
	xmlToolTimeout = 20 * time.Second
	signatureSpace = "http://www.w3.org/2000/09/xmldsig#"
)

// schemaDriver imports the schemas that a message may begin in; they import the rest.
const schemaDriver = `<?xml version="1.0" encoding="UTF-8"?>
<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:gatehouse:test">
  <import namespace="urn:oasis:names:tc:SAML:2.0:assertion" schemaLocation="%[1]s/opensaml/saml-schema-assertion-2.0.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:2.0:protocol" schemaLocation="%[1]s/opensaml/saml-schema-protocol-2.0.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:2.0:metadata" schemaLocation="%[1]s/opensaml/saml-schema-metadata-2.0.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp" schemaLocation="%[1]s/opensaml/saml-schema-ecp-2.0.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:2.0:profiles:attribute:X500" schemaLocation="%[1]s/opensaml/saml-schema-x500-2.0.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:metadata:ui" schemaLocation="%[1]s/opensaml/sstc-saml-metadata-ui-v1.0.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:metadata:algsupport" schemaLocation="%[1]s/opensaml/sstc-saml-metadata-algsupport-v1.0.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:metadata:attribute" schemaLocation="%[1]s/opensaml/sstc-metadata-attr.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:metadata:rpi" schemaLocation="%[1]s/opensaml/saml-metadata-rpi-v1.0.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:profiles:SSO:request-init" schemaLocation="%[1]s/opensaml/sstc-request-initiation.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:profiles:SSO:idp-discovery-protocol" schemaLocation="%[1]s/opensaml/sstc-saml-idp-discovery.xsd"/>
  <import namespace="urn:oasis:names:tc:SAML:2.0:protocol:ext:async-slo" schemaLocation="%[1]s/opensaml/saml-async-slo-v1.0.xsd"/>
  <import namespace="http://schemas.xmlsoap.org/soap/envelope/" schemaLocation="%[1]s/xmltooling/soap-envelope.xsd"/>
  <import namespace="http://www.w3.org/2009/xmlenc11#" schemaLocation="%[1]s/xmltooling/xenc11-schema.xsd"/>
</schema>
`

// schemaCatalog leads the addresses that those schemas import to the files that Debian installs.
const schemaCatalog = `<?xml version="1.0" encoding="UTF-8"?>
<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog" prefer="system">
  <system systemId="http://www.w3.org/TR/2002/REC-xmldsig-core-20020212/xmldsig-core-schema.xsd" uri="%[1]s/xmltooling/xmldsig-core-schema.xsd"/>
  <system systemId="http://www.w3.org/TR/xmldsig-core/xmldsig-core-schema.xsd" uri="%[1]s/xmltooling/xmldsig-core-schema.xsd"/>
  <system systemId="http://www.w3.org/TR/2002/REC-xmlenc-core-20021210/xenc-schema.xsd" uri="%[1]s/xmltooling/xenc-schema.xsd"/>
  <system systemId="http://www.w3.org/2001/xml.xsd" uri="%[1]s/xmltooling/xml.xsd"/>
  <system systemId="http://schemas.xmlsoap.org/soap/envelope/" uri="%[1]s/xmltooling/soap-envelope.xsd"/>
</catalog>
`

// XML checks messages with tools that nobody here wrote: xmllint with the OASIS schemas, and xmlsec1.
type XML struct {
	dir string
}

// NewXML makes sure that the tools are there.
func NewXML(t testing.TB) *XML {
	t.Helper()
	Need(t, ToolSchemas, ToolXMLSec)
	x := &XML{dir: t.TempDir()}
	writeFiles(t, x.dir, 0o600, map[string][]byte{
		"driver.xsd":  fmt.Appendf(nil, schemaDriver, schemaFolder),
		"catalog.xml": fmt.Appendf(nil, schemaCatalog, schemaFolder),
	})
	return x
}

// Validate checks a message or metadata against the schemas of SAML 2.0, its metadata extensions, XML Signature, XML
// Encryption and SOAP. It never reads from the network.
func (x *XML) Validate(document []byte) error {
	file, remove, err := x.file(document)
	if err != nil {
		return err
	}
	defer remove()
	cmd := exec.Command("xmllint", "--nonet", "--noout", "--schema", filepath.Join(x.dir, "driver.xsd"), file)
	cmd.Env = append(os.Environ(), "XML_CATALOG_FILES="+filepath.Join(x.dir, "catalog.xml"))
	if out, err := runFor(cmd, xmlToolTimeout); err != nil {
		return fmt.Errorf("not valid: %s", complaints(out, file))
	}
	return nil
}

// complaints cuts what xmllint printed down to what it says about file.
func complaints(out, file string) string {
	var lines []string
	for line := range strings.Lines(out) {
		if about, ok := strings.CutPrefix(line, file); ok {
			lines = append(lines, "document"+strings.TrimRight(about, "\n"))
		}
	}
	if len(lines) == 0 {
		return lastLines(out, 5)
	}
	return strings.Join(lines, "\n")
}

// Verify checks each signature of document with xmlsec1 against certificate (PEM), and that each covers exactly the
// element it is in. It returns the local names of the signed elements in document order, such as Response, Assertion.
func (x *XML) Verify(document, certificate []byte) ([]string, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(document); err != nil {
		return nil, err
	}
	file, remove, err := x.file(document)
	if err != nil {
		return nil, err
	}
	defer remove()
	cert, removeCert, err := x.file(certificate)
	if err != nil {
		return nil, err
	}
	defer removeCert()
	var signed []string
	for _, signature := range signatures(doc.Root()) {
		parent := signature.Parent()
		if err := covers(signature, parent); err != nil {
			return signed, err
		}
		if err := x.verifyOne(file, cert, parent); err != nil {
			return signed, fmt.Errorf("signature of %s: %w", parent.Tag, err)
		}
		signed = append(signed, parent.Tag)
	}
	return signed, nil
}

// verifyOne runs xmlsec1 on the signature of parent, whose ID it names as an identifier.
func (x *XML) verifyOne(file, cert string, parent *etree.Element) error {
	id := parent.SelectAttrValue("ID", "")
	path := fmt.Sprintf("//*[@ID='%s']/*[local-name()='Signature' and namespace-uri()='%s']", id, signatureSpace)
	cmd := exec.Command("xmlsec1", "--verify", "--pubkey-cert-pem", cert, "--enabled-key-data", "rsa,ecdsa", "--enabled-reference-uris", "same-doc",
		"--id-attr:ID", parent.NamespaceURI()+":"+parent.Tag, "--node-xpath", path, file)
	out, err := runFor(cmd, xmlToolTimeout)
	if err != nil || !strings.Contains(out, "OK") {
		return fmt.Errorf("xmlsec1: %v: %s", err, lastLines(out, 4))
	}
	return nil
}

// covers reports whether the one reference of signature is to parent, as SAML demands (core 5.4.2).
func covers(signature, parent *etree.Element) error {
	references := signature.FindElements("./SignedInfo/Reference")
	id := parent.SelectAttrValue("ID", "")
	if len(references) != 1 || id == "" || references[0].SelectAttrValue("URI", "") != "#"+id {
		return fmt.Errorf("the signature in %s does not cover it", parent.Tag)
	}
	return nil
}

// signatures lists the XML signatures below root in document order.
func signatures(root *etree.Element) []*etree.Element {
	var found []*etree.Element
	for _, child := range root.ChildElements() {
		if child.Tag == "Signature" && child.NamespaceURI() == signatureSpace {
			found = append(found, child)
			continue
		}
		found = append(found, signatures(child)...)
	}
	return found
}

// Decrypt decrypts the first EncryptedAssertion or EncryptedID of document with xmlsec1 and the key (PEM), and returns what was in it.
func (x *XML) Decrypt(document, key []byte) ([]byte, error) {
	encrypted, err := encryptedData(document)
	if err != nil {
		return nil, err
	}
	file, remove, err := x.file(encrypted)
	if err != nil {
		return nil, err
	}
	defer remove()
	keyFile, removeKey, err := x.file(key)
	if err != nil {
		return nil, err
	}
	defer removeKey()
	plain := file + ".plain"
	defer os.Remove(plain)
	cmd := exec.Command("xmlsec1", "--decrypt", "--privkey-pem", keyFile, "--output", plain, file)
	if out, err := runFor(cmd, xmlToolTimeout); err != nil {
		return nil, fmt.Errorf("xmlsec1: %w: %s", err, lastLines(out, 4))
	}
	return os.ReadFile(plain)
}

// encryptedData cuts the EncryptedData of an assertion or name out of document, with the namespaces it stands in. On its own,
// because xmlsec1 would otherwise parse the plain text inside the response and drop namespaces that both declare.
func encryptedData(document []byte) ([]byte, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(document); err != nil {
		return nil, err
	}
	element := doc.FindElement("//EncryptedData")
	if element == nil {
		return nil, errors.New("there is no EncryptedData")
	}
	space, err := etreeutils.NSBuildParentContext(element)
	if err != nil {
		return nil, err
	}
	alone := etree.NewDocument()
	if element, err = etreeutils.NSDetatch(space, element); err != nil {
		return nil, err
	}
	alone.SetRoot(element)
	return alone.WriteToBytes()
}

// file writes data into a file of its own, for a tool that reads files.
func (x *XML) file(data []byte) (name string, remove func(), err error) {
	file, err := os.CreateTemp(x.dir, "")
	if err != nil {
		return "", nil, err
	}
	defer file.Close()
	_, err = file.Write(data)
	return file.Name(), func() { os.Remove(file.Name()) }, err
}
