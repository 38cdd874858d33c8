package directory

import (
	"cmp"
	"crypto/rand"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"gatehouse/store"
)

// Directory adds, changes, removes and finds people inside the caller's transactions, so that the audit entry can be part of
// the same change. Make it with New; safe for concurrent use.
type Directory struct {
	store  store.Store
	now    func() time.Time
	hasher hasher
	LDAP   *LDAP // how sources are asked; nil: there are none

	mu         sync.Mutex // guards the throttles
	accounts   throttle
	networks   throttle
	recoveries throttle // by network: who asks for mail
	letters    throttle // by person: who gets it

	// Breached are passwords that nobody may choose; nil: none.
	Breached *Breached
}

// New makes a Directory over a store, with a clock. At most half the cores hash passwords at once.
func New(s store.Store, now func() time.Time) *Directory {
	return &Directory{store: s, now: now, hasher: newHasher(max(1, runtime.GOMAXPROCS(0)/2))}
}

const userPrefix = "usr_"

// RoleOwner is the role that may do everything.
const RoleOwner = "owner"

// Roles that a person may hold in the console and the API.
var Roles = []string{RoleOwner, "app_admin", "developer", "approver", "help_desk", "auditor"}

// AddUser stores a new person and fills in id and times. A taken name gives a *store.ConflictError, one that stands for
// another person otherwise, or such an address, a *TakenError.
func (d *Directory) AddUser(tx store.Tx, user User) (User, error) {
	if err := CheckName(user.Name); err != nil {
		return user, err
	}
	if err := cmp.Or(check(tx, &user), distinct(tx, &User{}, &user)); err != nil {
		return user, err
	}
	user.ID = userPrefix + strings.ToLower(rand.Text())
	user.Created = d.now()
	user.Changed = user.Created
	return user, Users.Put(tx, &user)
}

// SetUser replaces the record of a person who exists; id and creation time stay as they are.
func (d *Directory) SetUser(tx store.Tx, user User) (User, error) {
	old, _, err := Users.Get(tx, user.ID)
	if err != nil {
		return user, err
	}
	if err := cmp.Or(keepsOwned(&old, &user), keepsOwner(tx, &old, &user)); err != nil {
		return user, err
	}
	if Normalise(old.Name) != Normalise(user.Name) || user.Name == "" {
		if err := CheckName(user.Name); err != nil {
			return user, err
		}
	}
	if err := cmp.Or(check(tx, &user), distinct(tx, &old, &user)); err != nil {
		return user, err
	}
	user.Created, user.Changed = old.Created, d.now()
	if user.Email != old.Email { // a link went to the address of before
		if err := EndLink(tx, user.ID); err != nil {
			return user, err
		}
	}
	return user, Users.Put(tx, &user)
}

// Disable keeps a person from signing in. Ending sessions is the caller's, in the same transaction.
func (d *Directory) Disable(tx store.Tx, id string) (User, error) { return d.setDisabled(tx, id, true) }

// Enable lets a person sign in again.
func (d *Directory) Enable(tx store.Tx, id string) (User, error) { return d.setDisabled(tx, id, false) }

func (d *Directory) setDisabled(tx store.Tx, id string, disabled bool) (User, error) {
	user, _, err := Users.Get(tx, id)
	if err != nil {
		return user, err
	}
	old := user
	user.Disabled, user.Gone, user.Changed = disabled, false, d.now()
	if err := cmp.Or(keepsOwner(tx, &old, &user), EndLink(tx, id)); err != nil {
		return user, err
	}
	return user, Users.Put(tx, &user)
}

// RemoveUser deletes a person with credential, factors and sign-in record. The id, 130 random bits, is never used again, so another
// person with the same name is another person everywhere.
func (d *Directory) RemoveUser(tx store.Tx, id string) (User, error) {
	user, _, err := Users.Get(tx, id)
	if err != nil {
		return user, err
	}
	if err := keepsOwner(tx, &user, &User{}); err != nil {
		return user, err
	}
	_, err = RemoveFactors(tx, id)
	return user, errors.Join(err, Users.Delete(tx, id), Credentials.Delete(tx, id), Activities.Delete(tx, id), EndLink(tx, id))
}

// SetPassword stores a hash made by HashPassword, forgets earlier failures and ends a one-time link. Ending sessions is the
// caller's.
func (d *Directory) SetPassword(tx store.Tx, id, hash string) error {
	user, _, err := Users.Get(tx, id)
	if err != nil {
		return err
	}
	if err := TakesPassword(tx, &user); err != nil {
		return err
	}
	if user.Source != "" { // which is gone: the person is one of ours from now on
		user.Source, user.ExternalID, user.Gone = "", "", false
		if err := Users.Put(tx, &user); err != nil {
			return err
		}
	}
	if _, err := parsePHC(hash); err != nil {
		return err
	}
	if err := Credentials.Put(tx, &Credential{User: id, Password: hash, Changed: d.now()}); err != nil {
		return err
	}
	if err := EndLink(tx, id); err != nil {
		return err
	}
	activity, err := activityOf(tx, id)
	if err != nil || activity.Failures == 0 {
		return err
	}
	activity.Failures = 0
	return Activities.Put(tx, &activity)
}

// ResolveUser finds a person by id or name; the error wraps store.ErrNotFound.
func ResolveUser(tx store.Tx, nameOrID string) (User, error) {
	if strings.HasPrefix(nameOrID, userPrefix) {
		if user, _, err := Users.Get(tx, nameOrID); !errors.Is(err, store.ErrNotFound) {
			return user, err
		}
	}
	user, _, err := Users.By(tx, "name", Normalise(nameOrID))
	if errors.Is(err, store.ErrNotFound) {
		err = &MissingError{"person", nameOrID}
	}
	return user, err
}

// check refuses a record with unfit texts or with ids that nothing has.
func check(tx store.Tx, user *User) error {
	for what, text := range map[string]string{
		"display name": user.DisplayName, "given name": user.GivenName, "surname": user.Surname, "external id": user.ExternalID,
	} {
		if len(text) > maxText {
			return refuse("The %s is longer than %d bytes", what, maxText)
		}
		if err := checkText(what, text); err != nil {
			return err
		}
	}
	if err := checkEmail(user.Email); err != nil {
		return err
	}
	for _, role := range user.Roles {
		if !slices.Contains(Roles, role) {
			return refuse("There is no role %.40q: the roles are %s", role, strings.Join(Roles, ", "))
		}
	}
	if err := checkAttributes(user.Attributes); err != nil {
		return err
	}
	return checkHeld(tx, user)
}

func checkHeld(tx store.Tx, user *User) error {
	for _, ids := range []*[]string{&user.PermissionSets, &user.Groups, &user.Roles} {
		*ids = slices.Compact(slices.Sorted(slices.Values(*ids)))
	}
	if user.Profile == "" {
		return refuse("Give the person a profile")
	}
	if len(user.PermissionSets)+len(user.Groups) > maxValues {
		return refuse("A person can hold at most %d permission sets and groups", maxValues)
	}
	return cmp.Or(
		AllProfiles.exist(tx, []string{user.Profile}),
		AllPermissionSets.exist(tx, user.PermissionSets),
		AllGroups.exist(tx, user.Groups),
	)
}

func checkAttributes(attributes map[string][]string) error {
	values, size := 0, 0
	for name, list := range attributes {
		if name == "" || len(name) > maxName || strings.ContainsFunc(name, unfitInName) {
			return refuse("%.40q is no attribute name: use letters, digits, _ and -", name)
		}
		for _, value := range list {
			values++
			size += len(value)
			if strings.ContainsFunc(value, unfitInXML) {
				return refuse("A value of the attribute %s holds a control character", name)
			}
		}
	}
	if values > maxValues || size > maxBytes {
		return refuse("The attributes have more than %d values or %d bytes", maxValues, maxBytes)
	}
	return nil
}

func unfitInName(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
}

// unfitInXML finds what an assertion could not carry (XML 1.0, section 2.2), and broken UTF-8.
func unfitInXML(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' || r == 0xFFFD || r == 0xFFFE || r == 0xFFFF
}
