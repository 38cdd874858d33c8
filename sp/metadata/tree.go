package metadata

import (
	"bytes"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds of a document. Namespace declarations may be many, because some generators repeat them on every element; no
// canonicalisation, which is what makes them costly, happens here.
const (
	maxBytes        = 1 << 20
	maxElements     = 5000
	maxDepth        = 32
	maxAttributes   = 32
	maxDeclarations = 1000
)

// node is an element of a document that passed the gate. Text is all its character data, joined across comments, so that
// a comment cannot cut a value short.
type node struct {
	name     xml.Name
	attrs    []xml.Attr // without namespace declarations
	children []*node
	text     strings.Builder
	line     int
	column   int
}

// gate builds the tree in one pass over the tokens and refuses what is out of bounds before it costs anything.
type gate struct {
	decoder      *xml.Decoder
	open         []*node
	root         *node
	elements     int
	declarations int
	declared     bool // the XML declaration was seen; pasted text may begin with white space before it
}

func parseTree(data []byte) (*node, error) {
	if len(data) > maxBytes {
		return nil, &Error{Reason: "the metadata is larger than 1 MiB; upload the metadata of this one app"}
	}
	text, wasUTF16, err := toUTF8(data)
	if err != nil {
		return nil, err
	}
	g := &gate{decoder: xml.NewDecoder(bytes.NewReader(text))}
	g.decoder.CharsetReader = charset(wasUTF16)
	for {
		line, column := g.decoder.InputPos()
		token, err := g.decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, g.syntax(err)
		}
		if reason := g.take(token, line, column); reason != "" {
			return nil, &Error{Line: line, Column: column, Reason: reason}
		}
	}
	if g.root == nil {
		return nil, &Error{Line: 1, Column: 1, Reason: "there is no XML here; upload the app's SAML metadata file"}
	}
	return g.root, nil
}

// toUTF8 strips a byte order mark and turns UTF-16 into UTF-8.
func toUTF8(data []byte) (text []byte, wasUTF16 bool, err error) {
	var order binary.ByteOrder
	switch {
	case bytes.HasPrefix(data, []byte{0xef, 0xbb, 0xbf}):
		data = data[3:]
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		order = binary.LittleEndian
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		order = binary.BigEndian
	}
	if order != nil {
		if len(data)%2 != 0 {
			return nil, true, &Error{Reason: "the file says UTF-16 but ends in half a character; save it again as UTF-8"}
		}
		units := make([]uint16, 0, len(data)/2)
		for i := 2; i < len(data); i += 2 {
			units = append(units, order.Uint16(data[i:]))
		}
		return []byte(string(utf16.Decode(units))), true, nil
	}
	if !utf8.Valid(data) {
		return nil, false, &Error{Reason: "the file is not UTF-8 text; save it again as UTF-8"}
	}
	return data, false, nil
}

// charset lets a declared encoding pass only when the bytes are already UTF-8.
func charset(wasUTF16 bool) func(string, io.Reader) (io.Reader, error) {
	return func(label string, in io.Reader) (io.Reader, error) {
		switch name := strings.ToLower(label); {
		case name == "us-ascii" || name == "ascii", wasUTF16 && strings.HasPrefix(name, "utf-16"):
			return in, nil
		}
		return nil, fmt.Errorf("the encoding %q is not supported; save the file again as UTF-8", short(label))
	}
}

func (g *gate) syntax(err error) error {
	line, column := g.decoder.InputPos()
	var syntax *xml.SyntaxError
	reason := strings.TrimPrefix(err.Error(), "xml: ")
	if errors.As(err, &syntax) {
		line, reason = syntax.Line, syntax.Msg
	}
	return &Error{Line: line, Column: column, Reason: "the XML is broken: " + short(reason) + "; export the metadata again"}
}

// take weighs one token; the answer is the reason to refuse, or nothing.
func (g *gate) take(token xml.Token, line, column int) string {
	switch t := token.(type) {
	case xml.StartElement:
		return g.start(t, line, column)
	case xml.EndElement:
		g.open = g.open[:len(g.open)-1]
	case xml.CharData:
		return g.characters(t)
	case xml.Directive:
		return "a DOCTYPE is not allowed in metadata; remove it"
	case xml.ProcInst:
		if t.Target != "xml" || g.declared || g.root != nil {
			return fmt.Sprintf("the processing instruction %q is not allowed in metadata; remove it", short(t.Target))
		}
		g.declared = true
	}
	return ""
}

func (g *gate) start(t xml.StartElement, line, column int) string {
	g.elements++
	switch {
	case len(g.open) == 0 && g.root != nil:
		return "there is a second document after the first; upload one at a time"
	case len(g.open) >= maxDepth:
		return "elements are nested more than 32 deep; this is not usual metadata"
	case g.elements > maxElements:
		return "there are more than 5,000 elements; upload the metadata of this one app"
	case len(t.Attr) > maxAttributes:
		return "an element has more than 32 attributes; this is not usual metadata"
	}
	n := &node{name: t.Name, line: line, column: column}
	seen := make(map[xml.Name]bool, len(t.Attr))
	for _, a := range t.Attr {
		if seen[a.Name] {
			return fmt.Sprintf("the attribute %q is there twice; remove one", short(a.Name.Local))
		}
		seen[a.Name] = true
		if a.Name.Space != "xmlns" && a.Name != (xml.Name{Local: "xmlns"}) {
			n.attrs = append(n.attrs, xml.Attr{Name: a.Name, Value: strings.Clone(a.Value)})
			continue
		}
		if g.declarations++; g.declarations > maxDeclarations {
			return "there are more than 1,000 namespace declarations; this is not usual metadata"
		}
	}
	if g.root == nil {
		g.root = n
	} else {
		parent := g.open[len(g.open)-1]
		parent.children = append(parent.children, n)
	}
	g.open = append(g.open, n)
	return ""
}

func (g *gate) characters(text xml.CharData) string {
	if len(g.open) > 0 {
		g.open[len(g.open)-1].text.Write(text)
		return ""
	}
	if len(bytes.TrimSpace(text)) > 0 {
		return "there is text outside the document; upload the app's SAML metadata file and nothing else"
	}
	return ""
}

// fail refuses the document at this element.
func (n *node) fail(format string, args ...any) error {
	return &Error{Line: n.line, Column: n.column, Reason: fmt.Sprintf(format, args...)}
}

func (n *node) is(space, local string) bool { return n.name.Space == space && n.name.Local == local }

// all lists the children with this name.
func (n *node) all(space, local string) []*node {
	var list []*node
	if n == nil {
		return nil
	}
	for _, c := range n.children {
		if c.is(space, local) {
			list = append(list, c)
		}
	}
	return list
}

// one is the first child with this name, or nil.
func (n *node) one(space, local string) *node {
	if list := n.all(space, local); len(list) > 0 {
		return list[0]
	}
	return nil
}

// attr is the value of an attribute without namespace, with surrounding white space removed as the schema's types do.
func (n *node) attr(local string) string {
	value, _ := n.find(xml.Name{Local: local})
	return strings.TrimSpace(value)
}

func (n *node) has(local string) bool {
	_, found := n.find(xml.Name{Local: local})
	return found
}

func (n *node) find(name xml.Name) (string, bool) {
	for _, a := range n.attrs {
		if a.Name == name {
			return a.Value, true
		}
	}
	return "", false
}

func (n *node) language() string {
	value, _ := n.find(xml.Name{Space: "http://www.w3.org/XML/1998/namespace", Local: "lang"})
	return strings.ToLower(value)
}

// value is the whole text of an element that must hold only text.
func (n *node) value() (string, error) {
	if len(n.children) > 0 {
		return "", n.fail("%s must hold only text; remove the elements inside", n.name.Local)
	}
	return strings.TrimSpace(n.text.String()), nil
}
