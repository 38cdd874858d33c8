package saml

import (
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

const (
	sloPath  = "/saml/slo"
	soapPath = "/saml/soap"

	// maxSOAP bounds an envelope: one message and what is around it.
	maxSOAP = 128 << 10
)

// logoutEvent is the audit kind of everything about single logout.
const logoutEvent = "signout"

// leaving takes a LogoutRequest or LogoutResponse that the browser carried. Nothing happens without a signature of the app: a link
// must not sign anybody out.
func (h *Handlers) leaving(w http.ResponseWriter, r *http.Request, m *Message, problem *Problem) error {
	app, problem, err := h.authentic(r.Context(), m, problem)
	if err != nil {
		return err
	}
	if problem != nil {
		return h.haltLogout(r, app, problem)
	}
	if m.LoggedOut != nil {
		return h.loggedOut(w, r, app, m)
	}
	if m.Logout == nil {
		return h.haltLogout(r, app, wrongMessage(m.kind))
	}
	wish, problem, err := h.wish(r.Context(), app, m, h.BaseURL+sloPath)
	if err != nil {
		return err
	}
	if problem != nil {
		return h.refuseLogout(w, r, app, m, problem)
	}
	err = h.Engine.Leave(w, r, *wish, func(logout *flow.Logout) error { return h.Result(w, r, logout) })
	if problem := refusal(err); problem != nil {
		return h.refuseLogout(w, r, app, m, problem)
	}
	return err
}

// asker is the payload of a sign-out that an app asked for: how it is answered.
type asker struct {
	ID            string `json:"id"`
	Binding       string `json:"binding"`
	RelayState    string `json:"relay_state,omitempty"`
	HasRelayState bool   `json:"has_relay_state,omitempty"`
}

// wish checks a verified LogoutRequest and says which sessions it ends.
func (h *Handlers) wish(ctx context.Context, app *sp.App, m *Message, endpoint string) (*flow.SignOut, *Problem, error) {
	request := m.Logout
	for _, rule := range []func() *Problem{
		func() *Problem { return checkVersion(request.Version) },
		func() *Problem { return request.invalid },
		func() *Problem { return checkDestination(m, endpoint) },
		func() *Problem { return checkAge(request.IssueInstant, h.Now()) },
		func() *Problem { return checkExpiry(request.NotOnOrAfter, h.Now()) },
		func() *Problem { return checkLogoutAllowed(app.Definition.SAML, m) },
	} {
		if problem := rule(); problem != nil {
			return nil, problem, nil
		}
	}
	if request.encrypted != nil {
		keys, err := h.decrypters(ctx)
		if err != nil {
			return nil, nil, err
		}
		request.encrypted.legacy = strings.HasSuffix(app.Definition.SAML.Settings.EncryptionAlgorithm, "-cbc") // the signature is verified
		name, err := request.encrypted.openNameID(keys)
		if err != nil {
			return nil, requester(ReasonInvalid, "", "The app encrypted the name in its message so that it cannot be read here. Import this identity provider's current metadata in the app.").caused(err), nil
		}
		request.Name = name
	}
	settings, err := h.loadSettings(ctx)
	if err != nil {
		return nil, nil, err
	}
	entityID := h.entityID(settings)
	how := asker{ID: request.ID, Binding: m.Binding, RelayState: m.RelayState, HasRelayState: m.HasRelayState}
	payload, err := json.Marshal(how)
	if err != nil {
		return nil, nil, err
	}
	wish := &flow.SignOut{
		App: app.ID, Protocol: Protocol, Payload: payload, Sessions: func(tx store.Tx) ([]session.Session, error) { return h.named(tx, app, entityID, request) },
		Once: onceName(app, request.ID), OnceUntil: h.Now().Add(2*Skew + logoutLifetime),
		Event: audit.Event{Kind: logoutEvent, Outcome: audit.OK, App: idOf(app), Facts: map[string]string{
			"protocol": Protocol, "start": startOf(app), "binding": m.Binding[strings.LastIndexByte(m.Binding, ':')+1:], "request": cut(request.ID),
		}},
	}
	if request.Asynchronous {
		wish.Protocol = "" // nobody waits for an answer (saml-async-slo-v1.0)
	}
	return wish, nil, nil
}

// checkLogoutAllowed: an administrator may keep an app from signing people out, and what is echoed is bounded as at sign-on.
func checkLogoutAllowed(app *sp.SAML, m *Message) *Problem {
	if app.Settings.SLO == "off" {
		return requester(ReasonInvalid, StatusRequestUnsupported, "This app may not sign people out here. Ask your administrator to set saml.slo.")
	}
	if len(m.RelayState) > app.RelayStateLimit() {
		m.RelayState, m.HasRelayState = "", false // what is too long to accept is too long to echo
		return requester(ReasonRelayState, "", "The app sent a RelayState that is longer than it may be. Ask the app's administrator to shorten it; saml.relay_state_limit sets the limit.")
	}
	return nil
}

func checkExpiry(notOnOrAfter, now time.Time) *Problem {
	if notOnOrAfter.IsZero() || now.Before(notOnOrAfter.Add(Skew)) {
		return nil
	}
	return requester(ReasonStale, "", "The app's message has expired. Sign out in the app again.").because("NotOnOrAfter after "+now.UTC().Format(time.RFC3339), notOnOrAfter.UTC().Format(time.RFC3339))
}

// errNobody says that the app knows people in live sessions by the name, but not exactly as it says.
var errNobody = errors.New("no session matches the name and the session index")

// named finds the sessions that a LogoutRequest means: those in which the app knows the person by exactly this name, and by one of
// the indexes if it gives any (core 3.7.3.2). A name that no live session knows ends nothing and is no error: it is over already.
func (h *Handlers) named(tx store.Tx, app *sp.App, entityID string, request *LogoutRequest) ([]session.Session, error) {
	var found []session.Session
	candidates := 0
	means := func(reached session.AppReached) bool {
		if _, upstream := session.UpstreamOf(app.ID); upstream { // it gave the name, and to us
			return reached.App == app.ID && request.means(&reached, app.EntityID(), entityID)
		}
		return reached.App == app.ID && request.means(&reached, entityID, app.EntityID())
	}
	err := session.Table.Each(tx, store.Page{Index: "name", Value: session.NameKey(app.ID, request.Name.Value)}, func(_ string, s *session.Session) error {
		if !s.Live(h.Now()) {
			return nil
		}
		candidates++
		if slices.ContainsFunc(s.Places(), means) {
			found = append(found, *s)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case candidates > 0 && len(found) == 0, differ(found):
		return nil, errNobody
	case candidates == 0:
		return nil, h.knownIndex(tx, app.ID, request.SessionIndexes)
	}
	return found, nil
}

// differ tells whether sessions are of several people: an app that knows them by one name cannot say whom it means.
func differ(sessions []session.Session) bool {
	return slices.ContainsFunc(sessions, func(s session.Session) bool { return s.User != sessions[0].User })
}

// knownIndex refuses an index of a live session of the app under a name that it does not go by.
func (h *Handlers) knownIndex(tx store.Tx, app string, indexes []string) error {
	for _, index := range indexes {
		err := session.Table.Each(tx, store.Page{Index: "index", Value: index}, func(_ string, s *session.Session) error {
			if s.Live(h.Now()) && slices.ContainsFunc(s.Apps, func(a session.AppReached) bool { return a.App == app && a.SessionIndex == index }) {
				return errNobody
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// means tells whether the request names this place in a session: strongly, with every qualifier that it gives (core 3.3.4). A
// qualifier that was not sent stands for ours and the app's own entity id (core 8.3.7).
func (l *LogoutRequest) means(reached *session.AppReached, idp, app string) bool {
	name := NameID{Value: reached.NameID, Format: reached.NameIDFormat, NameQualifier: idp, SPNameQualifier: app}
	if reached.NameQualifier != "" {
		name.NameQualifier = reached.NameQualifier
	}
	if reached.SPNameQualifier != "" {
		name.SPNameQualifier = reached.SPNameQualifier
	}
	return l.Name.matches(&name) && (len(l.SessionIndexes) == 0 || slices.Contains(l.SessionIndexes, reached.SessionIndex))
}

// refusal is the problem behind an error of a sign-out that the app is told about.
func refusal(err error) *Problem {
	switch {
	case errors.Is(err, errNobody):
		return requester(ReasonSubject, StatusUnknownPrincipal, "The app asked to sign somebody out under a name or session that it was not given. Ask the app's administrator to check how it keeps them.")
	case errors.Is(err, flow.ErrReplayed):
		return requester(flow.ReasonReplay, "", "The app sent the same message twice. Sign out in the app again.")
	}
	return nil
}

// decrypters are our keys that apps may have encrypted to.
func (h *Handlers) decrypters(ctx context.Context) ([]crypto.Decrypter, error) {
	var list []crypto.Decrypter
	err := h.Store.View(ctx, func(tx store.Tx) error {
		keys, _, err := h.Keys.Published(tx)
		for _, key := range keys {
			if decrypter, ok := key.Signer.(crypto.Decrypter); ok {
				list = append(list, decrypter)
			}
		}
		return err
	})
	return list, err
}

func (h *Handlers) haltLogout(r *http.Request, app *sp.App, problem *Problem) error {
	return h.Engine.Halt(r, idOf(app), logoutEvent, problem.reason())
}

// refuseLogout notes why a verified LogoutRequest is refused, and tells the app.
func (h *Handlers) refuseLogout(w http.ResponseWriter, r *http.Request, app *sp.App, m *Message, problem *Problem) error {
	err := h.haltLogout(r, app, problem)
	var page *web.Error
	if !errors.As(err, &page) || problem.Local || m.Logout.Asynchronous {
		return err
	}
	how := asker{ID: m.Logout.ID, Binding: m.Binding, RelayState: m.RelayState, HasRelayState: m.HasRelayState}
	sent, sendErr := h.answerLogout(w, r, app, &how, problem.Status, problem.SubStatus)
	if sendErr != nil || !sent {
		return errors.Join(sendErr, err)
	}
	return nil
}

// loggedOut counts an app's answer to a LogoutRequest of ours, once it is verified, and takes the browser on.
func (h *Handlers) loggedOut(w http.ResponseWriter, r *http.Request, app *sp.App, m *Message) error {
	if problem := h.checkAnswer(m, h.BaseURL+sloPath); problem != nil {
		return h.haltLogout(r, app, problem)
	}
	id, known, err := h.Engine.Left(r.Context(), m.LoggedOut.InResponseTo, app.ID, m.LoggedOut.confirms())
	if err != nil {
		return err
	}
	if !known {
		return h.haltLogout(r, app, local(ReasonInvalid, "The app answered a question that nobody asked, or that is over. You are signed out here; to be sure about your apps, close all browser windows.").because("InResponseTo of a running sign-out", m.LoggedOut.InResponseTo))
	}
	web.SeeOther(w, "/logout/"+id)
	return nil
}

// checkAnswer checks what every response must be; one that came back over our own connection has no endpoint to name.
func (h *Handlers) checkAnswer(m *Message, endpoint string) *Problem {
	for _, rule := range []func() *Problem{
		func() *Problem { return checkVersion(m.Head.Version) },
		func() *Problem { return m.Head.invalid },
		func() *Problem {
			if endpoint == "" {
				return nil
			}
			return checkDestination(m, endpoint)
		},
		func() *Problem { return checkAge(m.Head.IssueInstant, h.Now()) },
	} {
		if problem := rule(); problem != nil {
			return problem
		}
	}
	return nil
}

// confirms tells whether the app says that the person is signed out there, wholly.
func (l *LogoutResponse) confirms() bool {
	return l.Status == StatusSuccess && l.SubStatus != StatusPartialLogout
}

// readSOAP reads a signed message that came from server to server.
func (h *Handlers) readSOAP(r *http.Request, kind string) (*Message, *sp.App, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, nil, err
	}
	m, fault, problem := decodeSOAP(string(body), inRequest, noHeaders)
	if fault != nil {
		return nil, nil, fault.refused()
	}
	app, problem, err := h.authentic(r.Context(), m, problem)
	if err != nil {
		return nil, nil, err
	}
	if problem != nil {
		return nil, nil, h.Engine.Halt(r, idOf(app), kind, problem.reason())
	}
	return m, app, nil
}

// soap takes what comes from server to server: POST /saml/soap.
func (h *Handlers) soap(w http.ResponseWriter, r *http.Request) error {
	m, app, err := h.readSOAP(r, logoutEvent)
	switch {
	case err != nil:
		return err
	case m.Logout != nil:
		return h.logoutSOAP(w, r, app, m)
	case m.Manage != nil:
		return h.manage(w, r, app, m, h.BaseURL+soapPath)
	case m.Mapping != nil:
		return h.mapName(w, r, app, m)
	case m.Query != nil:
		return h.unsupported(w, r, app, m)
	}
	return h.haltLogout(r, app, wrongMessage(m.kind))
}

// logoutSOAP ends sessions without a browser: apps that need one cannot be told.
func (h *Handlers) logoutSOAP(w http.ResponseWriter, r *http.Request, app *sp.App, m *Message) error {
	wish, problem, err := h.wish(r.Context(), app, m, h.BaseURL+soapPath)
	if err != nil {
		return err
	}
	var logout *flow.Logout
	if problem == nil {
		wish.Event.Address, wish.NoBrowser = web.Of(r).AddressText(), true
		logout, err = h.Engine.SignOut(r.Context(), *wish)
		problem = refusal(err)
	}
	if problem != nil {
		return h.refuseLogout(w, r, app, m, problem)
	}
	if err != nil {
		return err
	}
	result := func(*flow.Logout) error { w.WriteHeader(http.StatusAccepted); return nil } // asynchronous
	return h.Engine.Conclude(w, r, logout, result)
}
