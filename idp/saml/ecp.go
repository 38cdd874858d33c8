package saml

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net/http"

	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
)

// ecpPath takes AuthnRequests of clients that are not browsers (profiles 4.2; saml-ecp-v2.0).
const ecpPath = "/saml/ecp"

const (
	nsECP    = "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"
	nsSAMLEC = "urn:ietf:params:xml:ns:samlec" // draft-ietf-kitten-sasl-saml-ec
)

// generatedKeySize is in bytes: enough for every encryption type that client and app may choose between them.
const generatedKeySize = 32

// ecp answers a client that carries an app's request by SOAP and signs in by HTTP Basic: POST /saml/ecp. The request is checked
// before the password is, so that nobody tries passwords where no app takes such clients. Then it takes the same road as a browser's,
// with a request that forbids every page.
func (h *Handlers) ecp(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var client clientHeaders
	m, fault, problem := decodeSOAP(string(body), inRequest, client.read)
	if fault != nil {
		return fault.refused()
	}
	if problem == nil {
		m.client = client
	}
	request, told, err := h.accept(r, m, problem)
	if err != nil {
		return err
	}
	if told != nil {
		return h.Engine.Reject(w, r, request, told.reason())
	}
	secret, err := h.Basic(r)
	if err != nil {
		return err
	}
	alone := r.Clone(r.Context())
	h.Kit.Cookies.Only(alone, web.SessionCookie, secret)
	err = h.Engine.Begin(w, alone, request)
	return errors.Join(err, h.Engine.EndUnused(context.WithoutCancel(r.Context()), secret))
}

// clientHeaders is what a client says beside the app's request, in the header of its envelope.
type clientHeaders struct {
	bindings   []ChannelBinding // what it says of its channel to the app
	sessionKey bool             // it will share a key with the app
	invalid    *Problem
}

func (c *clientHeaders) read(t *tree, at int32) bool {
	if t.is(at, nsSAMLEC, "SessionKey") { // for client and app: which of its encryption types they choose is theirs to say
		c.sessionKey = true
		return true
	}
	if !t.is(at, nsChannel, "ChannelBindings") {
		return false
	}
	var err error
	if c.bindings, err = appendBinding(c.bindings, t, at); err != nil {
		c.invalid = requester(ReasonInvalid, "", "Your program sent a SOAP header that is not valid: "+err.Error()+".").caused(err)
	}
	return true
}

// choosePAOS finds the address that the client will carry the answer to: only ever one that the metadata lists for PAOS.
func choosePAOS(r *AuthnRequest, app *sp.SAML) (sp.Endpoint, *Problem) {
	if !app.ECPEnabled() {
		return sp.Endpoint{}, local(ReasonBinding, "This app may not be opened by clients that are not browsers. Ask your administrator to set saml.ecp.")
	}
	acs, found := app.Metadata.DefaultACS(sp.BindingPAOS)
	switch {
	case r.ACSURL != "":
		acs, found = app.Metadata.ACSByURL(r.ACSURL, sp.BindingPAOS)
	case r.ACSIndex != nil:
		acs, found = app.Metadata.ACSByIndex(*r.ACSIndex)
		found = found && acs.Binding == sp.BindingPAOS
	}
	if !found || sp.CheckLocation(acs.Location, true) != nil {
		return sp.Endpoint{}, local(ReasonACS, "The app's metadata lists no such address for clients that are not browsers (PAOS). Import the app's current metadata.")
	}
	return acs, nil
}

// shareKey gives client and app a key that nobody else has (draft-ietf-kitten-sasl-saml-ec, 5.3.1): in clear to the client, over the
// connection that it signs in by, and to the app within the encrypted assertion. Without encryption there is none, and a client that
// must have one is refused.
func (st *Statement) shareKey(asked *Accepted, to *Recipient) *Problem {
	switch {
	case !asked.ECP || to == nil && !asked.SessionKey:
		return nil
	case to == nil:
		return responder(ReasonEncryption, StatusRequestDenied, "Your program asked for a key to share with the app, which only an encrypted answer can carry. Ask your administrator to give the app an encryption key, or to set saml.encrypt.")
	}
	key := make([]byte, generatedKeySize)
	rand.Read(key) // never fails
	st.GeneratedKey = base64.StdEncoding.EncodeToString(key)
	asked.generatedKey = st.GeneratedKey
	return nil
}

// appendGeneratedKey writes the key, with more attributes if there are any; nothing without a key.
func appendGeneratedKey(doc []byte, key, attributes string) []byte {
	if key == "" {
		return doc
	}
	doc = append(doc, `<samlec:GeneratedKey xmlns:samlec="`+nsSAMLEC+`"`+attributes+`>`...)
	return append(append(doc, key...), `</samlec:GeneratedKey>`...)
}

// writeECP answers with the message and the headers that the client checks (profiles 4.2.4.2; saml-ecp-v2.0, 2.3.6.2): where to take
// it, whether the request was known to be the app's, which channel the two were found to share, and the key for it.
func writeECP(w http.ResponseWriter, asked *Accepted, message []byte) error {
	const (
		actor = ` soap11:actor="http://schemas.xmlsoap.org/soap/actor/next"`
		must  = actor + ` soap11:mustUnderstand="1"`
		ecp   = ` xmlns:ecp="` + nsECP + `"` + must
	)
	out := append([]byte(nil), `<soap11:Envelope xmlns:soap11="`+nsSOAP+`"><soap11:Header><ecp:Response`+ecp...)
	out = append(appendAttr(out, "AssertionConsumerServiceURL", asked.ACS), `></ecp:Response>`...)
	if asked.Authentic {
		out = append(out, `<ecp:RequestAuthenticated`+ecp+`></ecp:RequestAuthenticated>`...)
	}
	out = appendGeneratedKey(appendBindings(out, asked.Channel, must), asked.generatedKey, actor)
	out = append(append(append(out, `</soap11:Header><soap11:Body>`...), message...), soapClose...)
	web.NoStore(w.Header())
	w.Header().Set("Content-Type", "text/xml; charset=utf-8")
	_, err := w.Write(out)
	return err
}

// notByPage: what a page would have been needed for is, to a client without pages, a sign-in that is not strong enough.
func notByPage(asked *Accepted, reason flow.Reason) flow.Reason {
	if asked.ECP && reason.Type == flow.ReasonNoPassive {
		reason.Status = StatusResponder + " " + StatusNoAuthnContext
	}
	return reason
}
