package saml

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"

	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/upstream"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// consume takes an upstream's answer: verified, kept with the inquiry that it answers, and fetched by a GET with cookies.
func (h *Handlers) consume(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		if web.Incomplete(err) {
			return err
		}
		return h.Desk.Disbelieve(r, "", err)
	}
	source, issuer, err := DecodeAnswer(r.PostForm)
	if err != nil {
		return h.Desk.Disbelieve(r, "", err)
	}
	u, env, err := h.answerEnv(r.Context(), issuer)
	if err != nil {
		return err
	}
	if u == nil {
		return h.Desk.Disbelieve(r, "", errors.New("its issuer is not an identity provider that people may sign in at: "+cut(issuer)))
	}
	told, err := VerifyAnswer(source, env)
	if err != nil {
		return h.Desk.Disbelieve(r, u.Name, err)
	}
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		q, _, err := upstream.Inquiries.Get(tx, told.InResponseTo)
		if err != nil {
			return err
		}
		if q.Told != nil || q.Upstream != u.Name || !q.Open(h.Now()) {
			return store.ErrNotFound
		}
		if q.Told, err = json.Marshal(told); err != nil {
			return err
		}
		return upstream.Inquiries.Put(tx, &q)
	})
	if errors.Is(err, store.ErrNotFound) {
		return h.Desk.Disbelieve(r, u.Name, errors.New("nobody asked for it, or it was answered before"))
	}
	if err != nil {
		return err
	}
	web.SeeOther(w, acsPath+"?answer="+url.QueryEscape(told.InResponseTo))
	return nil
}

func (h *Handlers) answerEnv(ctx context.Context, issuer string) (*federation.Upstream, AnswerEnv, error) {
	var u federation.Upstream
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		u, _, err = federation.Upstreams.By(tx, "entity_id", issuer)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && (u.OpenID != nil || !u.Usable(h.Now())) {
		return nil, AnswerEnv{}, nil
	}
	if err != nil {
		return nil, AnswerEnv{}, err
	}
	settings, err := h.loadSettings(ctx)
	if err != nil {
		return nil, AnswerEnv{}, err
	}
	decrypt, err := h.decrypters(ctx)
	return &u, AnswerEnv{
		Upstream: issuer, Keys: u.Provider.SigningKeys(), EntityID: h.entityID(settings), Recipient: h.BaseURL + acsPath, Decrypt: decrypt, Now: h.Now(),
	}, err
}

// claimAnswer signs the person in, if this is the browser that asked.
func (h *Handlers) claimAnswer(w http.ResponseWriter, r *http.Request) error {
	q, err := h.Desk.Waiting(w, r, r.URL.Query().Get("answer"))
	if err != nil {
		return err
	}
	if q.Told == nil {
		return h.Desk.Disbelieve(r, q.Upstream, errors.New("it has not come yet"))
	}
	told := new(Told)
	if err := json.Unmarshal(q.Told, told); err != nil {
		return err
	}
	u, err := h.Desk.Named(r.Context(), q.Upstream)
	if err != nil {
		return err
	}
	if told.Issuer != u.Provider.EntityID { // it was removed, and another one has its name now
		return h.Desk.Disbelieve(r, u.Name, errors.New("its issuer is not an upstream any more: "+cut(told.Issuer)))
	}
	if told.Status != "" && told.Status != StatusSuccess {
		reason := flow.Reason{
			Type: upstream.ReasonRefused, Text: u.Title() + " did not sign you in. Open the app again, or choose another way to sign in.",
			Detail: cut(told.Status + " " + told.SubStatus), Facts: map[string]string{"upstream": u.Name},
		}
		if told.SubStatus == StatusNoPassive {
			reason.Type = flow.ReasonNoPassive
		}
		return h.Desk.Decline(w, r, q, reason)
	}
	return h.Desk.Finish(w, r, u, q, told.result(u))
}

// result is the answer in the words that all protocols share.
func (t *Told) result(u *federation.Upstream) *upstream.Result {
	return &upstream.Result{Person: t.person(u), Classes: []string{t.Class}, At: t.AuthnInstant, Broker: session.Brokered{
		Authorities: t.Authorities, Count: t.Count, Audiences: t.Audiences, Ends: t.SessionEnds, Known: t.known(),
	}}
}

// known is by what the upstream will know the person when it or we sign them out.
func (t *Told) known() session.AppReached {
	n := &t.Name
	return session.AppReached{
		SessionIndex: t.SessionIndex, NameID: n.Value, NameIDFormat: n.Format,
		NameQualifier: n.NameQualifier, SPNameQualifier: n.SPNameQualifier, SPProvidedID: n.SPProvidedID,
	}
}
