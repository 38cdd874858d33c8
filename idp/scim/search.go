package scim

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/scim2/filter-parser/v2"

	"gatehouse/idp/directory"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// found collects the resources of a search that its page holds, and counts all.
type found[T any] struct {
	page    page
	match   matcher // nil: all
	values  func(*T) asked
	total   int
	looked  int
	records []T
}

// take weighs one resource; a search that would look at too many ends.
func (f *found[T]) take(record *T) error {
	if f.match != nil {
		if f.looked++; f.looked > maxLooked {
			return refuse(tooMany, "More than %d would have to be looked at: search by userName, externalId or emails with eq.", maxLooked)
		}
		if !f.match(f.values(record)) {
			return nil
		}
	}
	if f.total++; f.page.holds(f.total) {
		f.records = append(f.records, *record)
	}
	return nil
}

// searched reads a search that is posted, so that what is searched for stands in no log of addresses (RFC 7644, 3.4.3).
func searched(list web.HandlerFunc) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		body, err := readBody(r)
		if err != nil {
			return err
		}
		query := url.Values{}
		for _, name := range []string{"filter", "startIndex", "count", "attributes", "excludedAttributes"} {
			value, err := field(body, name)
			if err != nil {
				return err
			}
			switch value := value.(type) {
			case nil:
			case []any:
				query.Set(name, strings.Join(strs(value), ","))
			case string, float64:
				query.Set(name, fmt.Sprint(value))
			default:
				return refuse(invalidSyntax, "%s has the wrong type.", name)
			}
		}
		asked := r.Clone(r.Context())
		asked.URL.RawQuery = query.Encode()
		return list(w, asked)
	}
}

func (h *Handlers) listUsers(w http.ResponseWriter, r *http.Request) error {
	p, err := pageOf(r.URL.Query())
	if err != nil {
		return err
	}
	var expression filter.Expression
	f := found[directory.User]{page: p, values: userValues}
	if text := r.URL.Query().Get("filter"); text != "" {
		if expression, err = parseFilter(text); err == nil {
			f.match, err = compile(expression, "", searchableUser)
		}
		if err != nil {
			return err
		}
	}
	var objects []object
	err = h.Store.View(r.Context(), func(tx store.Tx) error {
		f.total, f.looked, f.records, objects = 0, 0, nil, nil
		if err := walkUsers(tx, &f, expression); err != nil {
			return err
		}
		for i := range f.records {
			revision, err := directory.Users.Revision(tx, f.records[i].ID)
			if err != nil {
				return err
			}
			one, err := h.userObject(tx, &f.records[i], revision)
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

// walkUsers weighs what may match: the few that an index knows, or all, in the order of their names. Without a filter the number
// comes from the index, and the walk ends with the page.
func walkUsers(tx store.Tx, f *found[directory.User], expression filter.Expression) error {
	if expression == nil {
		return walkAll(tx, directory.Users, f)
	}
	few, known, err := usersBy(tx, expression)
	if err != nil {
		return err
	}
	if known {
		return f.takeAll(few)
	}
	walk := store.Page{Index: "name", Prefix: namePrefix(expression)}
	return directory.Users.Each(tx, walk, func(_ string, user *directory.User) error { return f.take(user) })
}

func walkAll[T any](tx store.Tx, table *store.Table[T], f *found[T]) error {
	total, err := table.Count(tx, store.Page{Index: "name"}, 0)
	if err != nil || f.page.count == 0 || f.page.start > total {
		f.total = total
		return err
	}
	err = table.Each(tx, store.Page{Index: "name"}, func(_ string, record *T) error {
		if len(f.records) == f.page.count {
			return store.ErrStop
		}
		return f.take(record)
	})
	f.total = total
	return err
}

func (f *found[T]) takeAll(records []T) error {
	for i := range records {
		if err := f.take(&records[i]); err != nil {
			return err
		}
	}
	return nil
}

// usersBy are the only people who can pass a filter, where an index knows them: one side of an and, both sides of an or.
func usersBy(tx store.Tx, e filter.Expression) ([]directory.User, bool, error) {
	switch e := e.(type) {
	case *filter.AttributeExpression:
		text, ok := e.CompareValue.(string)
		if !ok || !strings.EqualFold(string(e.Operator), string(filter.EQ)) {
			return nil, false, nil
		}
		return userBy(tx, nameOf(e.AttributePath), text)
	case *filter.LogicalExpression:
		left, known, err := usersBy(tx, e.Left)
		if err != nil || known && e.Operator == filter.AND || !known && e.Operator == filter.OR {
			return left, known, err
		}
		right, also, err := usersBy(tx, e.Right)
		if e.Operator == filter.OR && also {
			for _, one := range left {
				if !slices.ContainsFunc(right, func(other directory.User) bool { return other.ID == one.ID }) {
					right = append(right, one)
				}
			}
		}
		return right, also, err
	}
	return nil, false, nil
}

// userBy finds the one person of a value that is unique.
func userBy(tx store.Tx, name, value string) ([]directory.User, bool, error) {
	var user directory.User
	var err error
	switch name {
	case "id":
		user, _, err = directory.Users.Get(tx, value)
	case "username":
		user, _, err = directory.Users.By(tx, "name", directory.Normalise(value))
	case "emails", "emails.value":
		user, _, err = directory.Users.By(tx, "email", directory.Normalise(value))
	case "externalid":
		user, err = directory.ByExternalID(tx, "", value)
	default:
		return nil, false, nil
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, true, nil
	}
	return []directory.User{user}, true, err
}

// namePrefix is how the names of all that can pass begin, as far as the filter says it in one comparison.
func namePrefix(e filter.Expression) string {
	one, ok := e.(*filter.AttributeExpression)
	if !ok || nameOf(one.AttributePath) != "username" || !strings.EqualFold(string(one.Operator), string(filter.SW)) {
		return ""
	}
	text, _ := one.CompareValue.(string)
	return directory.Normalise(text)
}
