package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AccessRequest is a person's wish to use an app. One of WantedFor and WantedUntil is set.
type AccessRequest struct {
	ID          string    `json:"id"`
	User        Ref       `json:"user"`
	App         Ref       `json:"app"`
	Why         string    `json:"why"`
	State       string    `json:"state"` // asked, approved, denied, withdrawn, expired
	Asked       time.Time `json:"asked"`
	WantedFor   string    `json:"wanted_for,omitempty"` // such as 7d
	WantedUntil time.Time `json:"wanted_until,omitzero"`
	Decided     time.Time `json:"decided,omitzero"` // when it was answered or withdrawn, or expired
	By          Ref       `json:"by"`
	Answer      string    `json:"answer,omitempty"`
	Until       time.Time `json:"until,omitzero"` // of an approved one: when the access ends
}

// Answer is the word on a request. For a yes, For (such as 7d) or Until says how long the access lasts; neither: as wanted.
type Answer struct {
	For   string    `json:"for,omitempty"`
	Until time.Time `json:"until,omitzero"`
	Text  string    `json:"text,omitempty"` // for the person
}

// Grant is a person's access to an app on request, which ends by itself.
type Grant struct {
	User    Ref       `json:"user"`
	App     Ref       `json:"app"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until"`
	By      Ref       `json:"by"`
	Request string    `json:"request,omitempty"`
}

// RevokeGrant names the access that ends now: of a person, to an app.
type RevokeGrant struct {
	User string `json:"user"`
	App  string `json:"app"`
}

// RequestQuery filters requests; zero values do not filter. Requests come newest first, grants by person.
type RequestQuery struct {
	State, App, User string
	After            string
	Limit            int
}

func (q RequestQuery) values() url.Values {
	values := query("state", q.State, "app", q.App, "user", q.User, "after", q.After)
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return values
}

// Requests lists requests for access.
func (c *Client) Requests(ctx context.Context, q RequestQuery) (List[AccessRequest], error) {
	return call[List[AccessRequest]](ctx, c, http.MethodGet, "/requests", q.values(), nil)
}

// ApproveRequest grants what was asked for.
func (c *Client) ApproveRequest(ctx context.Context, id string, answer Answer) (AccessRequest, error) {
	return call[AccessRequest](ctx, c, http.MethodPost, path("requests", id, "approve"), nil, answer)
}

// DenyRequest refuses what was asked for; only Text of the answer may be set.
func (c *Client) DenyRequest(ctx context.Context, id string, answer Answer) (AccessRequest, error) {
	return call[AccessRequest](ctx, c, http.MethodPost, path("requests", id, "deny"), nil, answer)
}

// Grants lists the access on request that people have now; q.State is not read.
func (c *Client) Grants(ctx context.Context, q RequestQuery) (List[Grant], error) {
	return call[List[Grant]](ctx, c, http.MethodGet, "/grants", q.values(), nil)
}

// RevokeGrant ends access on request before its time, and the app's place in the person's sessions.
func (c *Client) RevokeGrant(ctx context.Context, revoke RevokeGrant) (Grant, error) {
	return call[Grant](ctx, c, http.MethodPost, "/grants/revoke", nil, revoke)
}
