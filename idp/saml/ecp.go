package saml

import (
	"context"
	"errors"
	"io"
	"net/http"

	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
)

// ecpPath takes AuthnRequests of clients that are not browsers (profiles 4.2; saml-ecp-v2.0).
const ecpPath = "/saml/ecp"

const nsECP = "urn:oasis:names:tc:SAML:2.0:profiles:SSO:ecp"

// ecp answers a client that carries an app's request by SOAP and signs in by HTTP Basic: POST /saml/ecp. The request is checked
// before the password is, so that nobody tries passwords where no app takes such clients. Then it takes the same road as a browser's,
// with a request that forbids every page.
func (h *Handlers) ecp(w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return web.Public500(err)
	}
	var client clientHeaders
	m, fault, problem := decodeSOAP(string(body), inRequest, client.read)
	if fault != nil {
		return h.faulted(w, r, fault)
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
	bindings []ChannelBinding // what it says of its channel to the app
	invalid  *Problem
}

func (c *clientHeaders) read(t *tree, at int32) bool {
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

// writeECP answers with the message and the headers that the client checks (profiles 4.2.4.2; saml-ecp-v2.0, 2.3.6.2): where to take
// it, whether the request was known to be the app's, and which channel the two were found to share.
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
	out = appendBindings(out, asked.Channel, must)
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
