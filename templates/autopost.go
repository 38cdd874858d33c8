package templates

import (
	"io"
	"strings"
)

// AutoPostPage is a form that submits itself, with a visible button where scripts are off. Its answer needs a
// Content-Security-Policy with the script nonce, style-src 'self' and a form-action that admits Action.
type AutoPostPage struct {
	Action string  // the app's ACS or logout address
	App    string  // name of the app, for the button
	Fields []Field // SAMLResponse, RelayState
	Nonce  string
	Lang   string // empty: en
}

// AutoPost writes a form that submits itself.
func AutoPost(w io.Writer, p AutoPostPage) error {
	_, err := w.Write(AppendAutoPost(nil, &p))
	return err
}

// AppendAutoPost appends the same page to dst.
func AppendAutoPost(dst []byte, p *AutoPostPage) []byte {
	lang := p.Lang
	if lang == "" {
		lang = "en"
	}
	dst = append(dst, "<!doctype html>\n<html lang=\""...)
	dst = appendEscaped(dst, lang)
	dst = append(dst, "\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><meta name=\"color-scheme\" content=\"light dark\"><title>Opening "...)
	dst = appendEscaped(dst, p.App)
	dst = append(dst, "…</title><link rel=\"stylesheet\" href=\""...)
	dst = append(dst, AssetPath("gatehouse.css")...)
	dst = append(dst, "\"><link rel=\"icon\" href=\""...)
	dst = append(dst, AssetPath("icon.svg")...)
	dst = append(dst, "\">\n<body class=\"post\"><main><form method=\"post\" action=\""...)
	dst = appendEscaped(dst, postable(p.Action))
	dst = append(dst, "\">\n"...)
	for _, f := range p.Fields {
		dst = append(dst, "<input type=\"hidden\" name=\""...)
		dst = appendEscaped(dst, f.Name)
		dst = append(dst, "\" value=\""...)
		dst = appendEscaped(dst, f.Value)
		dst = append(dst, "\">\n"...)
	}
	dst = append(dst, "<button class=\"primary\">Continue to "...)
	dst = appendEscaped(dst, p.App)
	dst = append(dst, "</button></form></main>\n<script nonce=\""...)
	dst = appendEscaped(dst, p.Nonce)
	return append(dst, "\">document.forms[0].submit()</script>\n</body></html>\n"...)
}

// postable is the address itself, octet by octet, when a form may be sent there, and else one that leads nowhere.
func postable(address string) string {
	if strings.HasPrefix(address, "https://") || strings.HasPrefix(address, "http://") {
		return address
	}
	return "about:invalid"
}

// appendEscaped appends s so that it is safe in HTML text and in a double-quoted attribute, with html/template's spelling.
// Base64, which is nearly all of the page, has only the plus sign to replace and is searched by machine word.
func appendEscaped(dst []byte, s string) []byte {
	for i := range len(rare) {
		if strings.IndexByte(s, rare[i]) >= 0 {
			return appendEachEscaped(dst, s)
		}
	}
	for {
		i := strings.IndexByte(s, '+')
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(append(dst, s[:i]...), "&#43;"...)
		s = s[i+1:]
	}
}

func appendEachEscaped(dst []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		if entity := entities[s[i]]; entity != "" {
			dst = append(append(dst, s[from:i]...), entity...)
			from = i + 1
		}
	}
	return append(dst, s[from:]...)
}

// rare are the bytes that base64 does not have; entities are html/template's replacements.
const rare = "\x00\"&'<>"

var entities = [256]string{0: "\uFFFD", '"': "&#34;", '&': "&amp;", '\'': "&#39;", '+': "&#43;", '<': "&lt;", '>': "&gt;"}
