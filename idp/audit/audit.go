// Package audit owns the append-only record of what happened: who did what to which app, from where, with what outcome
// and for which typed reason. It counts from that how apps are used (usage.go, rollup.go) and proves that nobody changed it
// (verify.go).
//
// Events are appended inside the caller's transaction: no change without its trace, no trace without its change. It
// must not know HTTP or protocols, and an Event never carries a secret, a token, an assertion or a clear NameID.
package audit

import "time"

// Event is one thing that happened. Code is short and shown on error pages; `gatehouse trace CODE` finds the entry.
type Event struct {
	Seq      uint64            `json:"seq"`
	Time     time.Time         `json:"time"`
	Node     string            `json:"node"`
	Kind     string            `json:"kind"`             // "signon", "signin", "signout", "app.block", "user.add", …
	Outcome  string            `json:"outcome"`          // "ok", "refused", "failed"
	Reason   string            `json:"reason,omitempty"` // typed: "permitted_users", "bad_signature", …
	Code     string            `json:"code"`
	Actor    string            `json:"actor,omitempty"` // user id, "uid 0", "system"
	User     string            `json:"user,omitempty"`  // user id it is about
	App      string            `json:"app,omitempty"`   // app id
	Address  string            `json:"address,omitempty"`
	Detail   string            `json:"detail,omitempty"` // one sentence for the admin
	Facts    map[string]string `json:"facts,omitempty"`  // typed extras: request id, session handle, expected, received, …
	Count    int               `json:"count,omitempty"`  // more than one: a folded entry of that many refusals
	Previous string            `json:"previous"`         // hash of the entry before in this node's chain
}

// Outcomes of an event.
const (
	OK      = "ok"
	Refused = "refused"
	Failed  = "failed"
)
