package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

const (
	unusedDays = 90                 // days without a use after which an app or a grant counts as unused
	newApp     = 7 * 24 * time.Hour // an app that nobody used yet is no task for so long
	maxLooked  = 1000               // grants that one call weighs
)

// AppUsage shows how one app is used. Visits to the built-in apps are not sign-ons, so there is nothing to show of them.
func (a *Actions) AppUsage(ctx context.Context, ref string) (api.AppUsage, error) {
	var shown api.AppUsage
	err := a.view(ctx, func(tx store.Tx) error {
		app, err := findApp(tx, ref)
		if err != nil {
			return err
		}
		if flow.IsBuiltin(app.ID) {
			return refused(http.StatusConflict, "builtin", "app", "%s is part of Gatehouse, and visits to it are not counted: ask about a connected app.", app.Definition.Name)
		}
		usage, err := audit.UsageOf(tx, app.ID, a.Now())
		shown = a.wireUsage(&app, &usage)
		for _, day := range usage.Days {
			shown.Days = append(shown.Days, api.UsageDay(day))
		}
		for _, refusals := range usage.Reasons {
			shown.Reasons = append(shown.Reasons, api.RefusalCount(refusals))
		}
		return err
	})
	return shown, err
}

func (a *Actions) wireUsage(app *sp.App, u *audit.Usage) api.AppUsage {
	return api.AppUsage{
		App: api.Ref{ID: app.ID, Name: app.Definition.Name}, State: string(app.State), Added: app.Created, LastUsed: u.Last,
		Unused: a.unused(u.Last), People30: u.People30, People90: u.People90, SignOns: u.SignOns, Refused: u.Refused,
	}
}

func (a *Actions) unused(last time.Time) bool { return last.Before(a.Now().AddDate(0, 0, -unusedDays)) }

// Usage lists how the connected apps are used, by app id, without the removed ones.
func (a *Actions) Usage(ctx context.Context, after string, limit int) (api.List[api.AppUsage], error) {
	list := api.List[api.AppUsage]{Items: []api.AppUsage{}}
	err := a.view(ctx, func(tx store.Tx) error {
		records, next, err := sp.Apps.List(tx, store.Page{After: after, Limit: pageSize(limit)})
		list = api.List[api.AppUsage]{Items: make([]api.AppUsage, 0, len(records)), Next: next}
		for i := range records {
			app := &records[i]
			if err != nil || app.State == sp.Removed || flow.IsBuiltin(app.ID) {
				continue
			}
			var usage audit.Usage
			usage, err = audit.UsageOf(tx, app.ID, a.Now())
			list.Items = append(list.Items, a.wireUsage(app, &usage))
		}
		return err
	})
	return list, err
}

// appsByUse are the ids of the connected apps, the least recently used first, and how many of them are unused.
func (a *Actions) appsByUse(ctx context.Context) (ids []string, unused int, err error) {
	type use struct {
		id, name string
		last     time.Time
	}
	var uses []use
	err = a.view(ctx, func(tx store.Tx) error {
		uses, unused = nil, 0
		return sp.Apps.Each(tx, store.Page{}, func(_ string, app *sp.App) error {
			if app.State == sp.Removed || flow.IsBuiltin(app.ID) {
				return nil
			}
			last, err := lastUse(tx, app.ID)
			if a.unused(last) {
				unused++
			}
			uses = append(uses, use{app.ID, strings.ToLower(app.Definition.Name), last})
			return err
		})
	})
	slices.SortFunc(uses, func(a, b use) int {
		return cmp.Or(a.last.Compare(b.last), cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
	})
	for _, one := range uses {
		ids = append(ids, one.id)
	}
	return ids, unused, err
}

// lastUse is zero for an app that nobody used.
func lastUse(tx store.Tx, app string) (time.Time, error) {
	use, _, err := audit.AppUses.Get(tx, app)
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	return use.Last, err
}

// UnusedGrants lists who is named in a policy, has access on request or gave a consent, for so long that they could have used
// it, and did not for 90 days: of one app or, without one, of all. One call looks through about 1,000 grants.
func (a *Actions) UnusedGrants(ctx context.Context, app, after string) (api.List[api.UnusedGrant], error) {
	list := api.List[api.UnusedGrant]{Items: []api.UnusedGrant{}}
	kind, cursor, ok := parseGrantCursor(after)
	if !ok {
		return list, badValue("after", "The cursor is not one of this list; start again without it.")
	}
	err := a.view(ctx, func(tx store.Tx) error {
		id, err := optionalApp(tx, app)
		if err != nil {
			return err
		}
		walk := grantWalk{tx: tx, app: id, now: a.Now(), items: []api.UnusedGrant{}}
		next, err := walk.run(kind, cursor)
		list = api.List[api.UnusedGrant]{Items: walk.items, Next: next}
		return err
	})
	return list, err
}

// grantWalk goes through the grants of one app or of all, kind after kind.
type grantWalk struct {
	tx     store.Tx
	app    string // empty: all
	now    time.Time
	items  []api.UnusedGrant
	looked int
	next   string // where the walk through a table stopped; empty: at its end
}

// kindsOfGrants is the order of the walk.
const kindsOfGrants = 3

func (g *grantWalk) run(kind int, cursor string) (string, error) {
	for ; kind < kindsOfGrants; kind++ {
		var err error
		switch kind {
		case 0:
			err = g.named(cursor)
		case 1:
			err = g.accesses(cursor)
		case 2:
			err = g.consents(cursor)
		}
		if err != nil || g.next != "" {
			return grantCursor(kind, g.next), err
		}
		cursor = ""
	}
	return "", nil
}

func grantCursor(kind int, cursor string) string {
	return string(rune('0'+kind)) + base64.RawURLEncoding.EncodeToString([]byte(cursor))
}

func parseGrantCursor(text string) (kind int, cursor string, ok bool) {
	if text == "" {
		return 0, "", true
	}
	kind = int(text[0]) - '0'
	raw, err := base64.RawURLEncoding.DecodeString(text[1:])
	return kind, string(raw), err == nil && kind >= 0 && kind < kindsOfGrants && len(raw) <= store.MaxKey
}

func (g *grantWalk) page(after string) store.Page {
	if g.app == "" {
		return store.Page{After: after}
	}
	return store.Page{Index: "app", Value: g.app, After: after}
}

// pause ends a walk that has looked through enough.
func (g *grantWalk) pause(cursor string) error {
	if g.looked < maxLooked {
		return nil
	}
	g.next = cursor
	return store.ErrStop
}

func (g *grantWalk) named(after string) error {
	if g.app != "" {
		app, _, err := sp.Apps.Get(g.tx, g.app)
		if err != nil {
			return err
		}
		return g.namedIn(&app)
	}
	return sp.Apps.Each(g.tx, store.Page{After: after}, func(cursor string, app *sp.App) error {
		if err := g.namedIn(app); err != nil {
			return err
		}
		return g.pause(cursor)
	})
}

func (g *grantWalk) namedIn(app *sp.App) error {
	g.looked++
	if app.State == sp.Removed || app.Policy.PermittedUsers != sp.PermitPreauthorized {
		return nil
	}
	for _, id := range app.Policy.Users {
		g.looked++
		user, _, err := directory.Users.Get(g.tx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		since := app.Created
		if user.Created.After(since) {
			since = user.Created
		}
		if err := g.weigh(api.UnusedGrant{Kind: "named", Since: since}, app.ID, id); err != nil {
			return err
		}
	}
	return nil
}

func (g *grantWalk) accesses(after string) error {
	return grants.Accesses.Each(g.tx, g.page(after), func(cursor string, access *grants.Access) error {
		g.looked++
		if access.Until.After(g.now) {
			if err := g.weigh(api.UnusedGrant{Kind: "access", Since: access.From, Until: access.Until}, access.App, access.User); err != nil {
				return err
			}
		}
		return g.pause(cursor)
	})
}

func (g *grantWalk) consents(after string) error {
	return grants.Consents.Each(g.tx, g.page(after), func(cursor string, consent *grants.Consent) error {
		g.looked++
		if err := g.weigh(api.UnusedGrant{Kind: "consent", Since: consent.Given}, consent.App, consent.User); err != nil {
			return err
		}
		return g.pause(cursor)
	})
}

// weigh lists a grant that is old enough and was not used.
func (g *grantWalk) weigh(grant api.UnusedGrant, app, user string) error {
	if grant.Since.After(g.now.AddDate(0, 0, -unusedDays)) {
		return nil
	}
	used, err := audit.UsedSince(g.tx, app, user, g.now, unusedDays)
	if err != nil || used {
		return err
	}
	var errs [2]error
	grant.App, errs[0] = appRef(g.tx, app)
	grant.User, errs[1] = userRef(g.tx, user)
	g.items = append(g.items, grant)
	return errors.Join(errs[:]...)
}
