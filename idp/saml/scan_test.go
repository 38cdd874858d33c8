package saml

import (
	"errors"
	"strings"
	"testing"

	"github.com/beevik/etree"
)

func TestParseAccepts(t *testing.T) {
	for _, test := range []struct{ src, text string }{
		{`<a>x</a>`, "x"},
		{"\uFEFF<?xml version='1.0' encoding='utf-8' standalone=\"yes\"?>\n<!-- before --><a>x</a>\n ", "x"},
		{`<a>&amp;&lt;&gt;&quot;&apos;&#65;&#x42;</a>`, `&<>"'AB`},
		{`<a>x<![CDATA[<&>]]>y</a>`, "x<&>y"},
		{"<a>x\r\ny\rz</a>", "x\ny\nz"},
		{`<p:a xmlns:p="u" p:b="1" b='"'>日本</p:a>`, "日本"},
		{`<a><!-- between --><b/></a>`, ""},
	} {
		tree, err := parse(test.src, messageLimits)
		if err != nil || tree.nodes[0].text != test.text {
			t.Errorf("%q: %v", test.src, err)
		}
	}
}

// What is ambiguous, malformed or has no place in SAML is refused (BND-16, BND-17, SEC-02).
func TestParseRefuses(t *testing.T) {
	for _, src := range []string{
		"", "x", "<a>", "<a></b>", "</a>", "<a/><b/>", "<a/>x", "x<a/>", "<a/><!-- after -->", "<a", "<a b", `<a b="`, `<a b=c/>`, `<a b="1"c="2"/>`,
		`<!DOCTYPE a><a/>`, `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, `<a>&x;</a>`, `<a>&</a>`, `<a>& b;</a>`, `<a>&#0;</a>`, `<a>&#xD800;</a>`, `<a>&#x110000;</a>`, `<a>&#xFFFFFFFFFF;</a>`,
		`<?php ?><a/>`, `<a><?pi?></a>`, `<?xml version="1.1"?><a/>`, `<?xml version="1.0" encoding="utf-16"?><a/>`, `<?xml version="1.0" encoding="iso-8859-1"?><a/>`,
		`<a b="1" b="2"/>`, `<a xmlns:p="u" xmlns:q="u" p:b="1" q:b="2"/>`, `<p:a/>`, `<a p:b="1"/>`, `<a xmlns:p=""/>`, `<a xmlns:p="u" xmlns:p="u"/>`, `<a xmlns:xmlns="u"/>`, `<a xmlns:xml="u"/>`,
		`<a:b:c xmlns:a="u"/>`, `<:a/>`, `<1a/>`, `<a b="<"/>`, "<a>]]></a>", "<a>\x00</a>", "<a>\xff</a>", "<a>\uFFFE</a>", "<a b='\x01'/>",
		`<a>sp<!-- -->.evil</a>`, `<a>sp<!-- -->  <!-- -->x</a>`, `<a><!-- -->sp</a>`, `<a><!-- -- --></a>`, `<a><!--`, `<a><![CDATA[x</a>`, `<![CDATA[x]]>`,
		"<a\x00/>", `< a/>`, `<a></a >x`, "<a><b></a></b>",
	} {
		if _, err := parse(src, messageLimits); err == nil {
			t.Errorf("%q: accepted", src)
		}
	}
}

func TestParseLimits(t *testing.T) {
	repeat := strings.Repeat
	attributes := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(" a" + repeat("x", i) + `=""`)
		}
		return "<a" + b.String() + "/>"
	}
	spaces := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(" xmlns:a" + repeat("x", i) + `="u"`)
		}
		return "<a" + b.String() + "/>"
	}
	for name, make := range map[string]func(over int) string{
		"bytes":      func(over int) string { return "<a>" + repeat("x", messageLimits.bytes-7+over) + "</a>" },
		"depth":      func(over int) string { return repeat("<a>", 32+over) + repeat("</a>", 32+over) },
		"elements":   func(over int) string { return "<a>" + repeat("<a/>", 499+over) + "</a>" },
		"attributes": func(over int) string { return attributes(32 + over) },
		"namespaces": func(over int) string { return spaces(32 + over) },
		"comments":   func(over int) string { return "<a>" + repeat("<!---->", 32+over) + "</a>" },
		"cdata":      func(over int) string { return "<a>" + repeat("<![CDATA[]]>", 32+over) + "</a>" },
	} {
		if _, err := parse(make(0), messageLimits); err != nil {
			t.Errorf("%s: at the limit: %v", name, err)
		}
		if _, err := parse(make(1), messageLimits); !errors.Is(err, errTooLarge) {
			t.Errorf("%s: over the limit: %v", name, err)
		}
	}
}

// FuzzParse holds the scanner against etree: what it accepts, etree reads with the same names, values and texts.
func FuzzParse(f *testing.F) {
	f.Add(requestXML(`ForceAuthn="true"`, `<samlp:NameIDPolicy Format="x"/>`))
	f.Add(`<a xmlns="u" b=" &#10;x&#13; "><![CDATA[x]]>&lt;<b>é</b></a>`)
	f.Fuzz(func(t *testing.T, src string) {
		tree, err := parse(src, messageLimits)
		if err != nil {
			return
		}
		doc := etree.NewDocument()
		if err := doc.ReadFromString(strings.TrimPrefix(src, "\uFEFF")); err != nil {
			t.Fatalf("etree refuses %q: %v", src, err)
		}
		at := int32(0)
		compare(t, tree, &at, doc.Root())
		if int(at) != len(tree.nodes) {
			t.Fatalf("%q: %d elements against %d", src, at, len(tree.nodes))
		}
	})
}

func compare(t *testing.T, tree *tree, at *int32, e *etree.Element) {
	n := tree.nodes[*at]
	*at++
	if n.name != e.Tag || n.space != e.NamespaceURI() {
		t.Fatalf("{%s}%s against {%s}%s", n.space, n.name, e.NamespaceURI(), e.Tag)
	}
	text := ""
	for _, child := range e.Child {
		if data, ok := child.(*etree.CharData); ok {
			text += data.Data
		}
	}
	if n.first < 0 && n.text != text {
		t.Fatalf("%q against %q", n.text, text)
	}
	for _, a := range tree.attrs[n.attrFrom:n.attrTo] {
		name := a.name
		if a.prefix != "" {
			name = a.prefix + ":" + name
		}
		if got := e.SelectAttr(name); got == nil || strings.NewReplacer("\t", " ", "\n", " ").Replace(got.Value) != strings.NewReplacer("\t", " ", "\n", " ").Replace(a.value) {
			t.Fatalf("attribute %s: %q against %v", name, a.value, got)
		}
	}
	for _, child := range e.ChildElements() {
		compare(t, tree, at, child)
	}
}
