package directory_test

import (
	"errors"
	"strings"
	"testing"

	"gatehouse/idp/directory"
	"gatehouse/store"
)

// takenField adds a person, or changes one who has an id, and returns the field of a refusal.
func (k *kit) takenField(user directory.User) string {
	k.Helper()
	user.Profile = k.profile
	err := k.try(func(tx store.Tx) (err error) {
		if user.ID == "" {
			_, err = k.dir.AddUser(tx, user)
		} else {
			_, err = k.dir.SetUser(tx, user)
		}
		return err
	})
	var taken *directory.TakenError
	if errors.As(err, &taken) {
		return taken.Field
	}
	if err != nil {
		k.Errorf("%+v: %v", user, err)
	}
	return ""
}

func TestLookAlikeNamesAreRefused(t *testing.T) {
	for _, c := range []struct {
		first, second string
		alike         bool
	}{
		{"ana", "апа", true}, // the second of each wholly in Cyrillic or Greek
		{"Popa", "рора", true},
		{"рора", "popa", true},
		{"TOM", "ТОМ", true},
		{"tom", "Том", true},
		{"bob@x", "ВОВ@х", true},
		{"NINA", "ΝΙΝΑ", true},
		{"vova", "νονα", true},
		{"сосо", "ϲοϲο", false}, // a lunate sigma is a sigma once folded
		{"кот", "κοτ", true},
		{"José", "јоѕе\u0301", true},
		{"jose", "јоѕе\u0301", false},
		{"bill", "bi11", false},
		{"olga", "0lga", false},
		{"anna", "Анна", false},
		{"Елена", "Ελένη", false},
	} {
		k := newKit(t)
		if _, err := k.add(c.first); err != nil {
			t.Fatal(err)
		}
		other, err := k.add("somebody")
		if err != nil {
			t.Fatal(err)
		}
		want := map[bool]string{true: "name"}[c.alike]
		if got := k.takenField(directory.User{ID: other.ID, Name: c.second}); got != want {
			t.Errorf("%s is renamed to look like %s: %q", c.second, c.first, got)
		}
		if c.alike && k.takenField(directory.User{Name: c.second}) != want {
			t.Errorf("%s is added beside %s", c.second, c.first)
		}
	}
}

func TestPeopleKeepTheirNames(t *testing.T) {
	k := newKit(t)
	user, err := k.add("popa")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Popa", "рора", "popa"} {
		if got := k.takenField(directory.User{ID: user.ID, Name: name, Email: "popa@example.org"}); got != "" {
			t.Errorf("%s stands in its own way: %s", name, got)
		}
	}
	long := strings.Repeat("한", 42)
	if got := k.takenField(directory.User{Name: long}); got != "" {
		t.Errorf("a long name: %s", got)
	}
	k.update(func(tx store.Tx) error { _, err := k.dir.RemoveUser(tx, user.ID); return err })
	if got := k.takenField(directory.User{Name: "рора", Email: "popa@example.org"}); got != "" {
		t.Errorf("a removed person still holds the %s", got)
	}
}

func TestEmailIsOnePersons(t *testing.T) {
	k := newKit(t)
	k.takenField(directory.User{Name: "ana", Email: "Ana@example.org"})
	k.takenField(directory.User{Name: "ben@example.org"})
	ida, err := k.add("ida")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		user directory.User
		want string
	}{
		{directory.User{Name: "ann", Email: "ana@EXAMPLE.org"}, "email"},
		{directory.User{Name: "ann", Email: "ｂen@example.org"}, "email"}, // another's user name
		{directory.User{Name: "ana@example.ORG"}, "name"},
		{directory.User{Name: "ann@example.org", Email: "ann@example.org"}, ""},
		{directory.User{Name: "eva", Email: ""}, ""},
		{directory.User{Name: "eve", Email: ""}, ""},
	} {
		if got := k.takenField(c.user); got != c.want {
			t.Errorf("added %+v: %q", c.user, got)
		}
		if c.user.ID = ida.ID; c.want != "" {
			if got := k.takenField(c.user); got != c.want {
				t.Errorf("set %+v: %q", c.user, got)
			}
		}
	}
}
