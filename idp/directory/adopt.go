package directory

import (
	"crypto/rand"
	"errors"
	"maps"
	"slices"
	"strings"

	"gatehouse/store"
)

// PersonChange is what a source did to a person here, for the audit. Ended: the person is disabled, so sessions must end.
type PersonChange struct {
	User   string
	Kind   string // of the audit entry
	Source string
	Facts  map[string]string
	Ended  bool
	Reason string // of a change that was refused; empty: it was made
}

// draft is how a person would be after a source's word. Note says what could not be taken over.
type draft struct {
	old, next User
	displaced []User // people of the same source who lose a name or an address that is somebody else's there by now
	note      string
}

// isNew tells whether the person comes into being.
func (d *draft) isNew() bool { return d.old.ID == "" }

func (d *draft) changed() bool {
	a, b := d.old, d.next
	return a.Name != b.Name || a.Email != b.Email || a.DisplayName != b.DisplayName || a.GivenName != b.GivenName || a.Surname != b.Surname ||
		a.Disabled != b.Disabled || a.Gone != b.Gone || a.Profile != b.Profile || !sameSet(a.PermissionSets, b.PermissionSets) || !sameSet(a.Groups, b.Groups) ||
		!maps.EqualFunc(a.Attributes, b.Attributes, slices.Equal[[]string])
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Compact(slices.Sorted(slices.Values(a))), slices.Compact(slices.Sorted(slices.Values(b))))
}

// draw makes the draft, and writes nothing. A person is known by the source's id alone: a new name there is the same person, a
// name that somebody else had is another one. Who is local, or of another source, keeps name and address against it. Moved says
// of another person of the source that name and address are theirs there no more.
func (d *Directory) draw(tx store.Tx, s *Source, p *Person, moved func(*User) bool) (*draft, error) {
	old, _, err := Users.By(tx, "external", externalKey(s.Name, p.ID))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	out := &draft{old: old, next: old}
	next := &out.next
	next.Source, next.ExternalID, next.Name, next.Email = s.Name, p.ID, p.Name, p.Email
	next.GivenName, next.Surname, next.DisplayName = p.GivenName, p.Surname, p.DisplayName
	if old.Gone { // is back
		next.Gone, next.Disabled = false, false
	}
	if next.Attributes = maps.Clone(old.Attributes); next.Attributes == nil {
		next.Attributes = map[string][]string{}
	}
	for name := range s.Extra {
		delete(next.Attributes, name)
	}
	maps.Copy(next.Attributes, p.Attributes)
	if err := s.assign(tx, p, next); err != nil {
		return nil, err
	}
	if err := out.settle(tx, moved); err != nil {
		return nil, err
	}
	if out.isNew() || Normalise(old.Name) != Normalise(next.Name) {
		if err := CheckName(next.Name); err != nil {
			return nil, err
		}
	}
	return out, check(tx, next)
}

// assign gives what the groups there stand for. Of permission sets and groups only those that the source names are its own to take.
func (s *Source) assign(tx store.Tx, p *Person, next *User) error {
	in := func(m Mapping) bool {
		return slices.Contains(p.Groups, Normalise(m.Group)) || strings.Contains(m.Group, "=") && slices.Contains(p.Groups, foldDN(m.Group))
	}
	profile := ""
	if next.Profile == "" || len(s.Profiles) > 0 {
		profile = s.Profile
	}
	for _, m := range slices.Backward(s.Profiles) { // the first one counts
		if in(m) {
			profile = m.ID
		}
	}
	if known, err := Profiles.Revision(tx, profile); profile != "" && err == nil && known != 0 {
		next.Profile = profile
	} else if err != nil {
		return err
	}
	var errs [2]error
	next.PermissionSets, errs[0] = mapped(tx, PermissionSets, next.PermissionSets, s.PermissionSets, in)
	next.Groups, errs[1] = mapped(tx, Groups, next.Groups, s.Groups, in)
	return errors.Join(errs[:]...)
}

func mapped[T any](tx store.Tx, table *store.Table[T], held []string, list []Mapping, in func(Mapping) bool) ([]string, error) {
	held = slices.DeleteFunc(slices.Clone(held), func(id string) bool {
		return slices.ContainsFunc(list, func(m Mapping) bool { return m.ID == id })
	})
	for _, m := range list {
		known, err := table.Revision(tx, m.ID)
		if err != nil {
			return nil, err
		}
		if known != 0 && in(m) {
			held = append(held, m.ID)
		}
	}
	return held, nil
}

// settle gives way where the name or the address is another person's here.
func (d *draft) settle(tx store.Tx, moved func(*User) bool) error {
	for range 4 { // name and address, each against a user name and an address
		holder, field, err := d.taken(tx)
		if err != nil || field == "" {
			return err
		}
		switch {
		case holder.Source == d.next.Source && moved(&holder) && !slices.ContainsFunc(d.displaced, func(u User) bool { return u.ID == holder.ID }):
			d.displaced = append(d.displaced, holder)
			continue
		case field == "email":
			d.next.Email, d.note = "", "The e-mail address is "+holder.Name+"'s here, so it was not taken over"
		case d.isNew():
			return &TakenError{"name", "The user name " + d.next.Name + " is taken here by " + holder.Name}
		default:
			d.next.Name, d.note = d.old.Name, "The user name "+d.next.Name+" is taken here by "+holder.Name+", so the old one stays"
		}
	}
	return nil
}

// taken finds who stands in the way, and by which field.
func (d *draft) taken(tx store.Tx) (User, string, error) {
	for _, one := range []struct{ field, index, value string }{
		{"name", "name", d.next.Name}, {"name", "email", d.next.Name}, {"email", "email", d.next.Email}, {"email", "name", d.next.Email},
	} {
		if one.value == "" {
			continue
		}
		holder, _, err := Users.By(tx, one.index, Normalise(one.value))
		if errors.Is(err, store.ErrNotFound) || err == nil && (holder.ID == d.next.ID || slices.ContainsFunc(d.displaced, func(u User) bool { return u.ID == holder.ID })) {
			continue
		}
		return holder, one.field, err
	}
	if err := looksLikeNobody(tx, &d.next); err != nil && Normalise(d.next.Name) != Normalise(d.old.Name) {
		return User{Name: "somebody whose name looks alike"}, "name", nil
	}
	return User{}, "", nil
}

// adopt makes the person here what the source says, in the caller's transaction.
func (d *Directory) adopt(tx store.Tx, s *Source, p *Person, moved func(*User) bool) (User, *draft, error) {
	out, err := d.draw(tx, s, p, moved)
	if err != nil {
		return User{}, out, err
	}
	for i := range out.displaced {
		if err := d.displace(tx, &out.displaced[i]); err != nil {
			return User{}, out, err
		}
	}
	if !out.isNew() && !out.changed() {
		return out.old, out, nil
	}
	kind := "user.set"
	if out.isNew() {
		kind = "user.add"
		out.next.ID = userPrefix + strings.ToLower(rand.Text())
		out.next.Created = d.now()
	}
	out.next.Changed = d.now()
	if err := Users.Put(tx, &out.next); err != nil {
		return User{}, out, err
	}
	facts := map[string]string{"source": s.Name, "name": out.next.Name}
	if out.note != "" {
		facts["note"] = out.note
	}
	return out.next, out, d.LDAP.Told(tx, PersonChange{User: out.next.ID, Kind: kind, Source: s.Name, Facts: facts})
}

// displace takes name and address from a person of a source to whom they belong there no more. The next run gives the new ones, or
// disables who is gone.
func (d *Directory) displace(tx store.Tx, user *User) error {
	former := user.Name
	user.Name = former[:min(len(former), maxName-8)] + "-" + strings.ToLower(rand.Text()[:6])
	user.Email, user.Changed = "", d.now()
	if err := Users.Put(tx, user); err != nil {
		return err
	}
	return d.LDAP.Told(tx, PersonChange{User: user.ID, Kind: "user.set", Source: user.Source, Facts: map[string]string{
		"source": user.Source, "name": user.Name, "note": "The user name " + former + " belongs to another person in the source now",
	}})
}

// lose disables a person whom the source has no more, unless that is the last owner: who empties a directory, or moves an entry in it,
// must not shut everybody out. It tells whether it did.
func (d *Directory) lose(tx store.Tx, user *User) (bool, error) {
	next := *user
	next.Disabled, next.Gone, next.Changed = true, true, d.now()
	change := PersonChange{User: user.ID, Kind: "user.disable", Source: user.Source, Ended: true, Facts: map[string]string{
		"source": user.Source, "name": user.Name, "note": "The source has the person no more",
	}}
	err := keepsOwner(tx, user, &next)
	var last *OwnerError
	if errors.As(err, &last) {
		change.Ended, change.Reason = false, "last_owner"
		return false, d.LDAP.Told(tx, change)
	}
	if err == nil {
		*user = next
		err = Users.Put(tx, user)
	}
	if err != nil {
		return false, err
	}
	return true, d.LDAP.Told(tx, change)
}
