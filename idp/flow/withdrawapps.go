package flow

import (
	"maps"
	"slices"

	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// WithdrawApps is Withdraw for many apps, such as the clients of a gateway, in one pass over the sessions. It returns in how many
// sessions they were.
func WithdrawApps(tx store.Tx, apps []string) (int, error) {
	if len(apps) == 0 {
		return 0, nil
	}
	concerned := make(map[string]bool, len(apps))
	for _, app := range apps {
		concerned[app] = true
	}
	left, err := reached(tx, concerned)
	if err != nil {
		return 0, err
	}
	ways := make(map[string]sp.LogoutWay)
	for i := range left {
		s := left[i]
		for _, at := range s.Apps {
			if !concerned[at.App] {
				continue
			}
			if err := tellApps(tx, Scope{App: at.App}, &left[i], ways); err != nil {
				return 0, err
			}
		}
		s.Apps = slices.DeleteFunc(slices.Clone(s.Apps), func(at session.AppReached) bool { return concerned[at.App] })
		if err := session.Table.Put(tx, &s); err != nil {
			return 0, err
		}
	}
	for app := range maps.Keys(concerned) {
		if err := endGrants(tx, Scope{App: app}, nil); err != nil {
			return 0, err
		}
	}
	return len(left), nil
}

// reached are the sessions that hold any of the apps.
func reached(tx store.Tx, apps map[string]bool) ([]session.Session, error) {
	var found []session.Session
	err := session.Table.Each(tx, store.Page{}, func(_ string, one *session.Session) error {
		if slices.ContainsFunc(one.Apps, func(at session.AppReached) bool { return apps[at.App] }) {
			found = append(found, *one)
		}
		return nil
	})
	return found, err
}
