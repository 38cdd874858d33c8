package admin

import (
	"context"
	"net/http"
	"net/mail"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/recovery"
	"gatehouse/store"
)

// inviteRows are the operations that send mail.
func (a *Admin) inviteRows() []row {
	do := a.Actions
	return []row{
		{Method: "POST", Path: "/invitations", Permission: UsersWrite, Status: 201, Action: with(func(c *call, n api.NewUser) (any, error) { return do.InviteUser(c.ctx(), c.by(), n) })},
		{Method: "POST", Path: "/users/{user}/invite", Permission: UsersWrite, Status: 201, Action: func(c *call) (any, error) { return do.Invite(c.ctx(), c.by(), c.path("user")) }},
		{Method: "POST", Path: "/settings/test-mail", Permission: SettingsWrite, Action: with(func(c *call, ask api.TestMail) (any, error) {
			return struct{}{}, do.TestMail(c.ctx(), c.by(), ask.To)
		})},
	}
}

// InviteUser adds a person without a password and invites them to choose one.
func (a *Actions) InviteUser(ctx context.Context, by By, n api.NewUser) (api.Invitation, error) {
	if n.Password != "" {
		return api.Invitation{}, badValue("password", "Who is invited chooses the password: leave it out.")
	}
	var invited api.Invitation
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		user, err := a.addUser(tx, by, n, "")
		if err != nil {
			return audit.Event{}, err
		}
		if err := a.note(tx, by, audit.Event{Kind: "user.add", User: user.ID, Facts: map[string]string{"name": user.Name}}); err != nil {
			return audit.Event{}, err
		}
		event, err := a.invite(tx, by, &user, &invited)
		return event, err
	})
	return invited, err
}

// Invite invites a person who has no password yet; an earlier invitation works no more.
func (a *Actions) Invite(ctx context.Context, by By, ref string) (api.Invitation, error) {
	var invited api.Invitation
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		user, err := directory.ResolveUser(tx, ref)
		if err != nil {
			return audit.Event{}, err
		}
		if err := mayHandle(by, &user); err != nil {
			return audit.Event{}, err
		}
		return a.invite(tx, by, &user, &invited)
	})
	return invited, err
}

func (a *Actions) invite(tx store.Tx, by By, user *directory.User, invited *api.Invitation) (audit.Event, error) {
	settings, _, err := directory.LoadSettings(tx)
	if err != nil {
		return audit.Event{}, err
	}
	has, err := directory.HasPassword(tx, user.ID)
	switch {
	case err != nil:
		return audit.Event{}, err
	case !settings.TakesPasswords():
		return audit.Event{}, refused(http.StatusConflict, "no_passwords", "user", "Nobody signs in by a password here (signin.methods), so there is none to choose.")
	case has:
		return audit.Event{}, refused(http.StatusConflict, "has_password", "user", "%s has a password already, so there is nothing to invite to: reset the password if it is lost.", user.Name)
	case user.Disabled:
		return audit.Event{}, refused(http.StatusConflict, "user_not_active", "user", "The account of %s is disabled: enable it first.", user.Name)
	}
	if err := directory.TakesPassword(tx, user); err != nil {
		return audit.Event{}, fieldOf("user", err)
	}
	invitation, err := a.Desk.Invite(tx, user, by.ID)
	if err != nil {
		return audit.Event{}, err
	}
	*invited = api.Invitation{URL: invitation.Address, Expires: invitation.Expires, Mailed: invitation.Mailed}
	invited.User, err = wireUser(tx, user)
	return audit.Event{Kind: "user.invite", User: user.ID, Facts: map[string]string{"mailed": yesNo(invitation.Mailed)}}, err
}

func yesNo(yes bool) string {
	if yes {
		return "yes"
	}
	return "no"
}

// TestMail sends a mail at once and says what went wrong, if something did.
func (a *Actions) TestMail(ctx context.Context, by By, to string) error {
	address, err := mail.ParseAddress(to)
	if err != nil || address.Name != "" || address.Address != to {
		return badValue("to", "%.80q is no e-mail address: write it like ada@example.org.", to)
	}
	failure := a.Desk.Test(ctx, to)
	event := audit.Event{Kind: "mail.test", Actor: by.ID, Outcome: audit.OK, Facts: map[string]string{"to": to}}
	if by.Address.IsValid() {
		event.Address = by.Address.String()
	}
	if failure != nil {
		event.Outcome, event.Reason, event.Detail = audit.Failed, "not_sent", recovery.Short(failure)
	}
	if err := a.Store.Update(ctx, func(tx store.Tx) error { _, err := a.Audit.Append(tx, event); return err }); err != nil {
		return err
	}
	if failure != nil {
		refusal := refused(http.StatusConflict, "not_sent", "to", "The mail was not sent: %s", ended(recovery.Short(failure)))
		refusal.Err = failure
		return refusal
	}
	return nil
}

// passwordChanged tells a person that an administrator set their password.
func (a *Actions) passwordChanged(tx store.Tx, user *directory.User) error {
	return a.Desk.Notify(tx, user, recovery.PasswordChanged(recovery.Browser{}, a.Now(), true))
}

// HasPassword tells whether a person has a password here.
func (a *Actions) HasPassword(ctx context.Context, id string) (has bool, err error) {
	err = a.view(ctx, func(tx store.Tx) error {
		has, err = directory.HasPassword(tx, id)
		return err
	})
	return has, err
}
