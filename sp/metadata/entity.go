package metadata

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The namespaces that are read; elements of any other are ignored.
const (
	nsMetadata = "urn:oasis:names:tc:SAML:2.0:metadata"
	nsSAML     = "urn:oasis:names:tc:SAML:2.0:assertion"
	nsProtocol = "urn:oasis:names:tc:SAML:2.0:protocol"
	nsDSig     = "http://www.w3.org/2000/09/xmldsig#"
	nsDSig11   = "http://www.w3.org/2009/xmldsig11#"
	nsXMLEnc11 = "http://www.w3.org/2009/xmlenc11#"
	nsAlgSup   = "urn:oasis:names:tc:SAML:metadata:algsupport"
	nsMDAttr   = "urn:oasis:names:tc:SAML:metadata:attribute"
	nsMDUI     = "urn:oasis:names:tc:SAML:metadata:ui"
)

// serviceProvider finds the one entity with a SAML 2.0 service provider role, and that role.
func serviceProvider(root *node) (entity, role *node, err error) {
	var entities, found []*node
	switch {
	case root.is(nsMetadata, "EntityDescriptor"):
		entities = []*node{root}
	case root.is(nsMetadata, "EntitiesDescriptor"):
		entities = collect(root, nil)
	default:
		return nil, nil, root.fail("this is not SAML metadata: it begins with %s instead of EntityDescriptor; download the app's metadata file",
			short(root.name.Local))
	}
	for _, e := range entities {
		if spRole(e) != nil {
			found = append(found, e)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil, noServiceProvider(root, entities)
	case 1:
		return found[0], spRole(found[0]), nil
	}
	return nil, nil, root.fail("there are %d service providers here: %s; upload the metadata of one", len(found), names(found))
}

func collect(group *node, list []*node) []*node {
	for _, c := range group.children {
		switch {
		case c.is(nsMetadata, "EntityDescriptor"):
			list = append(list, c)
		case c.is(nsMetadata, "EntitiesDescriptor"):
			list = collect(c, list)
		}
	}
	return list
}

// spRole is the first role of a service provider that speaks SAML 2.0 (saml-metadata-2.0-os, 2.4.1).
func spRole(entity *node) *node {
	for _, role := range entity.all(nsMetadata, "SPSSODescriptor") {
		if slices.Contains(strings.Fields(role.attr("protocolSupportEnumeration")), nsProtocol) {
			return role
		}
	}
	return nil
}

func noServiceProvider(root *node, entities []*node) error {
	for _, e := range entities {
		id := short(e.attr("entityID"))
		if role := e.one(nsMetadata, "SPSSODescriptor"); role != nil {
			return role.fail("the service provider %q does not list SAML 2.0 (%s) in protocolSupportEnumeration; ask for its SAML 2.0 metadata",
				id, nsProtocol)
		}
		if role := e.one(nsMetadata, "IDPSSODescriptor"); role != nil {
			return role.fail("this is the metadata of an identity provider, %q; download the service provider (SP) metadata from the app instead", id)
		}
	}
	return root.fail("there is no service provider (SPSSODescriptor) in this metadata; download the SP metadata from the app")
}

// names lists entity ids in a sentence, the first ten in full.
func names(entities []*node) string {
	const shown = 10
	var list []string
	for _, e := range entities[:min(shown, len(entities))] {
		list = append(list, short(e.attr("entityID")))
	}
	if more := len(entities) - shown; more > 0 {
		list = append(list, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(list, ", ")
}

// validUntil is the earliest end among the root, the groups around the entity, the entity and the role.
func validUntil(n, role *node) (time.Time, error) {
	end, err := n.instant("validUntil")
	if err != nil {
		return time.Time{}, err
	}
	for _, c := range n.children {
		inner := c == role || c.is(nsMetadata, "EntitiesDescriptor") || c.is(nsMetadata, "EntityDescriptor")
		if !inner || !holds(c, role) {
			continue
		}
		until, err := validUntil(c, role)
		if err != nil {
			return time.Time{}, err
		}
		if end.IsZero() || !until.IsZero() && until.Before(end) {
			end = until
		}
	}
	return end, nil
}

func holds(n, wanted *node) bool {
	return n == wanted || slices.ContainsFunc(n.children, func(c *node) bool { return holds(c, wanted) })
}

// instant reads an xs:dateTime; without a time zone it is UTC (saml-core-2.0-os, 1.3.3).
func (n *node) instant(attr string) (time.Time, error) {
	text := n.attr(attr)
	if text == "" && !n.has(attr) {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		if t, err := time.Parse(layout, text); err == nil && t.UTC().Year() >= 0 && t.UTC().Year() <= 9999 { // records hold no other
			return t.UTC(), nil
		}
	}
	return time.Time{}, n.fail("%s=%q is not a time like 2027-01-31T18:00:00Z; correct it", attr, short(text))
}
