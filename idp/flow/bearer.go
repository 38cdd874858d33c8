package flow

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// Bearer turns the token in a request's Authorization header (RFC 6750, 2.1; RFC 9449, 7.1) into who acts, with the scopes that it
// carries; or says why not as a *web.Error, audited within the bounds for strangers. Who has sent too many wrong ones is told to
// wait; a right one is always taken, because 256 bits cannot be guessed and neighbours share addresses.
func (e *Engine) Bearer(r *http.Request) (web.Actor, error) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	secret = strings.TrimSpace(secret)
	bearer := strings.EqualFold(scheme, "Bearer")
	switch {
	case secret == "" || !bearer && !strings.EqualFold(scheme, "DPoP"):
		return web.Actor{}, &web.Error{
			Status: http.StatusUnauthorized, Reason: "no_token", Challenge: bearerChallenge,
			Text: "Send an API token, or an access token of an app, in the header Authorization: Bearer TOKEN.",
		}
	case !bearer || !grants.IsAPISecret(secret):
		return e.Caller(r)
	}
	return e.apiToken(r, secret)
}

// bearerChallenge is RFC 6750, 3.
const bearerChallenge = `Bearer realm="Gatehouse"`

func (e *Engine) apiToken(r *http.Request, secret string) (web.Actor, error) {
	var found bearer
	err := e.Store.View(r.Context(), func(tx store.Tx) (err error) {
		found, err = e.bearer(tx, secret, web.Of(r).Address)
		return err
	})
	if err != nil {
		return web.Actor{}, err
	}
	if found.refused != nil {
		return web.Actor{}, e.refuseBearer(r, found)
	}
	if found.note == nil {
		return found.actor, nil
	}
	err = e.Store.Update(r.Context(), found.note)
	if errors.Is(err, store.ErrBusy) { // a store that takes no writes stops no reading
		err = nil
	}
	return found.actor, err
}

// bearer is what a secret stands for.
type bearer struct {
	actor   web.Actor
	refused *Reason              // why it is not taken; the actor is then whose it was, if that is known
	note    func(store.Tx) error // what its use leaves behind; nil: nothing
}

// bearer looks the secret of an API token up.
func (e *Engine) bearer(tx store.Tx, secret string, from netip.Addr) (bearer, error) {
	token, err := grants.FindAPIToken(tx, secret)
	if errors.Is(err, store.ErrNotFound) {
		return bearer{refused: &Reason{Type: "bad_token", Text: "This token is not known, or it was revoked. Use another one."}}, nil
	}
	if err != nil {
		return bearer{}, err
	}
	found := bearer{actor: web.Actor{ID: token.ID, Name: token.Name, Scopes: token.Scopes}}
	alive, err := directory.MakesTokens(tx, token.Creator)
	switch {
	case token.Ended(e.Now()):
		found.refused = &Reason{Type: "expired_token", Text: "This token ended on " + token.Expires.UTC().Format(time.DateOnly) + ". Ask an owner for a new one."}
	case !token.From(from):
		found.refused = &Reason{Type: "token_address", Text: "This token must not be used from here. Use it from the addresses that it was made for."}
	case !alive:
		found.refused = &Reason{Type: "token_creator", Text: "Who made this token is an owner no more. Ask an owner for a new one."}
	case token.Used(from, e.Now()):
		found.note = func(tx store.Tx) error {
			if now, _, err := grants.APITokens.Get(tx, token.ID); err != nil || now.LastUsed.After(token.LastUsed) {
				return absent(err) // revoked meanwhile, or noted
			}
			return grants.APITokens.Put(tx, &token)
		}
	}
	return found, err
}

// refuseBearer writes the entry of a refused token. One that was folded into a counted entry is answered with a wait.
func (e *Engine) refuseBearer(r *http.Request, found bearer) error {
	reason := found.refused
	code, err := e.record(r.Context(), audit.Event{
		Kind: "apitoken", Outcome: audit.Refused, Reason: reason.Type, Actor: found.actor.ID,
		Address: web.Of(r).AddressText(), Facts: map[string]string{"method": r.Method, "path": r.URL.Path},
	})
	if err != nil {
		return err
	}
	if code == "" {
		return &web.Error{
			Status: http.StatusTooManyRequests, Reason: "too_many", RetryAfter: time.Minute, Code: web.Of(r).ID,
			Text: "Too many wrong tokens came from this address. Wait a minute, then use the right one.",
		}
	}
	return &web.Error{Status: http.StatusUnauthorized, Reason: reason.Type, Code: code, Text: reason.Text, Challenge: bearerChallenge}
}
