package signin

import (
	"errors"
	"net/http"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/templates"
)

func answerOf(r *http.Request) directory.Answer {
	return directory.Answer{Token: r.PostForm.Get("token"), Response: r.PostForm.Get("response")}
}

// passkeyMethod is what a passkey proves: with user verification it is two factors in one.
func passkeyMethod(result *directory.PasskeyResult, now time.Time) session.Method {
	if result.Verified {
		return session.Method{Name: session.MethodPasskey, At: now}
	}
	return session.Method{Name: session.MethodSecurityKey, At: now}
}

func passkeyFacts(result *directory.PasskeyResult) map[string]string {
	return map[string]string{"method": passkeyMethod(result, time.Time{}).Name, "factor": result.Factor}
}

// passkeyCommit marks the challenge as answered and the passkey as used.
func (h *Handlers) passkeyCommit(result *directory.PasskeyResult) func(store.Tx) error {
	return func(tx store.Tx) error {
		if err := flow.Once(tx, result.Once, result.Until); err != nil {
			return err
		}
		return result.Commit(tx)
	}
}

// refusedPasskey tells whether the commit found that the answer must not count, and notes why.
func refusedPasskey(err error, result *directory.PasskeyResult) bool {
	switch {
	case errors.Is(err, flow.ErrReplayed):
		result.Reason = directory.ExpiredChallenge
	case errors.Is(err, directory.ErrUsed):
		result.Reason = directory.ClonedPasskey
	default:
		return false
	}
	return true
}

// notePasskey writes the audit entry of an answer that does not count. One that is sent again shows an old counter and is no copied
// key: what was sent once is known by its challenge.
func (h *Handlers) notePasskey(r *http.Request, user string, result *directory.PasskeyResult) error {
	if result.Reason == directory.ClonedPasskey {
		err := h.Store.Update(r.Context(), func(tx store.Tx) error { return flow.Once(tx, result.Once, result.Until) })
		if err != nil && !refusedPasskey(err, result) {
			return err
		}
	}
	return h.noteFactor(r, user, session.MethodPasskey, result.Reason, result.Detail, nil)
}

// passkeyText says what to do. What was wrong with the answer itself is for the audit.
func passkeyText(reason directory.Reason) string {
	switch reason {
	case directory.ExpiredChallenge:
		return "That took too long, or this page was used already. Try again."
	case directory.UnknownPasskey:
		return "This passkey is not known here any more. Use another one, or another way to sign in."
	case directory.ClonedPasskey:
		return "This key may have been copied, so it was not accepted. Use another way to sign in, and tell your administrator."
	case directory.SourceLeft:
		return "Nobody of your directory can sign in now. Ask your administrator."
	}
	return "The passkey could not be checked. Try again, or use another way to sign in."
}

// offerPasskey lets the sign-in page ask for a passkey, by a button and in the autofill of the user name.
func (h *Handlers) offerPasskey(w http.ResponseWriter, r *http.Request, page *templates.SignInPage) error {
	challenge, err := h.Factors.SignInChallenge(h.Engine.Browser(w, r))
	if err != nil {
		return err
	}
	page.Passkey = &templates.Ceremony{
		Action: "/login/passkey", Options: challenge.Options, Token: challenge.Token, Conditional: !page.NoPassword && page.ReauthNote == "",
	}
	return nil
}

// passkey signs a person in by a passkey alone: POST /login/passkey.
func (h *Handlers) passkey(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	form := placeOf(r.PostForm)
	request, err := h.waiting(w, r, form)
	if err != nil {
		return err
	}
	ways, err := h.ways(r)
	if err != nil {
		return err
	}
	if !ways.passkey {
		return &web.Error{Status: http.StatusForbidden, Reason: "no_passkeys", Text: "Nobody signs in by a passkey here. Go back and choose another way."}
	}
	result, err := h.Factors.CheckSignIn(r.Context(), h.Engine.Shown(r), answerOf(r))
	if err != nil {
		return err
	}
	if result.OK() {
		err := h.enterByPasskey(w, r, &result)
		if !refusedPasskey(err, &result) {
			return h.raised(w, form, err)
		}
	}
	if err := h.notePasskey(r, result.Account, &result); err != nil {
		return err
	}
	return h.page(w, r, http.StatusForbidden, request, form, passkeyText(result.Reason))
}

// enterByPasskey starts or raises the session in one Update with its audit entry.
func (h *Handlers) enterByPasskey(w http.ResponseWriter, r *http.Request, result *directory.PasskeyResult) error {
	var secret string
	var started session.Session
	facts := passkeyFacts(result)
	h.mark(w, r)
	err := h.Store.Update(r.Context(), func(tx store.Tx) error {
		if err := h.passkeyCommit(result)(tx); err != nil {
			return err
		}
		if err := directory.SignedIn(tx, result.User.ID, h.Kit.Now()); err != nil {
			return err
		}
		var err error
		if secret, started, err = h.start(tx, r, &result.User, passkeyMethod(result, h.Kit.Now()), h.Kit.Cookies.Get(r, web.SessionCookie)); err != nil {
			return err
		}
		facts["session"], facts["level"] = started.Handle, string(started.Level)
		_, err = h.Audit.Append(tx, audit.Event{
			Kind: "signin", Outcome: audit.OK, Actor: result.User.ID, User: result.User.ID, Address: web.Of(r).AddressText(), Facts: facts,
		})
		return err
	})
	if err == nil {
		h.Kit.Cookies.Set(w, web.SessionCookie, secret, started.Ends.Sub(h.Kit.Now()))
	}
	return err
}
