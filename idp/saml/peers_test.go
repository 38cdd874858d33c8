package saml_test

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"gatehouse/idp/idptest"
)

var (
	formAction = regexp.MustCompile(`<form[^>]* action="([^"]*)"`)
	formInput  = regexp.MustCompile(`<input[^>]*name="([^"]*)"[^>]*`)
	inputValue = regexp.MustCompile(` value="([^"]*)"`)
)

// visitor is a browser that goes wherever it is sent, signs in when asked, and keeps the Responses that it carries.
type visitor struct {
	t         *testing.T
	client    *http.Client
	responses [][]byte
}

func newVisitor(t *testing.T) *visitor {
	jar, _ := cookiejar.New(nil)
	return &visitor{t: t, client: &http.Client{Jar: jar}}
}

// open follows redirects and forms until it comes to a page without either.
func (v *visitor) open(target string) string {
	v.t.Helper()
	response, err := v.client.Get(target)
	for range 8 {
		if err != nil {
			v.t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		form := v.form(string(body))
		if form == nil {
			return string(body)
		}
		action, err2 := response.Request.URL.Parse(html.UnescapeString(formAction.FindStringSubmatch(string(body))[1]))
		if err2 != nil {
			v.t.Fatal(err2)
		}
		response, err = v.client.PostForm(action.String(), form)
	}
	v.t.Fatal("the road does not end")
	return ""
}

// form is what a person would submit: SAML messages as they are, name and password when asked. Nil: nothing.
func (v *visitor) form(page string) url.Values {
	if !formAction.MatchString(page) {
		return nil
	}
	form := url.Values{}
	for _, input := range formInput.FindAllStringSubmatch(page, -1) {
		value := ""
		if found := inputValue.FindStringSubmatch(input[0]); found != nil {
			value = html.UnescapeString(found[1])
		}
		form.Set(input[1], value)
	}
	switch {
	case form.Has("SAMLResponse"):
		xml, err := base64.StdEncoding.DecodeString(form.Get("SAMLResponse"))
		if err != nil {
			v.t.Fatal(err)
		}
		v.responses = append(v.responses, xml)
	case form.Has("password"):
		for name := range form {
			if strings.Contains("username name user", name) {
				form.Set(name, "ana")
			}
		}
		form.Set("password", idptest.Password)
	case !form.Has("SAMLRequest"):
		return nil
	}
	return form
}

// checkResponses holds every carried Response against the schemas and xmlsec1.
func (v *visitor) checkResponses(tools *idptest.XML, metadata []byte, want int) {
	v.t.Helper()
	if len(v.responses) != want {
		v.t.Errorf("%d responses, want %d", len(v.responses), want)
	}
	for _, xml := range v.responses {
		if err := tools.Validate(xml); err != nil {
			v.t.Errorf("%v\n%s", err, xml)
		}
		if signed, err := tools.Verify(xml, []byte(idptest.PEMCertificates(v.t, metadata)[0])); err != nil || len(signed) == 0 {
			v.t.Errorf("%v %v\n%s", signed, err, xml)
		}
	}
}

// Two service providers that nobody here wrote sign a person in, started by them and by us, plain and encrypted.
func TestMellon(t *testing.T) {
	tools := idptest.NewXML(t)
	server := idptest.Start(t, idptest.Options{})
	server.AddPerson(t, "ana", "Employees")
	metadata := []byte(server.NewClient(t).Get("/saml/metadata").Body)
	for name, opts := range map[string]idptest.MellonOptions{
		"signed request": {}, "unsigned request": {Unsigned: true},
		"encrypted answer": {Encrypt: true, NameIDFormat: "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress"},
	} {
		t.Run(name, func(t *testing.T) {
			opts.IDPMetadata = metadata
			peer := idptest.StartMellon(t, opts)
			app := server.AddApp(t, peer.Metadata, map[string]string{"name": name})
			v := newVisitor(t)
			page := v.open(peer.SecretURL)
			person := idptest.MellonPerson([]byte(page))
			if person["NAME_ID"] == "" || person["urn:oid:0.9.2342.19200300.100.1.1"] != "ana" {
				t.Errorf("%v\n%s\n%s", person, page, peer.Log())
			}
			page = v.open(server.URL + "/launch/" + app.ID)
			if again := idptest.MellonPerson([]byte(page)); opts.NameIDFormat != "" && again["NAME_ID"] != person["NAME_ID"] {
				t.Errorf("IdP-initiated: %s\n%s", page, peer.Log())
			}
			v.checkResponses(tools, metadata, 2)
		})
	}
}

func TestNodeSAML(t *testing.T) {
	tools := idptest.NewXML(t)
	server := idptest.Start(t, idptest.Options{})
	server.AddPerson(t, "ana", "Employees")
	metadata := []byte(server.NewClient(t).Get("/saml/metadata").Body)
	for name, opts := range map[string]idptest.NodeSAMLOptions{
		"unsigned request": {}, "signed request": {Sign: true, InResponseTo: "ifPresent"}, "encrypted answer": {Encrypt: true},
		"posted and deflated": {Sign: true, PostBinding: true},
	} {
		t.Run(name, func(t *testing.T) {
			opts.IDPMetadata = metadata
			peer := idptest.StartNodeSAML(t, opts)
			app := server.AddApp(t, peer.Metadata, map[string]string{"name": name})
			v := newVisitor(t)
			for _, start := range []string{peer.LoginURL + "?RelayState=/deep", server.URL + "/launch/" + app.ID} {
				var person idptest.NodeSAMLPerson
				page := v.open(start)
				if err := json.Unmarshal([]byte(page), &person); err != nil || person.NameID != "ana@example.org" {
					t.Errorf("%s: %v: %s", start, err, page)
				}
			}
			v.checkResponses(tools, metadata, 2)
		})
	}
}
