package portal

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/recovery"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/templates"
)

// passwordRules is what directory.CheckPassword wants, in words.
var passwordRules = fmt.Sprintf("At least %d characters. A few words together are easy to remember.", directory.MinPassword)

func (h *Handlers) account(w http.ResponseWriter, r *http.Request) error {
	return h.accountPage(w, r, http.StatusOK, nil, accountDone[r.URL.Query().Get("done")])
}

// accountDone are the notices after a redirect; only its key travels.
var accountDone = map[string]string{
	"withdrawn": "Withdrawn, and signed out there. When you open the app again, it is as for the first time.",
	"ended":     "Signed out there.",
}

// accountPage shows the person's own facts, sessions and password form, with what was wrong in the form.
func (h *Handlers) accountPage(w http.ResponseWriter, r *http.Request, status int, problems templates.Errors, done string) error {
	actor := web.Of(r).Actor
	shell, _, err := h.frame(r, "Your account", templates.SectionAccount)
	if err != nil {
		return err
	}
	page := templates.AccountPage{
		Shell: shell, Errors: problems, PasswordRules: passwordRules,
		EndAction: "/account/sessions/end", EndOthersAction: "/account/sessions/end-others", EndAllAction: "/account/sessions/end-all",
		WithdrawAction: "/account/apps/withdraw", ConsentsHref: "/account/consents",
	}
	if done != "" {
		page.Notice = &templates.Notice{Kind: "ok", Text: done}
	}
	err = h.Store.View(r.Context(), func(tx store.Tx) error {
		user, _, err := directory.Users.Get(tx, actor.ID)
		if err != nil {
			return err
		}
		profile, _, err := directory.Profiles.Get(tx, user.Profile)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		page.Facts = []templates.Fact{
			{Label: "User name", Text: user.Name}, {Label: "Name", Text: user.FullName()},
			{Label: "E-mail", Text: user.Email}, {Label: "Profile", Text: profile.Name},
		}
		if page.Ways, err = h.waysToSignIn(tx, actor.ID); err != nil {
			return err
		}
		if kept := passwordThere(tx, &user); kept != nil {
			page.Facts = append(page.Facts, templates.Fact{Label: "Password", Text: "in the directory " + user.Source, Hint: "You change it where your organisation keeps it."})
		}
		sessions, err := h.Sessions.ListByUser(tx, actor.ID)
		if err != nil {
			return err
		}
		page.Sessions = sessionRows(sessions, actor.Session)
		if has, err := directory.HasPassword(tx, actor.ID); err != nil {
			return err
		} else if has {
			page.PasswordAction = "/account/password"
		}
		page.Apps, err = h.accountApps(tx, actor.ID, sessions)
		return err
	})
	if err != nil {
		return err
	}
	return web.Page(w, r, status, web.CSP{}, func(b *web.Buffer) error { return templates.Account(b, page) })
}

func sessionRows(sessions []session.Session, own string) []templates.SessionRow {
	rows := make([]templates.SessionRow, 0, len(sessions))
	for _, s := range sessions {
		rows = append(rows, templates.SessionRow{
			Handle: s.Handle, Device: web.Device(s.Agent), Address: s.Address, Level: string(s.Level),
			Started: s.Started, Seen: s.Seen, Current: s.ID == own,
		})
	}
	return rows
}

func (h *Handlers) endSession(w http.ResponseWriter, r *http.Request) error {
	handle := r.PostFormValue("session")
	ended, err := h.end(r, func(s session.Session) bool { return s.Handle == handle })
	switch {
	case err != nil:
		return err
	case ended == 0:
		return web.BadRequest("no_such_session", "That session is not among yours, or it is over already. Open your account to see which there are.")
	}
	web.SeeOther(w, "/account?done=ended#sessions")
	return nil
}

// endAllSessions signs the person out of every browser, this one too.
func (h *Handlers) endAllSessions(w http.ResponseWriter, r *http.Request) error {
	if _, err := h.end(r, func(session.Session) bool { return true }); err != nil {
		return err
	}
	h.Kit.Cookies.Clear(w, web.SessionCookie)
	web.SeeOther(w, "/login?next=/account&done=everywhere")
	return nil
}

func (h *Handlers) endOtherSessions(w http.ResponseWriter, r *http.Request) error {
	own := web.Of(r).Actor.Session
	if _, err := h.end(r, func(s session.Session) bool { return s.ID != own }); err != nil {
		return err
	}
	web.SeeOther(w, "/account")
	return nil
}

// end ends those of the person's own sessions that chosen picks, each with its audit entry, and returns how many.
func (h *Handlers) end(r *http.Request, chosen func(session.Session) bool) (ended int, err error) {
	actor := web.Of(r).Actor
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		ended = 0
		sessions, err := h.Sessions.ListByUser(tx, actor.ID)
		if err != nil {
			return err
		}
		for _, s := range sessions {
			if !chosen(s) {
				continue
			}
			if err := h.endOne(tx, r, s); err != nil {
				return err
			}
			ended++
		}
		return nil
	})
	return ended, err
}

func (h *Handlers) endOne(tx store.Tx, r *http.Request, s session.Session) error {
	if _, err := flow.Withdraw(tx, flow.Scope{Session: s.ID}); err != nil {
		return err
	}
	return h.noteOwn(tx, r, audit.Event{Kind: "session.end", Facts: map[string]string{"session": s.Handle}})
}

// changePassword checks the old password, sets the new one and ends the person's other sessions, in one Update.
func (h *Handlers) changePassword(w http.ResponseWriter, r *http.Request) error {
	if err := web.ParseForm(r); err != nil {
		return err
	}
	if shown, err := h.showsFactor(w, r); !shown {
		return err
	}
	actor := web.Of(r).Actor
	current, fresh, repeat := r.PostForm.Get("current"), r.PostForm.Get("new"), r.PostForm.Get("repeat")
	var problems templates.Errors
	if fresh != repeat {
		problems = append(problems, templates.FieldError{Field: "repeat", Text: "The two new passwords are not the same. Type the new one twice."})
	}
	user, err := h.own(r)
	if err != nil {
		return err
	}
	err = h.Directory.CheckPassword(r.Context(), fresh, &user)
	var unfit *directory.InputError
	if errors.As(err, &unfit) {
		problems = append(problems, templates.FieldError{Field: "new", Text: unfit.Text + "."})
	} else if err != nil {
		return err
	}
	if len(problems) > 0 {
		return h.accountPage(w, r, http.StatusUnprocessableEntity, problems, "")
	}
	if err := h.Store.View(r.Context(), func(tx store.Tx) error {
		user, _, err := directory.Users.Get(tx, actor.ID)
		if err != nil {
			return err
		}
		return passwordThere(tx, &user)
	}); err != nil {
		return err
	}
	result, err := h.Directory.Authenticate(r.Context(), actor.Name, current, web.Of(r).Address)
	if err == nil && result.OK() && result.User.ID != actor.ID { // the name has just become somebody else's
		err = directory.ErrChanged
	}
	if err == nil && !result.OK() {
		if err := h.noteWrong(r, &result); err != nil {
			return err
		}
		return h.wrongPassword(w, r, &result)
	}
	hash := ""
	if err == nil {
		hash, err = h.Directory.HashPassword(r.Context(), fresh, &user)
	}
	if err == nil {
		err = h.setPassword(w, r, &result, hash)
	}
	if errors.Is(err, directory.ErrChanged) || errors.Is(err, session.ErrNone) {
		return &web.Error{
			Status: http.StatusConflict, Reason: "changed_meanwhile", Heading: "Your password is not changed",
			Text: "Your account was changed at the same moment. Sign in again and look whether you still want to change it.",
		}
	}
	if err != nil {
		return err
	}
	return h.accountPage(w, r, http.StatusOK, nil, "Your password is changed and your other sessions are signed out.")
}

// own is the record of the person who acts.
func (h *Handlers) own(r *http.Request) (user directory.User, err error) {
	err = h.Store.View(r.Context(), func(tx store.Tx) error {
		user, _, err = directory.Users.Get(tx, web.Of(r).Actor.ID)
		return err
	})
	return user, err
}

// passwordThere refuses to change a password that a directory keeps.
func passwordThere(tx store.Tx, user *directory.User) error {
	err := directory.TakesPassword(tx, user)
	var kept *directory.InputError
	if errors.As(err, &kept) {
		return &web.Error{Status: http.StatusConflict, Reason: "password_elsewhere", Heading: "Your password is not changed", Text: kept.Text + "."}
	}
	return err
}

// wrongPassword shows the form again. A throttled try was not checked, so it is not called wrong.
func (h *Handlers) wrongPassword(w http.ResponseWriter, r *http.Request, result *directory.Result) error {
	status, text := http.StatusUnprocessableEntity, "That is not your current password."
	if result.Throttled() {
		w.Header().Set("Retry-After", strconv.Itoa(int(result.RetryAfter.Seconds())+1))
		status, text = http.StatusTooManyRequests, "Too many tries. Wait a moment, then try again."
	}
	return h.accountPage(w, r, status, templates.Errors{{Field: "current", Text: text}}, "")
}

// noteWrong counts a wrong current password like a failed sign-in, so that a stolen session cannot guess it.
func (h *Handlers) noteWrong(r *http.Request, result *directory.Result) error {
	return h.Engine.Note(r.Context(), audit.Event{
		Kind: "user.password", Outcome: audit.Refused, Reason: string(result.Reason), Actor: web.Of(r).Actor.ID, User: result.Account,
		Address: web.Of(r).AddressText(),
	}, result.Commit)
}

// setPassword commits the check of the old password with the new one, so that a reset in between wins; the session it came
// through must still be there and gets a new secret, the person's others end.
func (h *Handlers) setPassword(w http.ResponseWriter, r *http.Request, checked *directory.Result, hash string) error {
	actor := &web.Of(r).Actor
	var secret string
	var now session.Session
	err := h.Store.Update(r.Context(), func(tx store.Tx) error {
		if err := checked.Commit(tx); err != nil {
			return err
		}
		if err := h.Directory.SetPassword(tx, actor.ID, hash); err != nil {
			return err
		}
		own, _, err := h.Sessions.Current(tx, h.Kit.Cookies.Get(r, web.SessionCookie))
		if err != nil {
			return err
		}
		if err := errors.Join(h.endOthers(tx, r, own.ID), flow.EndGrants(tx, actor.ID)); err != nil {
			return err
		}
		method := session.Method{Name: session.MethodPassword, At: h.Kit.Now()}
		if secret, now, err = h.Sessions.Raise(tx, own, method); err != nil {
			return err
		}
		browser := recovery.Browser{Address: web.Of(r).AddressText(), Agent: r.UserAgent()}
		if err := h.Desk.Notify(tx, &checked.User, recovery.PasswordChanged(browser, h.Kit.Now(), false)); err != nil {
			return err
		}
		return h.noteOwn(tx, r, audit.Event{Kind: "user.password"})
	})
	if err == nil {
		actor.Session = now.ID // the page that follows marks it as this one
		h.Kit.Cookies.Set(w, web.SessionCookie, secret, now.Ends.Sub(h.Kit.Now()))
	}
	return err
}

// endOthers ends every session of the person but one.
func (h *Handlers) endOthers(tx store.Tx, r *http.Request, own string) error {
	sessions, err := h.Sessions.ListByUser(tx, web.Of(r).Actor.ID)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		if s.ID == own {
			continue
		}
		if err := h.endOne(tx, r, s); err != nil {
			return err
		}
	}
	return nil
}
