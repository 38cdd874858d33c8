package metadata

import (
	"encoding/xml"
	"slices"
	"strings"
	"time"

	"gatehouse/sp"
)

// Provider is what Gatehouse acts on of another identity provider: people may sign in there.
type Provider struct {
	EntityID      string        `json:"entity_id"`
	ValidUntil    time.Time     `json:"valid_until,omitzero"`
	SSO           []sp.Endpoint `json:"sso"`
	SLO           []sp.Endpoint `json:"slo,omitempty"`
	Keys          []sp.Key      `json:"keys"`
	DisplayName   string        `json:"display_name,omitempty"`
	CacheDuration time.Duration `json:"-"` // as of a Result
}

// Expired tells whether the metadata is past its end.
func (p *Provider) Expired(now time.Time) bool {
	return !p.ValidUntil.IsZero() && !now.Before(p.ValidUntil)
}

// SigningKeys are the keys that may have signed an answer of it.
func (p *Provider) SigningKeys() []sp.Key {
	return (&sp.Metadata{Keys: p.Keys}).SigningKeys()
}

// Redirect is where a request goes by HTTP-Redirect.
func (p *Provider) Redirect() string {
	for _, e := range p.SSO {
		if e.Binding == sp.BindingRedirect {
			return e.Location
		}
	}
	return ""
}

// ParseProvider reads metadata of exactly one SAML 2.0 identity provider. Every error is an *Error.
func ParseProvider(data []byte, opts Options) (Provider, error) {
	root, err := parseTree(data)
	if err != nil {
		return Provider{}, err
	}
	entity, role, err := identityProvider(root)
	if err != nil {
		return Provider{}, err
	}
	r := &reader{opts: opts}
	id, _ := entity.find(xml.Name{Local: "entityID"})
	if reason := entityIDProblem(id, opts.OwnEntityID); reason != "" {
		return Provider{}, entity.fail("%s", reason)
	}
	p := Provider{EntityID: id}
	for _, step := range []func() error{
		func() error { return r.validity(root, role) },
		func() error { return r.cacheDuration(root, entity, role) },
		func() error { return r.keys(role) },
		func() error { return r.userInterface(role) },
		func() error { return r.logout(role) },
		func() error { p.SSO, err = r.signOn(role); return err },
	} {
		if err := step(); err != nil {
			return Provider{}, err
		}
	}
	p.SLO, p.Keys, p.ValidUntil, p.DisplayName = r.out.SLO, r.out.Keys, r.out.ValidUntil, r.out.DisplayName
	p.CacheDuration = r.cache
	if len(p.SigningKeys()) == 0 {
		return Provider{}, role.fail("there is no signing key, so no answer of the identity provider could be believed; ask for complete metadata")
	}
	return p, nil
}

func identityProvider(root *node) (entity, role *node, err error) {
	entities := []*node{root}
	if root.is(nsMetadata, "EntitiesDescriptor") {
		entities = collect(root, nil)
	}
	var found []*node
	for _, e := range entities {
		for _, one := range e.all(nsMetadata, "IDPSSODescriptor") {
			if slices.Contains(strings.Fields(one.attr("protocolSupportEnumeration")), nsProtocol) {
				found, entity, role = append(found, e), e, one
				break
			}
		}
	}
	switch len(found) {
	case 0:
		return nil, nil, root.fail("there is no SAML 2.0 identity provider (IDPSSODescriptor) in this metadata; download the metadata of the identity provider")
	case 1:
		return entity, role, nil
	}
	return nil, nil, root.fail("there are %d identity providers here: %s; give the metadata of one", len(found), names(found))
}

// signOn reads where requests may be sent; one by HTTP-Redirect is needed.
func (r *reader) signOn(role *node) ([]sp.Endpoint, error) {
	var list []sp.Endpoint
	redirects := false
	for _, n := range role.all(nsMetadata, "SingleSignOnService") {
		if binding := n.attr("Binding"); binding != sp.BindingRedirect && binding != sp.BindingPOST {
			continue
		}
		e, err := r.endpoint(n)
		if err != nil {
			return nil, err
		}
		redirects = redirects || e.Binding == sp.BindingRedirect
		list = append(list, e)
	}
	if !redirects {
		return nil, role.fail("no SingleSignOnService takes requests by HTTP-Redirect (%s); switch it on at the identity provider", sp.BindingRedirect)
	}
	return list, nil
}
