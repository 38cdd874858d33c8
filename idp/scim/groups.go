package scim

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/scim2/filter-parser/v2"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/store"
)

func findGroup(tx store.Tx, id string) (directory.Group, error) {
	group, _, err := directory.Groups.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = missing("group", id)
	}
	return group, err
}

// wantsMembers tells whether the query asks for the members.
func wantsMembers(q url.Values) bool {
	_, wanted := project(object{"members": nil}, q)["members"]
	return wanted
}

func (h *Handlers) showGroup(w http.ResponseWriter, r *http.Request) error {
	var shown object
	err := h.Store.View(r.Context(), func(tx store.Tx) error {
		group, err := findGroup(tx, r.PathValue("id"))
		if err == nil {
			shown, err = h.groupObject(tx, &group, wantsMembers(r.URL.Query()))
		}
		return err
	})
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, shown)
}

func (h *Handlers) addGroup(w http.ResponseWriter, r *http.Request) error {
	doc, err := h.body(r, h.groups())
	if err != nil {
		return err
	}
	var shown object
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		c := changeOfDocument(doc)
		group, err := directory.AllGroups.Add(tx, directory.Group{Name: *c.name, ExternalID: *c.external})
		if err != nil {
			return err
		}
		added, err := c.join(tx, h.Directory, group.ID)
		if err != nil {
			return err
		}
		facts := map[string]string{"name": group.Name, "id": group.ID, "added": some(added)}
		if err := h.note(tx, r, audit.Event{Kind: "group.add", Facts: facts}); err != nil {
			return err
		}
		shown, err = h.groupObject(tx, &group, true)
		return err
	})
	if err != nil {
		return worded(err)
	}
	return h.answer(w, r, http.StatusCreated, shown)
}

// some names up to 20 of a list and says how many there are.
func some(ids []string) string {
	if len(ids) <= 20 {
		return strings.Join(ids, ", ")
	}
	return strings.Join(ids[:20], ", ") + " and more, " + strconv.Itoa(len(ids)) + " in all"
}

func (h *Handlers) replaceGroup(w http.ResponseWriter, r *http.Request) error {
	doc, err := h.body(r, h.groups())
	if err != nil {
		return err
	}
	return h.changeGroup(w, r, func() (groupChange, error) { return changeOfDocument(doc), nil })
}

func (h *Handlers) patchGroup(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	all, err := operations(body)
	if err != nil {
		return err
	}
	k := h.groups()
	return h.changeGroup(w, r, func() (groupChange, error) {
		c := newGroupChange()
		for _, one := range all {
			if err := c.operate(k, one); err != nil {
				return c, err
			}
		}
		return c, nil
	})
}

// changeGroup changes a group and its members in one transaction with its audit entry.
func (h *Handlers) changeGroup(w http.ResponseWriter, r *http.Request, next func() (groupChange, error)) error {
	var shown object
	large := false
	err := h.Store.Update(r.Context(), func(tx store.Tx) error {
		group, err := h.groupIfMatch(tx, r)
		if err != nil {
			return err
		}
		c, err := next()
		if err != nil {
			return err
		}
		if err := h.storeGroup(tx, r, &group, &c); err != nil {
			return err
		}
		count, err := directory.Users.Count(tx, store.Page{Index: "group", Value: group.ID}, maxMembers+1)
		if err != nil {
			return err
		}
		large = count > maxMembers
		shown, err = h.groupObject(tx, &group, !large && wantsMembers(r.URL.Query()))
		return err
	})
	if err != nil {
		return worded(err)
	}
	if large {
		w.WriteHeader(http.StatusNoContent) // RFC 7644, 3.5.2: too large to be shown
		return nil
	}
	return h.answer(w, r, http.StatusOK, shown)
}

// groupIfMatch finds the group of a request and holds its precondition against it.
func (h *Handlers) groupIfMatch(tx store.Tx, r *http.Request) (directory.Group, error) {
	group, err := findGroup(tx, r.PathValue("id"))
	if err != nil || r.Header.Get("If-Match") == "" {
		return group, err
	}
	ids, err := members(tx, group.ID)
	if err != nil {
		return group, err
	}
	version, err := groupTag(tx, group.ID, ids)
	if err != nil {
		return group, err
	}
	return group, precondition(r, version)
}

// storeGroup writes what differs; a change that changes nothing leaves no entry.
func (h *Handlers) storeGroup(tx store.Tx, r *http.Request, group *directory.Group, c *groupChange) error {
	before := *group
	if c.name != nil {
		group.Name = *c.name
	}
	if c.external != nil {
		group.ExternalID = *c.external
	}
	if before != *group {
		if err := directory.AllGroups.Set(tx, *group); err != nil {
			return err
		}
	}
	added, removed, err := c.apply(tx, h.Directory, group.ID)
	if err != nil || before == *group && len(added)+len(removed) == 0 {
		return err
	}
	facts := map[string]string{"id": group.ID, "name": group.Name, "added": some(added), "removed": some(removed)}
	return h.note(tx, r, audit.Event{Kind: "group.set", Facts: facts})
}

// removeGroup removes a group and takes it from its members.
func (h *Handlers) removeGroup(w http.ResponseWriter, r *http.Request) error {
	err := h.Store.Update(r.Context(), func(tx store.Tx) error {
		group, err := h.groupIfMatch(tx, r)
		if err != nil {
			return err
		}
		c := newGroupChange()
		c.whole = true
		_, removed, err := c.apply(tx, h.Directory, group.ID)
		if err == nil {
			_, err = directory.AllGroups.Remove(tx, group.ID)
		}
		if err != nil {
			return err
		}
		return h.note(tx, r, audit.Event{Kind: "group.remove", Facts: map[string]string{"id": group.ID, "name": group.Name, "removed": some(removed)}})
	})
	if err != nil {
		return worded(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handlers) listGroups(w http.ResponseWriter, r *http.Request) error {
	p, err := pageOf(r.URL.Query())
	if err != nil {
		return err
	}
	var expression filter.Expression
	f := found[directory.Group]{page: p}
	if text := r.URL.Query().Get("filter"); text != "" {
		if expression, err = parseFilter(text); err == nil {
			f.match, err = compile(expression, "", searchableGroup)
		}
		if err != nil {
			return err
		}
	}
	var objects []object
	err = h.Store.View(r.Context(), func(tx store.Tx) error {
		f.total, f.looked, f.records, objects = 0, 0, nil, nil
		f.values = groupValues(tx, expression)
		if err := walkGroups(tx, &f, expression); err != nil {
			return err
		}
		for i := range f.records {
			one, err := h.groupObject(tx, &f.records[i], wantsMembers(r.URL.Query()))
			if err != nil {
				return err
			}
			objects = append(objects, project(one, r.URL.Query()))
		}
		return nil
	})
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, listed(objects, f.total, p.start))
	return nil
}

func searchableGroup(name string) bool {
	return slices.Contains([]string{"id", "displayname", "externalid", "members", "members.value"}, name)
}

// groupValues gives the values of a group. Of the members only the one that the filter asks for is looked at.
func groupValues(tx store.Tx, expression filter.Expression) func(*directory.Group) asked {
	return func(group *directory.Group) asked {
		return func(name string) []string {
			switch name {
			case "id":
				return []string{group.ID}
			case "displayname":
				return []string{group.Name}
			case "externalid":
				return []string{group.ExternalID}
			}
			id := str(equalities(expression)[name])
			if user, _, err := directory.Users.Get(tx, id); err == nil && slices.Contains(user.Groups, group.ID) {
				return []string{id}
			}
			return nil
		}
	}
}

// walkGroups weighs the group that an index knows, or all.
func walkGroups(tx store.Tx, f *found[directory.Group], expression filter.Expression) error {
	if expression == nil {
		return walkAll(tx, directory.Groups, f)
	}
	equal := equalities(expression)
	for name, find := range map[string]func(string) (directory.Group, error){
		"id":         func(id string) (directory.Group, error) { g, _, err := directory.Groups.Get(tx, id); return g, err },
		"externalid": func(id string) (directory.Group, error) { return directory.GroupByExternalID(tx, id) },
		"displayname": func(text string) (directory.Group, error) {
			g, _, err := directory.Groups.By(tx, "name", directory.Normalise(text))
			return g, err
		},
	} {
		text, ok := equal[name].(string)
		if !ok {
			continue
		}
		group, err := find(text)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		return f.take(&group)
	}
	return directory.Groups.Each(tx, store.Page{Index: "name"}, func(_ string, group *directory.Group) error { return f.take(group) })
}
