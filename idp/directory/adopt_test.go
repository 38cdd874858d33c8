package directory

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/store"
	"gatehouse/store/bolt"
)

// adoption is a store with a local ada, and a source that brings people.
type adoption struct {
	*testing.T
	store   store.Store
	d       *Directory
	source  *Source
	changes []PersonChange
}

func newAdoption(t *testing.T) *adoption {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "gatehouse.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	a := &adoption{T: t, store: s}
	a.d = New(s, func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) })
	a.d.LDAP = &LDAP{Now: a.d.now, Told: func(_ store.Tx, change PersonChange) error {
		a.changes = append(a.changes, change)
		return nil
	}}
	a.update(func(tx store.Tx) error {
		profile, err := AllProfiles.Add(tx, Profile{Name: "Standard"})
		if err != nil {
			return err
		}
		a.source = &Source{Name: "corp", Kind: KindLDAP, Profile: profile.ID}
		_, err = a.d.AddUser(tx, User{Name: "ada", Email: "ada@example.org", Profile: profile.ID})
		return err
	})
	return a
}

func (a *adoption) update(fn func(store.Tx) error) {
	a.Helper()
	if err := a.store.Update(a.Context(), fn); err != nil {
		a.Fatal(err)
	}
}

// bring adopts people in one run, in this order.
func (a *adoption) bring(people ...*Person) (report Report) {
	a.Helper()
	r := &roster{source: a.source, found: map[string]*Person{}}
	for _, p := range people {
		r.found[p.ID] = p
	}
	var did roster
	a.update(func(tx store.Tx) error {
		did = roster{}
		return a.d.adoptAll(tx, r, people, &did)
	})
	return did.report
}

func (a *adoption) by(id string) (user User) {
	a.Helper()
	a.update(func(tx store.Tx) (err error) {
		user, _, err = Users.By(tx, "external", externalKey("corp", id))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return user
}

func TestLocalPeopleKeepNamesAndAddresses(t *testing.T) {
	a := newAdoption(t)
	if report := a.bring(&Person{ID: "1", Name: "Ada"}, &Person{ID: "2", Name: "mia", Email: "ADA@example.org"}, &Person{ID: "3", Name: "ada@example.org"}); report.Left != 2 || report.Created != 1 {
		t.Errorf("%+v", report)
	}
	if mia := a.by("2"); mia.Name != "mia" || mia.Email != "" {
		t.Errorf("mia: %+v", mia)
	}
	a.bring(&Person{ID: "2", Name: "ada", DisplayName: "Mia"})
	if mia := a.by("2"); mia.Name != "mia" || mia.DisplayName != "Mia" {
		t.Errorf("after a rename to a name that is taken: %+v", mia)
	}
	if last := a.changes[len(a.changes)-1]; last.Kind != "user.set" || last.Facts["note"] == "" {
		t.Errorf("the audit: %+v", last)
	}
}

// Two people who swap names and addresses stay who they are, whichever comes first.
func TestSwappedNames(t *testing.T) {
	for _, turned := range []bool{false, true} {
		a := newAdoption(t)
		a.bring(&Person{ID: "1", Name: "kim", Email: "kim@example.org"}, &Person{ID: "2", Name: "lea", Email: "lea@example.org"})
		kim, lea := a.by("1"), a.by("2")
		people := []*Person{{ID: "1", Name: "lea", Email: "lea@example.org"}, {ID: "2", Name: "kim", Email: "kim@example.org"}}
		if turned {
			people[0], people[1] = people[1], people[0]
		}
		a.bring(people...)
		if one, two := a.by("1"), a.by("2"); one.ID != kim.ID || one.Name != "lea" || one.Email != "lea@example.org" || two.ID != lea.ID || two.Name != "kim" || two.Email != "kim@example.org" {
			t.Errorf("%+v, %+v", one, two)
		}
	}
}

func TestWhoIsBackIsEnabled(t *testing.T) {
	a := newAdoption(t)
	mia, ole := &Person{ID: "1", Name: "mia"}, &Person{ID: "2", Name: "ole"}
	a.bring(mia, ole)
	a.update(func(tx store.Tx) error {
		user := a.by1(tx, "1")
		lost, err := a.d.lose(tx, &user)
		if !lost {
			t.Error("who is gone was not lost")
		}
		return err
	})
	if gone := a.by("1"); !gone.Disabled || !gone.Gone || !a.changes[len(a.changes)-1].Ended {
		t.Errorf("gone: %+v", gone)
	}
	a.update(func(tx store.Tx) error {
		_, err := a.d.Disable(tx, a.by1(tx, "2").ID)
		return err
	})
	a.bring(mia, ole)
	if back, kept := a.by("1"), a.by("2"); back.Disabled || back.Gone || !kept.Disabled {
		t.Errorf("back: %+v, disabled by an administrator: %+v", back, kept)
	}
}

func (a *adoption) by1(tx store.Tx, id string) User {
	user, _, err := Users.By(tx, "external", externalKey("corp", id))
	if err != nil {
		a.Error(err)
	}
	return user
}

// What a list names comes and goes with the groups there; what else a person holds stays.
func TestGroupsThere(t *testing.T) {
	a := newAdoption(t)
	var vpn, own PermissionSet
	var staff Profile
	a.update(func(tx store.Tx) (err error) {
		if vpn, err = AllPermissionSets.Add(tx, PermissionSet{Name: "VPN"}); err != nil {
			return err
		}
		if own, err = AllPermissionSets.Add(tx, PermissionSet{Name: "Own"}); err != nil {
			return err
		}
		staff, err = AllProfiles.Add(tx, Profile{Name: "Staff"})
		return err
	})
	a.source.PermissionSets = []Mapping{{"CN=VPN, OU=Groups", vpn.ID}, {"vpn", "pms_gone"}}
	a.source.Profiles = []Mapping{{"Staff", staff.ID}}
	a.bring(&Person{ID: "1", Name: "mia", Groups: append(groupKeys("cn=vpn,ou=groups", "vpn"), groupKeys("cn=staff", "STAFF")...)})
	mia := a.by("1")
	if len(mia.PermissionSets) != 1 || mia.PermissionSets[0] != vpn.ID || mia.Profile != staff.ID || len(mia.Roles) != 0 {
		t.Fatalf("%+v", mia)
	}
	a.update(func(tx store.Tx) error {
		mia.PermissionSets = append(mia.PermissionSets, own.ID)
		_, err := a.d.SetUser(tx, mia)
		return err
	})
	a.bring(&Person{ID: "1", Name: "mia"})
	if mia = a.by("1"); len(mia.PermissionSets) != 1 || mia.PermissionSets[0] != own.ID || mia.Profile != a.source.Profile {
		t.Errorf("%+v", mia)
	}
}

func TestTheLastOwnerStays(t *testing.T) {
	a := newAdoption(t)
	a.bring(&Person{ID: "1", Name: "mia"})
	owner := func(id string, owns bool) {
		a.update(func(tx store.Tx) error {
			user, _, err := Users.Get(tx, id)
			if user.Roles = nil; owns {
				user.Roles = []string{RoleOwner}
			}
			if err == nil {
				_, err = a.d.SetUser(tx, user)
			}
			return err
		})
	}
	ada, mia := "", a.by("1").ID
	a.update(func(tx store.Tx) error {
		user, err := ResolveUser(tx, "ada")
		ada = user.ID
		return err
	})
	owner(mia, true)
	tries := map[string]func(store.Tx) error{
		"disabled": func(tx store.Tx) error { _, err := a.d.Disable(tx, mia); return err },
		"removed":  func(tx store.Tx) error { _, err := a.d.RemoveUser(tx, mia); return err },
		"demoted": func(tx store.Tx) error {
			user := a.by1(tx, "1")
			user.Roles = []string{"auditor"}
			_, err := a.d.SetUser(tx, user)
			return err
		},
		"disabled by a file": func(tx store.Tx) error {
			user := a.by1(tx, "1")
			user.Disabled = true
			_, err := a.d.SetUser(tx, user)
			return err
		},
	}
	for name, try := range tries {
		var last *OwnerError
		if err := a.store.Update(t.Context(), try); !errors.As(err, &last) || last.Name != "mia" {
			t.Errorf("%s: %v", name, err)
		}
	}
	gone := func() (did roster) {
		a.update(func(tx store.Tx) error {
			did = roster{}
			return a.d.loseAll(tx, &roster{source: a.source}, []User{a.by1(tx, "1")}, &did)
		})
		return did
	}
	did := gone()
	if last := a.changes[len(a.changes)-1]; did.report.Disabled != 0 || did.report.Left != 1 || a.by("1").Disabled || last.Ended || last.Reason != "last_owner" {
		t.Errorf("the run: %+v, told %+v", did.report, last)
	}
	owner(ada, true)
	if did := gone(); did.report.Disabled != 1 || !a.by("1").Gone {
		t.Errorf("beside another owner: %+v", did.report)
	}
}
