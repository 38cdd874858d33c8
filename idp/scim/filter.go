package scim

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/scim2/filter-parser/v2"

	"gatehouse/idp/directory"
)

// A filter is parsed by the library, checked and compiled here, and answered over the store's indexes: eq on what has a unique index
// finds its resource at once, sw on userName walks that index, and everything else looks at one resource after another, at most
// maxLooked of them.

// asked gives the values of an attribute of the resource in question; names are in lower case, with the URN of an extension.
type asked func(name string) []string

// matcher tells whether a resource passes a filter.
type matcher func(asked) bool

// exact are the attributes in which case matters (RFC 7643, 3.1).
var exact = map[string]bool{"id": true, "externalid": true, "groups.value": true, "members.value": true, "members": true}

// parseFilter parses a search's filter.
func parseFilter(text string) (filter.Expression, error) {
	if len(text) > maxFilter {
		return nil, refuse(invalidFilter, "The filter is longer than %d bytes.", maxFilter)
	}
	expression, err := filter.ParseFilter([]byte(text))
	if err != nil {
		return nil, refuse(invalidFilter, "The filter cannot be read: write it like userName eq \"ana\".")
	}
	return expression, nil
}

// compile makes the test of a filter; prefix is the attribute in whose brackets it stands. What is not supported is refused.
func compile(e filter.Expression, prefix string, known func(name string) bool) (matcher, error) {
	switch e := e.(type) {
	case *filter.AttributeExpression:
		return compare(e, prefix, known)
	case *filter.ValuePath:
		return compile(e.ValueFilter, nameOf(e.AttributePath)+".", known)
	case *filter.LogicalExpression:
		left, err := compile(e.Left, prefix, known)
		if err != nil {
			return nil, err
		}
		right, err := compile(e.Right, prefix, known)
		if e.Operator == filter.AND {
			return func(ask asked) bool { return left(ask) && right(ask) }, err
		}
		return func(ask asked) bool { return left(ask) || right(ask) }, err
	}
	return nil, refuse(invalidFilter, "not is not supported: use eq, co, sw, pr, and, or.")
}

func compare(e *filter.AttributeExpression, prefix string, known func(name string) bool) (matcher, error) {
	name := prefix + nameOf(e.AttributePath)
	if !known(name) {
		return nil, refuse(invalidFilter, "%.80q cannot be searched.", e.AttributePath.String())
	}
	test, err := operator(e)
	if err != nil {
		return nil, err
	}
	wanted := fmt.Sprint(e.CompareValue)
	fold := directory.Normalise
	if exact[name] {
		fold = func(s string) string { return s }
	}
	wanted = fold(wanted)
	return func(ask asked) bool {
		for _, value := range ask(name) {
			if test(fold(value), wanted) {
				return true
			}
		}
		return false
	}, nil
}

func operator(e *filter.AttributeExpression) (func(value, wanted string) bool, error) {
	switch e.CompareValue.(type) {
	case string, bool:
	default:
		if e.Operator != filter.PR {
			return nil, refuse(invalidFilter, "Compare with a string, true or false.")
		}
	}
	switch filter.CompareOperator(strings.ToLower(string(e.Operator))) {
	case filter.EQ:
		return func(value, wanted string) bool { return value == wanted }, nil
	case filter.CO:
		return strings.Contains, nil
	case filter.SW:
		return strings.HasPrefix, nil
	case filter.PR:
		return func(value, _ string) bool { return value != "" }, nil
	}
	return nil, refuse(invalidFilter, "%s is not supported: use eq, co, sw, pr, and, or.", e.Operator)
}

// nameOf is an attribute's name in lower case; the core schemas need no URN.
func nameOf(path filter.AttributePath) string {
	name := path.AttributeName
	if path.SubAttribute != nil {
		name += "." + *path.SubAttribute
	}
	if uri := path.URI(); uri != "" && !strings.EqualFold(uri, userURN) && !strings.EqualFold(uri, groupURN) {
		name = uri + ":" + name
	}
	return strings.ToLower(name)
}

// equalities are the comparisons by eq that all must hold, by name.
func equalities(e filter.Expression) map[string]any {
	found := map[string]any{}
	var walk func(filter.Expression)
	walk = func(e filter.Expression) {
		switch e := e.(type) {
		case *filter.AttributeExpression:
			if strings.EqualFold(string(e.Operator), string(filter.EQ)) {
				found[nameOf(e.AttributePath)] = e.CompareValue
			}
		case *filter.LogicalExpression:
			if e.Operator == filter.AND {
				walk(e.Left)
				walk(e.Right)
			}
		}
	}
	walk(e)
	return found
}

// page is the part of a list that is asked for, counted from 1 (RFC 7644, 3.4.2.4).
type page struct{ start, count int }

func pageOf(q url.Values) (page, error) {
	p := page{1, defaultPage}
	for name, value := range map[string]*int{"startIndex": &p.start, "count": &p.count} {
		text := q.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return p, refuse(invalidValue, "%s must be a whole number.", name)
		}
		*value = int(n)
	}
	p.start, p.count = max(p.start, 1), min(max(p.count, 0), maxPage)
	return p, nil
}

// holds tells whether the n-th resource, counted from 1, is on the page.
func (p page) holds(n int) bool { return n >= p.start && n-p.start < p.count }
