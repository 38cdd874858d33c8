package admin

import (
	"strings"
	"testing"

	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// TestConsoleMayDemandTwoFactors: its author is shut out only where they have no second factor and may not set one up.
func TestConsoleMayDemandTwoFactors(t *testing.T) {
	w := newWorld(t)
	ada := w.person("ada", RoleOwner)
	ada.Session = w.signIn(ada.ID).ID
	set := func(by By, key, value string) error {
		_, err := w.SetSettings(t.Context(), by, map[string]string{key: value})
		return err
	}
	demand := func(by By) error { return set(by, "signin.require_mfa_for_admins", "true") }
	must(t, set(ada, "signin.mfa_enrolment", "admin"))
	refusal(t, demand(ada), 409, "locks_out_author", "")
	_, err := w.SetApp(t.Context(), ada, flow.Console, map[string]string{"policy.min_level": "high"})
	refusal(t, err, 409, "locks_out_author", "")
	must(t, set(ada, "signin.mfa_enrolment", "self"))
	must(t, demand(ada))
	refusal(t, set(ada, "signin.mfa_enrolment", "admin"), 409, "locks_out_author", "")
	_, err = w.EnrolTOTP(t.Context(), socket, "ada")
	must(t, err)
	must(t, set(ada, "signin.mfa_enrolment", "admin"))
	_, err = w.SetApp(t.Context(), ada, flow.Console, map[string]string{"policy.on_low_level": "block"})
	refusal(t, err, 409, "locks_out_author", "") // this session has one factor
	app, err := w.App(t.Context(), flow.Console)
	must(t, err)
	for _, s := range app.Settings {
		if s.Key == "policy.min_level" && s.Value != string(sp.High) {
			t.Errorf("the console's policy says %s", s.Value)
		}
	}
	must(t, set(socket, "signin.require_mfa_for_admins", "false"))
	list, err := w.Settings(t.Context())
	must(t, err)
	for _, s := range list.Items {
		if s.Key == "signin.require_mfa_for_admins" && s.Value != "false" {
			t.Errorf("%+v", s)
		}
	}
	if err := set(socket, "signin.require_mfa_for_admins", "perhaps"); err == nil {
		t.Error("perhaps is no answer")
	}
}

func TestWhoResetsFactors(t *testing.T) {
	w := newWorld(t)
	ada, hal, ben := w.person("ada", RoleOwner), w.person("hal", RoleHelpDesk), w.person("ben")
	for _, name := range []string{"ada", "hal", "ben"} {
		given, err := w.EnrolTOTP(t.Context(), socket, name)
		must(t, err)
		if !strings.HasPrefix(given.URI, "otpauth://totp/") {
			t.Errorf("%q", given.URI)
		}
	}
	_, err := w.ResetMFA(t.Context(), hal, "ada")
	refusal(t, err, 403, "needs_owner", "roles")
	_, err = w.ResetMFA(t.Context(), hal, "hal")
	refusal(t, err, 409, "own_factors", "")
	_, err = w.EnrolTOTP(t.Context(), ada, "ada")
	refusal(t, err, 409, "own_factors", "")
	w.signIn(ben.ID)
	_, err = w.ResetMFA(t.Context(), hal, "ben")
	must(t, err)
	must(t, w.store.View(t.Context(), func(tx store.Tx) error {
		left, err := directory.HasSecond(tx, ben.ID)
		if left {
			t.Error("a factor is left")
		}
		return err
	}))
	sessions, err := w.Sessions(t.Context(), "ben", "")
	must(t, err)
	if len(sessions.Items) != 0 {
		t.Errorf("%d sessions are left", len(sessions.Items))
	}
	_, err = w.ResetMFA(t.Context(), ada, "hal")
	must(t, err)
}

// TestListsHoldNoFactors: only the page of one person tells what they have, and never a secret.
func TestListsHoldNoFactors(t *testing.T) {
	w := newWorld(t)
	w.person("ben")
	_, err := w.EnrolTOTP(t.Context(), socket, "ben")
	must(t, err)
	list, err := w.Users(t.Context(), UserFilter{})
	must(t, err)
	for _, u := range list.Items {
		if u.Factors != nil {
			t.Errorf("%+v", u)
		}
	}
	one, err := w.User(t.Context(), "ben")
	must(t, err)
	if len(one.Factors) != 1 || one.Factors[0].Kind != "totp" {
		t.Errorf("%+v", one.Factors)
	}
}
