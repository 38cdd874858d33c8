package directory

import (
	"context"
	"errors"
	"slices"
	"time"

	"gatehouse/store"
)

// vouched is what a source says about who signs in, once the password was right there.
type vouched struct {
	directory *Directory
	source    Source
	person    Person
	former    string // external id of who had the name here, and whom the source does not know by it any more
	gone      bool   // nor at all
}

// heldFor is what the time of a failed sign-in is a multiple of where there are sources, so that it does not tell whether a name is
// ours, theirs or nobody's.
const heldFor = 250 * time.Millisecond

func hold(ctx context.Context, start time.Time) {
	timer := time.NewTimer(heldFor - time.Since(start)%heldFor)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// checkAtSource checks the password of somebody who is not local. The error is a *SourceError when a source that may have the person
// does not answer.
func (d *Directory) checkAtSource(ctx context.Context, a *attempt, name, password string, result *Result) error {
	if len(name) > maxName || len(password) > MaxPassword || Normalise(name) == "" {
		result.Reason = UnknownUser
		return nil
	}
	result.Reason = UnknownUser
	if a.user.ID != "" {
		result.Reason = WrongPassword
	}
	for i := range a.sources {
		var found *Person
		err := d.LDAP.ask(ctx, &a.sources[i], func(k *link) (err error) {
			found, err = d.checkBy(k, a, name, password, result)
			return err
		})
		var input *InputError
		switch {
		case errors.Is(err, errSeveral), errors.As(err, &input):
			result.Reason = Ambiguous
			return nil
		case err != nil || found != nil:
			return err
		}
	}
	return nil
}

// checkBy asks one server; nil: it knows nobody of that name.
func (d *Directory) checkBy(k *link, a *attempt, name, password string, result *Result) (*Person, error) {
	p, err := k.find(k.source.nameFilter(name))
	if err != nil || p == nil {
		return p, err
	}
	v := &vouched{directory: d, source: *k.source, person: *p}
	if a.user.Source == k.source.Name && a.user.ExternalID != p.ID { // the name has gone over to somebody else there
		former, err := k.find(k.source.idFilter(a.user.ExternalID))
		if err != nil {
			return p, err
		}
		v.former, v.gone = a.user.ExternalID, former == nil
		result.Account = ""
	}
	right, err := k.right(p, password)
	switch {
	case err != nil:
		return p, err
	case !right:
		result.Reason = WrongPassword
	default:
		result.Reason, result.vouched = "", v
	}
	return p, nil
}

// adopt makes the person here what the source said at the sign-in.
func (v *vouched) adopt(tx store.Tx) (User, error) {
	d := v.directory
	if revision, err := AllSources.Revision(tx, v.source.Name); err != nil || revision == 0 {
		return User{}, errors.Join(err, ErrChanged)
	}
	if v.gone {
		former, _, err := Users.By(tx, "external", externalKey(v.source.Name, v.former))
		if err == nil && !former.Disabled {
			_, err = d.lose(tx, &former)
		}
		if absent(err) != nil {
			return User{}, err
		}
	}
	user, _, err := d.adopt(tx, &v.source, &v.person, func(holder *User) bool { return holder.Gone || holder.ExternalID == v.former })
	var input *InputError
	var taken *TakenError
	if errors.As(err, &input) || errors.As(err, &taken) {
		return user, &AdoptError{Source: v.source.Name, Err: err}
	}
	return user, err
}

// AdoptError says that the password was right at a source, but its entry cannot become a person here.
type AdoptError struct {
	Source string
	Err    error
}

func (e *AdoptError) Error() string { return e.Err.Error() }

// Unwrap gives the reason.
func (e *AdoptError) Unwrap() error { return e.Err }

// readSources notes which sources are to be asked: none for who is local, else the person's own first.
func (d *Directory) readSources(tx store.Tx, a *attempt) error {
	if d.LDAP == nil {
		return nil
	}
	sources, err := activeSources(tx)
	a.held = len(sources) > 0
	if a.user.ID == "" || a.user.Source != "" {
		a.sources = orderFor(&a.user, sources)
	}
	return err
}

// orderFor puts the source of a person who is known first.
func orderFor(user *User, sources []Source) []Source {
	i := slices.IndexFunc(sources, func(s Source) bool { return s.Name == user.Source })
	if i <= 0 {
		return sources
	}
	return append([]Source{sources[i]}, slices.Delete(slices.Clone(sources), i, i+1)...)
}

// judgeAtSource is judge for who is not local.
func (d *Directory) judgeAtSource(ctx context.Context, a *attempt, name, password string, result *Result) error {
	err := d.checkAtSource(ctx, a, name, password, result)
	var failed *SourceError
	if errors.As(err, &failed) {
		result.Reason, result.Down, result.vouched = SourceDown, true, nil
		result.Detail = failed.Source + ": " + failed.Text
		return nil
	}
	if err != nil || result.vouched == nil {
		return err
	}
	return d.known(ctx, result)
}

// anyDown tells whether a source is known not to answer.
func (l *LDAP) anyDown(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.lines {
		if one.failures >= downAfter && now.Before(one.until) {
			return true
		}
	}
	return false
}

// known finds who is here already, so that who is disabled is refused before anything is written.
func (d *Directory) known(ctx context.Context, result *Result) error {
	v := result.vouched
	return d.store.View(ctx, func(tx store.Tx) error {
		user, _, err := Users.By(tx, "external", externalKey(v.source.Name, v.person.ID))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		result.Account = user.ID
		if user.Disabled && !user.Gone {
			result.Reason, result.vouched = Disabled, nil
			return nil
		}
		result.User = user
		return nil
	})
}
