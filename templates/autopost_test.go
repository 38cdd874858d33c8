package templates

import (
	"bytes"
	"html"
	"html/template"
	"strings"
	"testing"
)

// reference is the auto-post page as html/template writes it; Action is exempt from its URL normalisation, because an ACS
// address is used octet by octet.
var reference = template.Must(template.New("").Funcs(functions).Parse(`<!doctype html>
<html lang="{{.Lang}}"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark"><title>Opening {{.App}}…</title><link rel="stylesheet" href="{{asset "gatehouse.css"}}"><link rel="icon" href="{{asset "icon.svg"}}">
<body class="post"><main><form method="post" action="ACTION">
{{range .Fields}}<input type="hidden" name="{{.Name}}" value="{{.Value}}">
{{end}}<button class="primary">Continue to {{.App}}</button></form></main>
<script nonce="{{.Nonce}}">document.forms[0].submit()</script>
</body></html>
`))

func autoPost() AutoPostPage {
	return AutoPostPage{Action: "https://benefits.example/saml/acs?a=1&b='2'", App: "Your Benefits", Nonce: "q83vEjRWeJA+/w==", Lang: "en",
		Fields: []Field{{"SAMLResponse", strings.Repeat("PHNhbWxwOlJlc3BvbnNlIHhtbG5zOnNhbWxwPSJ1cm46b2FzaXM6bmFtZXM6dGM+U0FN", 110) + "+/+/=="}, {"RelayState", "/claims?id=1&x=<2>"}}}
}

func TestAutoPostEqualsTemplate(t *testing.T) {
	hostile := autoPost()
	hostile.App, hostile.Fields[1].Value = `</button><script>alert("1")</script>`, "\"'><\x00&amp;+\xff\n\r`"
	for _, p := range []AutoPostPage{autoPost(), hostile} {
		var want bytes.Buffer
		if err := reference.Execute(&want, p); err != nil {
			t.Fatal(err)
		}
		got := string(AppendAutoPost([]byte("kept"), &p))
		escaped := string(appendEscaped(nil, p.Action))
		if html.UnescapeString(escaped) != p.Action {
			t.Errorf("action %q comes back as %q", p.Action, html.UnescapeString(escaped))
		}
		if want := "kept" + strings.Replace(want.String(), "ACTION", escaped, 1); got != want {
			t.Errorf("got\n%s\nwant\n%s", got, want)
		}
	}
}

func TestAutoPostAction(t *testing.T) {
	for _, action := range []string{"javascript:alert(1)", "", "data:text/html,x", "//evil.example", " https://x.example"} {
		p := AutoPostPage{Action: action}
		if page := string(AppendAutoPost(nil, &p)); !strings.Contains(page, `action="about:invalid"`) {
			t.Errorf("action %q is posted to:\n%s", action, page)
		}
	}
}

func TestAutoPostSize(t *testing.T) {
	p := autoPost()
	p.Fields = nil
	if n := len(AppendAutoPost(nil, &p)); n > 1200 {
		t.Errorf("the page has %d bytes without its fields", n)
	}
}

func BenchmarkAppendAutoPost(b *testing.B) {
	p := autoPost()
	buffer := make([]byte, 0, 16<<10)
	b.ReportAllocs()
	for b.Loop() {
		buffer = AppendAutoPost(buffer[:0], &p)
	}
}
