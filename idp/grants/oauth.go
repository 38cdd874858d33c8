package grants

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"
	"time"

	"gatehouse/store"
)

// Grant is one authorization of a client: everything that was given for it points here, and dies with it. A client's own grant,
// without a person who authorized it, lies in its access token.
type Grant struct {
	ID        string    `json:"id"` // "gnt_…"
	Type      string    `json:"type"`
	App       string    `json:"app"`
	User      string    `json:"user"`
	Scopes    []string  `json:"scopes"`
	Claims    *Claims   `json:"claims,omitempty"`
	Resources []string  `json:"resources,omitempty"` // what its tokens may be for (RFC 8707); empty: Gatehouse alone
	Session   string    `json:"session,omitempty"`   // handle of the session that it ends with; empty: of none
	SID       string    `json:"sid,omitempty"`       // what the app calls that session
	Level     string    `json:"level"`
	Class     string    `json:"class"`             // acr: how strong that sign-in was, in the words that the app asked for
	Methods   []string  `json:"methods,omitempty"` // how the person had signed in
	AuthAt    time.Time `json:"auth_at"`
	HighAt    time.Time `json:"high_at,omitzero"`  // since when that sign-in proves level high: the older of two factors; zero: since AuthAt
	PutOff    time.Time `json:"put_off,omitzero"`  // when the person put off a second factor in that session
	Address   string    `json:"address,omitempty"` // of the person's browser
	Epoch     Epoch     `json:"epoch"`
	Created   time.Time `json:"created"`
	Used      time.Time `json:"used,omitzero"`     // within an hour
	Refresh   string    `json:"refresh,omitempty"` // key of its refresh token
	Until     time.Time `json:"until,omitzero"`    // when nothing of it can be used any more; zero: open
	Dead      string    `json:"dead,omitempty"`    // why nothing of it is good any more: "revoked", "reused", "replayed", …; empty: it is not dead
}

// Claims are the names that a request asked for one by one (OpenID Connect Core 1.0, 5.5).
type Claims struct {
	IDToken  []string `json:"id_token,omitempty"`
	UserInfo []string `json:"userinfo,omitempty"`
}

// Bounds of grants.
const (
	deadFor    = 30 * 24 * time.Hour // how long after its last use a dead grant is kept, for people to see why
	MaxPerPair = 50                  // open grants of one person at one app
	usedEvery  = time.Hour
)

// AllGrants is the table of grants. The values of the index "pair" are Pair(user, app), those of "holder", which has no dead ones,
// Pair(app, user); "session" holds those that end with one.
var AllGrants = &store.Table[Grant]{
	Name:    "grant",
	Version: 1,
	Key:     func(g *Grant) string { return g.ID },
	Lists: map[string]func(*Grant) []string{
		"pair": func(g *Grant) []string { return filled(Pair(g.User, g.App)) },
		"holder": func(g *Grant) []string {
			if g.Dead != "" {
				return nil
			}
			return filled(Pair(g.App, g.User))
		},
		"session": func(g *Grant) []string { return filled(g.Session) },
	},
	Expires: func(g *Grant) time.Time {
		if g.Dead == "" {
			return later(g.Until)
		}
		if g.Used.After(g.Created) {
			return g.Used.Add(deadFor)
		}
		return g.Created.Add(deadFor)
	},
}

// later keeps what is over for a week, so that a trace can still say why it was refused.
func later(until time.Time) time.Time {
	if until.IsZero() {
		return until
	}
	return until.Add(7 * 24 * time.Hour)
}

func filled(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// NewGrantID makes a grant id, which is no secret.
func NewGrantID() string { return "gnt_" + strings.ToLower(rand.Text()) }

// Unused tells whether the last use was so long ago that another one is worth a write.
func (g *Grant) Unused(now time.Time) bool { return now.Sub(g.Used) >= usedEvery }

// Kill ends a grant and its refresh token, and with them everything under it. A dead one stays dead for its first reason.
func Kill(tx store.Tx, g *Grant, reason string) error {
	if g.Dead != "" {
		return nil
	}
	g.Dead, g.Session = reason, ""
	if g.Refresh != "" {
		if err := RefreshTokens.Delete(tx, g.Refresh); err != nil {
			return err
		}
	}
	return AllGrants.Put(tx, g)
}

// Code is an authorization code (RFC 6749, 4.1.2): good once and briefly, and kept beyond that so that a replay is noticed.
type Code struct {
	Hash      string    `json:"hash"`
	Grant     Grant     `json:"grant"` // stored under its id when the code is redeemed
	Redirect  string    `json:"redirect"`
	Challenge string    `json:"challenge,omitempty"` // S256 (RFC 7636)
	Key       string    `json:"jkt,omitempty"`       // thumbprint of the key that whoever redeems it must have (RFC 9449, 10)
	Nonce     string    `json:"nonce,omitempty"`
	Expires   time.Time `json:"expires"`
	Redeemed  time.Time `json:"redeemed,omitzero"`
}

// onTheWay are the values of the index "pair" of what a person gave and nobody has fetched yet.
func onTheWay(g *Grant) []string {
	if g.Dead != "" {
		return nil
	}
	return filled(Pair(g.User, g.App))
}

// KillOnTheWay ends what a person gave to an app by codes that are not redeemed yet.
func KillOnTheWay(tx store.Tx, user, app, reason string) error {
	page := store.Page{Index: "pair", Value: Pair(user, app)}
	err := Codes.Each(tx, page, func(_ string, c *Code) error {
		c.Grant.Dead = reason
		return Codes.Put(tx, c)
	})
	if err != nil {
		return err
	}
	return Devices.Each(tx, page, func(_ string, d *Device) error {
		d.Grant.Dead = reason
		return Devices.Put(tx, d)
	})
}

// CodeLifetime is how long a code can be redeemed; replayFor how long it is known after that.
const (
	CodeLifetime = time.Minute
	replayFor    = 24 * time.Hour
)

// Codes is the table of codes.
var Codes = &store.Table[Code]{
	Name:    "code",
	Version: 1,
	Key:     func(c *Code) string { return c.Hash },
	Lists: map[string]func(*Code) []string{"pair": func(c *Code) []string {
		if !c.Redeemed.IsZero() {
			return nil
		}
		return onTheWay(&c.Grant)
	}},
	Expires: func(c *Code) time.Time { return c.Expires.Add(replayFor) },
}

// Binding is what somebody must have to use a token. Of the zero value it is nothing: a bearer token.
type Binding struct {
	Key         string `json:"jkt,omitempty"` // thumbprint of a key (RFC 9449, 6.1)
	Certificate string `json:"x5t,omitempty"` // SHA-256 of a certificate (RFC 8705, 3.1)
}

// AccessToken is one access token: of a grant, or with a grant of its own.
type AccessToken struct {
	Hash      string   `json:"hash"` // of the token; of one that is a JWT, of its jti
	Grant     string   `json:"grant,omitempty"`
	Own       *Grant   `json:"own,omitempty"`
	Scopes    []string `json:"scopes"`
	Address   string   `json:"address,omitempty"` // from where it was asked for
	Refreshed bool     `json:"refreshed,omitempty"`
	Resources []string `json:"resources,omitempty"` // its audience; empty: Gatehouse
	From      string   `json:"from,omitempty"`      // key of the token that it was exchanged for and is over with
	Act       []string `json:"act,omitempty"`       // client ids that act for the person, the latest first (RFC 8693, 4.1)
	Binding
	Issued  time.Time `json:"issued"`
	Expires time.Time `json:"expires"`
}

// AccessTokens is the table of access tokens.
var AccessTokens = &store.Table[AccessToken]{
	Name:    "access_token",
	Version: 1,
	Key:     func(a *AccessToken) string { return a.Hash },
	Expires: func(a *AccessToken) time.Time { return a.Expires },
}

// RefreshToken is the one refresh token that a grant has at a time. It is found by the part that never changes; what changes at
// every use is the rest, of which Hash is the hash: who shows another rest shows a token that was used before (RFC 9700, 4.14).
type RefreshToken struct {
	Family  string    `json:"family"` // hash of the part that stays
	Hash    string    `json:"hash"`
	Grant   string    `json:"grant"`
	Binding           // of public clients alone
	Issued  time.Time `json:"issued"`
	Used    time.Time `json:"used,omitzero"`
	Until   time.Time `json:"until,omitzero"` // as the policy was at the last use; zero: open
}

// RefreshTokens is the table of refresh tokens.
var RefreshTokens = &store.Table[RefreshToken]{
	Name:    "refresh_token",
	Version: 1,
	Key:     func(r *RefreshToken) string { return r.Family },
	Expires: func(r *RefreshToken) time.Time { return later(r.Until) },
}

// Hash is under what a token is known: the SHA-256 of it, in base64url.
func Hash(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// Pushed is an authorization request that a client sent ahead (RFC 9126), good once and briefly.
type Pushed struct {
	Hash    string     `json:"hash"` // of its request_uri
	App     string     `json:"app"`
	Network string     `json:"network,omitempty"` // from where a public client sent it
	Values  url.Values `json:"values"`
	Expires time.Time  `json:"expires"`
}

// PushedLifetime is how long a browser may take to come with it.
const PushedLifetime = 90 * time.Second

// From is whose it is, as the index "from" holds it; empty: of a client that proves itself.
func (p *Pushed) From() string { return Pair(p.App, p.Network) }

// AllPushed is the table of those.
var AllPushed = &store.Table[Pushed]{
	Name:    "pushed",
	Version: 1,
	Key:     func(p *Pushed) string { return p.Hash },
	Lists:   map[string]func(*Pushed) []string{"from": func(p *Pushed) []string { return filled(p.From()) }},
	Expires: func(p *Pushed) time.Time { return p.Expires },
}
