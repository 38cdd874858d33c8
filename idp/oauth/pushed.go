package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// pushedPrefix begins the request_uri of what a client pushed (RFC 9126, 2.2). No other request_uri is taken, so that nothing is
// fetched because a stranger says so.
const pushedPrefix = "urn:ietf:params:oauth:request_uri:"

// maxPushedBytes bounds what is kept of one request: those that wait lie in the store, and anybody can push as a public client.
const maxPushedBytes = 16 << 10

// maxPushed is how many requests may wait that one public client pushed from one network.
const maxPushed = 100

// push keeps an authorization request that the client sends by itself, before the browser comes with its name alone (RFC 9126). It
// is checked like one that a browser brings.
func (h *Handlers) push(w http.ResponseWriter, r *http.Request) error {
	values, c, problem, err := h.posted(r)
	uri := pushedPrefix + sp.RandomSecret()
	if problem == nil && err == nil {
		values, problem, err = h.pushable(r, c.app, values, uri)
	}
	if problem == nil && err == nil {
		problem = h.bindPushed(r, &c, values)
	}
	if err != nil {
		return err
	}
	if problem == nil {
		record := &grants.Pushed{Hash: grants.Hash(uri), App: c.app.ID, Values: values, Expires: h.Now().Add(grants.PushedLifetime)}
		if c.app.Definition.OAuth.Public() {
			record.Network = audit.Network(web.Of(r).AddressText())
		}
		problem, err = h.left(c.app.Definition.OAuth, "pushed", pushedPerMinute, func() (problem *Problem, err error) {
			err = h.Store.Update(r.Context(), func(tx store.Tx) (err error) {
				if problem, err = spend(tx, c.once); problem == nil && err == nil {
					problem, err = keepPushed(tx, record)
				}
				return err
			})
			return problem, err
		})
	}
	if err != nil {
		return err
	}
	if problem != nil {
		return h.refused(r, "par", c.app, problem)
	}
	web.WriteJSON(w, http.StatusCreated, struct {
		URI       string `json:"request_uri"`
		ExpiresIn int    `json:"expires_in"`
	}{uri, int(grants.PushedLifetime / time.Second)})
	return nil
}

// keepPushed stores a request. Anybody can push as a public client, so that what waits of one is bounded.
func keepPushed(tx store.Tx, record *grants.Pushed) (*Problem, error) {
	if from := record.From(); from != "" {
		n, err := grants.AllPushed.Count(tx, store.Page{Index: "from", Value: from}, maxPushed)
		if err != nil {
			return nil, err
		}
		if n >= maxPushed {
			return tryLater("too_many_pushed", "Too many pushed requests of this app wait for their browsers. Try again in a minute.", time.Minute), nil
		}
	}
	return nil, grants.AllPushed.Put(tx, record)
}

// pushable is what the parameters of a pushed request come to, without the client's proof.
func (h *Handlers) pushable(r *http.Request, app *sp.App, values url.Values, uri string) (url.Values, *Problem, error) {
	if values.Has("request_uri") {
		return nil, refuse(codeInvalidRequest, "request_uri_pushed", "A pushed request cannot name another one (request_uri)."), nil
	}
	for _, proof := range []string{"client_secret", "client_assertion", "client_assertion_type"} {
		values.Del(proof)
	}
	values.Set("client_id", app.Credentials.ClientID)
	values, problem, err := h.opened(r.Context(), values)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	if len(values.Encode()) > maxPushedBytes {
		return nil, refuse(codeInvalidRequest, "long_request", "The pushed request is longer than 16,384 bytes: send less in state, claims and what nobody reads."), nil
	}
	values.Set("request_uri", uri)
	if _, problem, err = h.recipient(r, values, nil); problem != nil {
		problem = forDeveloper(problem)
	}
	if problem == nil && err == nil {
		a := &asked{Redirect: values.Get("redirect_uri")}
		problem, err = h.read(r, app, values, a, &flow.Request{})
	}
	if problem != nil && problem.Code == "" {
		problem.Code = codeInvalidRequest
	}
	return values, problem, err
}

// forDeveloper words for who writes a client what recipient says to people: nobody looks at a page here.
func forDeveloper(p *Problem) *Problem {
	switch p.Reason {
	case "no_redirect_uri":
		p.Text = "The request has no redirect_uri: send the address, registered for this client, to which the answer goes."
	case "bad_redirect_uri":
		p.Text = "The redirect_uri is none of this client's: send one exactly as it is registered, or have it registered (oauth.redirect_uris)."
	}
	return p
}

// bindPushed binds the code to the key of a DPoP proof, which then stands for dpop_jkt (RFC 9449, 10.1).
func (h *Handlers) bindPushed(r *http.Request, c *identified, values url.Values) *Problem {
	has, problem := h.possessed(r, "")
	if problem != nil || has.key == "" {
		return problem
	}
	if problem := boundTo(grants.Binding{Key: values.Get("dpop_jkt")}, grants.Binding{Key: has.key}); problem != nil {
		return problem
	}
	values.Set("dpop_jkt", has.key)
	c.once = append(c.once, has.once)
	return nil
}

// taken gives what was pushed under a name, once, and to its client alone.
func (h *Handlers) taken(ctx context.Context, sent url.Values) (values url.Values, problem *Problem, err error) {
	key := grants.Hash(sent.Get("request_uri"))
	err = h.Store.Update(ctx, func(tx store.Tx) error {
		record, _, err := grants.AllPushed.Get(tx, key)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		switch {
		case err != nil, !h.Now().Before(record.Expires):
			values, problem = nil, refuse("", "unknown_request_uri", "This sign-in was begun too long ago, or was opened before. Go back to the app and start again.")
			return nil
		case record.Values.Get("client_id") != sent.Get("client_id"):
			values, problem = nil, refuse("", "request_uri_of_other_client", "This sign-in was begun by another app. Go back to the app and start again.").because("the client that pushed it", sent.Get("client_id"))
			return nil
		}
		values, problem = record.Values, nil
		return grants.AllPushed.Delete(tx, key)
	})
	return values, problem, err
}

// resolved puts what a request refers to into its place: a request that was pushed, or a request object.
func (h *Handlers) resolved(ctx context.Context, values url.Values) (url.Values, *Problem, error) {
	switch {
	case values.Has("request") && values.Has("request_uri"):
		return values, refuse(codeInvalidRequest, "two_requests", "The request holds request and request_uri: use one of them."), nil
	case strings.HasPrefix(values.Get("request_uri"), pushedPrefix):
		return h.taken(ctx, values)
	}
	return h.opened(ctx, values)
}
