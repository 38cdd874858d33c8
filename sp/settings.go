package sp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Kind says what a setting's value looks like, so that a form can show the right control.
type Kind string

// The kinds of values.
const (
	KindText     Kind = "text"
	KindURL      Kind = "url"
	KindChoice   Kind = "choice"
	KindBool     Kind = "bool"
	KindDuration Kind = "duration"
	KindTime     Kind = "time"
	KindList     Kind = "list"
	KindJSON     Kind = "json"
)

// Setting describes one key of `gatehouse app set`.
type Setting struct {
	Key     string
	Label   string
	Help    string
	Kind    Kind
	Options []string          // of a choice, the usual default first; of a list, the items that there are
	Words   map[string]string // what each option does, for people
	Default string            // in words

	get      func(*App) string // the stored value, empty when unset
	set      func(*App, string) error
	fallback func(*App) string // the effective value when unset; nil: Default
}

// Undo is the value that makes any setting unset again.
const Undo = "default"

var settings = inWords(slices.Concat(definitionSettings(), samlSettings(), samlNameSettings(), samlAnswerSettings(), oauthSettings(), oauthTokenSettings(), tlsSettings(), policySettings()))

// Settings lists every key in the order of the design page.
func Settings() []Setting { return slices.Clone(settings) }

// SettingError refuses a value or a key in words that say what is allowed.
type SettingError struct {
	Key    string
	Reason string
}

func (e *SettingError) Error() string { return e.Key + ": " + e.Reason }

// Setting returns the value of a key in the form that Set takes, and whether it is the default because nothing is set.
func (a *App) Setting(key string) (value string, isDefault bool, err error) {
	s, err := lookup(a, key)
	if err != nil {
		return "", false, err
	}
	if value = s.get(a); value != "" {
		return value, false, nil
	}
	if s.fallback != nil {
		return s.fallback(a), true, nil
	}
	return s.Default, true, nil
}

// Set changes one setting; Undo unsets it. On error nothing has changed. References (profiles, permission sets, groups,
// users, signing keys) are ids: the caller resolves names first. Set neither checks the record as a whole (Validate)
// nor touches Changed.
func (a *App) Set(key, value string) error {
	if a.State == Removed {
		return ErrRemoved
	}
	s, err := lookup(a, key)
	if err != nil {
		return err
	}
	if value == Undo {
		value = ""
	} else if value == "" && s.Kind != KindText && s.Kind != KindURL && s.Kind != KindList {
		return &SettingError{key, "needs a value (`default` undoes it)"}
	}
	next := a.clone()
	if err := s.set(&next, value); err != nil {
		return &SettingError{key, err.Error()}
	}
	*a = next
	return nil
}

// Apply sets several keys and then checks the whole app: all of them hold afterwards, or none.
func (a *App) Apply(values map[string]string) error {
	next := a.clone()
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := next.Set(key, values[key]); err != nil {
			return err
		}
	}
	if err := next.Validate(); err != nil {
		return err
	}
	*a = next
	return nil
}

// OfPolicy tells whether a setting is an administrator's: it is kept with the policy, whatever its name.
func OfPolicy(key string) bool {
	return strings.HasPrefix(key, "policy.") || slices.Contains([]string{
		"saml.affiliation", "saml.may_map_to", "oauth.run_as", "oauth.resources", "oauth.introspect", "oauth.registration_approval",
	}, key)
}

// Validate checks the whole record: every stored value, and what only holds between several of them.
func (a *App) Validate() error {
	if a.State == Removed {
		return nil
	}
	if a.Definition.Name == "" {
		return &SettingError{"name", "is missing: give the app one, as people see it in the portal (client_name in client metadata, --name on the command line)"}
	}
	if saml := a.Definition.SAML; saml != nil {
		if saml.Metadata.EntityID == "" {
			return errors.New("the app's metadata has no entity id; add the metadata again")
		}
		if _, ok := saml.Metadata.DefaultACS(BindingPOST); !ok {
			return errors.New("the app's metadata has no assertion consumer service for HTTP-POST; add one")
		}
	}
	if a.Definition.OAuth != nil {
		if err := a.checkClient(); err != nil {
			return err
		}
	}
	p := &a.Policy
	if !p.NotBefore.IsZero() && !p.NotAfter.IsZero() && !p.NotBefore.Before(p.NotAfter) {
		return &SettingError{"policy.not_after", "must be later than policy.not_before"}
	}
	return a.validateValues()
}

// validateValues sets every stored value again on a copy: one rule for what comes in and for what is there.
func (a *App) validateValues() error {
	scratch := a.clone()
	for _, s := range settings {
		if !a.Uses(s.Key) {
			continue
		}
		if err := s.set(&scratch, s.get(a)); err != nil {
			return &SettingError{s.Key, err.Error()}
		}
	}
	return nil
}

// clone copies what settings may change, so that a failed change leaves no trace.
func (a *App) clone() App {
	next := *a
	if a.Definition.SAML != nil {
		saml := *a.Definition.SAML
		next.Definition.SAML = &saml
	}
	if a.Definition.OAuth != nil {
		client := *a.Definition.OAuth
		next.Definition.OAuth = &client
	}
	return next
}

// Uses tells whether a setting means anything for the app: those of a protocol that it does not speak do not.
func (a *App) Uses(key string) bool {
	return !(strings.HasPrefix(key, "saml.") && a.Definition.SAML == nil || strings.HasPrefix(key, "oauth.") && a.Definition.OAuth == nil)
}

func lookup(a *App, key string) (Setting, error) {
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Key == key })
	switch {
	case i < 0:
		return Setting{}, &SettingError{key, unknownKey(key)}
	case !a.Uses(key):
		protocol := "SAML"
		if strings.HasPrefix(key, "oauth.") {
			protocol = "OAuth"
		}
		return Setting{}, &SettingError{key, "the app does not use " + protocol}
	}
	return settings[i], nil
}

// unknownKey names the keys that were perhaps meant: same last word, or at most three letters away.
func unknownKey(key string) string {
	if len(key) > 100 {
		return "is not a setting of an app"
	}
	var near []string
	for _, s := range settings {
		_, short, _ := strings.Cut(s.Key, ".")
		if short == key || strings.HasSuffix(key, "."+s.Key) || distance(s.Key, key) <= 3 {
			near = append(near, s.Key)
		}
	}
	if len(near) == 0 {
		return "is not a setting of an app; `gatehouse app show` lists them"
	}
	return fmt.Sprintf("is not a setting of an app; did you mean %s?", strings.Join(near, " or "))
}

// distance is the Levenshtein distance in bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
