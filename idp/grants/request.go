package grants

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"gatehouse/store"
)

// State is where a request is in its life: asked, and then one of the others for good.
type State string

// The states of a request. Expired is one that nobody answered in time.
const (
	Asked     State = "asked"
	Approved  State = "approved"
	Denied    State = "denied"
	Withdrawn State = "withdrawn"
	Expired   State = "expired"
)

// States lists the states in the order of a life.
func States() []State { return []State{Asked, Approved, Denied, Withdrawn, Expired} }

// Bounds of requests.
const (
	MaxOpen   = 20                   // that one person may have open at once
	MaxDaily  = 50                   // that one person may make in 24 hours, answered, withdrawn or not
	MaxText   = 500                  // characters of Why and of Answer
	AskedFor  = 30 * 24 * time.Hour  // how long one waits for an answer
	KeptAfter = 400 * 24 * time.Hour // how long one is kept once it is closed
)

// Request is a person's wish to use an app, and what became of it. Why and Answer are plain text.
type Request struct {
	ID      string    `json:"id"` // "req_…", in the order of time
	User    string    `json:"user"`
	App     string    `json:"app"`
	Why     string    `json:"why"`
	Asked   time.Time `json:"asked"`
	Wanted  Span      `json:"wanted"`
	State   State     `json:"state"`
	Decided time.Time `json:"decided,omitzero"` // when it left the state Asked
	By      string    `json:"by,omitempty"`     // user id of who decided, or who acted on the socket, or "system"
	Answer  string    `json:"answer,omitempty"`
	Until   time.Time `json:"until,omitzero"` // of an approved one: when the access ends
}

// StateAt is the state at a moment: nobody can answer a request whose time is over, even before a job has noted that.
func (r *Request) StateAt(now time.Time) State {
	if r.State == Asked && !now.Before(r.Due()) {
		return Expired
	}
	return r.State
}

// Due is when a request that nobody answered expires.
func (r *Request) Due() time.Time { return r.Asked.Add(AskedFor) }

// Close ends the wait for an answer; one that was closed before, or whose time is over, gives a *ClosedError.
func (r *Request) Close(state State, by string, now time.Time) error {
	if was := r.StateAt(now); was != Asked && (was != Expired || state != Expired || r.State == Expired) {
		return &ClosedError{State: was, By: r.By}
	}
	r.State, r.By, r.Decided = state, by, now
	return nil
}

// ClosedError says that a request cannot be answered or withdrawn any more, because it was, by whom.
type ClosedError struct {
	State State
	By    string // as in Request
}

func (e *ClosedError) Error() string { return fmt.Sprintf("the request is %s already", e.State) }

// NewRequestID makes a request id: "req_", the time in milliseconds, and 80 random bits, 26 characters that sort by time.
func NewRequestID(now time.Time) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], uint64(now.UnixMilli())<<14) // 50 bits are ten characters
	at := base32.HexEncoding.EncodeToString(raw[:])[:10]
	return "req_" + strings.ToLower(at+rand.Text()[:16])
}

// Requests is the table of requests. Its keys are in the order of time. The unique index "open" holds one open request per
// person and app; of the lists, "open_user" and "open_app" hold the open ones, and "due" those in the order in which they expire.
var Requests = &store.Table[Request]{
	Name:    "access_request",
	Version: 1,
	Key:     func(r *Request) string { return r.ID },
	Unique: map[string]func(*Request) string{
		"open": func(r *Request) string {
			if r.State != Asked {
				return ""
			}
			return Pair(r.User, r.App)
		},
	},
	Lists: map[string]func(*Request) []string{
		"user":      func(r *Request) []string { return []string{r.User} },
		"app":       func(r *Request) []string { return []string{r.App} },
		"state":     func(r *Request) []string { return []string{string(r.State)} },
		"open_user": func(r *Request) []string { return r.whileOpen(r.User) },
		"open_app":  func(r *Request) []string { return r.whileOpen(r.App) },
		"due":       func(r *Request) []string { return r.whileOpen(Sortable(r.Due())) },
	},
	Expires: func(r *Request) time.Time {
		if r.State == Asked {
			return r.Due().Add(KeptAfter)
		}
		return r.Decided.Add(KeptAfter)
	},
}

func (r *Request) whileOpen(value string) []string {
	if r.State != Asked {
		return nil
	}
	return []string{value}
}

// Sortable writes a moment between the years 0 and 9999 so that texts sort like times.
func Sortable(at time.Time) string { return at.UTC().Format("20060102T150405.000000000") }
