package idptest

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/beevik/etree"

	"gatehouse/idp/api"
)

const (
	nsCB    = `xmlns:cb="urn:oasis:names:tc:SAML:protocol:ext:channel-binding"`
	endWith = "tls-server-end-point"
	octets  = "kJH0cGVt8dQyNw2bX1mT9lUO3a0rYx5vCz6eBf7gD4s="
	others  = "AAAAcGVt8dQyNw2bX1mT9lUO3a0rYx5vCz6eBf7gD4s="
)

// binding is one cb:ChannelBindings as an app names it, of a type and with its octets in base64.
func binding(kind, value string) string {
	return `<cb:ChannelBindings ` + nsCB + ` Type="` + kind + `">` + value + `</cb:ChannelBindings>`
}

// channelAsk is a request in which the app names what named holds, in the envelope of a client that names what seen holds.
func channelAsk(named, seen string) Ask {
	ask := Ask{ID: newRequestID(), Header: strings.ReplaceAll(seen, "<cb:ChannelBindings", `<cb:ChannelBindings S:mustUnderstand="1" S:actor="http://schemas.xmlsoap.org/soap/actor/next"`)}
	if named != "" {
		ask.Body = `<samlp:Extensions>` + named + `</samlp:Extensions>`
	}
	return ask
}

// ecpApp is an app for clients that are no browsers; use is that of a second key, if there is one, and encrypt the app's saml.encrypt.
func (w *world) ecpApp(t *testing.T, name string, signs bool, use, encrypt string) *SP {
	t.Helper()
	sp := w.newSP(t, name)
	sp.Signed = signs
	keys := keyDescriptor("signing", sp.DER, "")
	if use != "" {
		keys += keyDescriptor(use, sp.DER, "")
	}
	services := acsAt(bindingPost, sp.ACS[0], 0, "") + acsAt(bindingPAOS, "https://"+name+".example.org/paos", 1, "")
	w.AddApp(t, metadataWith(sp, "", keys+services), map[string]string{"saml.ecp": "on", "saml.encrypt": encrypt})
	return sp
}

func TestSAMLChannelBindings(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	signed, unsigned := w.ecpApp(t, "channel", true, "", "auto"), w.ecpApp(t, "channel-unsigned", false, "", "auto")
	in := func(sp *SP, ask Ask) *ecpAnswer { return w.ecp(t, sp, ask, "ana", Password, "198.51.100.7") }

	for name, seen := range map[string]string{
		"the same":                binding(endWith, octets),
		"in lines":                binding(endWith, "\n  "+octets[:20]+"\n  "+octets[20:]+"\n"),
		"and one of another type": binding("tls-exporter", others) + binding(endWith, octets),
	} {
		t.Run("ECP-05 bindings that match are stated to client and app: "+name, func(t *testing.T) {
			answer := in(signed, channelAsk(binding(endWith, octets), seen))
			response := answer.response(t)
			if answer.status != 200 || response == nil {
				t.Fatalf("%d: %s", answer.status, answer.body)
			}
			w.sent = append(w.sent, response)
			w.xmlsec(t, response.XML, "Response", "Assertion")
			header, advice := answer.envelope.FindElement("./Header/ChannelBindings"), response.Root.FindElement("./Assertion/Advice/ChannelBindings")
			if header == nil || advice == nil || header.Text() != octets || advice.Text() != octets || header.SelectAttrValue("Type", "") != endWith || advice.SelectAttrValue("Type", "") != endWith {
				t.Fatalf("%s", answer.body)
			}
			if header.SelectAttrValue("soap11:mustUnderstand", "") != "1" || header.SelectAttrValue("soap11:actor", "") != "http://schemas.xmlsoap.org/soap/actor/next" {
				t.Errorf("header %v", header.Attr)
			}
			if n := strings.Count(answer.body, "<cb:ChannelBindings"); n != 2 {
				t.Errorf("%d bindings are stated", n)
			}
			id := response.Root.SelectAttrValue("ID", "")
			if !slices.ContainsFunc(w.Audit(t), func(e api.AuditEntry) bool { return e.Facts["response"] == id && e.Facts["channel"] == endWith }) {
				t.Error("the audit does not say that the channel was compared")
			}
		})
	}
	for name, c := range map[string]struct {
		sp          *SP
		named, seen string
	}{
		"other octets":               {signed, binding(endWith, octets), binding(endWith, others)},
		"another type":               {signed, binding(endWith, octets), binding("tls-unique", octets)},
		"one of two":                 {signed, binding(endWith, octets) + binding("tls-exporter", others), binding(endWith, octets)},
		"the client names none":      {signed, binding(endWith, octets), ""},
		"the app names none":         {signed, "", binding(endWith, octets)},
		"the request is not signed":  {unsigned, binding(endWith, octets), binding(endWith, octets)},
		"not signed, and none seen":  {unsigned, binding(endWith, octets), ""},
		"neither signed nor by both": {unsigned, "", binding(endWith, octets)},
	} {
		t.Run("ECP-05 refused: "+name, func(t *testing.T) {
			answer := in(c.sp, channelAsk(c.named, c.seen))
			w.refused(t, answer, "channel_bindings", "Requester", "RequestDenied")
			if answer.envelope.FindElement("./Header/ChannelBindings") != nil {
				t.Error("a channel is stated that was not found alike")
			}
		})
	}
	w.noBindings(t, signed, in)
	t.Run("ECP-05 neither names any", func(t *testing.T) {
		answer := in(signed, Ask{})
		if top, _ := answer.response(t).Status(); top != "Success" || strings.Contains(answer.body, "ChannelBindings") || strings.Contains(answer.body, "Advice") {
			t.Errorf("%s", answer.body)
		}
	})
	w.rows(t, []row{{name: "ECP-05 a browser has no channel to compare", sp: signed, ask: channelAsk(binding(endWith, octets), ""), post: true, want: there("channel_bindings", "Requester", "RequestDenied")}})
	w.everything(t)
}

// noBindings: what is no binding is refused, whoever sent it.
func (w *world) noBindings(t *testing.T, signed *SP, in func(*SP, Ask) *ecpAnswer) {
	for name, ask := range map[string]Ask{
		"empty, by the client":          channelAsk(binding(endWith, octets), binding(endWith, "")),
		"no base64, by the client":      channelAsk(binding(endWith, octets), binding(endWith, "***")),
		"without a type, by the client": channelAsk(binding(endWith, octets), binding("", octets)),
		"no base64, by the app":         channelAsk(binding(endWith, "***"), binding(endWith, octets)),
		"nine, by the client":           channelAsk(binding(endWith, octets), strings.Repeat(binding(endWith, octets), 9)),
	} {
		t.Run("ECP-05 a binding that is none: "+name, func(t *testing.T) {
			w.refused(t, in(signed, ask), "invalid_request", "Requester", "")
		})
	}
}

// refused demands an error Response for a client that is no browser, and its reason in the audit.
func (w *world) refused(t *testing.T, answer *ecpAnswer, reason, top, nested string) {
	t.Helper()
	r := answer.response(t)
	if r == nil {
		t.Fatalf("%d: %s", answer.status, answer.body)
	}
	w.sent = append(w.sent, r)
	w.refusedFor(t, r, reason, top, nested)
}

func TestSAMLGeneratedKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	encrypted, plain := w.ecpApp(t, "ec", true, "encryption", "always"), w.ecpApp(t, "ec-plain", true, "", "auto")
	off := w.ecpApp(t, "ec-off", true, "encryption", "never")
	wish := `<ec:SessionKey xmlns:ec="urn:ietf:params:xml:ns:samlec" S:mustUnderstand="1" S:actor="http://schemas.xmlsoap.org/soap/actor/next"><ec:EncType>17</ec:EncType><ec:EncType>18</ec:EncType></ec:SessionKey>`
	in := func(sp *SP, ask Ask) *ecpAnswer { return w.ecp(t, sp, ask, "ana", Password, "198.51.100.8") }
	seen := map[string]bool{}
	for name, header := range map[string]string{"asked for": wish, "by itself": "", "beside a channel": wish} {
		t.Run("ECP-06 a key for client and app in an encrypted answer, "+name, func(t *testing.T) {
			ask, bindings := Ask{ID: newRequestID()}, 0
			if name == "beside a channel" {
				ask, bindings = channelAsk(binding(endWith, octets), binding(endWith, octets)), 1
			}
			ask.Header += header
			answer := in(encrypted, ask)
			response := answer.response(t)
			if answer.status != 200 || response == nil {
				t.Fatalf("%d: %s", answer.status, answer.body)
			}
			w.sent = append(w.sent, response)
			header := answer.envelope.FindElement("./Header/GeneratedKey")
			if header == nil || header.NamespaceURI() != "urn:ietf:params:xml:ns:samlec" || header.SelectAttrValue("soap11:actor", "") != "http://schemas.xmlsoap.org/soap/actor/next" || header.SelectAttr("soap11:mustUnderstand") != nil {
				t.Fatalf("%s", answer.body)
			}
			key, err := base64.StdEncoding.DecodeString(header.Text())
			if err != nil || len(key) != 32 || seen[header.Text()] {
				t.Errorf("the key is %q (%v), not 32 fresh bytes", header.Text(), err)
			}
			seen[header.Text()] = true
			if n := strings.Count(answer.body, header.Text()); n != 1 || answer.header.Get("Cache-Control") != "no-cache, no-store" {
				t.Errorf("the key is in clear %d times, %v", n, answer.header)
			}
			doc := etree.NewDocument()
			if err := doc.ReadFromBytes(w.decrypt(t, response, encrypted)); err != nil {
				t.Fatal(err)
			}
			advice := doc.FindElement("./Assertion/Advice")
			if advice == nil || advice.FindElement("./GeneratedKey") == nil || advice.FindElement("./GeneratedKey").Text() != header.Text() || len(advice.FindElements("./ChannelBindings")) != bindings {
				t.Errorf("the app reads another key: %v", advice)
			}
			for _, entry := range w.Audit(t) {
				for name, fact := range entry.Facts {
					if strings.Contains(fact, header.Text()) {
						t.Errorf("the audit keeps the key as %s", name)
					}
				}
			}
		})
	}
	for name, provider := range map[string]*SP{"no encryption key": plain, "encryption is off": off} {
		t.Run("ECP-06 refused where nothing is encrypted: "+name, func(t *testing.T) {
			answer := in(provider, Ask{Header: wish})
			w.refused(t, answer, "cannot_encrypt", "Responder", "RequestDenied")
			if strings.Contains(answer.body, "GeneratedKey") {
				t.Errorf("%s", answer.body)
			}
			answer = in(provider, Ask{})
			if top, _ := answer.response(t).Status(); top != "Success" || strings.Contains(answer.body, "GeneratedKey") {
				t.Errorf("without the wish: %s", answer.body)
			}
		})
	}
	t.Run("ECP-06 a browser shares no key", func(t *testing.T) {
		encrypted.Encrypt = true
		if r := w.issue(t, w.ana(t), encrypted, Ask{}); strings.Contains(string(w.decrypt(t, r, encrypted)), "Advice") {
			t.Error("an Advice for a browser")
		}
	})
	w.everything(t)
}
