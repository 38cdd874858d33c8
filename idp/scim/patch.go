package scim

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/elimity-com/scim/schema"
	"github.com/scim2/filter-parser/v2"
)

const patchURN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

// The operations of PATCH (RFC 7644, 3.5.2).
const (
	opAdd     = "add"
	opRemove  = "remove"
	opReplace = "replace"
)

// operation is one operation of a PATCH request.
type operation struct {
	op, path string
	value    any
}

// operations reads the body of PATCH. Microsoft Entra writes the operations' names with a capital.
func operations(body object) ([]operation, error) {
	schemas, err := field(body, "schemas")
	if err != nil {
		return nil, err
	}
	urns, _ := schemas.([]any)
	if !slices.ContainsFunc(urns, func(one any) bool { urn, ok := one.(string); return ok && strings.EqualFold(urn, patchURN) }) {
		return nil, refuse(invalidSyntax, "The list schemas must hold %s.", patchURN)
	}
	value, err := field(body, "Operations")
	if err != nil {
		return nil, err
	}
	list, _ := value.([]any)
	if len(list) == 0 || len(list) > maxOps {
		return nil, refuse(invalidSyntax, "Operations must be a list of 1 to %d operations.", maxOps)
	}
	all := make([]operation, len(list))
	for i, one := range list {
		if all[i], err = readOperation(one); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func readOperation(one any) (o operation, err error) {
	members, ok := one.(object)
	if !ok {
		return o, refuse(invalidSyntax, "Each operation must be an object.")
	}
	word, err := field(members, "op")
	if err != nil {
		return o, err
	}
	op, _ := word.(string)
	if o.op = strings.ToLower(op); o.op != opAdd && o.op != opRemove && o.op != opReplace {
		return o, refuse(invalidSyntax, "There is no operation %.40q: use add, remove or replace.", op)
	}
	path, err := field(members, "path")
	if err != nil {
		return o, err
	}
	if o.path, ok = path.(string); !ok && path != nil {
		return o, refuse(invalidPath, "The path must be a string.")
	}
	if o.value, err = field(members, "value"); err != nil {
		return o, err
	}
	if o.path == "" && o.op == opRemove {
		return o, refuse(noTarget, "A remove needs a path that says what to remove.")
	}
	return o, nil
}

// apply carries an operation out on a document. Without a path, the value's names are paths, some of them with dots (Entra).
func (k *kind) apply(doc object, o operation) error {
	if o.path != "" {
		return k.applyAt(doc, o, false)
	}
	members, ok := o.value.(object)
	if !ok {
		return refuse(invalidValue, "An operation without a path needs an object as its value.")
	}
	for name, value := range members {
		if err := k.applyAt(doc, operation{o.op, name, value}, true); err != nil {
			return err
		}
	}
	return nil
}

// target is what a path leads to. Attr is nil for what is not kept, which an operation passes by.
type target struct {
	urn    string
	attr   *schema.CoreAttribute
	sub    *schema.CoreAttribute
	filter filter.Expression
}

// applyAt carries out an operation with a path. Whole says that the path is a name in a whole resource, in which what is read-only is
// passed by.
func (k *kind) applyAt(doc object, o operation, whole bool) error {
	if s, ok := schemaOf(k.kept, o.path); ok && s.ID != k.urn {
		return k.applyExtension(doc, s.ID, o)
	}
	if strings.EqualFold(o.path, "externalId") {
		return applyText(doc, o)
	}
	if slices.ContainsFunc(common, func(one string) bool { return strings.EqualFold(one, o.path) }) {
		if whole {
			return nil
		}
		return refuse(mutability, "%s cannot be changed.", o.path)
	}
	t, err := k.resolve(o.path)
	if err != nil || t.attr == nil {
		return err
	}
	if t.attr.Mutability() == "readOnly" {
		if whole {
			return nil
		}
		return refuse(mutability, "%s cannot be changed here: change the members of the group.", t.attr.Name())
	}
	holder := doc
	if t.urn != k.urn {
		inner, _ := doc[t.urn].(object)
		if inner == nil {
			inner = object{}
		}
		holder, doc[t.urn] = inner, inner
	}
	if t.attr.MultiValued() {
		return t.applyList(holder, o)
	}
	if t.filter != nil {
		return refuse(invalidPath, "%s has one value, so its path takes no filter.", t.attr.Name())
	}
	return t.applySingle(holder, o)
}

func (k *kind) applyExtension(doc object, urn string, o operation) error {
	if o.op == opRemove {
		delete(doc, urn)
		return nil
	}
	members, ok := o.value.(object)
	if !ok {
		return refuse(invalidValue, "The value of %s must be an object.", urn)
	}
	for name, value := range members {
		if strings.EqualFold(name, "schemas") {
			continue
		}
		if err := k.applyAt(doc, operation{o.op, urn + ":" + name, value}, true); err != nil {
			return err
		}
	}
	return nil
}

// applyText sets or removes externalId, which no schema lists.
func applyText(doc object, o operation) error {
	if o.op == opRemove || o.value == nil {
		delete(doc, "externalId")
		return nil
	}
	id, ok := o.value.(string)
	if !ok {
		return refuse(invalidValue, "externalId must be a string.")
	}
	doc["externalId"] = id
	return nil
}

// resolve finds what a path leads to.
func (k *kind) resolve(path string) (target, error) {
	bad := refuse(invalidPath, "The path %.100q leads to nothing here.", path)
	parsed, err := parsePath(path)
	if err != nil {
		return target{}, bad
	}
	t := target{urn: k.urn, filter: parsed.ValueExpression}
	if uri := parsed.AttributePath.URI(); uri != "" {
		s, ok := schemaOf(k.known, uri)
		if !ok {
			return target{}, bad
		}
		t.urn = s.ID
	}
	known, ok := k.known[t.urn].Attributes.ContainsAttribute(parsed.AttributePath.AttributeName)
	if !ok {
		return target{}, bad
	}
	if known.Name() == "roles" {
		return target{}, refuse(mutability, "Roles are given in Gatehouse itself, never by SCIM.")
	}
	subName := parsed.SubAttributeName() + parsed.AttributePath.SubAttributeName()
	if _, ok := known.SubAttributes().ContainsAttribute(subName); subName != "" && !ok {
		return target{}, bad
	}
	kept, ok := k.kept[t.urn].Attributes.ContainsAttribute(known.Name())
	if !ok {
		return target{}, nil
	}
	if subName != "" {
		sub, ok := kept.SubAttributes().ContainsAttribute(subName)
		if !ok {
			return target{}, nil
		}
		t.sub = &sub
	}
	t.attr = &kept
	return t, nil
}

// parsePath parses a path of PATCH; the library's parser is not trusted with long ones.
func parsePath(path string) (parsed filter.Path, err error) {
	if len(path) > maxFilter {
		return parsed, fmt.Errorf("longer than %d bytes", maxFilter)
	}
	return filter.ParsePath([]byte(path))
}

// applySingle changes an attribute of one value. A value with sub-attributes keeps those that are not named.
func (t target) applySingle(holder object, o operation) error {
	name := t.attr.Name()
	old, _ := holder[name].(object)
	switch {
	case o.op == opRemove || isNothing(o.value):
		if t.sub == nil {
			delete(holder, name)
		} else if old != nil {
			delete(old, t.sub.Name())
		}
		return nil
	case t.sub != nil:
		value, err := single(*t.sub, o.value)
		if old == nil {
			old = object{}
		}
		old[t.sub.Name()], holder[name] = value, old
		return err
	}
	value, err := single(*t.attr, o.value)
	if members, ok := value.(object); ok && old != nil {
		for key, one := range members {
			old[key] = one
		}
		value = old
	}
	holder[name] = value
	return err
}

// applyList changes an attribute of several values, or those of them that the path's filter chooses.
func (t target) applyList(holder object, o operation) error {
	name := t.attr.Name()
	list, _ := holder[name].([]any)
	if t.filter != nil || t.sub != nil {
		changed, err := t.applyChosen(list, o)
		holder[name] = changed
		return err
	}
	if isNothing(o.value) {
		if o.op != opAdd {
			delete(holder, name)
		}
		return nil
	}
	value, err := typed(*t.attr, o.value)
	if err != nil {
		return err
	}
	values := value.([]any)
	switch o.op {
	case opReplace:
		holder[name] = values
	case opRemove:
		holder[name] = slices.DeleteFunc(list, func(one any) bool { return within(values, one) })
	default:
		for _, one := range values {
			if !within(list, one) {
				list = append(list, one)
			}
		}
		holder[name] = list
	}
	return nil
}

func within(list []any, value any) bool {
	return slices.ContainsFunc(list, func(one any) bool { return reflect.DeepEqual(one, value) })
}

// applyChosen changes the values that the path's filter chooses, or all. A replace that finds none has no target (RFC 7644,
// 3.5.2.3); an add makes the value that the filter describes, as Entra expects.
func (t target) applyChosen(list []any, o operation) ([]any, error) {
	chosen, described, err := t.chooser()
	if err != nil {
		return list, err
	}
	var left []any
	found := false
	for _, one := range list {
		members, _ := one.(object)
		if !chosen(members) {
			left = append(left, one)
			continue
		}
		found = true
		keep, err := t.changeOne(members, o)
		if err != nil {
			return list, err
		}
		if keep {
			left = append(left, members)
		}
	}
	switch {
	case found || o.op == opRemove && t.filter == nil:
		return left, nil
	case o.op != opAdd && t.filter != nil:
		return list, refuse(noTarget, "Nothing matches the filter of the path %.100q.", o.path)
	}
	_, err = t.changeOne(described, o)
	return append(left, described), err
}

// changeOne changes one value of a list and tells whether it stays.
func (t target) changeOne(members object, o operation) (bool, error) {
	switch {
	case t.sub == nil && (o.op == opRemove || isNothing(o.value)):
		return false, nil
	case t.sub == nil:
		value, err := single(*t.attr, o.value)
		for key, one := range asObject(value) {
			members[key] = one
		}
		return true, err
	case o.op == opRemove || isNothing(o.value):
		delete(members, t.sub.Name())
		return len(members) > 0, nil
	}
	value, err := single(*t.sub, o.value)
	members[t.sub.Name()] = value
	return true, err
}

func asObject(value any) object {
	members, _ := value.(object)
	return members
}

// chooser makes a test of a value from the path's filter, and the value that its comparisons describe.
func (t target) chooser() (chosen func(object) bool, described object, err error) {
	described = object{}
	if t.filter == nil {
		return func(object) bool { return true }, described, nil
	}
	match, err := compile(t.filter, "", func(name string) bool { _, ok := t.attr.SubAttributes().ContainsAttribute(name); return ok })
	if err != nil {
		return nil, nil, refuse(invalidPath, "The filter of the path cannot be used: %s", err.Error())
	}
	for name, value := range equalities(t.filter) {
		if sub, ok := t.attr.SubAttributes().ContainsAttribute(name); ok {
			if described[sub.Name()], err = single(sub, value); err != nil {
				return nil, nil, err
			}
		}
	}
	return func(members object) bool {
		return match(func(name string) []string {
			sub, _ := t.attr.SubAttributes().ContainsAttribute(name)
			if value, ok := members[sub.Name()]; ok {
				return []string{fmt.Sprint(value)}
			}
			return nil
		})
	}, described, nil
}
