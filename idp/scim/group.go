package scim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/scim2/filter-parser/v2"

	"gatehouse/idp/directory"
	"gatehouse/store"
)

// members are the ids of a group's people, in order. More than the bound are refused: such a group is too large to be shown.
func members(tx store.Tx, group string) ([]string, error) {
	var ids []string
	err := directory.Users.Each(tx, store.Page{Index: "group", Value: group}, func(_ string, user *directory.User) error {
		if len(ids) == maxMembers {
			return refuse(tooMany, "The group has more than %d members: ask with excludedAttributes=members.", maxMembers)
		}
		ids = append(ids, user.ID)
		return nil
	})
	return ids, err
}

// groupObject is a group as SCIM shows it. Its version covers its members, which are kept with the people; without them it has none.
func (h *Handlers) groupObject(tx store.Tx, group *directory.Group, withMembers bool) (object, error) {
	location := h.BaseURL + Root + "/Groups/" + group.ID
	meta := object{"resourceType": "Group", "location": location}
	doc := object{"schemas": []any{groupURN}, "id": group.ID, "displayName": group.Name, "meta": meta}
	set(doc, "externalId", group.ExternalID)
	if !withMembers {
		return doc, nil
	}
	ids, err := members(tx, group.ID)
	if err != nil {
		return nil, err
	}
	if meta["version"], err = groupTag(tx, group.ID, ids); err != nil {
		return nil, err
	}
	var list []any
	for _, id := range ids {
		user, _, err := directory.Users.Get(tx, id)
		if err != nil {
			return nil, err
		}
		list = append(list, object{"value": id, "display": user.Name, "$ref": h.BaseURL + Root + "/Users/" + id, "type": "User"})
	}
	if list != nil {
		doc["members"] = list
	}
	return doc, nil
}

func groupTag(tx store.Tx, id string, ids []string) (string, error) {
	revision, err := directory.Groups.Revision(tx, id)
	sum := sha256.Sum256([]byte(strings.Join(ids, " ")))
	return tag(fmt.Sprintf("%d-%s", revision, hex.EncodeToString(sum[:8]))), err
}

// groupChange is what a request wants of a group. Members are added and removed one by one, so that a change to a large group costs
// what it changes; whole says that Add is all that there shall be.
type groupChange struct {
	name, external *string
	whole          bool
	add, remove    map[string]bool
}

func newGroupChange() groupChange {
	return groupChange{add: map[string]bool{}, remove: map[string]bool{}}
}

// changeOfDocument is the change of a PUT, or of a POST on an empty group.
func changeOfDocument(doc object) groupChange {
	c := newGroupChange()
	name, external := str(doc["displayName"]), str(doc["externalId"])
	c.name, c.external, c.whole = &name, &external, true
	list, _ := doc["members"].([]any)
	c.named(list, c.add)
	return c
}

// named notes the ids of a list of members.
func (c *groupChange) named(list []any, in map[string]bool) {
	for _, one := range list {
		in[str(asObject(one)["value"])] = true
	}
}

// operate adds one operation of a PATCH to the change.
func (c *groupChange) operate(k *kind, o operation) error {
	if o.path == "" {
		whole, ok := o.value.(object)
		if !ok {
			return refuse(invalidValue, "An operation without a path needs an object as its value.")
		}
		for name, value := range whole {
			if slices.ContainsFunc(common, func(one string) bool { return strings.EqualFold(one, name) }) {
				continue // Okta repeats the id
			}
			if err := c.operate(k, operation{o.op, name, value}); err != nil {
				return err
			}
		}
		return nil
	}
	if strings.EqualFold(o.path, "externalId") || strings.EqualFold(o.path, "displayName") || strings.EqualFold(o.path, groupURN+":displayName") {
		return c.text(o)
	}
	t, err := k.resolve(o.path)
	if err != nil {
		if slices.ContainsFunc(common, func(one string) bool { return strings.EqualFold(one, o.path) }) {
			err = refuse(mutability, "%s cannot be changed.", o.path)
		}
		return err
	}
	if t.attr.Name() != "members" || t.sub != nil {
		return refuse(invalidPath, "The path %.100q cannot be changed: name displayName, externalId or members.", o.path)
	}
	return c.members(t, o)
}

func (c *groupChange) text(o operation) error {
	text, ok := o.value.(string)
	if o.op == opRemove || o.value == nil {
		text, ok = "", true
	}
	if !ok {
		return refuse(invalidValue, "The value of %s must be a string.", o.path)
	}
	if strings.EqualFold(o.path, "externalId") {
		c.external = &text
	} else {
		c.name = &text
	}
	return nil
}

// members adds, removes or replaces members: by a list, or by the id in the path's filter.
func (c *groupChange) members(t target, o operation) error {
	if t.filter != nil {
		id, err := memberOf(t.filter)
		if err != nil {
			return err
		}
		if o.op != opRemove {
			return refuse(invalidPath, "A member has nothing to change: add or remove it.")
		}
		c.drop(id)
		return nil
	}
	var list []any
	if !isNothing(o.value) {
		value, err := typed(*t.attr, o.value)
		if err != nil {
			return err
		}
		list = value.([]any)
	}
	ids := map[string]bool{}
	c.named(list, ids)
	switch {
	case o.op == opReplace, o.op == opRemove && o.value == nil:
		c.whole, c.add, c.remove = true, map[string]bool{}, map[string]bool{}
		if o.op == opReplace {
			maps.Copy(c.add, ids)
		}
	case o.op == opRemove:
		for id := range ids {
			c.drop(id)
		}
	default:
		for id := range ids {
			c.add[id] = true
			delete(c.remove, id)
		}
	}
	return nil
}

func (c *groupChange) drop(id string) {
	delete(c.add, id)
	c.remove[id] = true
}

// memberOf reads the filter value eq "ID", the only one that a path of members takes.
func memberOf(e filter.Expression) (string, error) {
	one, ok := e.(*filter.AttributeExpression)
	if ok && nameOf(one.AttributePath) == "value" && strings.EqualFold(string(one.Operator), string(filter.EQ)) {
		if id, ok := one.CompareValue.(string); ok {
			return id, nil
		}
	}
	return "", refuse(invalidPath, "Choose a member by members[value eq \"ID\"].")
}

// apply writes who comes and who goes, and returns their ids. A member that nobody has is refused as a whole, one that is gone
// already is passed by.
func (c *groupChange) apply(tx store.Tx, d *directory.Directory, group string) (added, removed []string, err error) {
	if c.whole {
		present, err := members(tx, group)
		if err != nil {
			return nil, nil, err
		}
		for _, id := range present {
			if !c.add[id] {
				c.remove[id] = true
			}
		}
	}
	if added, err = c.join(tx, d, group); err != nil {
		return nil, nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(c.remove)) {
		user, _, err := directory.Users.Get(tx, id)
		if errors.Is(err, store.ErrNotFound) || err == nil && !slices.Contains(user.Groups, group) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		user.Groups = slices.DeleteFunc(slices.Clone(user.Groups), func(one string) bool { return one == group })
		if _, err := d.SetUser(tx, user); err != nil {
			return nil, nil, err
		}
		removed = append(removed, id)
	}
	return added, removed, nil
}

func (c *groupChange) join(tx store.Tx, d *directory.Directory, group string) (added []string, err error) {
	for _, id := range slices.Sorted(maps.Keys(c.add)) {
		user, _, err := directory.Users.Get(tx, id)
		if errors.Is(err, store.ErrNotFound) {
			return nil, refuse(invalidValue, "There is no person %.80q to be a member; groups are no members.", id)
		}
		if err != nil {
			return nil, err
		}
		if slices.Contains(user.Groups, group) {
			continue
		}
		user.Groups = append(slices.Clone(user.Groups), group)
		if _, err := d.SetUser(tx, user); err != nil {
			return nil, err
		}
		added = append(added, id)
	}
	held, err := directory.AllGroups.Held(tx, group)
	if err == nil && held >= maxHeld && len(added) > 0 {
		_, err = members(tx, group) // the bound, where it may be near
	}
	return added, err
}

// maxHeld is where Collection.Held stops counting.
const maxHeld = 1000
