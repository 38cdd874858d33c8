package saml

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// consume takes an upstream's answer: verified, kept with the inquiry that it answers, and fetched by a GET with cookies.
func (h *Handlers) consume(w http.ResponseWriter, r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		if public := web.Public500(err); public.Status < http.StatusInternalServerError {
			return public
		}
		return h.disbelieve(r, "", err)
	}
	source, issuer, err := DecodeAnswer(r.PostForm)
	if err != nil {
		return h.disbelieve(r, "", err)
	}
	u, env, err := h.answerEnv(r.Context(), issuer)
	if err != nil {
		return err
	}
	if u == nil {
		return h.disbelieve(r, "", errors.New("its issuer is not an identity provider that people may sign in at: "+cut(issuer)))
	}
	told, err := VerifyAnswer(source, env)
	if err != nil {
		return h.disbelieve(r, u.Name, err)
	}
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		q, _, err := Inquiries.Get(tx, told.InResponseTo)
		if err != nil {
			return err
		}
		if q.Told != nil || q.Upstream != u.Name || !h.Now().Before(q.Made.Add(flow.Lifetime)) {
			return store.ErrNotFound
		}
		q.Told = told
		return Inquiries.Put(tx, &q)
	})
	if errors.Is(err, store.ErrNotFound) {
		return h.disbelieve(r, u.Name, errors.New("nobody asked for it, or it was answered before"))
	}
	if err != nil {
		return err
	}
	web.SeeOther(w, acsPath+"?answer="+url.QueryEscape(told.InResponseTo))
	return nil
}

// disbelieve is the page for an answer that is not taken; what exactly is wrong is for the audit.
func (h *Handlers) disbelieve(r *http.Request, upstream string, err error) error {
	return h.Engine.Halt(r, "", "signin", flow.Reason{
		Type: ReasonUpstream, Text: "The answer of the other organisation's sign-in could not be accepted. Open the app again; if it happens again, ask your administrator.",
		Detail: cut(err.Error()), Facts: map[string]string{"upstream": upstream}, Err: err,
	})
}

func (h *Handlers) answerEnv(ctx context.Context, issuer string) (*federation.Upstream, AnswerEnv, error) {
	var u federation.Upstream
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		u, _, err = federation.Upstreams.By(tx, "entity_id", issuer)
		return err
	})
	if errors.Is(err, store.ErrNotFound) || err == nil && (u.Off || u.Provider.Expired(h.Now())) {
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
	q, err := h.answered(r)
	if err != nil {
		return err
	}
	if q.Flow != "" {
		if _, err := h.Engine.Waiting(w, r, q.Flow); err != nil {
			return err
		}
	}
	u, err := h.upstreamNamed(r.Context(), q.Upstream)
	if err != nil {
		return err
	}
	if q.Told.Issuer != u.Provider.EntityID { // it was removed, and another one has its name now
		return h.disbelieve(r, u.Name, errors.New("its issuer is not an upstream any more: "+cut(q.Told.Issuer)))
	}
	if q.Told.Status != "" && q.Told.Status != StatusSuccess {
		return h.declined(w, r, q, flow.Reason{
			Type: ReasonUpstreamStatus, Text: u.Title() + " did not sign you in. Open the app again, or choose another way to sign in.",
			Detail: cut(q.Told.Status + " " + q.Told.SubStatus), Status: StatusResponder + " " + StatusAuthnFailed, Facts: map[string]string{"upstream": u.Name},
		})
	}
	err = h.Enter(w, r, methodOf(u, q, h.Now()), func(tx store.Tx) (directory.User, error) {
		if err := takeInquiry(tx, q.ID); err != nil {
			return directory.User{}, err
		}
		return h.whose(tx, u, q.Told)
	})
	var unknown *noPerson
	if errors.As(err, &unknown) {
		return h.declined(w, r, q, flow.Reason{
			Type: unknown.reason, Text: unknown.text, Status: StatusResponder + " " + StatusAuthnFailed, Facts: map[string]string{"upstream": u.Name},
		})
	}
	if errors.Is(err, errTaken) {
		return h.disbelieve(r, u.Name, err)
	}
	if err != nil {
		return err
	}
	web.SeeOther(w, q.onward())
	return nil
}

var errTaken = errors.New("the answer was used before")

// takeInquiry lets an answer count once.
func takeInquiry(tx store.Tx, id string) error {
	revision, err := Inquiries.Revision(tx, id)
	if err != nil {
		return err
	}
	if revision == 0 {
		return errTaken
	}
	return Inquiries.Delete(tx, id)
}

// answered is the inquiry that a browser comes back with; a strange one learns nothing.
func (h *Handlers) answered(r *http.Request) (*Inquiry, error) {
	var q Inquiry
	err := h.Store.View(r.Context(), func(tx store.Tx) (err error) {
		q, _, err = Inquiries.Get(tx, r.URL.Query().Get("answer"))
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && (q.Told == nil || !h.Now().Before(q.Made.Add(flow.Lifetime))):
		return nil, h.Engine.Halt(r, "", "signin", flow.Reason{
			Type: flow.ReasonExpired, Text: "This sign-in has expired or was finished already. Open the app again.",
		})
	case err != nil:
		return nil, err
	case q.Browser != h.Engine.Shown(r):
		return nil, h.Engine.Halt(r, "", "signin", flow.Reason{
			Type: flow.ReasonOtherBrowser, Text: "This sign-in was started in another browser, or your browser refuses cookies. Allow cookies, then open the app again here.",
			Facts: map[string]string{"upstream": q.Upstream},
		})
	}
	return &q, nil
}

// declined ends a sign-in that came to nothing: a passive app is told, a person reads why.
func (h *Handlers) declined(w http.ResponseWriter, r *http.Request, q *Inquiry, reason flow.Reason) error {
	err := h.Store.Update(r.Context(), func(tx store.Tx) error { return takeInquiry(tx, q.ID) })
	if errors.Is(err, errTaken) {
		return h.disbelieve(r, q.Upstream, err)
	}
	if err != nil {
		return err
	}
	event := audit.Event{
		Kind: "signin", Outcome: audit.Refused, Reason: reason.Type, Address: web.Of(r).AddressText(), Detail: reason.Detail,
		Facts: map[string]string{"method": "saml:" + q.Upstream, "upstream": q.Upstream},
	}
	switch {
	case q.Flow == "":
		return h.Engine.Halt(r, "", "signin", reason)
	case q.Passive || q.Told.SubStatus == StatusNoPassive:
		reason.Type, reason.Status = flow.ReasonNoPassive, ""
	}
	if err := h.Engine.Note(r.Context(), event, func(store.Tx) error { return nil }); err != nil {
		return err
	}
	return h.Engine.Decline(w, r, q.Flow, reason)
}

// methodOf is the sign-in as the session keeps it. It is as old as the upstream says, unless it was made to ask again.
func methodOf(u *federation.Upstream, q *Inquiry, now time.Time) session.Method {
	at := q.Told.AuthnInstant
	if at.After(now) || q.Forced && !at.Before(q.Made.Add(-forcedSkew)) {
		at = now
	}
	return session.Method{Name: "saml:" + u.Name, At: at, Level: session.Level(u.LevelOf(q.Told.Class)), From: &session.Brokered{
		Upstream: u.Provider.EntityID, Class: q.Told.Class, Authorities: q.Told.Authorities,
		Count: q.Told.Count, Audiences: q.Told.Audiences, Ends: q.Told.SessionEnds, Known: q.Told.known(u),
	}}
}

// known is by what the upstream will know the person when it or we sign them out.
func (t *Told) known(u *federation.Upstream) session.AppReached {
	n := &t.Name
	return session.AppReached{
		App: session.UpstreamID(u.Provider.EntityID), SessionIndex: t.SessionIndex, NameID: n.Value, NameIDFormat: n.Format,
		NameQualifier: n.NameQualifier, SPNameQualifier: n.SPNameQualifier, SPProvidedID: n.SPProvidedID,
	}
}

// forcedSkew is how far the clock of an upstream may be behind where a new sign-in is wanted.
const forcedSkew = time.Minute
