package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gatehouse/store"
)

// Report is what a run of a source did, or would do. Left are entries that could not become people here, with reasons for the
// first of them.
type Report struct {
	Found    int      `json:"found"`
	Created  int      `json:"created"`
	Changed  int      `json:"changed"`
	Disabled int      `json:"disabled"`
	Left     int      `json:"left_out,omitempty"`
	Reasons  []string `json:"reasons,omitempty"`
	Gone     []string `json:"gone,omitempty"` // names of the first ones to be disabled, of a dry run
}

// SyncOptions choose how a source is brought over.
type SyncOptions struct {
	Force bool // disable however many people are gone
	Dry   bool // change nothing
}

// RefusedError refuses a run that looks like a mistake in the source or its settings.
type RefusedError struct{ Text string }

func (e *RefusedError) Error() string { return e.Text }

// Bounds of a run.
const (
	syncBatch  = 200 // people in one transaction, so that sign-ins do not wait behind it
	fewRemoved = 10  // are never too many
	maxReasons = 20
	lease      = 20 * time.Minute // for which other nodes leave a source alone
)

// roster is what a run knows: who is there now, by id, and who came from there before.
type roster struct {
	source *Source
	found  map[string]*Person
	order  []*Person
	gone   []User
	active int // people here who came from there and are not disabled
	report Report
}

// Sync brings people of a source over: all of them are read first, and any error until then changes nothing. Then they are created,
// changed and disabled in batches, each with its audit entries. It returns *SourceError, *RefusedError, or the store's errors.
func (d *Directory) Sync(ctx context.Context, name string, options SyncOptions) (Report, error) {
	running := &d.LDAP.line(name).syncing
	if !running.TryLock() {
		return Report{}, &RefusedError{"This source is being brought over at this moment: wait for the end of it."}
	}
	defer running.Unlock()
	report, err := d.sync(ctx, name, options)
	if options.Dry || ctx.Err() != nil {
		return report, err
	}
	return report, errors.Join(err, d.noteSync(ctx, name, report, err))
}

func (d *Directory) sync(ctx context.Context, name string, options SyncOptions) (Report, error) {
	r := &roster{source: &Source{}, found: map[string]*Person{}}
	err := d.store.View(ctx, func(tx store.Tx) (err error) {
		*r.source, _, err = AllSources.Get(tx, name)
		return err
	})
	if err != nil {
		return r.report, err
	}
	var people []*Person
	var left []string
	err = d.LDAP.talk(ctx, r.source, syncTime, syncBytes, func(k *link) (err error) {
		people, left, err = k.all()
		return err
	})
	if err != nil {
		return r.report, err
	}
	for _, reason := range left {
		r.leave(reason)
	}
	r.take(people)
	if err := d.missing(ctx, r); err != nil {
		return r.report, err
	}
	if err := r.sane(); err != nil && !options.Force {
		return r.report, err
	}
	return r.report, d.apply(ctx, r, options.Dry)
}

func (r *roster) leave(reason string) {
	r.report.Left++
	if len(r.report.Reasons) < maxReasons {
		r.report.Reasons = append(r.report.Reasons, reason)
	}
}

// count counts what became of one person of the source, or would; an error that is not about the entry is returned.
func (r *roster) count(p *Person, drawn *draft, err error) error {
	switch reason, refused := refusal(p, err); {
	case refused:
		r.leave(reason)
	case err != nil:
		return err
	case drawn.isNew():
		r.report.Created++
	case drawn.changed():
		r.report.Changed++
	}
	return nil
}

// add takes in what a batch counted, once it is sure.
func (r *roster) add(batch *roster) {
	r.report.Created += batch.report.Created
	r.report.Changed += batch.report.Changed
	for _, reason := range batch.report.Reasons {
		r.leave(reason)
	}
}

// take sorts what was found. Of two entries with one id, name or address, nobody could say whose it is.
func (r *roster) take(people []*Person) {
	slices.SortFunc(people, func(a, b *Person) int { return compareFold(a.ID, b.ID) })
	names, emails := map[string]bool{}, map[string]bool{}
	for _, p := range people {
		name, email := Normalise(p.Name), Normalise(p.Email)
		if r.found[p.ID] != nil || names[name] {
			r.leave(fmt.Sprintf("%.200q has the id or the user name of another entry.", p.DN))
			continue
		}
		if email != "" && emails[email] {
			p.Email = ""
		}
		names[name], emails[email] = true, true
		r.found[p.ID] = p
		r.order = append(r.order, p)
	}
	r.report.Found = len(r.order)
}

func compareFold(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// missing finds the people here whom the source has no more.
func (d *Directory) missing(ctx context.Context, r *roster) error {
	return d.store.View(ctx, func(tx store.Tx) error {
		r.gone, r.active = nil, 0
		return Users.Each(tx, store.Page{Index: "source", Value: r.source.Name}, func(_ string, user *User) error {
			if user.Disabled {
				return nil
			}
			r.active++
			if r.found[user.ExternalID] == nil {
				r.gone = append(r.gone, *user)
			}
			return nil
		})
	})
}

// sane refuses what looks like a wrong filter, a lost right to read, or a restore gone wrong there.
func (r *roster) sane() error {
	switch gone := len(r.gone); {
	case len(r.order) == 0:
		return &RefusedError{"The search found nobody, so nothing was changed: check base_dn, user_filter and what the bind account may read, or force it."}
	case gone > fewRemoved && gone*100 > r.active*r.source.maxRemoved():
		return &RefusedError{fmt.Sprintf("%d of %d people are gone from the source, more than max_removed=%d percent, so nothing was changed: look why, then force it.", gone, r.active, r.source.maxRemoved())}
	}
	return nil
}

// apply disables who is gone, then creates and changes the others, batch by batch.
func (d *Directory) apply(ctx context.Context, r *roster, dry bool) error {
	if dry {
		return d.rehearse(ctx, r)
	}
	for batch := range slices.Chunk(r.gone, syncBatch) {
		var did roster
		err := d.store.Update(ctx, func(tx store.Tx) error {
			did = roster{}
			return d.loseAll(tx, r, batch, &did)
		})
		if err != nil {
			return err
		}
		r.report.Disabled += did.report.Disabled
		for _, reason := range did.report.Reasons {
			r.leave(reason)
		}
	}
	for batch := range slices.Chunk(r.order, syncBatch) {
		if batch = d.differing(ctx, r, batch); len(batch) == 0 {
			continue
		}
		var did roster
		err := d.store.Update(ctx, func(tx store.Tx) error {
			did = roster{}
			return d.adoptAll(tx, r, batch, &did)
		})
		if err != nil {
			return err
		}
		r.add(&did)
	}
	return ctx.Err()
}

// loseAll disables people, as far as nothing happened to them meanwhile.
func (d *Directory) loseAll(tx store.Tx, r *roster, batch []User, did *roster) error {
	for i := range batch {
		user, _, err := Users.Get(tx, batch[i].ID)
		if errors.Is(err, store.ErrNotFound) || err == nil && (user.Disabled || user.Source != r.source.Name) {
			continue
		}
		if err != nil {
			return err
		}
		switch lost, err := d.lose(tx, &user); {
		case err != nil:
			return err
		case lost:
			did.report.Disabled++
		default:
			did.leave((&OwnerError{user.Name}).Error() + " The source has them no more, and they were left as they are.")
		}
	}
	return nil
}

func (d *Directory) adoptAll(tx store.Tx, r *roster, batch []*Person, did *roster) error {
	for _, p := range batch {
		_, drawn, err := d.adopt(tx, r.source, p, r.moved(p))
		if err := did.count(p, drawn, err); err != nil {
			return err
		}
	}
	return nil
}

// moved tells of another person of the source whether name and address of p are theirs no more there.
func (r *roster) moved(p *Person) func(*User) bool {
	return func(holder *User) bool {
		there := r.found[holder.ExternalID]
		return there == nil || Normalise(there.Name) != Normalise(p.Name) && (there.Email == "" || Normalise(there.Email) != Normalise(p.Email))
	}
}

// refusal says why an entry cannot become a person, where that is about the entry.
func refusal(p *Person, err error) (string, bool) {
	var input *InputError
	var taken *TakenError
	if errors.As(err, &input) || errors.As(err, &taken) {
		return fmt.Sprintf("%.200q: %s", p.DN, sentenceOf(err)), true
	}
	return "", false
}

// differing leaves out who is here already as the source says, so that a quiet run writes nothing. Who cannot be drawn stays in.
func (d *Directory) differing(ctx context.Context, r *roster, batch []*Person) []*Person {
	var list []*Person
	err := d.store.View(ctx, func(tx store.Tx) error {
		list = nil
		for _, p := range batch {
			if drawn, err := d.draw(tx, r.source, p, r.moved(p)); err != nil || drawn.isNew() || drawn.changed() {
				list = append(list, p)
			}
		}
		return nil
	})
	if err != nil {
		return batch
	}
	return list
}

// rehearse counts what a run would do.
func (d *Directory) rehearse(ctx context.Context, r *roster) error {
	r.report.Disabled = len(r.gone)
	for i := range r.gone[:min(len(r.gone), maxReasons)] {
		r.report.Gone = append(r.report.Gone, r.gone[i].Name)
	}
	for batch := range slices.Chunk(r.order, syncBatch) {
		var did roster
		err := d.store.View(ctx, func(tx store.Tx) error {
			did = roster{}
			for _, p := range batch {
				drawn, err := d.draw(tx, r.source, p, r.moved(p))
				if err := did.count(p, drawn, err); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.add(&did)
	}
	return nil
}

// noteSync notes how a run went, and when the next one is due.
func (d *Directory) noteSync(ctx context.Context, name string, report Report, failure error) error {
	return d.store.Update(ctx, func(tx store.Tx) error {
		s, _, err := AllSources.Get(tx, name)
		if err != nil {
			return absent(err)
		}
		last, now := &s.Last, d.now()
		last.Tried, last.Next = now, now.Add(s.interval())
		if failure == nil {
			last.Good, last.Failures, last.Error, last.Report = now, 0, "", report
			return AllSources.Put(tx, &s)
		}
		last.Failures++
		last.Error = publicText(failure)
		last.Next = now.Add(min(5*time.Minute<<min(last.Failures-1, 6), s.interval()))
		return AllSources.Put(tx, &s)
	})
}

func publicText(err error) string {
	var failed *SourceError
	var refused *RefusedError
	if errors.As(err, &failed) || errors.As(err, &refused) {
		return err.Error()
	}
	return "It could not be finished: the log says more."
}

func absent(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// DueSources takes the sources whose time has come: other nodes leave them alone for a while.
func (d *Directory) DueSources(ctx context.Context) ([]string, error) {
	due := func(tx store.Tx) (list []Source, err error) {
		sources, err := activeSources(tx)
		for _, s := range sources {
			if !s.Last.Next.After(d.now()) {
				list = append(list, s)
			}
		}
		return list, err
	}
	any := false
	err := d.store.View(ctx, func(tx store.Tx) error {
		list, err := due(tx)
		any = len(list) > 0
		return err
	})
	if err != nil || !any {
		return nil, err
	}
	var names []string
	err = d.store.Update(ctx, func(tx store.Tx) error {
		names = nil
		list, err := due(tx)
		for i := range list {
			list[i].Last.Next = d.now().Add(lease)
			if err == nil {
				err = AllSources.Put(tx, &list[i])
			}
			names = append(names, list[i].Name)
		}
		return err
	})
	return names, err
}
