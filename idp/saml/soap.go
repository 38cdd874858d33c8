package saml

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
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

// understander reads a header of an envelope, and says whether it knows what it means.
type understander func(t *tree, at int32) bool

func noHeaders(*tree, int32) bool { return false }

// unwrapSOAP takes the one message out of an envelope. The namespaces that the envelope declares go along, so that the message
// canonicalises as it did inside.
func unwrapSOAP(envelope string, understand understander) (string, *soapFault) {
	t, err := parse(envelope, messageLimits)
	if err != nil {
		return "", &soapFault{"Client", "The body is not a well-formed SOAP message: " + err.Error() + "."}
	}
	if t.nodes[0].name != "Envelope" {
		return "", &soapFault{"Client", "This address takes SOAP 1.1 envelopes."}
	}
	if t.nodes[0].space != nsSOAP {
		return "", &soapFault{"VersionMismatch", "This address takes SOAP 1.1 envelopes."}
	}
	if header := t.child(0, nsSOAP, "Header"); header >= 0 {
		for at := t.nodes[header].first; at >= 0; at = t.nodes[at].next {
			if !understand(t, at) && t.demandsUnderstanding(at) {
				return "", &soapFault{"MustUnderstand", "The envelope has a header that is not understood here."}
			}
		}
	}
	body := t.child(0, nsSOAP, "Body")
	if body < 0 || t.nodes[body].first < 0 || t.nodes[t.nodes[body].first].next >= 0 {
		return "", &soapFault{"Client", "The envelope must hold one message."}
	}
	message, err := takeOut(envelope)
	if err != nil {
		return "", &soapFault{"Client", "The message in the envelope cannot be read."}
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

// faulted notes an error of SOAP itself and answers with its fault. SOAP 1.1, section 6.2, demands status 500 for it; what is no SOAP
// 1.1 at all, and so nothing that a SOAP client sent, gets 400.
func (h *Handlers) faulted(w http.ResponseWriter, r *http.Request, fault *soapFault) error {
	status := http.StatusInternalServerError
	if fault.code == "Client" {
		status = http.StatusBadRequest
	}
	h.Engine.Record(r, &web.Error{Status: http.StatusBadRequest, Reason: "soap_fault", Text: fault.text})
	return writeFaultAs(w, status, fault)
}

func writeFaultAs(w http.ResponseWriter, status int, fault *soapFault) error {
	web.NoStore(w.Header())
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	w.WriteHeader(status)
	body := append([]byte(nil), soapOpen+`<soap11:Fault><faultcode>soap11:`+fault.code+`</faultcode><faultstring>`...)
	body = appendText(body, strings.ToValidUTF8(fault.text, ""))
	_, err := w.Write(append(body, `</faultstring></soap11:Fault>`+soapClose...))
	return err
}

// overSOAP is for clients that are not browsers: what they send must say that it is XML, which a page of another website cannot say,
// and a refusal is a SOAP fault with the status that a page would have, never HTML.
func (h *Handlers) overSOAP(handle func(http.ResponseWriter, *http.Request) error) func(http.ResponseWriter, *http.Request) error {
	return func(w http.ResponseWriter, r *http.Request) error {
		err := errNotXML(r)
		if err == nil {
			err = handle(w, r)
		}
		var refused *web.Error
		if !errors.As(err, &refused) || refused.Status >= http.StatusInternalServerError && refused.Status != http.StatusServiceUnavailable {
			return err
		}
		if refused.Status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Basic realm="Gatehouse", charset="UTF-8"`)
		}
		if refused.RetryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int(refused.RetryAfter.Seconds())+1))
		}
		if refused.Code == "" && refused.Reason != reasonNoCredentials {
			h.Engine.Record(r, refused)
		}
		return writeFaultAs(w, refused.Status, &soapFault{"Client", refused.Text})
	}
}

// reasonNoCredentials is the first step of HTTP Basic, and nothing to note.
const reasonNoCredentials = "no_credentials"

func errNotXML(r *http.Request) error {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	xml := kind == "text/xml" || kind == "application/xml" || kind == "application/soap+xml" || kind == "application/vnd.paos+xml"
	if err == nil && xml && r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		return nil
	}
	return &web.Error{Status: http.StatusUnsupportedMediaType, Reason: "not_xml", Text: "This address is for programs: send a SOAP envelope with Content-Type: text/xml."}
}
