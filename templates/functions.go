package templates

import (
	"errors"
	"fmt"
	"hash/fnv"
	"html"
	"html/template"
	"strings"
	"time"
	"unicode"
)

// functions are what the template files may call.
var functions = template.FuncMap{
	"accent":   accentStyle,
	"asset":    AssetPath,
	"contact":  contactHref,
	"count":    countWords,
	"dict":     dict,
	"hue":      hue,
	"icon":     icon,
	"initials": initials,
	"level":    levelWords,
	"list":     func(values ...string) []string { return values },
	"lower":    strings.ToLower,
	"number":   groupDigits,
	"time":     timeTag,
	"tone":     tone,
	"yesno":    func() []Option { return []Option{{Value: "true", Label: "Yes"}, {Value: "false", Label: "No"}} },
}

// dict makes the arguments of a part from name, value, name, value, …
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, errors.New("dict needs names and values in pairs")
	}
	d := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict name %v is no string", pairs[i])
		}
		d[name] = pairs[i+1]
	}
	return d, nil
}

// icon draws one symbol of the sprite; it is decoration, so the text beside it must say the same.
func icon(name string) template.HTML {
	return template.HTML(`<svg class="icon" aria-hidden="true" focusable="false"><use href="` +
		AssetPath("icons.svg") + "#" + template.HTMLEscapeString(name) + `"></use></svg>`)
}

// timeTag shows an instant in UTC; the script rewrites it in the reader's zone. The zero time is a dash.
func timeTag(t time.Time) template.HTML {
	if t.IsZero() {
		return `<span class="missing">never</span>`
	}
	t = t.UTC()
	return template.HTML(t.Format(`<time datetime="2006-01-02T15:04:05Z" title="2006-01-02 15:04:05 UTC">2 Jan 2006, 15:04 UTC</time>`))
}

// initials are up to two letters that stand for a name where there is no picture.
func initials(name string) string {
	var letters []rune
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if letters = append(letters, unicode.ToUpper([]rune(word)[0])); len(letters) == 2 {
			break
		}
	}
	if len(letters) == 0 {
		return "?"
	}
	return string(letters)
}

// InitialsPicture stands for an app's picture that cannot be shown: an SVG of ours with the initials of its name.
func InitialsPicture(name string) []byte {
	return []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 44 44"><rect width="44" height="44" rx="9" fill="#56606e"/>` +
		`<text x="22" y="28" text-anchor="middle" font-family="system-ui,sans-serif" font-size="16" font-weight="650" fill="#fff">` + html.EscapeString(initials(name)) + `</text></svg>`)
}

// hue picks one of eight tile colours, always the same for the same name.
func hue(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	return fmt.Sprintf("hue%d", h.Sum32()%8)
}

// tone is the colour role of a state, outcome or kind.
func tone(word string) string {
	switch word {
	case "ok", "active", "allow", "approved":
		return "ok"
	case "warn", "pending", "step_up", "retiring", "next", "waiting", "expired", "orphaned":
		return "warn"
	case "danger", "blocked", "refused", "refuse", "failed", "denied":
		return "danger"
	case "info":
		return "info"
	}
	return "plain"
}

// levelWords say how strongly a session is signed in, as a person would.
func levelWords(level string) string {
	switch level {
	case "low":
		return "by a link, or elsewhere"
	case "standard":
		return "with one factor, such as a password"
	case "high":
		return "with two factors, or a passkey"
	}
	return level
}

// countWords is "1 app" or "2 apps".
func countWords(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return groupDigits(n) + " " + many
}

// groupDigits writes 12345 as 12,345.
func groupDigits(n int) string {
	if n < 0 {
		return "-" + groupDigits(-n)
	}
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", groupDigits(n/1000), n%1000)
}

// contactHref is where the support contact leads, or empty for plain text.
func contactHref(contact string) string {
	switch {
	case strings.HasPrefix(contact, "https://"), strings.HasPrefix(contact, "mailto:"):
		return contact
	case strings.Count(contact, "@") == 1 && !strings.ContainsAny(contact, " <>\"/?"):
		return "mailto:" + contact
	}
	return ""
}
