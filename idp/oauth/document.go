package oauth

import (
	"bytes"
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/outbound"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Bounds of client-ID metadata documents. Those of clients that are not known yet are fetched for strangers: so many in a minute for
// one network, from one server, and in all.
const (
	documentFresh       = time.Hour      // after which they are read again where their server does not say; not before fetchEvery
	documentMost        = 24 * time.Hour // whatever it says
	documentsPerNetwork = 30
	documentsPerHost    = 30
	documentsInAll      = 600
)

// keptDocument is what came of the last fetch of a document. What it says lies in the registry.
type keptDocument struct {
	mu      sync.Mutex    // held while fetching: one fetch of one address at a time
	read    time.Time     // when a good one was read last
	fresh   time.Duration // from then
	tried   time.Time
	gone    bool     // its server says that there is none: the client wants to be no client any more
	problem *Problem // of the last try
}

// clientIn is the client of an id that a request brings; nil without a problem: there is none. Where the id is the address of a
// metadata document (draft-ietf-oauth-client-id-metadata-document) it is read, if that was long ago, and the registry follows it: a
// client that is not known yet waits there for an administrator. It must not be called inside a transaction.
func (h *Handlers) clientIn(r *http.Request, id string) (*sp.App, *Problem, error) {
	app, err := h.clientOf(r.Context(), id)
	if err != nil || !sp.IsDocumentID(id) || app != nil && app.State == sp.Blocked {
		return app, nil, err
	}
	settings, err := h.organisation(r.Context())
	if err != nil || !settings.ClientDocuments {
		return app, nil, err
	}
	kept := h.documentOf(app, id)
	kept.mu.Lock()
	defer kept.mu.Unlock()
	now := h.Now()
	if now.Sub(kept.tried).Abs() >= fetchEvery && (app == nil || now.Sub(kept.read) >= kept.fresh) {
		if problem := h.tooManyDocuments(r, app, id); problem != nil {
			return app, problem, nil
		}
		kept.tried = now
		kept.problem, err = h.follow(r, kept, app, id)
		if err == nil {
			app, err = h.clientOf(r.Context(), id)
		}
		if err == nil && app != nil {
			h.documents.adopt(id, kept)
		}
	}
	if err != nil || app != nil && !kept.gone {
		return app, nil, err // an approved client stays what it was while its document cannot be had
	}
	return app, kept.problem, nil
}

// documentOf is what is kept of a document. What strangers name pushes out nothing of clients that are known.
func (h *Handlers) documentOf(app *sp.App, id string) *keptDocument {
	if app == nil {
		return h.strangers.at(id)
	}
	return h.documents.at(id)
}

// tooManyDocuments counts a fetch for a client that is not known, and refuses one too many.
func (h *Handlers) tooManyDocuments(r *http.Request, app *sp.App, id string) *Problem {
	if app != nil {
		return nil
	}
	address, _ := url.Parse(id)
	if problem := h.crowded("document network "+audit.Network(web.Of(r).AddressText()), documentsPerNetwork); problem != nil {
		return problem
	}
	if problem := h.crowded("document host "+address.Host, documentsPerHost); problem != nil {
		return problem
	}
	return h.crowded("documents", documentsInAll)
}

// follow reads the document and makes the client what it says. A refusal that concerns a client in the registry is noted here, for
// its administrator; others are noted with the request.
func (h *Handlers) follow(r *http.Request, kept *keptDocument, app *sp.App, id string) (*Problem, error) {
	document, problem := h.readDocument(r.Context(), id)
	kept.gone = document.gone
	if problem == nil {
		var err error
		if problem, err = h.followed(r, id, document.metadata); err != nil {
			return nil, err
		}
	}
	if problem == nil {
		kept.read, kept.fresh = h.Now(), document.fresh
		return nil, nil
	}
	if app == nil {
		return problem, nil
	}
	event := audit.Event{Kind: "client.document", App: app.ID, Address: web.Of(r).AddressText()}
	problem.describe(&event)
	_, err := h.Engine.Refused(r.Context(), event)
	return problem, err
}

// document is what an address holds.
type document struct {
	metadata *sp.Registration
	fresh    time.Duration
	gone     bool // there is none any more
}

// readDocument fetches a document: over https, from a public address, without redirects, and JSON by its media type, so that a text
// that people can leave at a server is none.
func (h *Handlers) readDocument(ctx context.Context, id string) (document, *Problem) {
	var body bytes.Buffer
	ask := outbound.Ask{URL: id, Accept: "application/json", Most: sp.MaxDocument, Direct: true, Words: outbound.Words{Given: "the document"}}
	got, err := h.Fetch.Get(context.WithoutCancel(ctx), ask, &body) // who hangs up must not spoil the one try in a minute
	if err != nil {                                                 // the cause is for the administrator alone: it tells what our network looks like
		var failed *outbound.Error
		gone := errors.As(err, &failed) && (failed.Status == http.StatusNotFound || failed.Status == http.StatusGone)
		return document{gone: gone}, badDocument("The document at this client_id cannot be had now.").because(id, err.Error())
	}
	if kind, _, err := mime.ParseMediaType(got.Type); err != nil || kind != "application/json" && (!strings.HasPrefix(kind, "application/") || !strings.HasSuffix(kind, "+json")) {
		return document{}, badDocument("The document at this client_id must come as application/json.").because("application/json", got.Type)
	}
	metadata, err := sp.ReadDocument(id, body.Bytes())
	if err != nil {
		return document{}, badDocument("The document at this client_id is not good: "+err.Error()+".").because(id, err.Error())
	}
	if problem := h.checkSector(ctx, metadata); problem != nil {
		return document{}, badDocument(problem.Text).because(problem.Expected, problem.Received)
	}
	return document{metadata: metadata, fresh: got.Keep(fetchEvery, documentFresh, documentMost)}, nil
}

func badDocument(text string) *Problem {
	p := badClient("client_document")
	p.Text = text
	return p
}

// followed makes the client of a document what it says: a new one waits, and so does one that was approved as something else. What
// an administrator set stays as long as the document says the same.
func (h *Handlers) followed(r *http.Request, id string, metadata *sp.Registration) (problem *Problem, err error) {
	err = h.Store.Update(r.Context(), func(tx store.Tx) (err error) {
		app, _, err := sp.Apps.By(tx, "client_id", id)
		if errors.Is(err, store.ErrNotFound) {
			problem, err = h.admitDocument(tx, r, id, metadata)
			return err
		}
		if err != nil || app.State == sp.Blocked || app.Document == nil || app.Document.Equal(metadata) {
			return err
		}
		before := app.Document
		if problem, err = h.describeDocument(tx, &app, metadata); problem != nil || err != nil {
			return err
		}
		if !before.Narrows(metadata) {
			if err := waitAgain(tx, &app); err != nil {
				return err
			}
		}
		app.Changed = h.Now()
		return errors.Join(sp.Apps.Put(tx, &app), h.noteClient(tx, r, "client.update", &app, app.ID))
	})
	return problem, err
}

// admitDocument adds a client to those that wait.
func (h *Handlers) admitDocument(tx store.Tx, r *http.Request, id string, metadata *sp.Registration) (*Problem, error) {
	app := h.newcomer(r, nil)
	app.Credentials.ClientID = id
	if problem, err := room(tx, &app); problem != nil || err != nil {
		return problem, err
	}
	if problem, err := h.describeDocument(tx, &app, metadata); problem != nil || err != nil {
		return problem, err
	}
	return nil, errors.Join(sp.Apps.Put(tx, &app), h.noteClient(tx, r, "client.register", &app, app.CreatedBy))
}

func (h *Handlers) describeDocument(tx store.Tx, app *sp.App, metadata *sp.Registration) (*Problem, error) {
	problem, err := h.describeClient(tx, app, metadata)
	if problem != nil {
		problem = badDocument("The document at this client_id is not good: "+problem.Text).because("", problem.Text)
	}
	app.Document = metadata
	return problem, err
}

// waitAgain ends what a client holds that is no longer what was approved, until an administrator approves it again.
func waitAgain(tx store.Tx, app *sp.App) error {
	if app.State != sp.Active {
		return nil
	}
	app.State = sp.Pending
	_, err := flow.Withdraw(tx, flow.Scope{App: app.ID})
	return err
}
