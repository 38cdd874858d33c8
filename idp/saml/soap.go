package saml

import (
	"errors"
	"mime"
	"net/http"
	"strings"

	"github.com/beevik/etree"

	"gatehouse/idp/web"
	"gatehouse/sp"
)

// nsSOAP is the namespace of SOAP 1.1, the only version that SAML's binding uses (bindings 3.2).
const nsSOAP = "http://schemas.xmlsoap.org/soap/envelope/"

const (
	soapOpen  = `<soap11:Envelope xmlns:soap11="` + nsSOAP + `"><soap11:Body>`
	soapClose = `</soap11:Body></soap11:Envelope>`
)

// soapFault is an error of SOAP itself; one of SAML is a SAML status inside an ordinary answer.
type soapFault struct{ code, text string }

// The fault codes (SOAP 1.1, section 4.4.1).
const (
	faultClient  = "Client"
	faultVersion = "VersionMismatch"
	faultHeader  = "MustUnderstand"
)

// understander reads a header of an envelope, and says whether it knows what it means.
type understander func(t *tree, at int32) bool

func noHeaders(*tree, int32) bool { return false }

// unwrapSOAP takes the one message out of an envelope. The namespaces that the envelope declares go along, so that the message
// canonicalises as it did inside.
func unwrapSOAP(envelope string, understand understander) (string, *soapFault) {
	t, err := parse(envelope, messageLimits)
	if err != nil {
		return "", &soapFault{faultClient, "The body is not a well-formed SOAP message: " + err.Error() + "."}
	}
	if t.nodes[0].name != "Envelope" {
		return "", &soapFault{faultClient, "This address takes SOAP 1.1 envelopes."}
	}
	if t.nodes[0].space != nsSOAP {
		return "", &soapFault{faultVersion, "This address takes SOAP 1.1 envelopes."}
	}
	if header := t.child(0, nsSOAP, "Header"); header >= 0 {
		for at := t.nodes[header].first; at >= 0; at = t.nodes[at].next {
			if !understand(t, at) && t.demandsUnderstanding(at) {
				return "", &soapFault{faultHeader, "The envelope has a header that is not understood here."}
			}
		}
	}
	body := t.child(0, nsSOAP, "Body")
	if body < 0 || t.nodes[body].first < 0 || t.nodes[t.nodes[body].first].next >= 0 {
		return "", &soapFault{faultClient, "The envelope must hold one message."}
	}
	message, err := takeOut(envelope)
	if err != nil {
		return "", &soapFault{faultClient, "The message in the envelope cannot be read."}
	}
	return message, nil
}

// demandsUnderstanding looks for mustUnderstand="1" on a header.
func (t *tree) demandsUnderstanding(at int32) bool {
	n := &t.nodes[at]
	for _, a := range t.attrs[n.attrFrom:n.attrTo] {
		if a.space == nsSOAP && a.name == "mustUnderstand" && (a.value == "1" || a.value == "true") {
			return true
		}
	}
	return false
}

// takeOut writes the element in the body of a well-formed envelope by itself.
func takeOut(envelope string) (string, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(envelope); err != nil {
		return "", err
	}
	var body *etree.Element
	for _, child := range doc.Root().ChildElements() {
		if child.Tag == "Body" {
			body = child
		}
	}
	if body == nil || len(body.ChildElements()) != 1 {
		return "", errors.New("there is not one message")
	}
	message := body.ChildElements()[0]
	for _, outer := range []*etree.Element{body, doc.Root()} {
		for _, a := range outer.Attr {
			declares := a.Space == "xmlns" || a.Space == "" && a.Key == "xmlns"
			if declares && message.SelectAttr(a.FullKey()) == nil {
				message.CreateAttr(a.FullKey(), a.Value)
			}
		}
	}
	alone := etree.NewDocumentWithRoot(message.Copy())
	alone.WriteSettings = etree.WriteSettings{CanonicalEndTags: true, CanonicalText: true, CanonicalAttrVal: true}
	return alone.WriteToString()
}

// decodeSOAP reads the message in an envelope.
func decodeSOAP(envelope, parameter string, understand understander) (*Message, *soapFault, *Problem) {
	source, fault := unwrapSOAP(envelope, understand)
	if fault != nil {
		return nil, fault, nil
	}
	m, problem := (&Message{Binding: sp.BindingSOAP, source: source}).read(parameter)
	return m, nil, problem
}

func wrapSOAP(message []byte) []byte {
	out := make([]byte, 0, len(message)+len(soapOpen)+len(soapClose))
	return append(append(append(out, soapOpen...), message...), soapClose...)
}

// writeSOAP answers with a message in an envelope.
func writeSOAP(w http.ResponseWriter, message []byte) error {
	web.NoStore(w.Header())
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	_, err := w.Write(wrapSOAP(message))
	return err
}

// Fault is the form of errors for clients that speak SOAP: a fault of theirs, or with 5xx of ours (SOAP 1.1, section 4.4.1). What is SOAP
// but cannot be taken has status 500 (section 6.2).
func Fault(w http.ResponseWriter, e *web.Error, code string) {
	fault, status := e.Type, e.Status
	switch {
	case fault == faultVersion || fault == faultHeader:
		status = http.StatusInternalServerError
	case status >= http.StatusInternalServerError:
		fault = "Server"
	default:
		fault = faultClient
	}
	text := e.Text
	if code != "" {
		text += " (code " + code + ")"
	}
	web.NoStore(w.Header())
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	body := append([]byte(nil), soapOpen+`<soap11:Fault><faultcode>soap11:`+fault+`</faultcode><faultstring>`...)
	body = appendText(body, strings.ToValidUTF8(text, ""))
	_, _ = w.Write(append(body, `</faultstring></soap11:Fault>`+soapClose...)) // the client has gone away: nothing is left to tell it
}

func (f *soapFault) refused() *web.Error {
	return &web.Error{Status: http.StatusBadRequest, Reason: "soap_fault", Type: f.code, Text: f.text}
}

// overSOAP is for clients that are not browsers: what they send must say that it is XML, which a page of another website cannot say.
func overSOAP(handle web.HandlerFunc) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := errNotXML(r); err != nil {
			return err
		}
		return handle(w, r)
	}
}

func errNotXML(r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	xml := kind == "text/xml" || kind == "application/xml" || kind == "application/soap+xml" || kind == "application/vnd.paos+xml"
	if err == nil && xml && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		return nil
	}
	return &web.Error{Status: http.StatusUnsupportedMediaType, Reason: "not_xml", Text: "This address is for programs: send a SOAP envelope with Content-Type: text/xml."}
}
