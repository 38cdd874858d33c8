package saml

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// limits bound what a document may cost before anything else looks at it.
type limits struct {
	bytes, depth, elements, attributes, namespaces, sections int
}

// messageLimits hold for every protocol message.
var messageLimits = limits{bytes: 128 << 10, depth: 32, elements: 500, attributes: 32, namespaces: 32, sections: 32}

// errTooLarge says that a document exceeds its limits.
var errTooLarge = errors.New("the message is larger or more deeply nested than any genuine one")

// tree is a parsed document: nodes in document order, the root first. Strings are parts of the source where possible.
type tree struct {
	nodes []node
	attrs []attribute
}

type node struct {
	space, name         string // namespace URI and local name
	text                string // all character data directly inside
	parent, first, last int32  // -1: none
	next                int32  // sibling; -1: none
	attrFrom, attrTo    int32
	hasComment, hasText bool
}

type attribute struct {
	prefix, name, space, value string
}

type binding struct {
	prefix, uri string
	owner       int32
}

// scanner is a strict, namespace-aware, non-validating XML 1.0 reader for UTF-8 without DOCTYPE, processing instructions
// and custom entities. It is narrower than encoding/xml, so whatever passes here is unambiguous there.
type scanner struct {
	src    string
	pos    int
	limits limits
	tree   tree
	ns     []binding
	names  []string // qualified names of the open elements
	open   int32
	seenNS int
	spent  int // comments and CDATA sections
}

// parse reads one document and nothing after it.
func parse(src string, max limits) (*tree, error) {
	if len(src) > max.bytes {
		return nil, errTooLarge
	}
	if err := legalText(src); err != nil {
		return nil, err
	}
	src = strings.TrimPrefix(src, "\uFEFF")
	if strings.IndexByte(src, '\r') >= 0 {
		src = strings.ReplaceAll(strings.ReplaceAll(src, "\r\n", "\n"), "\r", "\n")
	}
	s := &scanner{src: src, limits: max, open: -1}
	s.tree.nodes = make([]node, 0, 8)
	s.tree.attrs = make([]attribute, 0, 16)
	s.ns = make([]binding, 0, 4)
	s.names = make([]string, 0, 6)
	if err := s.run(); err != nil {
		return nil, err
	}
	return &s.tree, nil
}

func (s *scanner) run() error {
	if err := s.declaration(); err != nil {
		return err
	}
	for s.pos < len(s.src) {
		if err := s.token(); err != nil {
			return err
		}
	}
	switch {
	case len(s.tree.nodes) == 0:
		return errors.New("it holds no XML element")
	case s.open >= 0:
		return errors.New("it ends before <" + s.names[len(s.names)-1] + "> is closed")
	}
	return nil
}

func (s *scanner) token() error {
	rest := s.src[s.pos:]
	switch {
	case rest[0] != '<':
		return s.charData()
	case strings.HasPrefix(rest, "</"):
		return s.endTag()
	case strings.HasPrefix(rest, "<!--"):
		return s.comment()
	case strings.HasPrefix(rest, "<![CDATA["):
		return s.cdata()
	case strings.HasPrefix(rest, "<!"):
		return errors.New("a DOCTYPE is not allowed")
	case strings.HasPrefix(rest, "<?"):
		return errors.New("processing instructions are not allowed")
	}
	return s.startTag()
}

// declaration reads the XML declaration, if there is one: version 1.0, and no encoding but UTF-8.
func (s *scanner) declaration() error {
	if !strings.HasPrefix(s.src, "<?xml") || len(s.src) < 6 || !isSpace(s.src[5]) {
		return nil
	}
	end := strings.Index(s.src, "?>")
	if end < 0 {
		return errors.New("the XML declaration is not closed")
	}
	head := s.src[5:end]
	if strings.ContainsAny(head, "<>&") || !strings.Contains(head, "version") || !(strings.Contains(head, `"1.0"`) || strings.Contains(head, `'1.0'`)) {
		return errors.New("the XML declaration is not that of XML 1.0")
	}
	if at := strings.Index(head, "encoding"); at >= 0 {
		value := strings.Trim(head[at+len("encoding"):], " \t\n=")
		if len(value) < 7 || !strings.EqualFold(value[1:6], "utf-8") || value[6] != value[0] {
			return errors.New("the encoding must be UTF-8")
		}
	}
	s.pos = end + 2
	return nil
}

func (s *scanner) charData() error {
	end := strings.IndexByte(s.src[s.pos:], '<')
	if end < 0 {
		end = len(s.src) - s.pos
	}
	raw := s.src[s.pos : s.pos+end]
	s.pos += end
	blank := isBlank(raw)
	if s.open < 0 {
		if blank {
			return nil
		}
		return errors.New("there is text outside the root element")
	}
	if blank && s.tree.nodes[s.open].first >= 0 {
		return nil // indentation between elements
	}
	if strings.Contains(raw, "]]>") {
		return errors.New("the sequence ]]> is not allowed in text")
	}
	text, err := expand(raw, false)
	if err != nil {
		return err
	}
	return s.addText(text, !blank)
}

// addText appends to the open element's text. A comment inside a value is how values get cut short elsewhere: refused.
func (s *scanner) addText(text string, solid bool) error {
	n := &s.tree.nodes[s.open]
	n.text += text
	n.hasText = n.hasText || solid
	if n.hasText && n.hasComment {
		return errors.New("a comment inside a text value is not allowed")
	}
	return nil
}

func (s *scanner) comment() error {
	if s.spent++; s.spent > s.limits.sections {
		return errTooLarge
	}
	end := strings.Index(s.src[s.pos+4:], "--")
	if end < 0 || !strings.HasPrefix(s.src[s.pos+4+end:], "-->") {
		return errors.New("a comment is not closed")
	}
	s.pos += 4 + end + 3
	if s.open < 0 {
		if len(s.tree.nodes) > 0 {
			return errors.New("there is something after the root element")
		}
		return nil
	}
	s.tree.nodes[s.open].hasComment = true
	return s.addText("", false)
}

func (s *scanner) cdata() error {
	if s.spent++; s.spent > s.limits.sections {
		return errTooLarge
	}
	const head = len("<![CDATA[")
	end := strings.Index(s.src[s.pos+head:], "]]>")
	if end < 0 || s.open < 0 {
		return errors.New("a CDATA section is misplaced or not closed")
	}
	text := s.src[s.pos+head : s.pos+head+end]
	s.pos += head + end + 3
	return s.addText(text, text != "")
}

func (s *scanner) endTag() error {
	s.pos += 2
	name := s.name()
	s.skipSpace()
	if s.pos >= len(s.src) || s.src[s.pos] != '>' || s.open < 0 || s.names[len(s.names)-1] != name {
		return errors.New("a closing tag does not match the element it closes")
	}
	s.pos++
	s.closeElement()
	return nil
}

func (s *scanner) closeElement() {
	for len(s.ns) > 0 && s.ns[len(s.ns)-1].owner == s.open {
		s.ns = s.ns[:len(s.ns)-1]
	}
	s.names = s.names[:len(s.names)-1]
	s.open = s.tree.nodes[s.open].parent
}

func (s *scanner) skipSpace() bool {
	from := s.pos
	for s.pos < len(s.src) && isSpace(s.src[s.pos]) {
		s.pos++
	}
	return s.pos > from
}

// name reads a qualified name and leaves its check to split.
func (s *scanner) name() string {
	from := s.pos
	for s.pos < len(s.src) {
		c := s.src[s.pos]
		if c <= ' ' || c == '>' || c == '/' || c == '=' || c == '<' || c == '"' || c == '\'' || c == '&' {
			break
		}
		s.pos++
	}
	return s.src[from:s.pos]
}

// split takes a qualified name apart; both parts must be NCNames.
func split(qualified string) (prefix, local string, err error) {
	local = qualified
	if at := strings.IndexByte(qualified, ':'); at >= 0 {
		prefix, local = qualified[:at], qualified[at+1:]
		if !isNCName(prefix) {
			return "", "", fmt.Errorf("%q is not an XML name", cut(qualified))
		}
	}
	if !isNCName(local) {
		return "", "", fmt.Errorf("%q is not an XML name", cut(qualified))
	}
	return prefix, local, nil
}

// isNCName tells whether s is a name without colon; beyond ASCII, letters and digits only.
func isNCName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '.'):
		case c >= utf8.RuneSelf:
			return isWideName(s, i)
		default:
			return false
		}
	}
	return s != ""
}

func isWideName(s string, from int) bool {
	for i, r := range s {
		wide := unicode.IsLetter(r) || i > 0 && (unicode.IsDigit(r) || unicode.IsMark(r))
		if i >= from && !wide && (r != '-' && r != '.' && r != '_' || i == 0) {
			return false
		}
	}
	return true
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func isBlank(s string) bool {
	for i := 0; i < len(s); i++ {
		if !isSpace(s[i]) {
			return false
		}
	}
	return true
}

// legalText tells whether every character is one that XML 1.0 allows, in well-formed UTF-8.
func legalText(s string) error {
	ascii := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' {
			return errors.New("it contains a control character")
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if ascii {
		return nil
	}
	if !utf8.ValidString(s) || strings.Contains(s, "\uFFFE") || strings.Contains(s, "\uFFFF") {
		return errors.New("it is not well-formed UTF-8 text")
	}
	return nil
}
