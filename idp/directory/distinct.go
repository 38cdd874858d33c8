package directory

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"gatehouse/store"
)

// TakenError refuses a user name or an e-mail address with which a person would pass for another.
type TakenError struct{ Field, Text string } // the field is "name" or "email"

func (e *TakenError) Error() string { return e.Text }

// distinct refuses a new name or address that stands for another person: sign-in takes either, apps know people by their
// address, and administrators know them by sight. Old is zero for a new person. That the name itself is taken is left to the
// unique index.
func distinct(tx store.Tx, old, user *User) error {
	if name := Normalise(user.Name); name != Normalise(old.Name) {
		if err := cmp.Or(free(tx, user, "name", "email", name), looksLikeNobody(tx, user)); err != nil {
			return err
		}
	}
	email := Normalise(user.Email)
	if email == Normalise(old.Email) {
		return nil
	}
	return cmp.Or(free(tx, user, "email", "email", email), free(tx, user, "email", "name", email))
}

// free refuses a value of a field that an index gives to another person.
func free(tx store.Tx, user *User, field, index, value string) error {
	nouns := map[string]string{"name": "user name", "email": "e-mail address"}
	other, _, err := Users.By(tx, index, value)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil || other.ID == user.ID:
		return err
	}
	return &TakenError{field, fmt.Sprintf("%q is the %s of %s: choose another %s", value, nouns[index], other.Name, nouns[field])}
}

// looksLikeNobody refuses a name that looks like another person's.
func looksLikeNobody(tx store.Tx, user *User) error {
	for _, skeleton := range skeletons(user) {
		err := Users.Each(tx, store.Page{Index: "skeleton", Value: skeleton}, func(_ string, other *User) error {
			if other.ID == user.ID || Normalise(other.Name) == Normalise(user.Name) {
				return nil
			}
			return &TakenError{"name", fmt.Sprintf("The user name %q looks like that of %s: choose another user name", user.Name, other.Name)}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// skeletons are the same for names that look alike: what the name looks like in Latin letters, written small and written in
// capitals (after UTS #39, section 4, "Confusable Detection"). Latin letters and digits stand for themselves, so that l and 1
// stay apart.
func skeletons(user *User) []string {
	name := norm.NFD.String(Normalise(user.Name))
	return slices.Compact([]string{looksSmall.Replace(name), looksCapital.Replace(name)})
}

// The Cyrillic and Greek letters that look like a Latin letter or a digit, after confusables.txt of UTS #39. Names are case
// folded, so a letter stands here small also where only its capital is like another.
var (
	alike = []string{
		"а", "a", "в", "b", "ь", "b", "с", "c", "е", "e", "ԍ", "g", "н", "h", "һ", "h", "і", "i", "ј", "j", "к", "k", "м", "m",
		"о", "o", "р", "p", "ԛ", "q", "ѕ", "s", "т", "t", "ѵ", "v", "ԝ", "w", "х", "x", "у", "y", "ү", "y", "з", "3", "ӕ", "ae",
		"α", "a", "β", "b", "ε", "e", "ι", "i", "ϳ", "j", "κ", "k", "ο", "o", "ρ", "p", "τ", "t", "χ", "x",
	}
	looksSmall = strings.NewReplacer(append(slices.Clone(alike),
		"б", "6", "г", "r", "п", "n", "ԁ", "d", "ҽ", "e", "ӏ", "l", "ѡ", "w",
		"γ", "y", "η", "n", "μ", "u", "ν", "v", "π", "n", "σ", "o", "υ", "u", "ω", "w",
	)...)
	looksCapital = strings.NewReplacer(append(slices.Clone(alike),
		"ӏ", "i", "η", "h", "μ", "m", "ν", "n", "υ", "y", "ζ", "z",
	)...)
)
