package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// AppUsage is how an app is used, in figures that are a few seconds old. Days are those of UTC, the present one included. Days
// and Reasons are filled when one app is shown, not in lists.
type AppUsage struct {
	App      Ref            `json:"app"`
	State    string         `json:"state"`
	Added    time.Time      `json:"added,omitzero"`
	LastUsed time.Time      `json:"last_used,omitzero"`
	Unused   bool           `json:"unused"` // never used, or not for 90 days
	People30 int            `json:"people_30_days"`
	People90 int            `json:"people_90_days"`
	SignOns  int            `json:"sign_ons_30_days"`
	Refused  int            `json:"refused_30_days"`
	Days     []UsageDay     `json:"days,omitempty"`    // 30, oldest first
	Reasons  []RefusalCount `json:"reasons,omitempty"` // of the refusals, most first
}

// UsageDay is one day of an app.
type UsageDay struct {
	Day     string `json:"day"` // 2027-01-31
	SignOns int    `json:"sign_ons"`
	Refused int    `json:"refused"`
}

// RefusalCount is how often an app was refused for one reason.
type RefusalCount struct {
	Reason string `json:"reason"`
	Count  int    `json:"count"`
}

// UnusedGrant is access to an app that a person did not use for 90 days, although they have had it so long. Kind is "named"
// (in policy.users), "access" (an approved request) or "consent".
type UnusedGrant struct {
	Kind  string    `json:"kind"`
	User  Ref       `json:"user"`
	App   Ref       `json:"app"`
	Since time.Time `json:"since,omitzero"` // of a named person, since when both the person and the app exist
	Until time.Time `json:"until,omitzero"` // of access on request
}

// AppUsage shows how one app is used.
func (c *Client) AppUsage(ctx context.Context, app string) (AppUsage, error) {
	return callAt[AppUsage](ctx, c, http.MethodGet, "apps", app, "usage", nil)
}

// Usage lists how the apps are used, by app id.
func (c *Client) Usage(ctx context.Context, after string) (List[AppUsage], error) {
	return call[List[AppUsage]](ctx, c, http.MethodGet, "/usage", query("after", after), nil)
}

// UnusedGrants lists access that is not used, to one app or, without one, to all. A page may hold few, even none, while Next
// says that there is more to look through.
func (c *Client) UnusedGrants(ctx context.Context, app, after string) (List[UnusedGrant], error) {
	return call[List[UnusedGrant]](ctx, c, http.MethodGet, "/usage/grants", url.Values{"app": {app}, "after": {after}}, nil)
}
