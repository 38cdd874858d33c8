package idptest

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
)

// resolve exchanges an artifact as the service provider, at the server's resolution service.
func (w *logoutWorld) resolve(t *testing.T, sp *SP, artifact string, sign bool) (int, message) {
	t.Helper()
	sp.t = t
	endpoint := w.URL + "/saml/artifact"
	text := fmt.Sprintf(`<samlp:ArtifactResolve xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" Version="2.0" ID="%s" IssueInstant="%s" Destination="%s"><saml:Issuer>%s</saml:Issuer><samlp:Artifact>%s</samlp:Artifact></samlp:ArtifactResolve>`,
		newRequestID(), sp.instant(), endpoint, sp.EntityID, artifact)
	if sign {
		text = sp.SignXML(text)
	}
	return w.postSOAP(t, endpoint, inEnvelope(text))
}

// inside is the Response in an ArtifactResponse, taken out with the namespaces that it leans on; nil: there is none.
func inside(t *testing.T, answer message) *Response {
	t.Helper()
	if answer.Element == nil || answer.Tag != "ArtifactResponse" || answer.status() != "Success" {
		t.Fatalf("no ArtifactResponse with Success: %+v", answer)
	}
	found := answer.FindElement("./Response")
	if found == nil {
		return nil
	}
	alone := found.Copy()
	alone.CreateAttr("xmlns:samlp", "urn:oasis:names:tc:SAML:2.0:protocol")
	doc := etree.NewDocumentWithRoot(alone)
	raw, err := doc.WriteToBytes()
	if err != nil {
		t.Fatal(err)
	}
	return &Response{Root: alone, XML: raw}
}

func TestSAMLArtifact(t *testing.T) {
	t.Parallel()
	w := newLogoutWorld(t)
	sp := w.newSP(t, "artifacts")
	acs := "https://artifacts.example.org/artifact"
	w.AddApp(t, metadataWith(sp, "", keyDescriptor("signing", sp.DER, "")+acsAt(bindingPost, sp.ACS[0], 0, "")+acsAt(bindingArtifact, acs, 8, "")), nil)
	other, _ := w.leaver(t, "other-artifacts")
	c := w.signedIn(t, "ana")
	artifact := func(t *testing.T, wish string) (string, string, *string) {
		t.Helper()
		ask := Ask{ID: newRequestID(), Attributes: wish, RelayState: relay("to/here")}
		page := w.send(t, c, sp, ask, false)
		value, ok := page.LookupField("SAMLart")
		if !ok || page.Action() != acs {
			t.Fatalf("no artifact for %s on %s:\n%s", page.Action(), page.URL, page.Body)
		}
		state := page.Field("RelayState")
		return value, ask.ID, &state
	}
	byBinding := `ProtocolBinding="` + bindingArtifact + `"`
	t.Run("ART-01 ART-02 ART-04 REQ-14 REQ-15 by binding, index and URL", func(t *testing.T) {
		for _, wish := range []string{byBinding, `AssertionConsumerServiceIndex="8"`, byBinding + ` AssertionConsumerServiceURL="` + acs + `"`} {
			value, id, state := artifact(t, wish)
			raw, err := base64.StdEncoding.DecodeString(value)
			source := sha1.Sum([]byte(w.URL + "/saml/metadata"))
			if err != nil || len(raw) != 44 || string(raw[:4]) != "\x00\x04\x00\x00" || string(raw[4:24]) != string(source[:]) || *state != "to/here" {
				t.Errorf("artifact %x, RelayState %q", raw, *state)
			}
			status, answer := w.resolve(t, sp, value, true)
			if status != 200 {
				t.Fatal(status)
			}
			response := inside(t, answer)
			if response == nil || response.Root.SelectAttrValue("InResponseTo", "") != id || response.Root.SelectAttrValue("Destination", "") != acs || response.Attr("./Assertion/Subject/SubjectConfirmation/SubjectConfirmationData", "Recipient") != acs {
				t.Fatalf("not the answer: %s", answer.raw)
			}
			w.xmlsec(t, answer.raw, "ArtifactResponse", "Response", "Assertion")
			w.xmlsec(t, response.XML, "Response", "Assertion")
			w.sent = append(w.sent, &Response{Root: answer.Element, XML: answer.raw})
		}
	})
	t.Run("ART-03 the resolution service in the metadata", func(t *testing.T) {
		want := `<md:ArtifactResolutionService Binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP" Location="` + w.URL + `/saml/artifact" index="0" isDefault="true">`
		if !strings.Contains(string(w.idp), want) {
			t.Errorf("the metadata has no %s", want)
		}
	})
	t.Run("ART-06 once", func(t *testing.T) {
		value, _, _ := artifact(t, byBinding)
		_, first := w.resolve(t, sp, value, true)
		_, second := w.resolve(t, sp, value, true)
		if inside(t, first) == nil || inside(t, second) != nil {
			t.Error("not exactly once")
		}
		if entry := w.newest(t, "artifact"); entry.Outcome != "refused" || entry.Reason != "unknown_artifact" {
			t.Errorf("audit %+v", entry)
		}
	})
	t.Run("ART-09 SOAP at the resolution service", func(t *testing.T) {
		value, _, _ := artifact(t, byBinding)
		w.artifactSOAP(t, sp, value)
	})
	t.Run("ART-13 the answer inside is signed", func(t *testing.T) {
		w.set(t, sp, "saml.sign", "assertion")
		value, _, _ := artifact(t, byBinding)
		_, answer := w.resolve(t, sp, value, true)
		w.xmlsec(t, answer.raw, "ArtifactResponse", "Assertion")
		w.xmlsec(t, inside(t, answer).XML, "Assertion")
		w.set(t, sp, "saml.sign", "default")
	})
	w.artifactsFor(t, sp, other, artifact)
	w.everything(t)
}

// artifactsFor: nobody but the app gets its answer, and not for long.
func (w *logoutWorld) artifactsFor(t *testing.T, sp, other *SP, artifact func(*testing.T, string) (string, string, *string)) {
	byBinding := `ProtocolBinding="` + bindingArtifact + `"`
	t.Run("ART-05 only the app that it is for, by its signature", func(t *testing.T) {
		value, _, _ := artifact(t, byBinding)
		if _, answer := w.resolve(t, other, value, true); inside(t, answer) != nil {
			t.Error("another app got it")
		}
		if status, _ := w.resolve(t, sp, value, false); status != 400 {
			t.Errorf("unsigned: %d", status)
		}
		thief := NewSP(t, "artifact-thief")
		thief.EntityID, thief.now = sp.EntityID, w.clock.now
		if status, _ := w.resolve(t, thief, value, true); status != 400 {
			t.Errorf("another key: %d", status)
		}
		if _, answer := w.resolve(t, sp, value, true); inside(t, answer) == nil {
			t.Error("the app itself does not get it any more")
		}
	})
	t.Run("ART-07 not after two minutes", func(t *testing.T) {
		value, _, _ := artifact(t, byBinding)
		w.clock.advance(2*time.Minute + time.Second)
		if _, answer := w.resolve(t, sp, value, true); inside(t, answer) != nil {
			t.Error("it is still good")
		}
	})
	t.Run("ART-08 unknown and malformed ones", func(t *testing.T) {
		for _, value := range []string{"", "x", "AAQAAA==", base64.StdEncoding.EncodeToString(make([]byte, 44)), strings.Repeat("A", 4000)} {
			if status, answer := w.resolve(t, sp, value, true); status != 200 || inside(t, answer) != nil {
				t.Errorf("%.20q: %d", value, status)
			}
		}
	})
	t.Run("ART-01 a refusal goes by artifact too", func(t *testing.T) {
		w.set(t, sp, "policy.permitted_users", "preauthorized", "policy.profiles", "Contractors")
		value, _, _ := artifact(t, byBinding)
		_, answer := w.resolve(t, sp, value, true)
		if response := inside(t, answer); response == nil {
			t.Error("no answer")
		} else if top, nested := response.Status(); top != "Responder" || nested != "RequestDenied" {
			t.Errorf("%s/%s", top, nested)
		}
		w.set(t, sp, "policy.permitted_users", "all")
	})
	t.Run("ART-12 after a restart", func(t *testing.T) {
		value, _, _ := artifact(t, byBinding)
		w.Stop()
		w.Server = Start(t, Options{Dir: w.Dir, Now: w.clock.now})
		w.idp, _ = w.API.Metadata(t.Context(), "")
		if status, answer := w.resolve(t, sp, value, true); status != 200 || inside(t, answer) == nil {
			t.Errorf("%d: it is gone", status)
		}
	})
}

// artifactSOAP: faults are for what is wrong with SOAP itself, and SOAPAction is nobody's business.
func (w *logoutWorld) artifactSOAP(t *testing.T, sp *SP, value string) {
	endpoint := w.URL + "/saml/artifact"
	message := sp.SignXML(fmt.Sprintf(`<samlp:ArtifactResolve xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" Version="2.0" ID="%s" IssueInstant="%s"><saml:Issuer>%s</saml:Issuer><samlp:Artifact>%s</samlp:Artifact></samlp:ArtifactResolve>`,
		newRequestID(), sp.instant(), sp.EntityID, value))
	const open = `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/">`
	demanding := open + `<e:Header><x:y xmlns:x="urn:x" e:mustUnderstand="1"/></e:Header><e:Body>` + message + `</e:Body></e:Envelope>`
	for name, row := range map[string]struct {
		kind, body string
		status     int
		want       string
	}{
		"a header that must be understood": {"text/xml", demanding, 500, "MustUnderstand"},
		"another version of SOAP":          {"text/xml", strings.ReplaceAll(demanding, "http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2003/05/soap-envelope"), 500, "VersionMismatch"},
		"no envelope":                      {"text/xml", message, 400, "Client"},
		"a form":                           {"application/x-www-form-urlencoded", inEnvelope(message), 415, "Client"},
	} {
		if status, body := w.rawSOAP(t, endpoint, row.kind, "", row.body); status != row.status || !strings.Contains(body, row.want) || !strings.Contains(body, "Fault>") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	envelope := open + `<e:Header><x:y xmlns:x="urn:x"/></e:Header><e:Body>` + message + `</e:Body></e:Envelope>`
	if status, body := w.rawSOAP(t, endpoint, "text/xml; charset=utf-8", `"urn:whatever"`, envelope); status != 200 || !strings.Contains(body, "Assertion>") {
		t.Errorf("with a SOAPAction: %d %s", status, body)
	}
}

// rawSOAP posts a body and returns what comes back.
func (w *world) rawSOAP(t *testing.T, endpoint, kind, action, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", kind)
	if action != "" {
		request.Header.Set("SOAPAction", action)
	}
	response, err := oneHop("203.0.113.77").RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(answer)
}
