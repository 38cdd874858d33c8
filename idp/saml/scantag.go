package saml

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// startTag reads an element's opening tag with its attributes, and closes it again when it is empty.
func (s *scanner) startTag() error {
	s.pos++
	qualified := s.name()
	prefix, name, err := split(qualified)
	if err != nil {
		return err
	}
	at, err := s.addNode(qualified)
	if err != nil {
		return err
	}
	empty, err := s.attributes(at)
	if err != nil {
		return err
	}
	if err := s.resolve(at, prefix, name); err != nil {
		return err
	}
	if empty {
		s.closeElement()
	}
	return nil
}

// addNode links a new element into the tree and opens it.
func (s *scanner) addNode(qualified string) (int32, error) {
	at := int32(len(s.tree.nodes))
	switch {
	case s.open < 0 && at > 0:
		return 0, errors.New("there is something after the root element")
	case int(at) >= s.limits.elements, len(s.names) >= s.limits.depth:
		return 0, errTooLarge
	}
	from := int32(len(s.tree.attrs))
	s.tree.nodes = append(s.tree.nodes, node{parent: s.open, first: -1, last: -1, next: -1, attrFrom: from, attrTo: from})
	if s.open >= 0 {
		parent := &s.tree.nodes[s.open]
		if parent.last >= 0 {
			s.tree.nodes[parent.last].next = at
		} else {
			parent.first = at
		}
		parent.last = at
	}
	s.open = at
	s.names = append(s.names, qualified)
	return at, nil
}

func (s *scanner) attributes(at int32) (empty bool, err error) {
	for count := 0; ; count++ {
		spaced := s.skipSpace()
		if s.pos >= len(s.src) {
			return false, errors.New("it ends inside a tag")
		}
		switch {
		case s.src[s.pos] == '>':
			s.pos++
			return false, nil
		case strings.HasPrefix(s.src[s.pos:], "/>"):
			s.pos += 2
			return true, nil
		case !spaced:
			return false, errors.New("attributes must be separated by a space")
		case count >= s.limits.attributes:
			return false, errTooLarge
		}
		if err := s.attribute(at); err != nil {
			return false, err
		}
	}
}

func (s *scanner) attribute(at int32) error {
	prefix, name, err := split(s.name())
	if err != nil {
		return err
	}
	s.skipSpace()
	if s.pos >= len(s.src) || s.src[s.pos] != '=' {
		return fmt.Errorf("attribute %s has no value", cut(name))
	}
	s.pos++
	s.skipSpace()
	if s.pos >= len(s.src) || s.src[s.pos] != '"' && s.src[s.pos] != '\'' {
		return fmt.Errorf("the value of attribute %s is not in quotes", cut(name))
	}
	end := strings.IndexByte(s.src[s.pos+1:], s.src[s.pos])
	if end < 0 {
		return errors.New("it ends inside an attribute")
	}
	raw := s.src[s.pos+1 : s.pos+1+end]
	s.pos += end + 2
	if strings.IndexByte(raw, '<') >= 0 {
		return fmt.Errorf("the value of attribute %s contains <", cut(name))
	}
	value, err := expand(raw, true)
	if err != nil {
		return err
	}
	if prefix == "xmlns" || prefix == "" && name == "xmlns" {
		return s.declare(at, prefix, name, value)
	}
	s.tree.attrs = append(s.tree.attrs, attribute{prefix: prefix, name: name, value: value})
	s.tree.nodes[at].attrTo++
	return nil
}

// declare notes a namespace declaration; the prefix "" is the default namespace.
func (s *scanner) declare(at int32, prefix, name, uri string) error {
	if s.seenNS++; s.seenNS > s.limits.namespaces {
		return errTooLarge
	}
	if prefix == "" {
		name = ""
	}
	for _, b := range s.ns {
		if b.owner == at && b.prefix == name {
			return errors.New("a namespace prefix is declared twice on one element")
		}
	}
	switch {
	case name == "xml" || name == "xmlns" || uri == nsXML || uri == "http://www.w3.org/2000/xmlns/":
		return errors.New("a reserved namespace prefix is declared")
	case name != "" && uri == "":
		return errors.New("a namespace prefix is declared empty")
	}
	s.ns = append(s.ns, binding{name, uri, at})
	return nil
}

// resolve gives element and attributes their namespaces and refuses attributes that occur twice.
func (s *scanner) resolve(at int32, prefix, name string) error {
	space, ok := s.lookup(prefix)
	if !ok {
		return fmt.Errorf("the namespace prefix %s is not declared", cut(prefix))
	}
	n := &s.tree.nodes[at]
	n.space, n.name = space, name
	attrs := s.tree.attrs[n.attrFrom:n.attrTo]
	for i := range attrs {
		a := &attrs[i]
		if a.prefix != "" {
			if a.space, ok = s.lookup(a.prefix); !ok {
				return fmt.Errorf("the namespace prefix %s is not declared", cut(a.prefix))
			}
		}
		for j := range i {
			if attrs[j].name == a.name && attrs[j].space == a.space {
				return fmt.Errorf("attribute %s occurs twice", cut(a.name))
			}
		}
	}
	return nil
}

func (s *scanner) lookup(prefix string) (string, bool) {
	if prefix == "xml" {
		return nsXML, true
	}
	for i := len(s.ns) - 1; i >= 0; i-- {
		if s.ns[i].prefix == prefix {
			return s.ns[i].uri, true
		}
	}
	return "", prefix == ""
}

// expand replaces references; in attribute values literal white space becomes a space (XML 1.0, 3.3.3).
func expand(raw string, inAttribute bool) (string, error) {
	plain := strings.IndexByte(raw, '&') < 0
	if plain && !(inAttribute && strings.ContainsAny(raw, "\t\n")) {
		return raw, nil
	}
	var out strings.Builder
	out.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '&':
			end := strings.IndexByte(raw[i:], ';')
			if end < 0 || end > 10 {
				return "", errors.New("an & does not begin a character reference")
			}
			r, err := reference(raw[i+1 : i+end])
			if err != nil {
				return "", err
			}
			out.WriteRune(r)
			i += end
		case inAttribute && (c == '\t' || c == '\n'):
			out.WriteByte(' ')
		default:
			out.WriteByte(c)
		}
	}
	return out.String(), nil
}

// reference is the character that the five predefined entities and numeric references stand for.
func reference(name string) (rune, error) {
	switch name {
	case "amp":
		return '&', nil
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "quot":
		return '"', nil
	case "apos":
		return '\'', nil
	}
	digits, base := "", 10
	switch {
	case strings.HasPrefix(name, "#x"):
		digits, base = name[2:], 16
	case strings.HasPrefix(name, "#"):
		digits = name[1:]
	default:
		return 0, fmt.Errorf("the entity %s is not known", cut(name))
	}
	code, err := strconv.ParseUint(digits, base, 32)
	r := rune(code)
	legal := r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && utf8.ValidRune(r) && r != 0xFFFE && r != 0xFFFF
	if err != nil || code > utf8.MaxRune || !legal {
		return 0, errors.New("a character reference stands for no legal character")
	}
	return r, nil
}

// is tells whether node at has the given expanded name.
func (t *tree) is(at int32, space, name string) bool {
	return t.nodes[at].name == name && t.nodes[at].space == space
}

// attr is the value of an attribute without namespace.
func (t *tree) attr(at int32, name string) (string, bool) {
	n := &t.nodes[at]
	for _, a := range t.attrs[n.attrFrom:n.attrTo] {
		if a.name == name && a.prefix == "" {
			return a.value, true
		}
	}
	return "", false
}

// attrOr is attr with an empty default.
func (t *tree) attrOr(at int32, name string) string {
	value, _ := t.attr(at, name)
	return value
}

// value is the text of an element that must not have children.
func (t *tree) value(at int32) (string, error) {
	if t.nodes[at].first >= 0 {
		return "", fmt.Errorf("<%s> must hold text only", t.nodes[at].name)
	}
	return t.nodes[at].text, nil
}

// only is the one child with the given name, -1 if there is none; two are an error.
func (t *tree) only(parent int32, space, name string) (int32, error) {
	found := int32(-1)
	for at := t.nodes[parent].first; at >= 0; at = t.nodes[at].next {
		if !t.is(at, space, name) {
			continue
		}
		if found >= 0 {
			return -1, fmt.Errorf("<%s> occurs twice", name)
		}
		found = at
	}
	return found, nil
}
