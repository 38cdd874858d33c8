package idptest

import (
	"slices"
	"strings"
	"testing"

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

func TestSAMLChannelBindings(t *testing.T) {
	w := newWorld(t)
	add := func(name string, signs bool) *SP {
		sp := w.newSP(t, name)
		sp.Signed = signs
		w.AddApp(t, metadataWith(sp, "", keyDescriptor("signing", sp.DER, "")+acsAt(bindingPost, sp.ACS[0], 0, "")+acsAt(bindingPAOS, "https://"+name+".example.org/paos", 1, "")), map[string]string{"saml.ecp": "on"})
		return sp
	}
	signed, unsigned := add("channel", true), add("channel-unsigned", false)
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
	t.Run("ECP-05 neither names any", func(t *testing.T) {
		answer := in(signed, Ask{})
		if top, _ := answer.response(t).Status(); top != "Success" || strings.Contains(answer.body, "ChannelBindings") || strings.Contains(answer.body, "Advice") {
			t.Errorf("%s", answer.body)
		}
	})
	w.rows(t, []row{{name: "ECP-05 a browser has no channel to compare", sp: signed, ask: channelAsk(binding(endWith, octets), ""), post: true, want: there("channel_bindings", "Requester", "RequestDenied")}})
	w.everything(t)
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
