package directory_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/directory"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

// kit is a directory with a clock to turn and one profile.
type kit struct {
	*testing.T
	store   store.Store
	dir     *directory.Directory
	now     time.Time
	profile string
}

func newKit(t *testing.T) *kit {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	k := &kit{T: t, store: s, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	k.dir = directory.New(s, func() time.Time { return k.now })
	k.update(func(tx store.Tx) error {
		profile, err := directory.AllProfiles.Add(tx, directory.Profile{Name: "Employee"})
		k.profile = profile.ID
		return err
	})
	return k
}

func (k *kit) try(fn func(store.Tx) error) error { return k.store.Update(context.Background(), fn) }

func (k *kit) update(fn func(store.Tx) error) {
	k.Helper()
	if err := k.try(fn); err != nil {
		k.Fatal(err)
	}
}

func (k *kit) add(name string) (user directory.User, err error) {
	err = k.try(func(tx store.Tx) (err error) {
		user, err = k.dir.AddUser(tx, directory.User{Name: name, Profile: k.profile})
		return err
	})
	return user, err
}

func TestNormalise(t *testing.T) {
	for _, same := range [][]string{
		{"ana", "ANA", " Ana ", "ａｎａ", "Ａna"},
		{"josé", "JOSÉ", "jose\u0301"},
		{"strasse", "straße", "STRASSE"},
		{"σισυφος", "ΣΙΣΥΦΟΣ", "σισυφος"},
		{"file", "ﬁle"},
	} {
		for _, one := range same {
			if got := directory.Normalise(one); got != directory.Normalise(same[0]) {
				t.Errorf("Normalise(%q) = %q, not as of %q", one, got, same[0])
			}
		}
	}
	if directory.Normalise("ana") == directory.Normalise("anа") {
		t.Error("Latin and Cyrillic a are the same")
	}
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{"ana", "Ana.Lima", "ana+1@example.com", "o'neil", "josé", "Анна", "Ελένη", "李雷", "ivan_2"} {
		if err := directory.CheckName(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", " ", "ana ", "a b", "a\x00b", "a\nb", "a\u200bb", "a\u00adb", "a\ufeff", "a\u202eb", "аna", "anα", "usr_1", "USR_1",
		"a/b", "<b>", "a\xff", strings.Repeat("x", 129), "a\u3164b", "a\ufe0f",
	} {
		var input *directory.InputError
		if err := directory.CheckName(bad); !errors.As(err, &input) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestNamesAreUniqueAfterNormalisation(t *testing.T) {
	k := newKit(t)
	first, err := k.add("Ana")
	if err != nil {
		t.Fatal(err)
	}
	var taken *store.ConflictError
	if _, err := k.add("ＡNA"); !errors.As(err, &taken) {
		t.Errorf("second Ana: %v", err)
	}
	k.update(func(tx store.Tx) error { _, err := k.dir.RemoveUser(tx, first.ID); return err })
	second, err := k.add("ana")
	if err != nil || second.ID == first.ID {
		t.Errorf("after removal: %+v, %v", second, err)
	}
}

func TestUserRecordIsChecked(t *testing.T) {
	k := newKit(t)
	for name, change := range map[string]func(*directory.User){
		"no profile":       func(u *directory.User) { u.Profile = "" },
		"unknown profile":  func(u *directory.User) { u.Profile = "prf_x" },
		"unknown group":    func(u *directory.User) { u.Groups = []string{"grp_x"} },
		"unknown set":      func(u *directory.User) { u.PermissionSets = []string{"pms_x"} },
		"role":             func(u *directory.User) { u.Roles = []string{"king"} },
		"email":            func(u *directory.User) { u.Email = "Ana <ana@example.com>" },
		"email with break": func(u *directory.User) { u.Email = "ana@example.com\r\nBcc: x@example.com" },
		"display name":     func(u *directory.User) { u.DisplayName = "Ana\u200b" },
		"long surname":     func(u *directory.User) { u.Surname = strings.Repeat("x", 300) },
		"attribute name":   func(u *directory.User) { u.Attributes = map[string][]string{"a b": {"x"}} },
		"attribute value":  func(u *directory.User) { u.Attributes = map[string][]string{"a": {"x\x01"}} },
		"attribute size":   func(u *directory.User) { u.Attributes = map[string][]string{"a": {strings.Repeat("x", 70_000)}} },
	} {
		user := directory.User{Name: "ana", Profile: k.profile}
		change(&user)
		err := k.try(func(tx store.Tx) error { _, err := k.dir.AddUser(tx, user); return err })
		var input *directory.InputError
		var missing *directory.MissingError
		if !errors.As(err, &input) && !errors.As(err, &missing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSetUserKeepsIdentity(t *testing.T) {
	k := newKit(t)
	user, err := k.add("ana")
	if err != nil {
		t.Fatal(err)
	}
	k.now = k.now.Add(time.Hour)
	k.update(func(tx store.Tx) error {
		changed, err := k.dir.SetUser(tx, directory.User{ID: user.ID, Name: "Anna", Profile: k.profile, Email: "anna@example.com"})
		if !changed.Created.Equal(user.Created) || !changed.Changed.Equal(k.now) {
			t.Errorf("%+v", changed)
		}
		return err
	})
	k.update(func(tx store.Tx) error {
		for _, name := range []string{"ANNA", user.ID} {
			if found, err := directory.ResolveUser(tx, name); err != nil || found.ID != user.ID {
				t.Errorf("Resolve(%q) = %+v, %v", name, found, err)
			}
		}
		if _, err := directory.ResolveUser(tx, "ana"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("old name: %v", err)
		}
		return nil
	})
	err = k.try(func(tx store.Tx) error {
		_, err := k.dir.SetUser(tx, directory.User{ID: user.ID, Name: "anа", Profile: k.profile})
		return err
	})
	if err == nil {
		t.Error("a rename to a mixed-script name is accepted")
	}
}

func TestCollections(t *testing.T) {
	k := newKit(t)
	user, err := k.add("ana")
	if err != nil {
		t.Fatal(err)
	}
	var group directory.Group
	k.update(func(tx store.Tx) (err error) {
		if group, err = directory.AllGroups.Add(tx, directory.Group{Name: "Sales North"}); err != nil {
			return err
		}
		user.Groups = []string{group.ID, group.ID}
		user, err = k.dir.SetUser(tx, user)
		return err
	})
	if len(user.Groups) != 1 {
		t.Errorf("groups %v", user.Groups)
	}
	remove := func(tx store.Tx) error { _, err := directory.AllGroups.Remove(tx, group.ID); return err }
	var held *directory.HeldError
	if err := k.try(remove); !errors.As(err, &held) || held.Count != 1 {
		t.Errorf("removing a held group: %v", err)
	}
	var taken *store.ConflictError
	if err := k.try(func(tx store.Tx) error {
		_, err := directory.AllGroups.Add(tx, directory.Group{Name: "sales north"})
		return err
	}); !errors.As(err, &taken) {
		t.Errorf("same name: %v", err)
	}
	k.update(func(tx store.Tx) error { _, err := directory.AllGroups.Rename(tx, group.ID, "Sales"); return err })
	k.update(func(tx store.Tx) error {
		if names, err := directory.AllGroups.Names(tx, []string{group.ID, "grp_gone"}); err != nil || fmt.Sprint(names) != "[Sales]" {
			t.Errorf("names %v, %v", names, err)
		}
		if ids, err := directory.AllGroups.IDs(tx, []string{"SALES", group.ID}); err != nil || len(ids) != 2 || ids[0] != ids[1] {
			t.Errorf("ids %v, %v", ids, err)
		}
		user.Groups = nil
		_, err := k.dir.SetUser(tx, user)
		return err
	})
	k.update(remove)
}

func TestSearch(t *testing.T) {
	k := newKit(t)
	k.update(func(tx store.Tx) error {
		for i := range 30 {
			user := directory.User{Name: fmt.Sprintf("u%02d", i), Email: fmt.Sprintf("Mail%d@example.com", i), Profile: k.profile}
			if i >= 20 {
				user.Email = fmt.Sprintf("u%d@example.com", i)
			}
			if _, err := k.dir.AddUser(tx, user); err != nil {
				return err
			}
		}
		_, err := k.dir.AddUser(tx, directory.User{Name: "zoe", Email: "u2@example.com", Profile: k.profile})
		return err
	})
	for text, want := range map[string]int{"": 31, "u": 31, "U2": 11, "mail": 20, "mail1": 11, "zoe": 1, "x": 0, "u\x00": 0, "2": 0} {
		for _, limit := range []int{1, 7, 11, 100} {
			if got := k.search(text, limit); len(got) != want {
				t.Errorf("search %q by %d: %d people, want %d", text, limit, len(got), want)
			}
		}
	}
	for _, cursor := range []string{"x", "name:x", "email:x"} {
		var input *directory.InputError
		err := k.try(func(tx store.Tx) error { _, _, err := directory.Search(tx, "u", cursor, 5); return err })
		if !errors.As(err, &input) {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
}

func (k *kit) search(text string, limit int) map[string]bool {
	k.Helper()
	found, cursor := map[string]bool{}, ""
	for range 50 {
		k.update(func(tx store.Tx) error {
			page, next, err := directory.Search(tx, text, cursor, limit)
			for _, user := range page {
				if found[user.Name] {
					k.Errorf("%s twice", user.Name)
				}
				found[user.Name] = true
			}
			cursor = next
			return err
		})
		if cursor == "" {
			return found
		}
	}
	k.Fatal("the search does not end")
	return nil
}

func TestSettings(t *testing.T) {
	k := newKit(t)
	var settings directory.Settings
	for key, values := range map[string][]string{
		"session.idle": {"90m", "2d", "1d12h"}, "throttle.account": {"3", "1000"}, "color": {"#1a2B3c"}, "name": {"Exâmple Ltd"},
		"saml.entity_id": {"https://idp.example.com/x", "urn:example:idp"}, "saml.want_signed_requests": {"true", "false"},
		"signin.methods": {"password"}, "oauth.disabled_grants": {"refresh_token", "client_credentials,refresh_token", "none"}, "oauth.legacy_methods": {"password", "none"}, "logo": {"default"},
	} {
		for _, value := range values {
			if err := settings.Set(key, value); err != nil {
				t.Errorf("%s=%s: %v", key, value, err)
			}
		}
	}
	for key, values := range map[string][]string{
		"session.idle": {"1s", "-1h", "x", "400d", "99999999d", "1d1"}, "throttle.account": {"0", "-1", "x", "1e3"}, "color": {"red", "#12345g"},
		"name": {"a\nb", strings.Repeat("x", 101)}, "saml.entity_id": {"idp", "https://a b"}, "saml.want_signed_requests": {"yes"},
		"signin.methods": {"magic", "passkey"}, "oauth.legacy_methods": {"implicit"}, "oauth.disabled_grants": {"password", "a,,b"}, "signin.mfa_enrolment": {"never"}, "signin.mfa_grace": {"-1h", "x"},
		"saml.authn_contexts": {"high", "https://x.example=strong", "x=high", "https://refeds.org/profile/mfa=low", "urn:oasis:x=high"}, "logo": {"x"}, "smtp.url": {"smtp://mail.example.org"}, "smtp.from": {"x", "A <a@example.org>", "a@example.org\r\nBcc: b@example.org"}, "no.such": {"x"}, "": {""},
	} {
		for _, value := range values {
			var input *directory.InputError
			if err := settings.Set(key, value); !errors.As(err, &input) {
				t.Errorf("%s=%s: %v", key, value, err)
			}
		}
	}
	k.update(func(tx store.Tx) error { return directory.SaveSettings(tx, settings) })
	k.update(func(tx store.Tx) error {
		read, revision, err := directory.LoadSettings(tx)
		if read.IdleLimit() != 36*time.Hour || read.SessionLimit() != 24*time.Hour || revision == 0 {
			t.Errorf("%+v", read)
		}
		return err
	})
	if err := settings.Set("session.idle", "default"); err != nil || settings.IdleLimit() != 8*time.Hour {
		t.Errorf("default: %v, %v", settings.IdleLimit(), err)
	}
	if all := settings.List(); len(all) != 34 || all[18] != (directory.Setting{Key: "session.idle", Value: "8h", Default: "8h", IsDefault: true}) {
		t.Errorf("%+v", all)
	}
}

func TestLogo(t *testing.T) {
	k := newKit(t)
	png := []byte("\x89PNG\r\n\x1a\n…")
	k.update(func(tx store.Tx) error { return directory.SaveLogo(tx, png) })
	k.update(func(tx store.Tx) error {
		logo, err := directory.LoadLogo(tx)
		settings, _, loadErr := directory.LoadSettings(tx)
		if logo.Type != "image/png" || len(settings.Logo) != 16 {
			t.Errorf("%+v, %q", logo, settings.Logo)
		}
		return errors.Join(err, loadErr)
	})
	for _, bad := range [][]byte{nil, []byte("<svg/>"), append(png, make([]byte, 300<<10)...)} {
		if err := k.try(func(tx store.Tx) error { return directory.SaveLogo(tx, bad) }); err == nil {
			t.Errorf("%.10q accepted", bad)
		}
	}
}
