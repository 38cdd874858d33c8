package directory

import (
	"errors"
	"slices"

	"gatehouse/store"
)

// CheckUser refuses, as AddUser and SetUser would, a person who is to be added (without an id) or changed, and writes nothing. The
// lists of what the person holds are sorted.
func (d *Directory) CheckUser(tx store.Tx, user *User) error {
	old := User{}
	if user.ID != "" {
		var err error
		if old, _, err = Users.Get(tx, user.ID); err != nil {
			return err
		}
		if err := keepsOwned(&old, user); err != nil {
			return err
		}
	}
	if Normalise(old.Name) != Normalise(user.Name) || user.Name == "" {
		if err := CheckName(user.Name); err != nil {
			return err
		}
	}
	if err := check(tx, user); err != nil {
		return err
	}
	for field, value := range map[string]string{"name": user.Name, "email": user.Email} {
		other, _, err := Users.By(tx, field, Normalise(value))
		if err == nil && other.ID != user.ID && value != "" {
			return &TakenError{field, "The " + map[string]string{"name": "user name", "email": "e-mail address"}[field] + " is that of " + other.Name}
		}
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return distinct(tx, &old, user)
}

// Same tells whether two records of one person say the same.
func Same(a, b *User) bool {
	d := draft{old: *a, next: *b}
	return !d.changed() && slices.Equal(a.Roles, b.Roles)
}
