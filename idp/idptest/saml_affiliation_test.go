package idptest

import (
	"crypto/x509"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

func TestSAMLSharedNames(t *testing.T) {
	t.Parallel()
	w := newLogoutWorld(t)
	t.Run("affiliations", func(t *testing.T) { w.affiliations(t) })
	t.Run("mapping", func(t *testing.T) { w.mappings(t) })
	w.everything(t)
}

// affiliations: members share a name when they ask for it, and keep their own besides.
func (w *logoutWorld) affiliations(t *testing.T) {
	const group = "https://affiliation.example.org/members"
	one, oneApp := w.names(t, "member-one")
	two, _ := w.names(t, "member-two")
	outside, _ := w.names(t, "outside")
	descriptor := `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="` + group + `"><AffiliationDescriptor affiliationOwnerID="https://owner.example.org"><AffiliateMember>` +
		one.EntityID + `</AffiliateMember><AffiliateMember>https://elsewhere.example.org</AffiliateMember></AffiliationDescriptor></EntityDescriptor>`
	t.Run("MDC-19 an AffiliationDescriptor names its members", func(t *testing.T) {
		w.set(t, one, "saml.affiliation", descriptor)
		if _, err := w.API.SetApp(t.Context(), two.EntityID, api.Change{Set: map[string]string{"saml.affiliation": descriptor}}); err == nil || !strings.Contains(err.Error(), "no member") {
			t.Errorf("an app that is not listed: %v", err)
		}
	})
	w.set(t, two, "saml.affiliation", group)
	ask := policy(`SPNameQualifier="` + group + `"`)
	c := w.signedIn(t, "ana")
	own := w.enter(t, c, one, oneApp).Text(pathNameID)
	first, second := w.issue(t, c, one, ask), w.issue(t, c, two, ask)
	t.Run("NID-11 REQ-33 MDC-19 members share a name", func(t *testing.T) {
		if first.Text(pathNameID) != second.Text(pathNameID) || first.Text(pathNameID) == own {
			t.Errorf("%s and %s, own %s", first.Text(pathNameID), second.Text(pathNameID), own)
		}
	})
	t.Run("NID-03 its SPNameQualifier is the affiliation", func(t *testing.T) {
		for _, r := range []*Response{first, second} {
			if r.Attr(pathNameID, "SPNameQualifier") != group || r.Attr(pathNameID, "NameQualifier") != w.URL+"/saml/metadata" {
				t.Errorf("qualifiers %q %q", r.Attr(pathNameID, "SPNameQualifier"), r.Attr(pathNameID, "NameQualifier"))
			}
		}
	})
	t.Run("REQ-33 nobody else gets it", func(t *testing.T) {
		ask := ask
		ask.ID = newRequestID()
		w.check(t, w.send(t, c, outside, ask, false), outside, ask, there("invalid_nameid_policy", "Requester", "InvalidNameIDPolicy"))
	})
	t.Run("NID-11 no single member ends the shared name", func(t *testing.T) {
		if status := w.manage(t, one, leaveOf(first).Name+terminate); status != "Requester/UnknownPrincipal" {
			t.Error(status)
		}
		if r := w.issue(t, c, two, ask); r.Text(pathNameID) != first.Text(pathNameID) {
			t.Error("the shared name changed")
		}
	})
	t.Run("REQ-33 not after the app left, also if the request waited", func(t *testing.T) {
		ask, anew := ask, w.browser(t)
		ask.ID = newRequestID()
		form := w.send(t, anew, one, ask, false)
		w.check(t, form, one, ask, signIn())
		w.set(t, one, "saml.affiliation", "default")
		w.check(t, anew.SignIn(form, "ana", Password), one, ask, there("invalid_nameid_policy", "Requester", "InvalidNameIDPolicy"))
	})
	t.Run("NID-11 SLO-06 logout by the shared name", func(t *testing.T) {
		cookie := w.cookie(t, c)
		if _, answer := w.bySOAP(t, two, leaveOf(second)); !strings.HasPrefix(answer.status(), "Success") || !w.over(t, cookie) {
			t.Errorf("%s, over %t", answer.status(), w.over(t, cookie))
		}
	})
}

// mappings: one app learns what another calls a person, sealed so that only the other can read it.
func (w *logoutWorld) mappings(t *testing.T) {
	asking, askingApp := w.names(t, "asking")
	other, keyless := w.newSP(t, "mapped"), w.sp(t, "keyless", nil)
	other.Encrypt = true
	otherApp := w.AddApp(t, other.Metadata(), map[string]string{"saml.encrypt": "never"})
	c, bob := w.signedIn(t, "ana"), w.signedIn(t, "bob")
	name := leaveOf(w.enter(t, c, asking, askingApp)).Name
	known := w.enter(t, c, other, otherApp).Text(pathNameID)
	unmapped := leaveOf(w.enter(t, bob, asking, askingApp)).Name
	want := func(sp *SP, more string) string {
		return `<samlp:NameIDPolicy SPNameQualifier="` + sp.EntityID + `" ` + more + `/>`
	}
	const tag = "NameIDMappingResponse"
	mapping := func(sp *SP, content string) string {
		t.Helper()
		return w.ask(t, sp, "NameIDMappingRequest", content, tag)
	}
	t.Run("NMP-02 only pairs that were allowed, for people or not", func(t *testing.T) {
		for _, who := range []string{name, strings.Replace(name, "</saml:NameID>", "x</saml:NameID>", 1)} {
			if status := mapping(asking, who+want(other, "")); status != "Requester/RequestDenied" {
				t.Error(status)
			}
		}
		w.set(t, asking, "saml.may_map_to", other.EntityID+",https://keyless.example.org/saml")
		if status := mapping(other, name+want(asking, "")); status != "Requester/RequestDenied" {
			t.Errorf("the other way round: %s", status)
		}
		text, _ := asking.request("NameIDMappingRequest", w.soap, name+want(other, ""))
		if status, answer := w.postSOAP(t, w.soap, inEnvelope(text)); status != 400 || answer.Element == nil || answer.Tag != "Fault" {
			t.Errorf("unsigned: %d", status)
		}
	})
	t.Run("NMP-01 the name, for the other app only", func(t *testing.T) {
		answer := w.asked(t, asking, "NameIDMappingRequest", name+want(other, `Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"`), tag)
		if answer.status() != "Success" || strings.Contains(string(answer.raw), known) {
			t.Fatalf("%s", answer.raw)
		}
		der, err := x509.MarshalPKCS8PrivateKey(other.Key)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := w.xml.Decrypt(answer.raw, keyPEM(der))
		if err != nil {
			t.Fatal(err)
		}
		plain := etree.NewDocument()
		if err := plain.ReadFromBytes(opened); err != nil {
			t.Fatal(err)
		}
		id := plain.FindElement("//NameID")
		if id == nil || id.Text() != known || id.SelectAttrValue("SPNameQualifier", "") != other.EntityID {
			t.Errorf("the other app reads %v", id)
		}
		if entry := w.newest(t, "nameid"); entry.Facts["action"] != "map" || entry.User.Name != "ana" {
			t.Errorf("audit %+v", entry)
		}
	})
	t.Run("NMP-02 each message once", func(t *testing.T) {
		text, _ := asking.request("NameIDMappingRequest", w.soap, name+want(other, ""))
		signed := inEnvelope(asking.SignXML(text))
		for _, want := range []string{"Success", "Requester"} {
			if _, answer := w.postSOAP(t, w.soap, signed); answer.Element == nil || answer.status() != want || (answer.FindElement("//EncryptedID") != nil) != (want == "Success") {
				t.Errorf("want %s: %s", want, answer.raw)
			}
		}
	})
	t.Run("NMP-03 whom or what there is no name for", func(t *testing.T) {
		for what, row := range map[string][2]string{
			"who was never there":  {unmapped + want(other, ""), "Requester/UnknownPrincipal"},
			"an unknown name":      {strings.Replace(name, "</saml:NameID>", "x</saml:NameID>", 1) + want(other, ""), "Requester/UnknownPrincipal"},
			"another format":       {name + want(other, `Format="urn:oasis:names:tc:SAML:2.0:nameid-format:transient"`), "Requester/InvalidNameIDPolicy"},
			"an app without a key": {name + want(keyless, ""), "Responder/RequestDenied"},
			"no policy":            {name, "Requester"},
		} {
			if status := mapping(asking, row[0]); status != row[1] {
				t.Errorf("%s: %s, want %s", what, status, row[1])
			}
		}
	})
}
