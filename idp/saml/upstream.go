package saml

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

const (
	acsPath = "/saml/acs" // of us as a service provider, towards other identity providers

	maxInquiries = 200 // that wait, of one network
)

// Inquiry is an AuthnRequest of ours that an upstream has to answer, once. The answer comes without cookies, so what it says
// waits here until the browser that asked fetches it: an answer that somebody else brings signs nobody in.
type Inquiry struct {
	ID       string    `json:"id"` // of the AuthnRequest
	Upstream string    `json:"upstream"`
	Browser  string    `json:"browser"`        // hash of the cookie
	Flow     string    `json:"flow,omitempty"` // token of the waiting request
	Next     string    `json:"next,omitempty"` // path to go on to where none waits
	Forced   bool      `json:"forced,omitempty"`
	Passive  bool      `json:"passive,omitempty"`
	Address  string    `json:"address"`
	Made     time.Time `json:"made"`
	Told     *Told     `json:"told,omitempty"` // the verified answer
}

// Inquiries holds what upstreams were asked.
var Inquiries = &store.Table[Inquiry]{
	Name: "upstream_inquiry", Version: 1, Key: func(q *Inquiry) string { return q.ID },
	Lists:   map[string]func(*Inquiry) []string{"network": func(q *Inquiry) []string { return []string{audit.Network(q.Address)} }},
	Expires: func(q *Inquiry) time.Time { return q.Made.Add(flow.Lifetime) },
}

// Reach tells the highest level of a sign-in at an upstream, and whether people sign in at a single one and not here.
func Reach(tx store.Tx, passwords bool, now time.Time) (highest sp.Level, alone bool, err error) {
	offered, err := federation.Offered(tx, now)
	for i := range offered {
		if level := offered[i].Highest(); level.AtLeast(highest) {
			highest = level
		}
	}
	return highest, len(offered) == 1 && !passwords, err
}

// reachable are the entity ids of the upstreams that people may sign in at.
func (h *Handlers) reachable(ctx context.Context) (ids []string, err error) {
	err = h.Store.View(ctx, func(tx store.Tx) error {
		ids = nil
		offered, err := federation.Offered(tx, h.Now())
		for i := range offered {
			ids = append(ids, offered[i].Provider.EntityID)
		}
		return err
	})
	return ids, err
}

// upstreamNamed is an upstream that people may sign in at.
func (h *Handlers) upstreamNamed(ctx context.Context, name string) (*federation.Upstream, error) {
	var u federation.Upstream
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		u, _, err = federation.Upstreams.Get(tx, name)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && (u.Off || u.Provider.Expired(h.Now())) {
		return nil, web.NotFound("You cannot sign in there at this time. Go back and choose another way, or ask your administrator.")
	}
	return &u, err
}

// Ask sends the browser to an upstream: for a waiting request, or for a visit to a path of ours. again says that somebody is
// signed in and has to prove it once more.
func (h *Handlers) Ask(w http.ResponseWriter, r *http.Request, name string, request *flow.Request, token, next string, again bool) error {
	u, err := h.upstreamNamed(r.Context(), name)
	if err != nil {
		return err
	}
	asked := &Accepted{}
	if request.Protocol == Protocol {
		if err := json.Unmarshal(request.Payload, asked); err != nil {
			return err
		}
	}
	if problem := mayAsk(u, asked); problem != nil {
		return h.Engine.Decline(w, r, token, problem.reason())
	}
	q := &Inquiry{
		ID: newID(), Upstream: u.Name, Browser: h.Engine.Browser(w, r), Flow: token, Next: next, Passive: request.Passive,
		Forced: again || !request.Demand.AuthAfter.IsZero(), Address: web.Of(r).AddressText(), Made: h.Now(),
	}
	location, err := h.inquiry(r.Context(), u, q, request, asked)
	if err != nil {
		return err
	}
	if err := h.keepInquiry(r.Context(), q); err != nil {
		return err
	}
	web.SeeOther(w, location)
	return nil
}

// mayAsk holds the way onward to what the app allows (core 3.4.1.2).
func mayAsk(u *federation.Upstream, asked *Accepted) *Problem {
	switch {
	case asked.ProxyCount != nil && *asked.ProxyCount == 0:
		return noProxying()
	case len(asked.IDPs) > 0 && !slices.Contains(asked.IDPs, u.Provider.EntityID):
		return requester(ReasonIDPList, StatusNoSupportedIDP, "The app accepts only other sign-in services. Open it again and choose another one.")
	}
	return nil
}

func noProxying() *Problem {
	return responder(ReasonUpstream, StatusProxyCountExceeded, "This app does not accept a sign-in at another organisation. Sign in here, or ask the app's administrator to allow it.")
}

func (h *Handlers) keepInquiry(ctx context.Context, q *Inquiry) error {
	return h.Store.Update(ctx, func(tx store.Tx) error {
		n, err := Inquiries.Count(tx, store.Page{Index: "network", Value: audit.Network(q.Address)}, maxInquiries)
		if err != nil {
			return err
		}
		if n >= maxInquiries {
			return &web.Error{Status: http.StatusTooManyRequests, Reason: flow.ReasonTooManyWaiting, RetryAfter: flow.Lifetime,
				Text: "Too many sign-ins from your network wait to be finished. Finish one, or try again in ten minutes."}
		}
		return Inquiries.Put(tx, q)
	})
}

// inquiry is the address that carries our signed AuthnRequest.
func (h *Handlers) inquiry(ctx context.Context, u *federation.Upstream, q *Inquiry, request *flow.Request, asked *Accepted) (string, error) {
	settings, err := h.loadSettings(ctx)
	if err != nil {
		return "", err
	}
	message := &inquiryMessage{
		ID: q.ID, Issuer: h.entityID(settings), Destination: u.Provider.Redirect(), ACS: h.BaseURL + acsPath, Now: q.Made,
		ForceAuthn: q.Forced, IsPassive: q.Passive, Persistent: u.Match == federation.MatchLink,
	}
	if level := request.Demand.MinLevel; level != "" && !u.Level.AtLeast(level) {
		message.Classes = u.Classes(level)
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

// onward is where the browser goes after the sign-in.
func (q *Inquiry) onward() string {
	if q.Flow == "" {
		return web.LocalPath(q.Next, "/")
	}
	return "/flow/" + url.PathEscape(q.Flow)
}
