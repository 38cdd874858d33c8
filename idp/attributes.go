package idp

import (
	"context"
	"errors"

	"gatehouse/idp/claims"
	"gatehouse/idp/directory"
	"gatehouse/store"
)

// personSource gives idp/saml the values of attribute sources for a user: it joins claims, which knows expressions, with the
// directory, which knows names.
type personSource struct {
	claims *claims.Evaluator
	store  store.Store
}

// Attributes returns the values of a source, none when the person lacks it.
func (p *personSource) Attributes(source string, user *directory.User) ([]string, error) {
	return p.claims.Values(source, &claims.Person{
		ID: user.ID, Name: user.Name, DisplayName: user.DisplayName, Email: user.Email, GivenName: user.GivenName,
		Surname: user.Surname, Attributes: user.Attributes,
		Held: func() (claims.Held, error) { return p.held(user) },
	})
}

// held reads the names of what a person holds; only sources that ask for them cost these reads.
func (p *personSource) held(user *directory.User) (claims.Held, error) {
	var held claims.Held
	err := p.store.View(context.Background(), func(tx store.Tx) (err error) {
		profile, _, err := directory.Profiles.Get(tx, user.Profile)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		held.Profile = profile.Name
		if held.PermissionSets, err = directory.AllPermissionSets.Names(tx, user.PermissionSets); err != nil {
			return err
		}
		held.Groups, err = directory.AllGroups.Names(tx, user.Groups)
		return err
	})
	return held, err
}
