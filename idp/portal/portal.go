// Package portal owns the launcher, a person's own account pages and IdP-initiated starts.
//
// It must not know how an app is entered: a tile's click becomes a flow.Request that a Launcher forms. Read portal.go for the
// tiles, launch.go for the start, account.go for the person's own page.
package portal

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/sync/singleflight"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/outbound"
	"gatehouse/idp/recovery"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// Launcher forms the request that opens an app from here (IdP-initiated), or says why it cannot.
type Launcher interface {
	Launch(app *sp.App, relayState string) (flow.Request, error)
}

// Handlers serve the portal. All exported fields must be set.
type Handlers struct {
	Kit       *web.Kit
	Engine    *flow.Engine
	Store     store.Store
	Directory *directory.Directory
	Sessions  *session.Keeper
	Audit     *audit.Log
	Desk      *recovery.Desk
	SAML      Launcher
	Fetch     Fetcher
	Begins    func(app *sp.App) string // where an app begins a sign-in by itself when it is opened; empty: nowhere
	IsAdmin   func(roles []string) bool
	Passkeys  bool // they work at this server's address

	fetching singleflight.Group
}

// Fetcher gets what is at an address of the Internet.
type Fetcher interface {
	Get(ctx context.Context, ask outbound.Ask, w io.Writer) (outbound.Got, error)
}

// Routes are the paths of this package.
func (h *Handlers) Routes() []web.Route {
	return append(h.askRoutes(), []web.Route{
		{Method: http.MethodGet, Path: "/", Permission: web.SignedIn, Reads: true, Handle: h.tiles},
		{Method: http.MethodGet, Path: flow.LogoRoot + "{app}/{version}", Permission: web.Public, Reads: true, Handle: h.logo},
		{Method: http.MethodGet, Path: "/launch/{app}", Permission: web.Public, Handle: h.launch},
		{Method: http.MethodPost, Path: "/launch/{app}", Permission: web.Public, Handle: h.launchNow},
		{Method: http.MethodGet, Path: "/account", Permission: web.SignedIn, Handle: h.account},
		{Method: http.MethodPost, Path: "/account/password", Permission: web.SignedIn, Handle: h.changePassword},
		{Method: http.MethodPost, Path: "/account/sessions/end", Permission: web.SignedIn, Handle: h.endSession},
		{Method: http.MethodPost, Path: "/account/sessions/end-others", Permission: web.SignedIn, Handle: h.endOtherSessions},
		{Method: http.MethodPost, Path: "/account/sessions/end-all", Permission: web.SignedIn, Handle: h.endAllSessions},
		{Method: http.MethodPost, Path: "/account/apps/withdraw", Permission: web.SignedIn, Handle: h.withdrawApp},
		{Method: http.MethodGet, Path: "/account/consents", Permission: web.SignedIn, Handle: h.consents},
	}...)
}

func (h *Handlers) tiles(w http.ResponseWriter, r *http.Request) error {
	query := strings.TrimSpace(r.URL.Query().Get("q"))
	apps, recent, err := h.visible(r.Context(), r)
	if errors.Is(err, session.ErrNone) { // it ended between the guard and here
		web.SeeOther(w, "/login?next=/")
		return nil
	}
	if err != nil {
		return err
	}
	shell, inbox, err := h.frame(r, "Your apps", templates.SectionPortal)
	if err != nil {
		return err
	}
	page := templates.PortalPage{Shell: shell, Query: query, Ask: inbox.Asking}
	for _, app := range apps {
		if tile := tile(r, app); matches(app, tile.Name, query) {
			page.Tiles = append(page.Tiles, tile)
		}
	}
	for _, app := range recent {
		page.Recent = append(page.Recent, tile(r, app))
	}
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Portal(b, page) })
}

// visible are the apps that the person could open now, by name, and those of them that this session opened, latest first.
// A stronger sign-in may still be asked at the click.
func (h *Handlers) visible(ctx context.Context, r *http.Request) (apps, recent []*sp.App, err error) {
	facts, err := h.Engine.Visitor(r)
	if err == nil && (facts.Session == nil || facts.User == nil) {
		err = session.ErrNone
	}
	if err != nil {
		return nil, nil, err
	}
	apps, err = h.Engine.AppsFor(ctx, facts)
	apps = slices.DeleteFunc(apps, func(app *sp.App) bool { return !h.launchable(app) })
	slices.SortFunc(apps, func(a, b *sp.App) int {
		return strings.Compare(strings.ToLower(a.Definition.Name), strings.ToLower(b.Definition.Name))
	})
	return apps, recentOf(apps, facts.Session), err
}

const maxRecent = 4

func recentOf(apps []*sp.App, current *session.Session) []*sp.App {
	reached := slices.Clone(current.Apps)
	slices.SortFunc(reached, func(a, b session.AppReached) int { return b.At.Compare(a.At) })
	var recent []*sp.App
	for _, one := range reached {
		i := slices.IndexFunc(apps, func(app *sp.App) bool { return app.ID == one.App })
		if i >= 0 && len(recent) < maxRecent {
			recent = append(recent, apps[i])
		}
	}
	return recent
}

// launchable tells whether a tile leads anywhere: IdP-initiated, or a start URL.
func (h *Handlers) launchable(app *sp.App) bool {
	return !startsAtApp(app) || h.start(app) != ""
}

func matches(app *sp.App, shown, query string) bool {
	text := strings.ToLower(app.Definition.Name + " " + shown + " " + app.Definition.Description)
	return strings.Contains(text, strings.ToLower(query))
}

func tile(r *http.Request, app *sp.App) templates.Tile {
	d, shown := app.Definition, flow.Shown(r, app)
	return templates.Tile{ID: app.ID, Name: shown.Name, Lang: shown.Lang, Description: d.Description, LogoURL: flow.LogoPath(app.ID, d.LogoURL), Href: "/launch/" + app.ID}
}

// shell is the frame of a signed-in person's page.
func (h *Handlers) shell(r *http.Request, title, section string) templates.Shell {
	shell := h.Kit.Shell(r, title)
	actor := web.Of(r).Actor
	shell.Person = &templates.Person{ID: actor.ID, Name: actor.Name, DisplayName: actor.DisplayName, Email: actor.Email}
	shell.IsAdmin = h.IsAdmin(actor.Roles)
	shell.Section = section
	return shell
}
