package templates

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var (
	tagPattern  = regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^>"]|"[^"]*")*)>`)
	attrPattern = regexp.MustCompile(`([a-zA-Z-]+)(?:="([^"]*)")?`)
	voidTags    = []string{"meta", "link", "img", "input", "br"}
	blockTags   = []string{"p", "div", "ul", "ol", "dl", "form", "table", "section", "h1", "h2", "fieldset", "details", "nav"}
)

// balance reports tags that do not close in order and blocks inside a paragraph, which a browser would tear apart.
func balance(html string) []string {
	var problems, open []string
	for _, m := range tagPattern.FindAllStringSubmatch(html, -1) {
		name := m[2]
		switch {
		case slices.Contains(voidTags, name):
		case m[1] == "":
			if slices.Contains(blockTags, name) && slices.Contains(open, "p") {
				problems = append(problems, "<"+name+"> inside <p>")
			}
			open = append(open, name)
		case len(open) == 0 || open[len(open)-1] != name:
			return append(problems, fmt.Sprintf("</%s> closes %v", name, open))
		default:
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		problems = append(problems, fmt.Sprintf("%v never closed", open))
	}
	return problems
}

// element is one start tag with its attributes.
type element struct {
	name  string
	attrs map[string]string
}

func elements(html string) []element {
	var list []element
	for _, m := range tagPattern.FindAllStringSubmatch(html, -1) {
		if m[1] != "" {
			continue
		}
		e := element{m[2], map[string]string{}}
		for _, a := range attrPattern.FindAllStringSubmatch(m[3], -1) {
			e.attrs[a[1]] = a[2]
		}
		list = append(list, e)
	}
	return list
}

// inspect reports what breaks the rules for every page.
func inspect(html string) []string {
	problems := balance(html)
	all := elements(html)
	problems = append(problems, inspectReferences(all)...)
	problems = append(problems, inspectHeadings(all)...)
	for _, e := range all {
		for name := range e.attrs {
			if name == "style" || strings.HasPrefix(name, "on") {
				problems = append(problems, fmt.Sprintf("<%s> has an inline %s", e.name, name))
			}
		}
		if (e.name == "script" || e.name == "style") && e.attrs["nonce"] == "" {
			problems = append(problems, "<"+e.name+"> without nonce")
		}
	}
	if regexp.MustCompile(`<button[^>]*>\s*</button>|<title>\s*</title>|<a [^>]*>\s*</a>`).MatchString(html) {
		problems = append(problems, "a button, link or title without words")
	}
	if !strings.Contains(html, `<html lang="`) || !strings.Contains(html, "<main") {
		problems = append(problems, "no language or no main landmark")
	}
	return problems
}

// inspectReferences checks that ids are unique, that labels and descriptions find them, and that every field is labelled.
func inspectReferences(all []element) []string {
	var problems []string
	ids, labelled := map[string]bool{}, map[string]bool{}
	for i, e := range all {
		if id := e.attrs["id"]; id != "" {
			if ids[id] {
				problems = append(problems, "id "+id+" twice")
			}
			ids[id] = true
		}
		if e.name == "label" {
			labelled[e.attrs["for"]] = true
			for _, inner := range all[i+1 : min(i+3, len(all))] {
				inner.attrs["in-label"] = "yes"
			}
		}
	}
	for _, e := range all {
		field := slices.Contains([]string{"input", "select", "textarea"}, e.name) && e.attrs["type"] != "hidden"
		if field && e.attrs["aria-label"] == "" && !labelled[e.attrs["id"]] && e.attrs["in-label"] == "" {
			problems = append(problems, fmt.Sprintf("field %v without label", e.attrs))
		}
		refs := strings.Fields(e.attrs["aria-describedby"] + " " + e.attrs["for"])
		if target, ok := strings.CutPrefix(e.attrs["href"], "#"); ok && e.name == "a" {
			refs = append(refs, target)
		}
		for _, ref := range refs {
			if !ids[ref] {
				problems = append(problems, "nothing has the id "+ref)
			}
		}
	}
	return problems
}

// inspectHeadings wants one h1 and no skipped level.
func inspectHeadings(all []element) []string {
	var problems []string
	last, first := byte('0'), 0
	for _, e := range all {
		if len(e.name) != 2 || e.name[0] != 'h' || e.name[1] < '1' || e.name[1] > '6' {
			continue
		}
		if e.name == "h1" {
			first++
		}
		if e.name[1] > last+1 {
			problems = append(problems, "heading "+e.name+" skips a level")
		}
		last = e.name[1]
	}
	if first != 1 && slices.ContainsFunc(all, func(e element) bool { return e.name == "header" }) || first > 1 {
		problems = append(problems, fmt.Sprintf("%d h1", first))
	}
	return problems
}
