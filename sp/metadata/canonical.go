package metadata

import (
	"encoding/xml"
	"io"
	"slices"
	"strings"
)

// binding is a namespace declaration.
type binding struct{ prefix, uri string }

// bindings are the declarations in force, the innermost last; marks say how many there were before each open element.
type bindings struct {
	list  []binding
	marks []int
}

const nsXML = "http://www.w3.org/XML/1998/namespace"

func (b *bindings) push(list ...binding) {
	b.marks = append(b.marks, len(b.list))
	b.list = append(b.list, list...)
}

func (b *bindings) pop() {
	last := len(b.marks) - 1
	b.list, b.marks = b.list[:b.marks[last]], b.marks[:last]
}

// lookup finds what a prefix stands for. The empty prefix always stands for something: no namespace at least.
func (b *bindings) lookup(prefix string) (string, bool) {
	if prefix == "xml" {
		return nsXML, true
	}
	for i := len(b.list) - 1; i >= 0; i-- {
		if b.list[i].prefix == prefix {
			return b.list[i].uri, true
		}
	}
	return "", prefix == ""
}

func (b *bindings) clone() bindings {
	return bindings{slices.Clone(b.list), slices.Clone(b.marks)}
}

// canonical writes raw tokens in canonical form without comments (xml-exc-c14n, section 3; xml-c14n11, section 2): exclusive, or
// with every declaration in force. Only what is written so is covered by a digest.
type canonical struct {
	out       io.Writer
	inclusive bool
	prefixes  []string // that the exclusive form treats as the inclusive one does
	rendered  bindings
	err       error
}

var (
	escapeText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#xD;")
	escapeAttr = strings.NewReplacer("&", "&amp;", "<", "&lt;", `"`, "&quot;", "\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")
)

func (c *canonical) write(parts ...string) {
	for _, part := range parts {
		if c.err == nil {
			_, c.err = io.WriteString(c.out, part)
		}
	}
}

// token writes one raw token; scope are the declarations in force inside of it.
func (c *canonical) token(token xml.Token, scope *bindings) {
	switch t := token.(type) {
	case xml.StartElement:
		c.start(t, scope)
	case xml.EndElement:
		c.rendered.pop()
		c.write("</", rawName(t.Name), ">")
	case xml.CharData:
		c.write(escapeText.Replace(string(t)))
	}
}

func (c *canonical) start(t xml.StartElement, scope *bindings) {
	c.write("<", rawName(t.Name))
	fresh := c.declarations(t, scope)
	for _, b := range fresh {
		if b.prefix == "" {
			c.write(` xmlns="`, escapeAttr.Replace(b.uri), `"`)
		} else {
			c.write(" xmlns:", b.prefix, `="`, escapeAttr.Replace(b.uri), `"`)
		}
	}
	c.rendered.push(fresh...)
	for _, a := range sortedAttributes(t.Attr, scope) {
		c.write(" ", rawName(a.Name), `="`, escapeAttr.Replace(a.Value), `"`)
	}
	c.write(">")
}

// declarations are those to write on an element: of the prefixes that count there, where what is written already differs.
func (c *canonical) declarations(t xml.StartElement, scope *bindings) []binding {
	var fresh []binding
	for _, prefix := range c.counting(t, scope) {
		uri, declared := scope.lookup(prefix)
		written, _ := c.rendered.lookup(prefix)
		if !declared || written == uri || prefix == "xml" || slices.Contains(fresh, binding{prefix, uri}) {
			continue
		}
		fresh = append(fresh, binding{prefix, uri})
	}
	slices.SortFunc(fresh, func(a, b binding) int { return strings.Compare(a.prefix, b.prefix) })
	return fresh
}

// counting lists the prefixes whose declaration an element needs.
func (c *canonical) counting(t xml.StartElement, scope *bindings) []string {
	prefixes := slices.Concat([]string{t.Name.Space}, c.prefixes)
	for _, a := range t.Attr {
		if a.Name.Space != "" && !isDeclaration(a) {
			prefixes = append(prefixes, a.Name.Space)
		}
	}
	if !c.inclusive {
		return prefixes
	}
	inherited := 0
	if len(c.rendered.marks) > 0 { // what is in force around the element is written already
		inherited = scope.marks[len(scope.marks)-1]
	}
	for _, b := range scope.list[inherited:] {
		prefixes = append(prefixes, b.prefix)
	}
	return prefixes
}

// sortedAttributes are those that are no declarations, by namespace and name.
func sortedAttributes(attrs []xml.Attr, scope *bindings) []xml.Attr {
	list := slices.DeleteFunc(slices.Clone(attrs), isDeclaration)
	space := func(a xml.Attr) string {
		if a.Name.Space == "" {
			return ""
		}
		uri, _ := scope.lookup(a.Name.Space)
		return uri
	}
	slices.SortFunc(list, func(a, b xml.Attr) int {
		if order := strings.Compare(space(a), space(b)); order != 0 {
			return order
		}
		return strings.Compare(a.Name.Local, b.Name.Local)
	})
	return list
}

func isDeclaration(a xml.Attr) bool {
	return a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns"
}

func rawName(n xml.Name) string {
	if n.Space == "" {
		return n.Local
	}
	return n.Space + ":" + n.Local
}
