package upstream

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/outbound"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// Result is how a sign-in elsewhere went, verified.
type Result struct {
	Person  Person
	Classes []string         // how the person signed in there; the first one is told to apps
	At      time.Time        // when the person signed in there
	Broker  session.Brokered // what is passed on; Upstream and Class are filled in here
}

// Disbelieve is the page for an answer that is not taken, or does not come; what exactly is wrong is for the audit.
func (d *Desk) Disbelieve(r *http.Request, upstream string, err error) error {
	var unreached *outbound.Error
	if errors.As(err, &unreached) {
		return d.Engine.Halt(r, "", "signin", flow.Reason{
			Type: ReasonSilent, Text: "The other organisation's sign-in does not answer as it should at this time. Open the app again in a few minutes, or choose another way to sign in.",
			Detail: cut(err.Error()), Facts: map[string]string{"upstream": upstream}, Err: err,
		})
	}
	return d.Engine.Halt(r, "", "signin", flow.Reason{
		Type: ReasonAnswer, Text: "The answer of the other organisation's sign-in could not be accepted. Open the app again; if it happens again, ask your administrator.",
		Detail: cut(err.Error()), Facts: map[string]string{"upstream": upstream}, Err: err,
	})
}

// cut bounds what an upstream can write into the audit.
func cut(text string) string { return strings.ToValidUTF8(text[:min(len(text), 300)], "") }

// Finish signs the person in and sends the browser on, or says why not. The inquiry is taken in the same transaction, unless it was
// spent before.
func (d *Desk) Finish(w http.ResponseWriter, r *http.Request, u *federation.Upstream, q *Inquiry, result *Result) error {
	err := d.Enter(w, r, d.method(u, q, result), func(tx store.Tx) (directory.User, error) {
		if err := q.take(tx); err != nil {
			return directory.User{}, err
		}
		return d.whose(tx, u, &result.Person)
	})
	var nobody *noPerson
	switch {
	case errors.As(err, &nobody):
		return d.Decline(w, r, q, flow.Reason{Type: nobody.reason, Text: nobody.text, Facts: map[string]string{"upstream": u.Name}})
	case errors.Is(err, errTaken):
		return d.Disbelieve(r, u.Name, err)
	case err != nil:
		return err
	}
	web.SeeOther(w, q.Onward())
	return nil
}

// Decline ends a sign-in that came to nothing: the app is told where one waits, else a person reads why.
func (d *Desk) Decline(w http.ResponseWriter, r *http.Request, q *Inquiry, reason flow.Reason) error {
	if err := d.Spend(r, q); err != nil {
		return err
	}
	event := audit.Event{
		Kind: "signin", Outcome: audit.Refused, Reason: reason.Type, Address: web.Of(r).AddressText(), Detail: reason.Detail,
		Facts: map[string]string{"upstream": q.Upstream},
	}
	if q.Flow == "" {
		return d.Engine.Halt(r, "", "signin", reason)
	}
	if q.Passive {
		reason.Type = flow.ReasonNoPassive
	}
	reason.SignIn = true
	if err := d.Engine.Note(r.Context(), event, func(store.Tx) error { return nil }); err != nil {
		return err
	}
	return d.Engine.Decline(w, r, q.Flow, reason)
}

// method is the sign-in as the session keeps it. It is as old as the upstream says, unless it was made to ask again.
func (d *Desk) method(u *federation.Upstream, q *Inquiry, result *Result) session.Method {
	now, at, broker := d.Now(), result.At, result.Broker
	if at.After(now) || q.Forced && !at.Before(q.Made.Add(-forcedSkew)) {
		at = now
	}
	if broker.Upstream = u.ID(); len(result.Classes) > 0 {
		broker.Class = result.Classes[0]
	}
	broker.Known.App = session.UpstreamID(u.ID())
	name := "saml:" + u.Name
	if u.OpenID != nil {
		name = "oidc:" + u.Name
	}
	return session.Method{Name: name, At: at, Level: session.Level(u.LevelOf(result.Classes...)), From: &broker}
}

// forcedSkew is how far the clock of an upstream may be behind where a new sign-in is wanted.
const forcedSkew = time.Minute
