// Package claims owns where attribute values come from: a source is the name of a user attribute, or a CEL expression over
// `user` (cel.dev).
//
// It must not know protocols, the store or how people are kept: it sees the plain Person that it is given. Expressions are
// written by administrators and developers, so they are bounded in length, depth and cost. Read claims.go for names,
// expression.go for CEL.
package claims

import (
	"fmt"
	"slices"
	"sync"
)

// Person is what a source may look at. Held is called only by sources that need the names of what the person holds, because
// those are in other records; nil stands for nothing held.
type Person struct {
	ID, Name, DisplayName, Email, GivenName, Surname string
	Attributes                                       map[string][]string
	Held                                             func() (Held, error)
	// Made gives the values of sources that are made for whoever asks, such as a name that only one app knows; nil: there are none.
	Made func(source string) (values []string, known bool)
}

// Held are the names, not the ids, of what a person holds.
type Held struct {
	Profile                string
	PermissionSets, Groups []string
}

// MaxSource is the longest source in bytes.
const MaxSource = 2000

// maxPrograms bounds the compiled expressions that are kept.
const maxPrograms = 1024

// SourceError refuses a source: Line and Column, from 1, say where, and are zero when the whole is meant.
type SourceError struct {
	Line, Column int
	Text         string
}

func (e *SourceError) Error() string {
	if e.Line == 0 {
		return "the attribute source does not work: " + e.Text
	}
	return fmt.Sprintf("the attribute source does not work at line %d, column %d: %s", e.Line, e.Column, e.Text)
}

// Evaluator compiles sources and keeps the compiled expressions. The zero value is ready; safe for concurrent use; do not
// copy.
type Evaluator struct {
	mu       sync.RWMutex
	env      *environment
	compiled map[string]*expression
}

// Validate refuses a source that can never work, as *SourceError. A plain name always can: the person may get the attribute.
func (e *Evaluator) Validate(source string) error {
	if isName(source) {
		return nil
	}
	_, err := e.compile(source)
	return err
}

// Values gives the values of a source for a person, none when the person lacks it. Text gives one value, a list of texts
// many; empty texts are left out.
func (e *Evaluator) Values(source string, person *Person) ([]string, error) {
	if isName(source) {
		return named(source, person)
	}
	expression, err := e.compile(source)
	if err != nil {
		return nil, err
	}
	values, _, err := expression.exact(person)
	return slices.DeleteFunc(values, func(one string) bool { return one == "" }), err
}

// Exact is like Values, but keeps the empty texts that an expression gives; null tells that it gave null.
func (e *Evaluator) Exact(source string, person *Person) (values []string, null bool, err error) {
	if isName(source) {
		values, err = named(source, person)
		return values, false, err
	}
	expression, err := e.compile(source)
	if err != nil {
		return nil, false, err
	}
	return expression.exact(person)
}

// isName tells a plain attribute name from an expression: letters, digits, _ and -, beginning with a letter.
func isName(source string) bool {
	for i := range len(source) {
		c := source[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c != '-' && (c < '0' || c > '9')) {
			return false
		}
	}
	return source != "" && len(source) <= 128 && source != "user"
}

// named resolves a name: the words of LDAP and of the records, then the person's own attributes.
func named(name string, person *Person) ([]string, error) {
	switch name {
	case "uid", "name", "username":
		return one(person.Name), nil
	case "mail", "email":
		return one(person.Email), nil
	case "displayName", "display_name", "cn":
		return one(person.DisplayName), nil
	case "givenName", "given_name":
		return one(person.GivenName), nil
	case "sn", "surname":
		return one(person.Surname), nil
	case "id":
		return one(person.ID), nil
	case "groups", "profile", "permission_sets":
		held, err := person.held()
		if err != nil {
			return nil, err
		}
		switch name {
		case "groups":
			return held.Groups, nil
		case "profile":
			return one(held.Profile), nil
		}
		return held.PermissionSets, nil
	}
	if person.Made != nil {
		if values, known := person.Made(name); known {
			return values, nil
		}
	}
	return person.Attributes[name], nil
}

func (p *Person) held() (Held, error) {
	if p.Held == nil {
		return Held{}, nil
	}
	return p.Held()
}

func one(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}
