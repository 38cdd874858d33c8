package scim

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/elimity-com/scim/schema"

	"gatehouse/sp"
)

// object is a JSON object. A document is one whose names are written as the schemas write them and whose values have their types.
type object = map[string]any

// readBody reads a request's body: one JSON object.
func readBody(r *http.Request) (object, error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != Media && media != "application/json" {
		e := refuse(invalidSyntax, "Send the body as JSON, with Content-Type: %s.", Media)
		e.Status = http.StatusUnsupportedMediaType
		return nil, e
	}
	whole, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var value any
	err = json.Unmarshal(whole, &value)
	body, ok := value.(object)
	if err != nil {
		return nil, refuse(invalidSyntax, "The body %.200s.", sp.Unreadable(err))
	}
	if !ok {
		return nil, refuse(invalidSyntax, "The body must be a JSON object.")
	}
	return body, nil
}

// document reads the body of POST and PUT.
func (k *kind) document(body object) (object, error) {
	schemas, err := field(body, "schemas")
	if err != nil {
		return nil, err
	}
	list, _ := schemas.([]any)
	if !slices.ContainsFunc(list, func(one any) bool { urn, ok := one.(string); return ok && strings.EqualFold(urn, k.urn) }) {
		return nil, refuse(invalidSyntax, "The list schemas must hold %s.", k.urn)
	}
	doc := object{}
	for name, value := range body {
		if err := k.take(doc, name, value); err != nil {
			return nil, err
		}
	}
	return doc, nil
}

// field finds a member of an object by name, in which case does not matter (RFC 7643, 2.1). Two of a name are refused.
func field(body object, name string) (any, error) {
	var found any
	seen := false
	for key, value := range body {
		if !strings.EqualFold(key, name) {
			continue
		}
		if seen {
			return nil, refuse(invalidSyntax, "%.60q is there twice.", name)
		}
		found, seen = value, true
	}
	return found, nil
}

// common are the attributes that every resource has (RFC 7643, 3.1); of them a client says externalId alone.
var common = []string{"schemas", "id", "meta"}

// take checks one member of a resource and puts it into the document: null and an empty list are nothing.
func (k *kind) take(doc object, name string, value any) error {
	if slices.ContainsFunc(common, func(one string) bool { return strings.EqualFold(one, name) }) {
		return nil
	}
	if strings.EqualFold(name, "externalId") {
		if value == nil {
			return nil
		}
		id, ok := value.(string)
		return k.put(doc, "externalId", id, ok)
	}
	if s, ok := schemaOf(k.known, name); ok && s.ID != k.urn {
		return k.takeExtension(doc, s, value)
	}
	return k.takeFrom(doc, k.urn, name, value)
}

func (k *kind) put(doc object, name string, value any, typed bool) error {
	if _, twice := doc[name]; twice {
		return refuse(invalidSyntax, "%.60q is there twice.", name)
	}
	if !typed {
		return refuse(invalidValue, "The value of %.60q has the wrong type.", name)
	}
	doc[name] = value
	return nil
}

func (k *kind) takeExtension(doc object, s schema.Schema, value any) error {
	if value == nil {
		return nil
	}
	members, ok := value.(object)
	inner := object{}
	if err := k.put(doc, s.ID, inner, ok); err != nil {
		return err
	}
	for name, one := range members {
		if strings.EqualFold(name, "schemas") {
			continue // some clients say it again
		}
		if err := k.takeFrom(inner, s.ID, name, one); err != nil {
			return err
		}
	}
	return nil
}

// takeFrom takes an attribute of a schema. A role is refused, for who sends one expects an effect.
func (k *kind) takeFrom(doc object, urn, name string, value any) error {
	known, ok := k.known[urn].Attributes.ContainsAttribute(name)
	if !ok {
		return refuse(invalidSyntax, "There is no attribute %.60q in %s.", name, urn)
	}
	if isNothing(value) {
		return nil
	}
	if known.Name() == "roles" {
		return refuse(mutability, "Roles are given in Gatehouse itself, never by SCIM: leave roles out.")
	}
	kept, ok := k.kept[urn].Attributes.ContainsAttribute(name)
	if !ok || kept.Mutability() == "readOnly" {
		return nil
	}
	checked, err := typed(kept, value)
	if err != nil {
		return err
	}
	return k.put(doc, kept.Name(), checked, true)
}

func isNothing(value any) bool {
	list, isList := value.([]any)
	return value == nil || isList && len(list) == 0
}

// typed checks a value against its attribute. A single value stands for a list of one.
func typed(a schema.CoreAttribute, value any) (any, error) {
	if !a.MultiValued() {
		return single(a, value)
	}
	list, ok := value.([]any)
	if !ok {
		list = []any{value}
	}
	if len(list) > maxMembers {
		return nil, refuse(invalidValue, "%s takes at most %d values.", a.Name(), maxMembers)
	}
	checked := make([]any, len(list))
	for i, one := range list {
		var err error
		if checked[i], err = single(a, one); err != nil {
			return nil, err
		}
	}
	return checked, nil
}

// single checks one value. Booleans also come as words, from Microsoft Entra.
func single(a schema.CoreAttribute, value any) (any, error) {
	wrong := refuse(invalidValue, "The value of %s must be a %s.", a.Name(), a.AttributeType())
	switch a.AttributeType() {
	case "boolean":
		if word, ok := value.(string); ok && (strings.EqualFold(word, "true") || strings.EqualFold(word, "false")) {
			return strings.EqualFold(word, "true"), nil
		}
		if yes, ok := value.(bool); ok {
			return yes, nil
		}
		return nil, wrong
	case "complex":
		members, ok := value.(object)
		if !ok {
			return nil, wrong
		}
		return complexValue(a, members)
	}
	if word, ok := value.(string); ok {
		return word, nil
	}
	return nil, wrong
}

// complexValue keeps the sub-attributes that the schema has.
func complexValue(a schema.CoreAttribute, members object) (any, error) {
	checked := object{}
	for name, value := range members {
		sub, ok := a.SubAttributes().ContainsAttribute(name)
		if !ok || value == nil {
			continue // of a name that is not kept, such as formatted
		}
		one, err := single(sub, value)
		if err != nil {
			return nil, err
		}
		if _, twice := checked[sub.Name()]; twice {
			return nil, refuse(invalidSyntax, "%.60q is there twice.", name)
		}
		checked[sub.Name()] = one
	}
	return checked, nil
}

// project leaves of a resource what attributes and excludedAttributes ask for; id and schemas are always there (RFC 7644, 3.9).
func project(resource object, q url.Values) object {
	wanted, excluded := names(q.Get("attributes")), names(q.Get("excludedAttributes"))
	if len(wanted)+len(excluded) == 0 {
		return resource
	}
	left := object{}
	for name, value := range resource {
		always := name == "id" || name == "schemas"
		if always || len(wanted) > 0 && namedIn(wanted, name) || len(wanted) == 0 && !namedIn(excluded, name) {
			left[name] = value
		}
	}
	return left
}

func names(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' })
}

// namedIn tells whether a list names an attribute: alone, with the URN of its schema, by its sub-attribute, or an extension as a whole.
func namedIn(list []string, name string) bool {
	return slices.ContainsFunc(list, func(one string) bool {
		if strings.HasPrefix(strings.ToLower(one), "urn:") {
			if strings.EqualFold(one, name) || strings.HasPrefix(strings.ToLower(one), strings.ToLower(name)+":") {
				return true
			}
			for _, urn := range []string{userURN, groupURN} {
				if len(one) > len(urn) && strings.EqualFold(one[:len(urn)+1], urn+":") {
					one = one[len(urn)+1:]
				}
			}
		}
		top, _, _ := strings.Cut(one, ".")
		return strings.EqualFold(top, name)
	})
}
