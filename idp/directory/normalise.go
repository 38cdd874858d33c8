package directory

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// InputError refuses what an administrator or a person entered: one sentence that says what to do.
type InputError struct{ Text string }

func (e *InputError) Error() string { return e.Text }

func refuse(format string, args ...any) error { return &InputError{fmt.Sprintf(format, args...)} }

// Bounds of texts, in bytes.
const (
	maxName   = 128
	maxText   = 256
	maxEmail  = 254
	maxValues = 1000   // values of all attributes of a person together
	maxBytes  = 64_000 // and their bytes
)

// Normalise folds a name so that spellings which mean the same are the same: trimmed, NFKC, case folded.
func Normalise(name string) string {
	name = strings.TrimSpace(name)
	if isASCII(name) {
		return strings.ToLower(name)
	}
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name)))
}

func isASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// CheckName refuses a name that a new person must not have: one that looks like another or cannot be typed. People keep a
// name that an older rule allowed.
func CheckName(name string) error {
	if err := checkLabel("user name", name); err != nil {
		return err
	}
	for _, r := range name {
		if !unicode.In(r, unicode.L, unicode.M, unicode.N) && !strings.ContainsRune("._-+@'", r) {
			return refuse("The user name must not hold %q: use letters, digits and . _ - + @ '", r)
		}
	}
	if strings.HasPrefix(Normalise(name), userPrefix) {
		return refuse("A user name must not begin with %s: ids look so", userPrefix)
	}
	return nil
}

// checkLabel refuses names of any kind that are empty, too long, or deceive the eye.
func checkLabel(what, name string) error {
	switch {
	case strings.TrimSpace(name) == "" || Normalise(name) == "":
		return refuse("Give a %s", what)
	case len(name) > maxName || len(Normalise(name)) > 2*maxName:
		return refuse("The %s is longer than %d bytes", what, maxName)
	case strings.TrimSpace(name) != name:
		return refuse("The %s must not begin or end with a space", what)
	}
	if err := checkText(what, name); err != nil {
		return err
	}
	return checkScripts(what, Normalise(name))
}

// checkText refuses what cannot be seen: control and format characters, zero-width ones, unassigned code points.
func checkText(what, text string) error {
	if !utf8.ValidString(text) {
		return refuse("The %s is not valid UTF-8", what)
	}
	for _, r := range text {
		if r != ' ' && !unicode.IsGraphic(r) || unicode.In(r, unicode.Cf, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return refuse("The %s holds the invisible character U+%04X: type it again", what, r)
		}
	}
	return nil
}

var deceptive = []struct {
	name  string
	table *unicode.RangeTable
}{{"Latin", unicode.Latin}, {"Cyrillic", unicode.Cyrillic}, {"Greek", unicode.Greek}}

// checkScripts refuses a name of several scripts whose letters look alike.
func checkScripts(what, name string) error {
	found := ""
	for _, script := range deceptive {
		if !strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(script.table, r) }) {
			continue
		}
		if found != "" {
			return refuse("The %s mixes %s and %s letters, which look alike: use one script", what, found, script.name)
		}
		found = script.name
	}
	return nil
}

func checkEmail(email string) error {
	if email == "" {
		return nil
	}
	parsed, err := mail.ParseAddress(email)
	if err != nil || parsed.Address != email || len(email) > maxEmail || strings.ContainsAny(email, " \"") {
		return refuse("%.80q is not an e-mail address: write it as name@example.com", email)
	}
	return checkText("e-mail address", email)
}
