package oauth

import (
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"

	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// claim is one standard claim (OpenID Connect Core 1.0, 5.1): by which scope it comes, and the sources that may fill it, of which
// the first that has a value does.
type claim struct {
	name, scope string
	sources     []string
}

// standardClaims is the one table of them. Those whose value is made otherwise have no source.
var standardClaims = []claim{
	{"name", sp.ScopeProfile, []string{"display_name", "username"}},
	{"family_name", sp.ScopeProfile, []string{"surname"}},
	{"given_name", sp.ScopeProfile, []string{"given_name"}},
	{"middle_name", sp.ScopeProfile, []string{"middle_name"}},
	{"nickname", sp.ScopeProfile, []string{"nickname"}},
	{"preferred_username", sp.ScopeProfile, []string{"username"}},
	{"profile", sp.ScopeProfile, []string{"profile_url"}},
	{"picture", sp.ScopeProfile, []string{"picture"}},
	{"website", sp.ScopeProfile, []string{"website"}},
	{"gender", sp.ScopeProfile, []string{"gender"}},
	{"birthdate", sp.ScopeProfile, []string{"birthdate"}},
	{"zoneinfo", sp.ScopeProfile, []string{"zoneinfo"}},
	{"locale", sp.ScopeProfile, []string{"locale", "preferredLanguage"}},
	{"updated_at", sp.ScopeProfile, nil},
	{"email", sp.ScopeEmail, []string{"email"}},
	{"email_verified", sp.ScopeEmail, nil},
	{"phone_number", sp.ScopePhone, []string{"phone_number", "phone", "telephoneNumber", "mobile"}},
	{"phone_number_verified", sp.ScopePhone, nil},
	{"address", sp.ScopeAddress, nil},
	{"groups", sp.ScopeGroups, []string{"groups"}},
}

// addressParts are the members of the address claim (5.1.1).
var addressParts = []claim{
	{"formatted", "", []string{"address", "postalAddress"}},
	{"street_address", "", []string{"street_address", "street"}},
	{"locality", "", []string{"locality", "l"}},
	{"region", "", []string{"region", "st"}},
	{"postal_code", "", []string{"postal_code", "postalCode"}},
	{"country", "", []string{"country", "c", "co"}},
}

// reserved are the claims that only the protocol fills, whatever an app calls its custom attributes.
var reserved = strings.Fields("iss sub aud exp iat nbf jti nonce azp acr amr auth_time at_hash c_hash s_hash sid client_id scope cnf act may_act")

// wanted is the claims parameter (5.5).
type wanted struct {
	UserInfo map[string]*wish `json:"userinfo"`
	IDToken  map[string]*wish `json:"id_token"`
}

type wish struct {
	Essential bool  `json:"essential"`
	Value     any   `json:"value"`
	Values    []any `json:"values"`
}

// readClaims reads the claims parameter. A claim is given as if its scope had been asked for, within what the app may have; the
// values of sub and acr are demands.
func (h *Handlers) readClaims(app *sp.App, values url.Values, a *asked, request *flow.Request) *Problem {
	text := values.Get("claims")
	if text == "" {
		return nil
	}
	var w wanted
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return refuse(codeInvalidRequest, "bad_claims", "The claims parameter is not the JSON that OpenID Connect describes.")
	}
	allowed := app.AllowedScopes()
	a.Claims = &grants.Claims{UserInfo: known(w.UserInfo, allowed), IDToken: known(w.IDToken, allowed)}
	if len(a.Claims.UserInfo)+len(a.Claims.IDToken) == 0 {
		a.Claims = nil
	}
	if sub := w.IDToken["sub"]; sub != nil && sub.Value != nil {
		if a.Subject, _ = sub.Value.(string); a.Subject == "" {
			return refuse(codeInvalidRequest, "bad_claims", "The claims parameter demands a sub that is no text.")
		}
	}
	if acr := w.IDToken["acr"]; acr != nil && acr.Essential {
		for _, value := range append(acr.Values, acr.Value) {
			if class, ok := value.(string); ok {
				a.demand([]string{class}, request)
			}
		}
	}
	return nil
}

// known are the standard claims of a wish that the app may have, in the order of the table.
func known(wishes map[string]*wish, allowed []string) []string {
	var names []string
	for _, one := range standardClaims {
		if _, ok := wishes[one.name]; ok && slices.Contains(allowed, one.scope) {
			names = append(names, one.name)
		}
	}
	return names
}

// claimTexts names what is told beyond the scopes.
func claimTexts(a *asked) []string {
	if a.Claims == nil {
		return nil
	}
	var texts []string
	for _, name := range slices.Concat(a.Claims.UserInfo, a.Claims.IDToken) {
		i := slices.IndexFunc(standardClaims, func(c claim) bool { return c.name == name })
		if text := sp.ScopeText(standardClaims[i].scope, ""); !slices.Contains(a.Scopes, standardClaims[i].scope) && !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
	}
	return texts
}

// attributeTexts names what the app is told of its own making, which comes with who the person is. It names
// the source, so that consent is asked for again when the app's developer fills it from another one.
func attributeTexts(app *sp.App, a *asked) []string {
	if !openID(a.Scopes) {
		return nil
	}
	var texts []string
	for _, custom := range app.Definition.CustomAttributes {
		if !slices.Contains(reserved, custom.Name) && app.Policy.AllowsSource(custom.Source) {
			texts = append(texts, "What your organisation keeps of you as "+custom.Name+" ("+custom.Source+")")
		}
	}
	return texts
}

// teller fills claims about a person for an app.
type teller struct {
	h      *Handlers
	facts  *flow.Facts
	person *claims.Person
	told   map[string]any
	failed error // of the store
}

// tell starts with the custom attributes, which the app gets whatever it asks for.
func (h *Handlers) tell(tx store.Tx, facts *flow.Facts) (*teller, error) {
	t := &teller{h: h, facts: facts, person: personOf(facts.User), told: map[string]any{}}
	t.person.Held = func() (held claims.Held, err error) {
		held, t.failed = h.held(tx, facts)
		return held, t.failed
	}
	for _, custom := range facts.App.Definition.CustomAttributes {
		if slices.Contains(reserved, custom.Name) {
			continue
		}
		values, err := t.values(custom.Source)
		switch {
		case err != nil:
			return nil, err
		case len(values) == 1:
			t.told[custom.Name] = values[0]
		case len(values) > 1:
			t.told[custom.Name] = values
		}
	}
	return t, nil
}

// add tells the claims of scopes and those that are named, as far as the app may have their scope by now.
func (t *teller) add(scopes, names []string) error {
	allowed := t.facts.App.AllowedScopes()
	for i := range standardClaims {
		one := &standardClaims[i]
		if !slices.Contains(allowed, one.scope) || !slices.Contains(scopes, one.scope) && !slices.Contains(names, one.name) {
			continue
		}
		value, err := t.value(one)
		if err != nil {
			return err
		}
		if value != nil {
			t.told[one.name] = value
		}
	}
	return nil
}

func (t *teller) value(one *claim) (any, error) {
	user, policy := t.facts.User, &t.facts.App.Policy
	switch one.name {
	case "updated_at":
		return user.Changed.Unix(), nil
	case "email_verified": // the organisation gives the address, not the person
		if user.Email == "" || !policy.AllowsSource("email") {
			return nil, nil
		}
		return true, nil
	case "phone_number_verified":
		number, err := t.first([]string{"phone_number", "phone", "telephoneNumber", "mobile"})
		if err != nil || number == "" {
			return nil, err
		}
		return false, nil
	case "address":
		return t.address()
	case "groups":
		values, err := t.values("groups")
		if err != nil || len(values) == 0 {
			return nil, err
		}
		return values, nil
	}
	value, err := t.first(one.sources)
	if err != nil || value == "" {
		return nil, err
	}
	return value, nil
}

func (t *teller) address() (any, error) {
	address := map[string]string{}
	for _, part := range addressParts {
		value, err := t.first(part.sources)
		if err != nil {
			return nil, err
		}
		if value != "" {
			address[part.name] = value
		}
	}
	if len(address) == 0 {
		return nil, nil
	}
	return address, nil
}

// first is the first value of the first source that has one.
func (t *teller) first(sources []string) (string, error) {
	for _, source := range sources {
		values, err := t.values(source)
		if err != nil || len(values) > 0 {
			return strings.Join(values[:min(len(values), 1)], ""), err
		}
	}
	return "", nil
}

// values are those of a source within the policy's bound. A source that does not work for this person tells nothing.
func (t *teller) values(source string) ([]string, error) {
	if !t.facts.App.Policy.AllowsSource(source) {
		return nil, nil
	}
	values, err := t.h.Claims.Values(source, t.person)
	if err != nil {
		return nil, t.failed
	}
	return values, nil
}

func personOf(u *directory.User) *claims.Person {
	return &claims.Person{
		ID: u.ID, Name: u.Name, DisplayName: u.FullName(), Email: u.Email, GivenName: u.GivenName, Surname: u.Surname, Attributes: u.Attributes,
	}
}

// held are the names of what the person holds.
func (h *Handlers) held(tx store.Tx, facts *flow.Facts) (held claims.Held, err error) {
	if facts.Profile != nil {
		held.Profile = facts.Profile.Name
	}
	held.Groups, err = namesOf(facts.User.Groups, func(id string) (string, error) {
		group, _, err := h.groups.Get(tx, directory.Groups, id)
		if err != nil {
			return "", err
		}
		return group.Name, nil
	})
	if err != nil {
		return held, err
	}
	held.PermissionSets, err = namesOf(facts.User.PermissionSets, func(id string) (string, error) {
		set, _, err := h.sets.Get(tx, directory.PermissionSets, id)
		if err != nil {
			return "", err
		}
		return set.Name, nil
	})
	return held, err
}

// namesOf replaces ids by names; what was removed meanwhile is left out.
func namesOf(ids []string, name func(id string) (string, error)) ([]string, error) {
	var names []string
	for _, id := range ids {
		one, err := name(id)
		switch {
		case err == nil:
			names = append(names, one)
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
	}
	return names, nil
}
