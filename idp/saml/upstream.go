package saml

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/upstream"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

const acsPath = "/saml/acs" // of us as a service provider, towards other identity providers

// reachable are the entity ids and issuers of the upstreams that people may sign in at.
func (h *Handlers) reachable(ctx context.Context) (ids []string, err error) {
	err = h.Store.View(ctx, func(tx store.Tx) error {
		ids = nil
		offered, err := federation.Offered(tx, h.Now())
		for i := range offered {
			ids = append(ids, offered[i].ID())
		}
		return err
	})
	return ids, err
}

// AskUpstream sends the browser to an upstream with an AuthnRequest of ours.
func (h *Handlers) AskUpstream(w http.ResponseWriter, r *http.Request, ask *upstream.Ask) error {
	asked, err := acceptedOf(ask.Request)
	if err != nil {
		return err
	}
	ask.Inquiry.ID = newID()
	location, err := h.inquiry(r.Context(), ask, asked)
	if err != nil {
		return err
	}
	if err := h.Desk.Keep(r.Context(), &ask.Inquiry); err != nil {
		return err
	}
	web.SeeOther(w, location)
	return nil
}

// acceptedOf is what a SAML app asked for; of any other request nothing.
func acceptedOf(request *flow.Request) (*Accepted, error) {
	asked := &Accepted{}
	if request.Protocol != Protocol {
		return asked, nil
	}
	return asked, json.Unmarshal(request.Payload, asked)
}

// Allowed tells why a SAML app does not take a sign-in at an upstream, whatever that speaks; nil: it does.
func (h *Handlers) Allowed(u *federation.Upstream, request *flow.Request) (*flow.Reason, error) {
	asked, err := acceptedOf(request)
	if err != nil {
		return nil, err
	}
	if problem := mayAsk(u, asked); problem != nil {
		return new(problem.reason()), nil
	}
	return nil, nil
}

// mayAsk holds the way onward to what the app allows (core 3.4.1.2).
func mayAsk(u *federation.Upstream, asked *Accepted) *Problem {
	switch {
	case asked.ProxyCount != nil && *asked.ProxyCount == 0:
		return noProxying()
	case len(asked.IDPs) > 0 && !slices.Contains(asked.IDPs, u.ID()):
		return requester(ReasonIDPList, StatusNoSupportedIDP, "The app accepts only other sign-in services. Open it again and choose another one.")
	}
	return nil
}

func noProxying() *Problem {
	return responder(upstream.ReasonAnswer, StatusProxyCountExceeded, "This app does not accept a sign-in at another organisation. Sign in here, or ask the app's administrator to allow it.")
}

// inquiry is the address that carries our signed AuthnRequest.
func (h *Handlers) inquiry(ctx context.Context, ask *upstream.Ask, asked *Accepted) (string, error) {
	u, q, request := ask.Upstream, &ask.Inquiry, ask.Request
	settings, err := h.loadSettings(ctx)
	if err != nil {
		return "", err
	}
	message := &inquiryMessage{
		ID: q.ID, Issuer: h.entityID(settings), Destination: u.Provider.Redirect(), ACS: h.BaseURL + acsPath, Now: q.Made,
		ForceAuthn: q.Forced, IsPassive: q.Passive, Persistent: u.Match == federation.MatchLink, Classes: ask.Classes(),
	}
	if asked.ProxyCount != nil {
		message.ProxyCount = new(*asked.ProxyCount - 1)
	}
	if request.Protocol == Protocol && !u.Quiet {
		app, err := h.Engine.AppOf(ctx, request.App)
		if err != nil {
			return "", err
		}
		message.RequesterIDs = slices.Clone(asked.RequesterIDs)
		if app != nil {
			message.RequesterIDs = append(message.RequesterIDs, app.EntityID())
		}
	}
	signing, problem, err := h.ownSigning(ctx)
	if err != nil {
		return "", err
	}
	if problem != nil {
		return "", problem
	}
	doc, err := message.build()
	if err != nil {
		return "", err
	}
	return signing.redirectURL(message.Destination, inRequest, doc, "", false)
}

// ownSigning is how we sign where no app's settings say.
func (h *Handlers) ownSigning(ctx context.Context) (Signing, *Problem, error) {
	signing, _, problem, err := h.signing(ctx, &sp.SAML{})
	return signing, problem, err
}

// inquiryMessage is the content of an AuthnRequest of ours (core 3.4.1).
type inquiryMessage struct {
	ID, Issuer, Destination, ACS string
	Now                          time.Time
	ForceAuthn, IsPassive        bool
	Persistent                   bool     // the name identifier must last
	Classes                      []string // how the person must sign in
	ProxyCount                   *int
	RequesterIDs                 []string
}

func (m *inquiryMessage) build() ([]byte, error) {
	for _, s := range slices.Concat([]string{m.ID, m.Issuer, m.Destination, m.ACS}, m.Classes, m.RequesterIDs) {
		if !writable(s) {
			return nil, errUnwritable
		}
	}
	doc := append(make([]byte, 0, 2<<10), `<samlp:AuthnRequest xmlns:samlp="`+nsProtocol+`" xmlns:saml="`+nsAssertion+`"`...)
	doc = appendAttr(appendAttr(doc, "AssertionConsumerServiceURL", m.ACS), "Destination", m.Destination)
	if m.ForceAuthn {
		doc = appendAttr(doc, "ForceAuthn", "true")
	}
	doc = appendAttr(doc, "ID", m.ID)
	if m.IsPassive {
		doc = appendAttr(doc, "IsPassive", "true")
	}
	doc = appendAttr(appendTime(doc, "IssueInstant", m.Now), "ProtocolBinding", sp.BindingPOST)
	doc = append(doc, ` Version="2.0">`...)
	doc = appendElement(doc, "saml:Issuer", m.Issuer)
	doc = append(doc, `<samlp:NameIDPolicy AllowCreate="true"`...)
	if m.Persistent {
		doc = appendAttr(doc, "Format", sp.NameIDPersistent)
	}
	doc = append(doc, `></samlp:NameIDPolicy>`...)
	if len(m.Classes) > 0 {
		doc = append(doc, `<samlp:RequestedAuthnContext Comparison="exact">`...)
		for _, class := range m.Classes {
			doc = appendElement(doc, "saml:AuthnContextClassRef", class)
		}
		doc = append(doc, `</samlp:RequestedAuthnContext>`...)
	}
	return append(m.appendScoping(doc), `</samlp:AuthnRequest>`...), nil
}

func (m *inquiryMessage) appendScoping(doc []byte) []byte {
	if m.ProxyCount == nil && len(m.RequesterIDs) == 0 {
		return doc
	}
	doc = append(doc, `<samlp:Scoping`...)
	if m.ProxyCount != nil {
		doc = appendAttr(doc, "ProxyCount", strconv.Itoa(*m.ProxyCount))
	}
	doc = append(doc, '>')
	for _, id := range m.RequesterIDs {
		doc = appendElement(doc, "samlp:RequesterID", id)
	}
	return append(doc, `</samlp:Scoping>`...)
}

func appendElement(doc []byte, name, text string) []byte {
	doc = append(append(append(doc, '<'), name...), '>')
	return append(append(append(appendText(doc, text), `</`...), name...), '>')
}
