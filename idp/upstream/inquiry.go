package upstream

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// Bounds of what may wait, so that strangers cannot fill the disk: of one network, and in all of those for which no request waits. The
// others are as many as those requests, which have bounds of their own.
const (
	maxInquiries = 200
	maxLoose     = 20_000
)

// Inquiry is a question of ours that an upstream has to answer, once. An answer counts only in the browser that asked: one that
// somebody else brings signs nobody in.
type Inquiry struct {
	ID       string    `json:"id"` // the protocol's: by which the answer finds it
	Upstream string    `json:"upstream"`
	Browser  string    `json:"browser"`        // hash of the cookie
	Flow     string    `json:"flow,omitempty"` // token of the waiting request
	Next     string    `json:"next,omitempty"` // path to go on to where none waits
	Forced   bool      `json:"forced,omitempty"`
	Passive  bool      `json:"passive,omitempty"`
	Address  string    `json:"address"`
	Made     time.Time `json:"made"`
	Told     []byte    `json:"told,omitempty"` // the protocol's own: a verified answer that came without cookies and waits for the browser

	spent bool // it is not stored any more
}

// Inquiries holds what upstreams were asked.
var Inquiries = &store.Table[Inquiry]{
	Name: "upstream_inquiry", Version: 1, Key: func(q *Inquiry) string { return q.ID },
	Lists: map[string]func(*Inquiry) []string{
		"network": func(q *Inquiry) []string { return []string{audit.Network(q.Address)} },
		"loose":   (*Inquiry).loose,
	},
	Expires: func(q *Inquiry) time.Time { return q.Made.Add(flow.Lifetime) },
}

// Open tells whether it may still be answered.
func (q *Inquiry) Open(now time.Time) bool { return now.Before(q.Made.Add(flow.Lifetime)) }

// Onward is where the browser goes after the sign-in.
func (q *Inquiry) Onward() string {
	if q.Flow == "" {
		return web.LocalPath(q.Next, "/")
	}
	return "/flow/" + url.PathEscape(q.Flow)
}

// loose is an index of those for which no request waits.
func (q *Inquiry) loose() []string {
	if q.Flow != "" {
		return nil
	}
	return []string{"yes"}
}

// Keep stores an inquiry; the error is a page where too many wait.
func (d *Desk) Keep(ctx context.Context, q *Inquiry) error {
	return d.Store.Update(ctx, func(tx store.Tx) error {
		n, err := Inquiries.Count(tx, store.Page{Index: "network", Value: audit.Network(q.Address)}, maxInquiries)
		if err != nil {
			return err
		}
		if n >= maxInquiries {
			return &web.Error{Status: http.StatusTooManyRequests, Reason: flow.ReasonTooManyWaiting, RetryAfter: flow.Lifetime,
				Text: "Too many sign-ins from your network wait to be finished. Finish one, or try again in ten minutes."}
		}
		if q.Flow == "" {
			if n, err = Inquiries.Count(tx, store.Page{Index: "loose", Value: "yes"}, maxLoose); err != nil {
				return err
			}
		}
		if n >= maxLoose {
			return &web.Error{Status: http.StatusTooManyRequests, Reason: flow.ReasonTooManyWaiting, RetryAfter: flow.Lifetime,
				Text: "Too many people are signing in elsewhere at this time. Open your app itself, or try again in ten minutes."}
		}
		return Inquiries.Put(tx, q)
	})
}

// Waiting is the open inquiry of an id that this browser made; a strange one learns nothing. The error is a page.
func (d *Desk) Waiting(w http.ResponseWriter, r *http.Request, id string) (*Inquiry, error) {
	var q Inquiry
	err := d.Store.View(r.Context(), func(tx store.Tx) (err error) {
		q, _, err = Inquiries.Get(tx, id)
		return err
	})
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && !q.Open(d.Now()):
		return nil, d.Engine.Halt(r, "", "signin", flow.Reason{
			Type: flow.ReasonExpired, Text: "This sign-in has expired or was finished already. Open the app again.",
		})
	case err != nil:
		return nil, err
	case q.Browser != d.Engine.Shown(r):
		return nil, d.Engine.Halt(r, "", "signin", flow.Reason{
			Type: flow.ReasonOtherBrowser, Text: "This sign-in was started in another browser, or your browser refuses cookies. Allow cookies, then open the app again here.",
			Facts: map[string]string{"upstream": q.Upstream},
		})
	}
	if q.Flow != "" {
		_, err = d.Engine.Waiting(w, r, q.Flow)
	}
	return &q, err
}

var errTaken = errors.New("the answer was used before")

// take lets an inquiry be answered once.
func (q *Inquiry) take(tx store.Tx) error {
	if q.spent {
		return nil
	}
	revision, err := Inquiries.Revision(tx, q.ID)
	if err != nil {
		return err
	}
	if revision == 0 {
		return errTaken
	}
	return Inquiries.Delete(tx, q.ID)
}

// Spend takes an inquiry before its answer is known to be good: whatever comes of that, it comes once. The error is a page where it
// was answered before.
func (d *Desk) Spend(r *http.Request, q *Inquiry) error {
	err := d.Store.Update(r.Context(), q.take)
	if errors.Is(err, errTaken) {
		return d.Disbelieve(r, q.Upstream, err)
	}
	q.spent = err == nil
	return err
}
