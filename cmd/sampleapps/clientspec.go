package sampleapps

import (
	"encoding/json"
	"slices"
	"strings"
)

// Kind is what an OAuth client does with what it gets.
type Kind string

// Kinds of clients.
const (
	KindWeb     Kind = "web"     // a web app with a secret that calls an API of its own
	KindTile    Kind = "tile"    // signs people in when their portal opens it
	KindNative  Kind = "native"  // on a phone: no secret, and a loopback address with a new port at each sign-in (RFC 8252)
	KindGateway Kind = "gateway" // an API gateway whose partners register by themselves (RFC 7591)
)

// ClientSpec describes one OAuth client.
type ClientSpec struct {
	Name        string
	Description string // one sentence
	Port        int    // as in Spec
	Accent      string
	Kind        Kind
	Scopes      []string
	API         API      // of web apps and gateways
	Try         []string // what a visitor may try, a sentence each
}

// API is a small API of the app's own, which asks the identity provider about the token of each call (RFC 7662).
type API struct {
	Scope  string // that a call needs
	Things string // what the rows are, such as orders
	Rows   []Row
}

// Row is one line of what the API knows.
type Row struct {
	Name  string `json:"name"`
	State string `json:"state"`
}

// DemoClients returns the OAuth clients of `gatehouse demo`.
func DemoClients() []ClientSpec {
	return []ClientSpec{
		{Name: "Order Status", Description: "Where your orders are.", Accent: "#1d4ed8", Kind: KindWeb,
			Scopes: []string{"openid", "profile", "email", "orders.read"},
			API: API{Scope: "orders.read", Things: "orders", Rows: []Row{
				{"Standing desk, oak", "Arrives tomorrow"}, {"Two monitors", "Packed"}, {"Desk lamp", "Delivered on Monday"}}},
			Try: []string{
				"Sign in. The first time you are asked what the app may do.",
				"Press “Show my orders”. The app sends its access token to the order API, which asks Gatehouse whether it is good.",
				"On your account page at Gatehouse, in another tab, withdraw Order Status. Come back and press “Show my orders”: refused. Load the page anew: signed out.",
			}},
		{Name: "Pocket Orders", Description: "The same on a phone.", Accent: "#7c3aed", Kind: KindNative,
			Scopes: []string{"openid", "profile", "email", "offline_access"},
			Try: []string{
				"Sign in. The phone has no secret: it proves itself by PKCE, and listens on a port of its own for this one answer.",
				"Sign out and in again: the port is another one, and Gatehouse takes it, because the app is registered as native.",
				"Press “Renew the tokens”: the refresh token changes at each use, and one that is used twice ends all of them.",
			}},
		{Name: "Wellness Tracker", Description: "Steps, sleep and a quiet minute.", Accent: "#be185d", Kind: KindTile,
			Scopes: []string{"openid", "profile", "email", "groups"},
			Try: []string{
				"Open it by its tile at Gatehouse: the tile asks the app to begin, and the app sends you to sign in, which you are already.",
				"Look at the ID token: who you are, when and how strongly you signed in (acr, amr, auth_time).",
				"Sign out of Gatehouse in another tab: Gatehouse tells the app from server to server, and here you are signed out too.",
			}},
		{Name: "Partner Gateway", Description: "An API gateway for partners’ programs.", Accent: "#166534", Kind: KindGateway,
			Scopes: []string{"openid", "profile", "parcels.read"},
			API: API{Scope: "parcels.read", Things: "parcels", Rows: []Row{
				{"Parcel 4711", "At the depot in Leipzig"}, {"Parcel 4712", "With the courier"}}},
			Try: []string{
				"Register a client: the gateway sends its initial access token, and a partner’s client is there without an administrator.",
				"Sign in with that client, then call the API. The gateway asks Gatehouse about the token at each call.",
				"As ada, in a private window, open Console › Apps › Partner Gateway: the client is listed under it. Block it, and call again.",
			}},
		{Name: "Travel Planner", Description: "Trips, for employees only.", Accent: "#b45309", Kind: KindWeb,
			Scopes: []string{"openid", "profile", "email", "trips.read", "offline_access"},
			API: API{Scope: "trips.read", Things: "trips", Rows: []Row{
				{"Lisbon, 3 days", "Booked"}, {"Graz, a day", "Waits for approval"}}},
			Try: []string{
				"Sign in as ana, an employee. Ben is a contractor: he has no tile, and is refused when he comes here by himself.",
				"As ada, in a private window, open Console › Apps › Travel Planner and block it. Then press “Show my trips” here.",
				"Or wait: the access token lives a minute, and the refresh token dies at the time under “What the app holds”. Then only signing in helps.",
			}},
	}
}

// metadata is what the client registers with: RFC 7591, section 2.
func (c *Client) metadata() map[string]any {
	m := map[string]any{
		"client_name": c.spec.Name, "redirect_uris": []string{c.callbackURI()}, "scope": strings.Join(c.spec.Scopes, " "),
	}
	switch c.spec.Kind {
	case KindNative:
		m["application_type"], m["token_endpoint_auth_method"] = "native", "none"
	case KindTile:
		m["initiate_login_uri"] = c.at("signin")
	case KindWeb:
		m["client_uri"] = c.URL()
	}
	if c.spec.Kind == KindWeb || c.spec.Kind == KindTile {
		m["post_logout_redirect_uris"] = []string{c.at("signed-out")}
	}
	if slices.Contains(c.spec.Scopes, "offline_access") { // what it holds outlives the session
		m["grant_types"] = []string{"authorization_code", "refresh_token"}
	} else if c.spec.Kind != KindGateway {
		m["backchannel_logout_uri"] = c.at("backchannel-logout")
	}
	return m
}

// Registration is the client's metadata as JSON (RFC 7591), to be registered with the identity provider.
func (c *Client) Registration() ([]byte, error) { return json.Marshal(c.metadata()) }
