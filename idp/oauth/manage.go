package oauth

import (
	"errors"
	"net/http"
	"reflect"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// clientPath is where a client that registered itself reads, changes and removes its registration (RFC 7592).
const clientPath = registerPath + "/{client}"

// change is what a client asks of its registration, as it was read before the transaction.
type change struct {
	sp.Registration
	ClientID     string  `json:"client_id"`
	ClientSecret *string `json:"client_secret"`
}

// managing is one request of a client about itself, inside its transaction.
type managing struct {
	app   sp.App
	token string // registration access token, which was good
	asked change
	r     *http.Request
}

// managed lets a client do something to its own registration, and to no other.
func (h *Handlers) managed(kind string, status int, do func(store.Tx, *managing) (*registered, *Problem, error)) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		m := &managing{token: bearerOf(r), r: r}
		app, problem, err := h.itself(r, m.token)
		if err != nil {
			return err
		}
		if problem == nil && r.Method == http.MethodPut {
			problem, err = readMetadata(r, &m.asked)
		}
		if problem == nil && err == nil {
			problem = h.checkSector(r.Context(), &m.asked.Registration)
		}
		if err != nil {
			return err
		}
		var answer *registered
		if problem == nil {
			answer, problem, err = h.manage(m, app.ID, do)
		}
		switch {
		case err != nil:
			return err
		case problem != nil:
			return h.refused(r, kind, app, problem)
		case answer == nil:
			web.NoStore(w.Header())
			w.WriteHeader(status)
			return nil
		}
		web.WriteJSON(w, status, answer)
		return nil
	}
}

// manage runs what is asked for in one transaction; a question only reads.
func (h *Handlers) manage(m *managing, app string, do func(store.Tx, *managing) (*registered, *Problem, error)) (answer *registered, problem *Problem, err error) {
	run := func(tx store.Tx) (err error) {
		if m.app, problem, err = stillItself(tx, app, m.token); problem == nil && err == nil {
			answer, problem, err = do(tx, m)
		}
		return err
	}
	if m.r.Method == http.MethodGet {
		err = h.Store.View(m.r.Context(), run)
	} else {
		err = h.Store.Update(m.r.Context(), run)
	}
	return answer, problem, err
}

// itself is the client of the path, if the token is its own. A client that is gone, and one that never was, are told the same.
func (h *Handlers) itself(r *http.Request, token string) (*sp.App, *Problem, error) {
	network := "manage " + audit.Network(web.Of(r).AddressText())
	if h.newcomers.over(network, h.Now(), newPerNetwork) {
		return nil, tooMany(), nil
	}
	app, err := h.clientOf(r.Context(), r.PathValue("client"))
	if err != nil {
		return nil, nil, err
	}
	if app == nil || !app.Credentials.IsManagement(token) {
		h.newcomers.count(network, h.Now())
		return nil, badManagement(), nil
	}
	if r.Method != http.MethodGet { // each change is an entry in the audit
		return app, h.crowded("change "+app.ID, newPerNetwork), nil
	}
	return app, nil, nil
}

func badManagement() *Problem {
	p := badToken()
	p.Reason, p.Text = "bad_registration_token", "The registration access token is not that of this client, or was replaced by a newer one."
	return p
}

// stillItself is the client as it is inside the transaction: the token may have been replaced meanwhile.
func stillItself(tx store.Tx, id, token string) (sp.App, *Problem, error) {
	app, _, err := sp.Apps.Get(tx, id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (app.State == sp.Removed || !app.Credentials.IsManagement(token)):
		return app, badManagement(), nil
	case err == nil && app.State == sp.Blocked:
		p := refuse(codeAccessDenied, "app_blocked", "This client is blocked by an administrator, so its registration stays as it is.")
		p.Status, p.Challenge = http.StatusForbidden, bearerChallenge
		return app, p, nil
	}
	return app, nil, err
}

func (h *Handlers) readClient(_ store.Tx, m *managing) (*registered, *Problem, error) {
	return h.answerOf(&m.app, m.token), nil, nil
}

// updateClient replaces what the client said of itself. The token changes with it. Where clients need approval, what was approved is
// not what there is now: the client waits again, and what it held ends.
func (h *Handlers) updateClient(tx store.Tx, m *managing) (*registered, *Problem, error) {
	if problem := m.identifies(); problem != nil {
		return nil, problem, nil
	}
	before := m.app.Definition
	if problem, err := h.describeClient(tx, &m.app, &m.asked.Registration); problem != nil || err != nil {
		return nil, problem, err
	}
	m.app.Changed = h.Now()
	again, err := needsApproval(tx, &m.app)
	if err != nil {
		return nil, nil, err
	}
	if again && !reflect.DeepEqual(before, m.app.Definition) {
		if err := waitAgain(tx, &m.app); err != nil {
			return nil, nil, err
		}
	}
	answer := h.answerOf(&m.app, m.app.NewManagementToken(h.Now()))
	switch {
	case !m.app.Definition.OAuth.HasSecret():
		m.app.Credentials.Secrets = nil
	case len(m.app.Credentials.Secrets) == 0:
		answer.giveSecret(m.app.AddSecret(h.Now()))
	}
	if err := sp.Apps.Put(tx, &m.app); err != nil {
		return nil, nil, err
	}
	return answer, nil, h.noteClient(tx, m.r, "client.update", &m.app, m.app.ID)
}

// identifies refuses a change that is about another client (RFC 7592, 2.2).
func (m *managing) identifies() *Problem {
	switch {
	case m.asked.ClientID != m.app.Credentials.ClientID:
		return refuse(codeInvalidMetadata, "wrong_client_id", "client_id: it must be there, and it never changes.").because(m.app.Credentials.ClientID, m.asked.ClientID)
	case m.asked.ClientSecret != nil && m.app.Credentials.FindSecret(*m.asked.ClientSecret) == nil:
		return refuse(codeInvalidMetadata, "wrong_secret", "client_secret: it is not the client's, and a client cannot choose one.")
	}
	return nil
}

// needsApproval tells whether an administrator has to look at what a client says of itself.
func needsApproval(tx store.Tx, app *sp.App) (bool, error) {
	if app.Parent == sp.OpenParent {
		return true, nil
	}
	parent, _, err := sp.Apps.Get(tx, app.Parent)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return parent.ApprovesClients(), err
}

// removeClient ends the client and all that it holds. One that waits for approval leaves no record, so that strangers fill nothing.
func (h *Handlers) removeClient(tx store.Tx, m *managing) (*registered, *Problem, error) {
	waited := m.app.State == sp.Pending
	if err := m.app.Remove(h.Now()); err != nil {
		return nil, nil, err
	}
	if _, err := flow.Withdraw(tx, flow.Scope{App: m.app.ID}); err != nil {
		return nil, nil, err
	}
	err := errors.Join(flow.Forget(tx, flow.Scope{App: m.app.ID}), sp.Logos.Delete(tx, m.app.ID))
	if err == nil && waited {
		err = sp.Apps.Delete(tx, m.app.ID)
	} else if err == nil {
		err = sp.Apps.Put(tx, &m.app)
	}
	if err != nil {
		return nil, nil, err
	}
	return nil, nil, h.noteClient(tx, m.r, "client.remove", &m.app, m.app.ID)
}
