package admin

import (
	"cmp"
	"context"
	"net/http"
	"strconv"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/recovery"
	"gatehouse/store"
)

func wireFactors(tx store.Tx, user string) ([]api.Factor, error) {
	factors, err := directory.FactorsOf(tx, user)
	var list []api.Factor
	for i := range factors {
		f := &factors[i]
		list = append(list, api.Factor{ID: f.ID, Kind: string(f.Kind), Name: f.Name, Created: f.Created, LastUsed: f.LastUsed, Left: len(f.Codes)})
	}
	return list, err
}

// notOwn keeps an administrator, whose session may be somebody else's by now, to the account page, which asks for the factor itself.
func notOwn(by By, user *directory.User) error {
	if user.ID != by.ID {
		return nil
	}
	return refused(http.StatusConflict, "own_factors", "", "Change your own ways to sign in on your account page, which asks for the present ones.")
}

// ResetMFA removes all second factors and passkeys of a person who lost them, and ends their sessions.
func (a *Actions) ResetMFA(ctx context.Context, by By, ref string) (api.User, error) {
	return a.changeUser(ctx, by, ref, "factor.reset", func(tx store.Tx, user *directory.User) (map[string]string, error) {
		if err := notOwn(by, user); err != nil {
			return nil, err
		}
		n, err := directory.RemoveFactors(tx, user.ID)
		if err != nil {
			return nil, err
		}
		if err := a.Desk.Notify(tx, user, recovery.FactorsReset(a.Now())); err != nil {
			return nil, err
		}
		facts, err := endSessions(tx, user.ID)
		facts["factors"] = strconv.Itoa(n)
		return facts, err
	})
}

// EnrolTOTP gives a person an authenticator app whose seed the administrator hands over: the answer holds it, once.
func (a *Actions) EnrolTOTP(ctx context.Context, by By, ref string) (api.TOTP, error) {
	var given api.TOTP
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		user, err := directory.ResolveUser(tx, ref)
		if err != nil {
			return audit.Event{}, err
		}
		if err := cmp.Or(mayHandle(by, &user), notOwn(by, &user)); err != nil {
			return audit.Event{}, err
		}
		settings, _, err := directory.LoadSettings(tx)
		if err != nil {
			return audit.Event{}, err
		}
		factor, uri, err := a.Factors.GivenTOTP(&user, cmp.Or(settings.Name, "Gatehouse"), "Authenticator app")
		if err != nil {
			return audit.Event{}, err
		}
		if factor, err = directory.AddFactor(tx, factor); err != nil {
			return audit.Event{}, err
		}
		if err := a.Desk.Notify(tx, &user, recovery.FactorAdded(factor.Name, recovery.Browser{}, a.Now(), true)); err != nil {
			return audit.Event{}, err
		}
		given = api.TOTP{ID: factor.ID, URI: uri}
		return audit.Event{Kind: "factor.add", User: user.ID, Facts: map[string]string{"kind": string(factor.Kind), "factor": factor.ID, "name": factor.Name}}, nil
	})
	return given, err
}
