package directory

import (
	"slices"

	"gatehouse/store"
)

// OwnerError refuses what would leave nobody who may do everything: to disable, remove or demote the last active owner, or to take
// away the directory that alone knows their password.
type OwnerError struct{ Name string }

func (e *OwnerError) Error() string {
	return e.Name + " is the last owner: make somebody else an owner first."
}

func (u *User) owns() bool { return !u.Disabled && slices.Contains(u.Roles, RoleOwner) }

// HasOwner tells whether anybody is an owner who is not disabled.
func HasOwner(tx store.Tx) (bool, error) {
	return anyOwner(tx, func(*User) bool { return true })
}

func anyOwner(tx store.Tx, counts func(*User) bool) (owned bool, err error) {
	err = Users.Each(tx, store.Page{Index: "role", Value: RoleOwner}, func(_ string, user *User) error {
		if owned = user.owns() && counts(user); owned {
			return store.ErrStop
		}
		return nil
	})
	return owned, err
}

// keepsOwner is asked before every change of a person, whoever makes it: an administrator, a file, a directory or another system.
func keepsOwner(tx store.Tx, old, next *User) error {
	if !old.owns() || next.owns() {
		return nil
	}
	others, err := anyOwner(tx, func(user *User) bool { return user.ID != old.ID })
	if err == nil && !others {
		err = &OwnerError{old.Name}
	}
	return err
}

// OwnerBeside tells whether an active owner could still sign in without a source: a local one, or one of another source that is
// active.
func OwnerBeside(tx store.Tx, source string) (bool, error) {
	sources, err := activeSources(tx)
	if err != nil {
		return false, err
	}
	return anyOwner(tx, func(user *User) bool {
		return user.Source == "" || user.Source != source && slices.ContainsFunc(sources, func(s Source) bool { return s.Name == user.Source })
	})
}
