package directory

import (
	"context"
	"errors"

	"gatehouse/store"
)

// Looked is what a source says about somebody, and who that would be here; Problem says why it could be nobody.
type Looked struct {
	Person  Person
	User    User
	Problem string
}

// LookUp asks a source about a user name, whatever is known of the server. Nil: it has nobody of that name. Without a name it only
// asks whether the server answers.
func (d *Directory) LookUp(ctx context.Context, s *Source, name string) (*Looked, error) {
	var found *Person
	err := d.LDAP.talk(ctx, s, signInTime, signInBytes, func(k *link) (err error) {
		if name != "" {
			found, err = k.find(s.nameFilter(name))
			return err
		}
		_, err = k.find(s.nameFilter("-"))
		if errors.Is(err, errSeveral) {
			return nil
		}
		return err
	})
	if errors.Is(err, errSeveral) {
		return nil, refuse("Several entries match %.80q, so nobody could sign in by it: set a narrower user_filter", name)
	}
	d.LDAP.note(s.Name, d.now(), err)
	if err != nil || found == nil {
		return nil, err
	}
	out := &Looked{Person: *found}
	err = d.store.View(ctx, func(tx store.Tx) error {
		drawn, err := d.draw(tx, s, found, func(*User) bool { return true })
		if reason, refused := refusal(found, err); refused {
			out.Problem = reason
			return nil
		}
		if err == nil {
			out.User = drawn.next
		}
		return err
	})
	return out, err
}
