package idptest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatehouse/cmd/sampleapps"
)

const emailFormat = "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"

// visitor is a browser without JavaScript that presses the button of an auto-post form.
type visitor struct {
	*http.Client
	t *testing.T
}

func newVisitor(t *testing.T) *visitor {
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &visitor{&http.Client{Jar: jar}, t}
}

// open follows redirects and auto-post forms until a page is neither, and returns it.
func (v *visitor) open(address string) (status int, page string) {
	v.t.Helper()
	return v.rest(v.Get(address))
}

// rest goes on from an answer as open does.
func (v *visitor) rest(response *http.Response, err error) (status int, page string) {
	v.t.Helper()
	for range 5 {
		if err != nil {
			v.t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		action, fields := formOf(string(body))
		if fields.Get("SAMLResponse") == "" && fields.Get("SAMLRequest") == "" && fields.Get("SAMLart") == "" {
			return response.StatusCode, string(body)
		}
		response, err = v.PostForm(action, fields)
	}
	v.t.Fatal("the visit does not come to rest")
	return 0, ""
}

var (
	formPattern  = regexp.MustCompile(`(?i)<form[^>]* action="([^"]*)"`)
	inputPattern = regexp.MustCompile(`(?i)<input type="hidden" name="([^"]*)" value="([^"]*)"`)
)

func formOf(page string) (action string, fields url.Values) {
	fields = url.Values{}
	match := formPattern.FindStringSubmatch(page)
	if match == nil {
		return "", fields
	}
	for _, input := range inputPattern.FindAllStringSubmatch(page, -1) {
		fields.Set(input[1], html.UnescapeString(input[2]))
	}
	return html.UnescapeString(match[1]), fields
}

// checkRedirectSignature verifies the signature of a Redirect query over its raw bytes (bindings 3.4.4.1).
func checkRedirectSignature(t *testing.T, query string, certificate []byte) {
	t.Helper()
	block, _ := pem.Decode(certificate)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	raw := map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		name, _, _ := strings.Cut(pair, "=")
		raw[name] = pair
	}
	values, _ := url.ParseQuery(query)
	if alg := values.Get("SigAlg"); alg != "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256" {
		t.Fatalf("SigAlg is %q", alg)
	}
	signed := raw["SAMLRequest"] + "&"
	if raw["RelayState"] != "" {
		signed += raw["RelayState"] + "&"
	}
	hash := sha256.Sum256([]byte(signed + raw["SigAlg"]))
	signature, err := base64.StdEncoding.DecodeString(values.Get("Signature"))
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(cert.PublicKey.(*rsa.PublicKey), crypto.SHA256, hash[:], signature); err != nil {
		t.Errorf("redirect signature: %v", err)
	}
}

func TestMellonSignsIn(t *testing.T) {
	t.Parallel()
	tools := NewXML(t)
	idp := newStandIn(t)
	for name, opts := range map[string]MellonOptions{
		"signed request":   {},
		"unsigned request": {Unsigned: true},
		"encrypted answer": {Encrypt: true, NameIDFormat: emailFormat},
	} {
		t.Run(name, func(t *testing.T) {
			opts.IDPMetadata = idp.metadata(t)
			peer := StartMellon(t, opts)
			idp.trust(t, peer.Metadata)
			idp.encryptFor = nil
			if opts.Encrypt {
				idp.encrypt(t, peer.Key.Certificate)
			}
			_, page := newVisitor(t).open(peer.SecretURL)
			if person := MellonPerson([]byte(page)); person["NAME_ID"] == "" || person["urn:oid:2.5.4.3"] != `Ana <"O'Neil"> & Žofie` {
				t.Errorf("the protected page shows %v\n%s", person, peer.Log())
			}
			if !opts.Unsigned {
				checkRedirectSignature(t, idp.lastQuery, peer.Key.Certificate)
			}
			checkMessages(t, tools, peer.Metadata, inflate(t, idp.lastQuery))
			_, page = newVisitor(t).open(idp.URL + "/launch")
			if MellonPerson([]byte(page))["NAME_ID"] == "" {
				t.Errorf("IdP-initiated: %s\n%s", page, peer.Log())
			}
		})
	}
}

func TestNodeSAMLSignsIn(t *testing.T) {
	t.Parallel()
	tools := NewXML(t)
	idp := newStandIn(t)
	for name, opts := range map[string]NodeSAMLOptions{
		"unsigned request": {},
		"signed request":   {Sign: true, InResponseTo: "ifPresent"},
		"posted request":   {Sign: true, PostBinding: true, Options: map[string]any{"skipRequestCompression": true}}, // crewjam does not inflate
		"encrypted answer": {Encrypt: true},
	} {
		t.Run(name, func(t *testing.T) {
			opts.IDPMetadata = idp.metadata(t)
			peer := StartNodeSAML(t, opts)
			idp.trust(t, peer.Metadata)
			idp.encryptFor = nil
			if opts.Encrypt {
				idp.encrypt(t, peer.Key.Certificate)
			}
			_, page := newVisitor(t).open(peer.LoginURL + "?RelayState=/deep")
			var person NodeSAMLPerson
			if err := json.Unmarshal([]byte(page), &person); err != nil || person.NameID == "" || person.RelayState != "/deep" {
				t.Fatalf("the person is %+v: %v: %s", person, err, page)
			}
			if opts.Sign && !opts.PostBinding {
				checkRedirectSignature(t, idp.lastQuery, peer.Key.Certificate)
			}
			if !opts.PostBinding {
				checkMessages(t, tools, peer.Metadata, inflate(t, idp.lastQuery))
			}
			_, page = newVisitor(t).open(idp.URL + "/launch")
			if json.Unmarshal([]byte(page), &person) != nil || person.NameID == "" {
				t.Errorf("IdP-initiated: %s", page)
			}
		})
	}
}

// checkMessages validates a peer's metadata and request against the schemas.
func checkMessages(t *testing.T, tools *XML, documents ...[]byte) {
	t.Helper()
	for _, document := range documents {
		if err := tools.Validate(document); err != nil {
			t.Errorf("%v\n%s", err, document)
		}
	}
}

func TestSampleAppsSignIn(t *testing.T) {
	t.Parallel()
	tools := NewXML(t)
	idp := newStandIn(t)
	apps, err := sampleapps.Start(t.Context(), sampleapps.Config{MetadataURL: idp.URL + "/metadata"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(apps.Close)
	for _, app := range apps.List() {
		idp.trust(t, app.Metadata())
		checkMessages(t, tools, app.Metadata())
		block := pem.Block{Type: "CERTIFICATE"}
		block.Bytes, err = base64.StdEncoding.DecodeString(idp.sp.SPSSODescriptors[0].KeyDescriptors[0].KeyInfo.X509Data.X509Certificates[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		cert := pem.EncodeToMemory(&block)
		idp.encrypt(t, cert)
		status, page := newVisitor(t).open(app.SignInURL())
		if status != http.StatusOK || !strings.Contains(page, `id="nameid"`) || !strings.Contains(page, "Žofie") {
			t.Errorf("%s answers %d: %s", app.Name(), status, page)
		}
		checkRedirectSignature(t, idp.lastQuery, cert)
		checkMessages(t, tools, inflate(t, idp.lastQuery))
		_, page = newVisitor(t).open(idp.URL + "/launch?RelayState=https://evil.example/")
		if !strings.Contains(page, `id="nameid"`) {
			t.Errorf("IdP-initiated sign-on to %s: %s", app.Name(), page)
		}
	}
}
