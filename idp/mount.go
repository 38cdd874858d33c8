package idp

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/gorilla/mux"

	"gatehouse/idp/admin"
	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/oauth"
	"gatehouse/idp/scim"
	"gatehouse/idp/web"
	"gatehouse/store"
	"gatehouse/templates"
)

// routes is every path of the public listener, one list.
func (s *Server) routes() []web.Route {
	var all []web.Route
	for _, part := range [][]web.Route{
		s.engine.Routes(),
		s.signin.Routes(),
		s.portal.Routes(),
		s.saml.Routes(),
		s.oauth.Routes(),
		s.relying.Routes(),
		s.admin.Routes(),
		s.scim.Routes(),
		{
			{Method: http.MethodGet, Path: "/assets/{file}", Permission: web.Public, Handle: s.asset},
			{Method: http.MethodGet, Path: logoPath + "{hash}", Permission: web.Public, Handle: s.logo},
		},
	} {
		all = append(all, part...)
	}
	return all
}

// certified is every path of the listener that asks for client certificates: what programs call, and no page.
func (s *Server) certified() []web.Route {
	return slices.DeleteFunc(s.routes(), func(route web.Route) bool {
		return !oauth.ForCertificates(route.Path) && !strings.HasPrefix(route.Path, scim.Root+"/") && !strings.HasPrefix(route.Path, api.Root+"/")
	})
}

// handler mounts the routes. Anything else is a 404 or 405 page of ours.
func (s *Server) handler() http.Handler {
	return s.mount(s.routes())
}

func (s *Server) mount(routes []web.Route) http.Handler {
	router := mux.NewRouter().SkipClean(true) // a redirect of its own would pass by the kit
	type address struct{ method, path string }
	fixed := map[address]http.Handler{} // found at once, where the router tries one pattern after another
	for _, route := range routes {
		handler := s.kit.Wrap(route)
		router.Handle(route.Path, pathValues(handler)).Methods(route.Method)
		if !strings.Contains(route.Path, "{") {
			fixed[address{route.Method, route.Path}] = handler
		}
	}
	router.NotFoundHandler = s.unmounted(notFound)
	router.MethodNotAllowedHandler = allowing(router, s.unmounted(notAllowed))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler := fixed[address{r.Method, r.URL.Path}]; handler != nil {
			handler.ServeHTTP(w, r)
			return
		}
		router.ServeHTTP(w, r)
	})
}

// unmounted answers what no route takes: as JSON below the API and SCIM and to OAuth clients, else with a page.
func (s *Server) unmounted(answer web.HandlerFunc) http.Handler {
	wrap := func(route web.Route) http.Handler {
		route.Path, route.Permission, route.CrossSite = "(none)", web.Public, true
		return s.kit.Wrap(route)
	}
	page, json := wrap(web.Route{Handle: s.recognized(answer)}), wrap(web.Route{API: true, Handle: answer})
	protocol, clients := wrap(web.Route{Problem: scim.Problem, Handle: answer}), wrap(web.Route{Problem: oauth.Refuse, Handle: answer})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case isSCIM(r):
			protocol.ServeHTTP(w, r)
		case underAPI(r):
			json.ServeHTTP(w, r)
		case oauth.ForCertificates(r.URL.Path):
			clients.ServeHTTP(w, r)
		default:
			page.ServeHTTP(w, r)
		}
	})
}

// pathValues hands gorilla/mux's variables to handlers the way net/http does, so that only this file knows the router.
func pathValues(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range mux.Vars(r) {
			r.SetPathValue(name, value)
		}
		next.ServeHTTP(w, r)
	})
}

// recognized notes who asks below the console, so that administrators are led back there.
func (s *Server) recognized(next web.HandlerFunc) web.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if inConsole(r) {
			facts, err := s.engine.Visitor(r)
			if err != nil {
				return err
			}
			if facts.User != nil && facts.Session != nil {
				web.Of(r).Actor = web.Actor{ID: facts.User.ID, Roles: facts.User.Roles}
			}
		}
		return next(w, r)
	}
}

// home is where an error page leads: an administrator in the console stays there.
func home(r *http.Request) templates.Link {
	if inConsole(r) && admin.IsAdmin(web.Of(r).Actor.Roles) {
		return templates.Link{Label: "Go to the console", Href: "/admin/"}
	}
	return templates.Link{Label: "Go to your apps", Href: "/"}
}

func notFound(_ http.ResponseWriter, r *http.Request) error {
	if underAPI(r) {
		return web.NotFound("There is nothing at this address of the API: it begins with " + api.Root + "/. Check the address.")
	}
	return web.NotFound("There is no page at this address. Check it, or go on from below.")
}

// allowing names in a header the methods that the address takes (RFC 9110, 15.5.6).
func allowing(router *mux.Router, answer http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var methods []string
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			other, match := r.Clone(r.Context()), mux.RouteMatch{}
			if other.Method = method; router.Match(other, &match) && match.MatchErr == nil {
				methods = append(methods, method)
			}
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		answer.ServeHTTP(w, r)
	})
}

func notAllowed(w http.ResponseWriter, r *http.Request) error {
	if underAPI(r) || oauth.ForCertificates(r.URL.Path) {
		return &web.Error{Status: http.StatusMethodNotAllowed, Reason: "method_not_allowed", Text: "This address does not take the method " + r.Method + ": use " + strings.ReplaceAll(w.Header().Get("Allow"), ", ", " or ") + "."}
	}
	return &web.Error{Status: http.StatusMethodNotAllowed, Reason: "method_not_allowed", Text: "This address cannot be used in that way. Go back and use the page's own buttons."}
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) error {
	content, contentType, ok := templates.Asset(r.URL.Path)
	if !ok {
		return web.NotFound("There is no such file.")
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, err := w.Write(content)
	return err
}

// logoPath is where the organisation's picture is served, under a name that changes with it.
const logoPath = "/logo/"

func (s *Server) logo(w http.ResponseWriter, r *http.Request) error {
	var logo directory.Logo
	err := s.config.Store.View(r.Context(), func(tx store.Tx) (err error) {
		logo, err = directory.LoadLogo(tx)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return web.NotFound("There is no such file.")
	}
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", logo.Type)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, err = w.Write(logo.Bytes)
	return err
}

// guard admits a request to a route that is not public: the built-in app that the permission belongs to must let the person
// in (its policy is asked on every request), and their roles must hold the permission.
func (s *Server) guard(w http.ResponseWriter, r *http.Request, need web.Permission) (*http.Request, error) {
	app := builtinFor(r.URL.Path, need)
	if isSCIM(r) || isAPI(r) && r.Header.Get("Authorization") != "" {
		return r, s.guardBearer(r, need)
	}
	if isAPI(r) {
		return s.guardAPI(r, app, need)
	}
	facts, err := s.engine.Admit(w, r, flow.Visit(app, returnPath(r)))
	if err != nil {
		return nil, err
	}
	if facts == nil {
		return nil, web.ErrAnswered
	}
	return r, s.identify(r, facts, need)
}

// builtinFor is the built-in app whose policy covers a path.
func builtinFor(path string, need web.Permission) string {
	switch {
	case need != web.SignedIn:
		return flow.Console
	case path == "/account" || strings.HasPrefix(path, "/account/"):
		return flow.Account
	}
	return flow.Portal
}

// guardAPI admits an API request or says why not, as JSON and without a redirect.
func (s *Server) guardAPI(r *http.Request, app string, need web.Permission) (*http.Request, error) {
	facts, err := s.engine.Visitor(r)
	if err != nil {
		return nil, err
	}
	console, err := s.engine.AppOf(r.Context(), app)
	if err != nil {
		return nil, err
	}
	if facts.Session == nil || facts.User == nil || console == nil || !flow.Enters(facts, console) {
		return nil, &web.Error{Status: http.StatusUnauthorized, Reason: "not_signed_in", Challenge: `Bearer realm="Gatehouse"` + s.metadataHint(), Text: "Sign in to the console first, use the command line on the server, or send a token in the header Authorization: Bearer TOKEN."}
	}
	return r, s.identify(r, facts, need)
}

// guardBearer admits a request that shows a token: nothing else of the request, no cookie above all, says who acts. The policy of the
// console, which is about people, is not asked about an API token, which has addresses and an end of its own.
func (s *Server) guardBearer(r *http.Request, need web.Permission) error {
	actor, err := s.engine.Bearer(r)
	var refused *web.Error
	if errors.As(err, &refused) && refused.Challenge != "" {
		refused.Challenge += s.metadataHint()
	}
	if err != nil {
		return err
	}
	web.Of(r).Actor = actor
	switch {
	case !admin.Grants(actor.Scopes, need):
		return &web.Error{
			Status: http.StatusForbidden, Reason: "no_permission", Err: errors.New(string(need)), Challenge: insufficient(need),
			Text: "The scopes of this token do not allow this. Use a token that was made for it.",
		}
	case !admin.Holds(&actor, need): // an app may do no more than the person for whom it acts
		return s.engine.Forbid(r, flow.Console, string(need))
	}
	return nil
}

// metadataHint says in a challenge where clients find out which tokens are taken (RFC 9728, 5.1).
func (s *Server) metadataHint() string {
	return `, resource_metadata="` + s.config.BaseURL + oauth.ResourcePath + `"`
}

// insufficient tells which scope would do (RFC 6750, 3).
func insufficient(need web.Permission) string {
	challenge := `Bearer realm="Gatehouse", error="insufficient_scope"`
	if scope := admin.ScopeFor(need); scope != "" {
		challenge += `, scope="` + scope + `"`
	}
	return challenge
}

// identify notes who acts and checks the permission against their roles.
func (s *Server) identify(r *http.Request, facts *flow.Facts, need web.Permission) error {
	web.Of(r).Actor = web.Actor{
		ID: facts.User.ID, Name: facts.User.Name, DisplayName: facts.User.DisplayName, Email: facts.User.Email,
		Roles: facts.User.Roles, Session: facts.Session.ID,
	}
	if need != web.SignedIn && !admin.Allows(facts.User.Roles, need) {
		return s.engine.Forbid(r, flow.Console, string(need))
	}
	return nil
}

// returnPath is where the person wanted to go; a posted form cannot be repeated after a sign-in, so it leads to the start.
func returnPath(r *http.Request) string {
	if r.Method != http.MethodGet {
		return "/"
	}
	return r.URL.RequestURI()
}

func isSCIM(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, scim.Root+"/") }

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, api.Root+"/") }

// underAPI tells whether a request is meant for the API, of whatever version.
func underAPI(r *http.Request) bool {
	return r.URL.Path == "/api" || strings.HasPrefix(r.URL.Path, "/api/")
}

func inConsole(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/admin/") }
