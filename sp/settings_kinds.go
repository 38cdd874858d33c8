package sp

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// The functions below make a Setting of each kind from a function that finds the field in an App.

func text(key, label, help string, field func(*App) *string) Setting {
	return Setting{Key: key, Label: label, Help: help, Kind: KindText, Default: "none",
		get: func(a *App) string { return *field(a) },
		set: func(a *App, v string) error {
			v = strings.TrimSpace(v)
			if utf8.RuneCountInString(v) > maxText || !printable(v) {
				return errors.New("must be one line of at most 1,000 characters")
			}
			*field(a) = v
			return nil
		}}
}

func address(key, label, help string, field func(*App) *string) Setting {
	return checked(key, label, help, field, CheckAddress)
}

func picture(key, label, help string, field func(*App) *string) Setting {
	return checked(key, label, help, field, CheckPicture)
}

func checked(key, label, help string, field func(*App) *string, check func(string) error) Setting {
	s := text(key, label, help, field)
	s.Kind = KindURL
	s.set = func(a *App, v string) error {
		if v != "" {
			if err := check(v); err != nil {
				return fmt.Errorf("the address %w", err)
			}
		}
		*field(a) = v
		return nil
	}
	return s
}

func choice[T ~string](key, label, help string, options []string, field func(*App) *T) Setting {
	return Setting{Key: key, Label: label, Help: help, Kind: KindChoice, Options: options, Default: options[0],
		get: func(a *App) string { return string(*field(a)) },
		set: func(a *App, v string) error {
			if v != "" && !slices.Contains(options, v) {
				return fmt.Errorf("%q is not allowed; choose %s", v, orList(options))
			}
			*field(a) = T(v)
			return nil
		}}
}

// flag is a boolean whose nil means: not set here.
func flag(key, label, help, def string, field func(*App) **bool) Setting {
	return Setting{Key: key, Label: label, Help: help, Kind: KindBool, Default: def,
		get: func(a *App) string {
			if b := *field(a); b != nil {
				return strconv.FormatBool(*b)
			}
			return ""
		},
		set: func(a *App, v string) error {
			if v == "" {
				*field(a) = nil
				return nil
			}
			b, err := parseBool(v)
			if err != nil {
				return err
			}
			*field(a) = &b
			return nil
		}}
}

func parseBool(v string) (bool, error) {
	if v != "true" && v != "false" {
		return false, fmt.Errorf("%q is not allowed; choose true or false", v)
	}
	return v == "true", nil
}

// span is a duration between two bounds; zero, unset and "none" are the same where def is "none".
func span(key, label, help, def string, low, high time.Duration, field func(*App) *time.Duration) Setting {
	return Setting{Key: key, Label: label, Help: help, Kind: KindDuration, Default: def,
		get: func(a *App) string {
			if *field(a) == 0 {
				return ""
			}
			return FormatDuration(*field(a))
		},
		set: func(a *App, v string) error {
			if v == "" || v == "none" && def == "none" {
				*field(a) = 0
				return nil
			}
			d, err := ParseDuration(v)
			if err == nil && (d < low || d > high) {
				err = fmt.Errorf("must be between %s and %s", DurationInWords(FormatDuration(low)), DurationInWords(FormatDuration(high)))
			}
			if err != nil {
				return err
			}
			*field(a) = d
			return nil
		}}
}

func instant(key, label, help string, field func(*App) *time.Time) Setting {
	return Setting{Key: key, Label: label, Help: help, Kind: KindTime, Default: "none",
		get: func(a *App) string {
			if field(a).IsZero() {
				return ""
			}
			return field(a).UTC().Format(time.RFC3339)
		},
		set: func(a *App, v string) error {
			if v == "" || v == "none" {
				*field(a) = time.Time{}
				return nil
			}
			t, err := parseTime(v)
			if err != nil {
				return err
			}
			*field(a) = t
			return nil
		}}
}

func list(key, label, help string, field func(*App) *[]string) Setting {
	return Setting{Key: key, Label: label, Help: help, Kind: KindList, Default: "none",
		get: func(a *App) string { return formatList(*field(a)) },
		set: func(a *App, v string) error {
			items, err := parseList(v)
			if err != nil {
				return err
			}
			*field(a) = items
			return nil
		}}
}

// upperBound is a list where unset means no bound, so an empty list, which would look like "nothing", is refused.
func upperBound(key, label, help string, field func(*App) *[]string) Setting {
	s := list(key, label, help, field)
	s.Default = "no bound"
	plain := s.set
	s.set = func(a *App, v string) error {
		if strings.TrimSpace(v) == "[]" {
			return errors.New("needs at least one item; `default` lifts the bound")
		}
		return plain(a, v)
	}
	return s
}

func orList(options []string) string {
	if len(options) < 2 {
		return strings.Join(options, "")
	}
	last := len(options) - 1
	return strings.Join(options[:last], ", ") + " or " + options[last]
}
