package admin

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// Bounds of API tokens.
const (
	maxTokens         = 200
	maxTokenAddresses = 50
	tokenLifetime     = 90 * 24 * time.Hour // when nobody says
	longestToken      = 2 * 366 * 24 * time.Hour
)

var tokenName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

func (a *Admin) tokenRows() []row {
	do := a.Actions
	return []row{
		{Method: "GET", Path: "/tokens", Permission: TokensRead, Action: func(c *call) (any, error) { return do.Tokens(c.ctx()) }},
		{Method: "POST", Path: "/tokens", Permission: TokensWrite, Status: 201, Action: with(func(c *call, n api.NewToken) (any, error) { return do.AddToken(c.ctx(), c.by(), n) })},
		{Method: "DELETE", Path: "/tokens/{token}", Permission: TokensWrite, Action: func(c *call) (any, error) { return do.RevokeToken(c.ctx(), c.by(), c.path("token")) }},
	}
}

// Tokens lists the API tokens by name, without their secrets, which nobody has.
func (a *Actions) Tokens(ctx context.Context) (api.List[api.Token], error) {
	list := api.List[api.Token]{Items: []api.Token{}}
	err := a.view(ctx, func(tx store.Tx) error {
		tokens, _, err := grants.APITokens.List(tx, store.Page{Index: "name"})
		if err != nil {
			return err
		}
		list.Items = make([]api.Token, len(tokens))
		for i := range tokens {
			if list.Items[i], err = a.wireToken(tx, &tokens[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// AddToken makes a token and returns it with its secret, this once.
func (a *Actions) AddToken(ctx context.Context, by By, n api.NewToken) (api.Token, error) {
	token, err := newToken(n, a.Now())
	if err != nil {
		return api.Token{}, err
	}
	token.Creator = by.ID
	secret := grants.NewAPIToken(&token)
	var wire api.Token
	err = a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		if known, err := grants.APITokens.Count(tx, store.Page{}, maxTokens); err != nil || known == maxTokens {
			return audit.Event{}, errors.Join(err, refused(http.StatusConflict, "too_many", "name", "There are %d tokens, and no more are made: revoke one first.", known))
		}
		if err := grants.APITokens.Put(tx, &token); err != nil {
			return audit.Event{}, err
		}
		var err error
		wire, err = a.wireToken(tx, &token)
		return audit.Event{Kind: "apitoken.add", Facts: tokenFacts(&token)}, err
	})
	wire.Secret = secret
	if err != nil {
		return api.Token{}, err
	}
	return wire, nil
}

// newToken checks what is asked for.
func newToken(n api.NewToken, now time.Time) (grants.APIToken, error) {
	token := grants.APIToken{Name: n.Name, Created: now}
	if !tokenName.MatchString(n.Name) {
		return token, badValue("name", "Name the token with 1 to 64 lower-case letters, digits, dots, hyphens and underscores, such as hr-system.")
	}
	for _, scope := range n.Scopes {
		if !slices.Contains(sp.APIScopes(), scope) {
			return token, badValue("scopes", "There is no scope %.40q: choose from %s.", scope, strings.Join(sp.APIScopes(), ", "))
		}
	}
	token.Scopes = slices.Compact(slices.Sorted(slices.Values(n.Scopes)))
	if len(token.Scopes) == 0 {
		return token, badValue("scopes", "Give the token at least one scope: %s.", strings.Join(sp.APIScopes(), ", "))
	}
	lifetime := tokenLifetime
	if n.Expires != "" {
		var err error
		if lifetime, err = sp.ParseDuration(n.Expires); err != nil {
			return token, badValue("expires", "%s", sentence(err.Error()))
		}
	}
	if lifetime < time.Minute || lifetime > longestToken {
		return token, badValue("expires", "A token lives between a minute and 732 days: choose a time in between, such as 90d.")
	}
	token.Expires = now.Add(lifetime)
	var err error
	token.Addresses, err = tokenAddresses(n.Addresses)
	return token, err
}

func tokenAddresses(list []string) ([]netip.Prefix, error) {
	if len(list) > maxTokenAddresses {
		return nil, badValue("addresses", "A token takes at most %d address ranges.", maxTokenAddresses)
	}
	var ranges []netip.Prefix
	for _, text := range list {
		prefix, err := netip.ParsePrefix(text)
		if address, single := netip.ParseAddr(text); single == nil {
			prefix, err = address.Prefix(address.BitLen())
		}
		if err != nil || prefix.Addr().Is4In6() {
			return nil, badValue("addresses", "%.60q is no address range: write it like 192.0.2.0/24.", text)
		}
		ranges = append(ranges, prefix.Masked())
	}
	return ranges, nil
}

func tokenFacts(t *grants.APIToken) map[string]string {
	return map[string]string{"token": t.ID, "name": t.Name, "scopes": strings.Join(t.Scopes, ", "), "expires": t.Expires.UTC().Format(time.RFC3339)}
}

// RevokeToken ends a token: the next request that shows it is refused.
func (a *Actions) RevokeToken(ctx context.Context, by By, ref string) (api.Token, error) {
	var wire api.Token
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		token, err := grants.ResolveAPIToken(tx, ref)
		if errors.Is(err, store.ErrNotFound) {
			err = unknown("token", ref)
		}
		if err != nil {
			return audit.Event{}, err
		}
		if wire, err = a.wireToken(tx, &token); err == nil {
			err = grants.APITokens.Delete(tx, token.ID)
		}
		return audit.Event{Kind: "apitoken.revoke", Facts: tokenFacts(&token)}, err
	})
	return wire, err
}

func (a *Actions) wireToken(tx store.Tx, t *grants.APIToken) (api.Token, error) {
	wire := api.Token{ID: t.ID, Name: t.Name, Scopes: t.Scopes, State: "active", Created: t.Created, Expires: t.Expires, LastUsed: t.LastUsed, LastFrom: t.LastFrom}
	for _, prefix := range t.Addresses {
		wire.Addresses = append(wire.Addresses, prefix.String())
	}
	alive, err := directory.MakesTokens(tx, t.Creator)
	switch {
	case err != nil:
		return wire, err
	case t.Ended(a.Now()):
		wire.State = "expired"
	case !alive:
		wire.State = "orphaned"
	}
	wire.Creator, err = userRef(tx, t.Creator)
	return wire, err
}
