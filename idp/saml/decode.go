package saml

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"gatehouse/sp"
)

// Message is a decoded message: one of the contents is set. Until Verify has seen it, it is only good for finding the app
// by its Issuer.
type Message struct {
	Binding       string // sp.BindingRedirect, sp.BindingPOST or sp.BindingSOAP
	Head          *Head  // of the content
	Request       *AuthnRequest
	Logout        *LogoutRequest
	LoggedOut     *LogoutResponse
	Resolve       *ArtifactResolve
	Manage        *ManageNameID
	Managed       *LogoutResponse // the answer to a ManageNameIDRequest of ours
	Mapping       *MappingRequest
	Query         *Query
	RelayState    string
	HasRelayState bool // an empty RelayState is not an absent one
	Signed        bool // set by Verify: a signature of the app covers the request

	client clientHeaders
	kind   string // the name of the root
	source string // the XML
	shape  *signatureShape
	query  redirectQuery
}

// redirectQuery holds the parameters exactly as they came: the signature is over these octets (bindings 3.4.4.1).
type redirectQuery struct {
	parameter                                            string // SAMLRequest or SAMLResponse
	message, relayState, sigAlg, signature, encoding     string
	hasMessage, hasRelay, hasAlg, hasSignature, hasCoded bool
}

// DecodeRedirect reads the raw query of an HTTP-Redirect message (bindings 3.4).
func DecodeRedirect(rawQuery string) (*Message, *Problem) {
	q, problem := readQuery(rawQuery)
	if problem != nil {
		return nil, problem
	}
	if q.hasCoded {
		encoding, err := url.QueryUnescape(q.encoding)
		if err != nil || encoding != "urn:oasis:names:tc:SAML:2.0:bindings:URL-Encoding:DEFLATE" {
			return nil, local(ReasonMalformed, "The app sent a message in an encoding that is not supported. It must use DEFLATE.").because("DEFLATE", encoding)
		}
	}
	if q.hasSignature != q.hasAlg {
		return nil, local(ReasonBadSignature, "The app sent only one of Signature and SigAlg. A signed request needs both.")
	}
	encoded, err := url.PathUnescape(q.message) // keeps +, which some apps leave as it is
	if err != nil {
		return nil, malformed(errors.New(q.parameter + " is not URL-encoded correctly"))
	}
	relayState, err := url.QueryUnescape(q.relayState)
	if err != nil {
		return nil, malformed(errors.New("RelayState is not URL-encoded correctly"))
	}
	source, problem := decodeBody(encoded, false)
	if problem != nil {
		return nil, problem
	}
	m := &Message{Binding: sp.BindingRedirect, RelayState: relayState, HasRelayState: q.hasRelay, source: source, query: q}
	return m.read(q.parameter)
}

// DecodePOST reads the form of an HTTP-POST message (bindings 3.5). Some apps deflate what they post: accepted.
func DecodePOST(form url.Values) (*Message, *Problem) {
	for name, values := range form {
		if len(values) > 1 && isSAMLParameter(name) {
			return nil, duplicate(name)
		}
	}
	parameter, problem := parameterOf(form)
	if problem != nil {
		return nil, problem
	}
	if form.Has("Signature") || form.Has("SigAlg") { // HTTP-POST-SimpleSign: a signature that nobody would check
		return nil, local(ReasonBadSignature, "The app signed the form instead of the message in it (SimpleSign), which is not supported. Let it sign the message by an XML signature.")
	}
	source, problem := decodeBody(form.Get(parameter), true)
	if problem != nil {
		return nil, problem
	}
	m := &Message{Binding: sp.BindingPOST, RelayState: form.Get("RelayState"), HasRelayState: form.Has("RelayState"), source: source}
	return m.read(parameter)
}

// parameterOf is the one control that carries the message.
func parameterOf(form url.Values) (string, *Problem) {
	switch request, response := form.Has(inRequest), form.Has(inResponse); {
	case request && response:
		return "", duplicate("SAMLRequest or SAMLResponse")
	case request:
		return inRequest, nil
	case response:
		return inResponse, nil
	}
	return "", missingRequest()
}

// read takes the message through the gate. The parameter that it came in says whether it is a request or a response.
func (m *Message) read(parameter string) (*Message, *Problem) {
	t, shape, problem := gate(m.source)
	if problem != nil {
		return nil, problem
	}
	m.shape = shape
	if !utf8.ValidString(m.RelayState) || strings.IndexByte(m.RelayState, 0) >= 0 {
		return nil, malformed(errors.New("RelayState is not text, so it could not be given back as it came"))
	}
	if problem = m.readContent(t); problem != nil {
		return nil, problem
	}
	if (m.LoggedOut != nil || m.Managed != nil) != (parameter == inResponse) {
		return nil, wrongMessage(t.nodes[0].name)
	}
	return m, nil
}

// readContent reads the message itself from a gated tree.
func (m *Message) readContent(t *tree) *Problem {
	name := t.nodes[0].name
	if t.nodes[0].space != nsProtocol || !slices.Contains(messageNames[:], name) {
		return wrongMessage(name)
	}
	head, problem := readHead(t)
	if problem != nil {
		return problem
	}
	switch name {
	case "AuthnRequest":
		m.Request = readRequest(t, head)
		m.Head = &m.Request.Head
	case "LogoutRequest":
		m.Logout = readLogoutRequest(t, head)
		m.Head = &m.Logout.Head
	case "ArtifactResolve":
		m.Resolve = readArtifactResolve(t, head)
		m.Head = &m.Resolve.Head
	case "LogoutResponse":
		m.LoggedOut = readLogoutResponse(t, head)
		m.Head = &m.LoggedOut.Head
	default:
		m.readNames(t, name, head)
	}
	m.kind = name
	return nil
}

// readNames reads the messages about names, and those that are only understood.
func (m *Message) readNames(t *tree, name string, head Head) {
	switch name {
	case "ManageNameIDRequest":
		m.Manage = readManage(t, head)
		m.Head = &m.Manage.Head
	case "ManageNameIDResponse":
		m.Managed = readLogoutResponse(t, head)
		m.Head = &m.Managed.Head
	case "NameIDMappingRequest":
		m.Mapping = readMapping(t, head)
		m.Head = &m.Mapping.Head
	default:
		m.Query = &Query{head}
		m.Head = &m.Query.Head
	}
}

// messageNames are the messages that are taken at all; each endpoint takes some of them.
var messageNames = [...]string{"AuthnRequest", "LogoutRequest", "LogoutResponse", "ArtifactResolve",
	"ManageNameIDRequest", "ManageNameIDResponse", "NameIDMappingRequest", "AttributeQuery", "AuthnQuery", "AuthzDecisionQuery", "AssertionIDRequest"}

// readQuery takes the query apart without decoding values. A parameter that occurs twice is refused: whoever reads the
// first and whoever verifies the second would not mean the same message.
func readQuery(raw string) (q redirectQuery, problem *Problem) {
	for len(raw) > 0 {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		name, value, _ := strings.Cut(pair, "=")
		if strings.IndexByte(name, '%') >= 0 {
			if plain, err := url.QueryUnescape(name); err == nil {
				name = plain
			}
		}
		var into *string
		var seen *bool
		switch name {
		case inRequest, inResponse:
			if q.hasMessage && q.parameter != name {
				return q, duplicate("SAMLRequest or SAMLResponse")
			}
			q.parameter = name
			into, seen = &q.message, &q.hasMessage
		case "RelayState":
			into, seen = &q.relayState, &q.hasRelay
		case "SigAlg":
			into, seen = &q.sigAlg, &q.hasAlg
		case "Signature":
			into, seen = &q.signature, &q.hasSignature
		case "SAMLEncoding":
			into, seen = &q.encoding, &q.hasCoded
		default:
			continue
		}
		if *seen {
			return q, duplicate(name)
		}
		*into, *seen = value, true
	}
	if !q.hasMessage {
		return q, missingRequest()
	}
	return q, nil
}

// The parameters that carry a message.
const (
	inRequest  = "SAMLRequest"
	inResponse = "SAMLResponse"
)

func isSAMLParameter(name string) bool {
	switch name {
	case inRequest, inResponse, "RelayState", "SigAlg", "Signature", "SAMLEncoding":
		return true
	}
	return false
}

func duplicate(name string) *Problem {
	return local(ReasonDuplicate, "The app sent "+name+" more than once. Open the app again; if it happens again, tell the app's administrator.")
}

func missingRequest() *Problem {
	return local(ReasonMalformed, "This address takes messages from apps, and there is none here. Open the app, or start from the portal.")
}

func wrongMessage(received string) *Problem {
	return local(ReasonWrongMessage, "The app sent a message of another kind than this address takes. Ask the app's administrator to check its settings.").because("AuthnRequest, or LogoutRequest and LogoutResponse", received)
}

// inflater is the reusable part of decoding.
type inflater struct {
	coded, plain []byte
	source       bytes.Reader
	reader       io.ReadCloser
	out          bytes.Buffer
}

var inflaters = sync.Pool{New: func() any {
	f := &inflater{}
	f.reader = flate.NewReader(&f.source)
	return f
}}

// decodeBody undoes base64, and DEFLATE: always on Redirect, on POST unless the text already is XML.
func decodeBody(encoded string, mayBePlain bool) (string, *Problem) {
	if len(encoded) > 2*messageLimits.bytes {
		return "", tooLarge()
	}
	f := inflaters.Get().(*inflater)
	defer inflaters.Put(f)
	if err := f.base64(encoded); err != nil {
		return "", malformed(err)
	}
	if mayBePlain && looksLikeXML(f.plain) {
		return string(f.plain), nil
	}
	err := f.inflate()
	if errors.Is(err, errTooLarge) {
		return "", tooLarge()
	}
	if err != nil {
		return "", malformed(err)
	}
	return f.out.String(), nil
}

func tooLarge() *Problem {
	return local(ReasonTooLarge, "The app sent a message that is larger than any genuine one. Ask the app's administrator to check it.")
}

// base64 fills f.plain. White space and missing padding are forgiven, anything else is not.
func (f *inflater) base64(encoded string) error {
	f.coded = f.coded[:0]
	for i := 0; i < len(encoded); i++ {
		if !isSpace(encoded[i]) {
			f.coded = append(f.coded, encoded[i])
		}
	}
	body := bytes.TrimRight(f.coded, "=")
	if len(body) == 0 || len(f.coded)-len(body) > 2 {
		return errors.New("it is not base64")
	}
	var err error
	if f.plain, err = base64.RawStdEncoding.AppendDecode(f.plain[:0], body); err != nil {
		return errors.New("it is not base64")
	}
	return nil
}

// inflate fills f.out from f.plain: raw DEFLATE to its end, nothing behind it, bounded.
func (f *inflater) inflate() error {
	f.source.Reset(f.plain)
	f.out.Reset()
	if err := f.reader.(flate.Resetter).Reset(&f.source, nil); err != nil {
		return err
	}
	n, err := f.out.ReadFrom(io.LimitReader(f.reader, int64(messageLimits.bytes)+1))
	switch {
	case n > int64(messageLimits.bytes):
		return errTooLarge
	case err != nil && len(f.plain) > 1 && f.plain[0]&0x0F == 8 && (int(f.plain[0])<<8|int(f.plain[1]))%31 == 0:
		return errors.New("it is compressed with a zlib header, where raw DEFLATE is needed")
	case err != nil:
		return errors.New("it is not compressed with DEFLATE")
	case f.source.Len() > 0:
		return errors.New("there is something after the compressed message")
	}
	return nil
}

func looksLikeXML(data []byte) bool {
	data = bytes.TrimLeft(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF")), " \t\r\n")
	return len(data) > 0 && data[0] == '<'
}
