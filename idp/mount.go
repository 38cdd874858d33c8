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

// Routes is every path of the public listener, one list.
func (s *Server) Routes() []web.Route {
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
			{Method: http.MethodGet, Path: "/assets/{file}", Permission: web.Public, Reads: true, Handle: s.asset},
			{Method: http.MethodGet, Path: logoPath + "{hash}", Permission: web.Public, Reads: true, Handle: s.logo},
		},
	} {
		all = append(all, part...)
	}
	return all
}

// certified is every path of the listener that asks for client certificates: what programs call, and no page.
func (s *Server) certified() []web.Route {
	return slices.DeleteFunc(s.Routes(), func(route web.Route) bool {
		return !oauth.ForCertificates(route.Path) && !strings.HasPrefix(route.Path, scim.Root+"/") && !strings.HasPrefix(route.Path, api.Root+"/")
	})
}

// place is a part of the address space: in which form errors are answered there where no route says it, and what is said at an address
// that is none.
type place struct {
	root    string // and what lies below it
	errors  web.Form
	missing string
}

// places are the parts whose callers are programs; the first that holds a path counts.
var places = []place{
	{"/api", web.AsJSON, "There is nothing at this address of the API: it begins with " + api.Root + "/. Check the address."},
	{"/scim", scim.Problem, "There is nothing at this address: SCIM begins with " + scim.Root + "/, and " + scim.Root + "/ResourceTypes says what there is. Check the address."},
	{"/oauth", oauth.Refuse, "There is no endpoint at this address: see /.well-known/openid-configuration, which names them all."},
	{"/.well-known", oauth.Refuse, "There is nothing at this address. What there is: /.well-known/openid-configuration, oauth-authorization-server and oauth-protected-resource."},
}

// What is everywhere else, by the listener.
var (
	pages     = place{missing: "There is no page at this address. Check it, or go on from below."}
	endpoints = place{errors: oauth.Refuse, missing: "This address takes clients with certificates, and people's pages are not here: mtls_endpoint_aliases of the discovery document names its endpoints."}
	socket    = place{errors: web.AsJSON, missing: "The socket answers the gatehouse command only: its addresses begin with " + api.Root + "/."}
)

func placeOf(path string, elsewhere place) place {
	for _, one := range places {
		if path == one.root || strings.HasPrefix(path, one.root+"/") {
			return one
		}
	}
	return elsewhere
}

// handler mounts the routes. Anything else is a 404 or 405 of ours.
func (s *Server) handler() http.Handler {
	return s.mount(s.Routes(), pages)
}

// mounted is a route where the router finds it.
type mounted struct {
	http.Handler
	errors web.Form
}

func (s *Server) mount(routes []web.Route, elsewhere place) http.Handler {
	router := mux.NewRouter().SkipClean(true) // a redirect of its own would pass by the kit
	type address struct{ method, path string }
	fixed := map[address]http.Handler{} // found at once, where the router tries one pattern after another
	for _, route := range routes {
		handler := s.kit.Wrap(route)
		methods := []string{route.Method}
		if route.Reads {
			methods = append(methods, http.MethodHead) // net/http leaves the body out
		}
		router.Handle(route.Path, mounted{pathValues(handler), route.Errors}).Methods(methods...)
		for _, method := range methods {
			if !strings.Contains(route.Path, "{") {
				fixed[address{method, route.Path}] = handler
			}
		}
	}
	router.NotFoundHandler, router.MethodNotAllowedHandler = s.missing(elsewhere), s.notAllowed(router)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handler := fixed[address{r.Method, r.URL.Path}]; handler != nil {
			handler.ServeHTTP(w, r)
			return
		}
		router.ServeHTTP(w, r)
	})
}

// missing answers at an address that is none.
func (s *Server) missing(elsewhere place) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at := placeOf(r.URL.Path, elsewhere)
		s.unmounted(at.errors, web.NotFound(at.missing)).ServeHTTP(w, r)
	})
}

// notAllowed answers what an address does not take, in the form of what it takes, and names that in a header (RFC 9110, 15.5.6).
func (s *Server) notAllowed(router *mux.Router) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var methods []string
		var form web.Form
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			other, match := r.Clone(r.Context()), mux.RouteMatch{}
			if other.Method = method; router.Match(other, &match) && match.MatchErr == nil {
				methods, form = append(methods, method), match.Handler.(mounted).errors
			}
		}
		text := "This address cannot be used in that way. Go back and use the page's own buttons."
		if form != nil {
			text = "This address does not take the method " + r.Method + ": use " + strings.Join(methods, " or ") + "."
		}
		w.Header().Set("Allow", strings.Join(methods, ", "))
		s.unmounted(form, &web.Error{Status: http.StatusMethodNotAllowed, Reason: "method_not_allowed", Text: text}).ServeHTTP(w, r)
	})
}

// unmounted answers what no route takes. That is no event for the audit; programs are told how to find it in the log.
func (s *Server) unmounted(form web.Form, refused *web.Error) http.Handler {
	return s.kit.Wrap(web.Route{Path: "(none)", Permission: web.Public, CrossSite: true, Errors: form, Handle: func(_ http.ResponseWriter, r *http.Request) error {
		if form != nil || refused.Status != http.StatusNotFound {
			refused.Code = web.Of(r).ID
		}
		return errors.Join(s.recognize(r), refused)
	}})
}

// recognize notes who asks below the console, so that administrators are led back there.
func (s *Server) recognize(r *http.Request) error {
	if !inConsole(r) {
		return nil
	}
	facts, err := s.engine.Visitor(r)
	if err == nil && facts.User != nil && facts.Session != nil {
		web.Of(r).Actor = web.Actor{ID: facts.User.ID, Roles: facts.User.Roles}
	}
	return err
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

// home is where an error page leads: an administrator in the console stays there.
func home(r *http.Request) templates.Link {
	if inConsole(r) && admin.IsAdmin(web.Of(r).Actor.Roles) {
		return templates.Link{Label: "Go to the console", Href: "/admin/"}
	}
	return templates.Link{Label: "Go to your apps", Href: "/"}
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
	facts, err := s.engine.Admit(w, r, flow.Visit(app, s.returnPath(r)))
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
			Status: http.StatusForbidden, Reason: "no_permission", Err: errors.New(string(need)), Challenge: insufficient(r, need),
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
func insufficient(r *http.Request, need web.Permission) string {
	challenge := `Bearer realm="Gatehouse", error="insufficient_scope"`
	if scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "DPoP") { // as a token bound to a key is shown
		challenge = `DPoP realm="Gatehouse", error="insufficient_scope"`
	}
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

// returnPath is where the person wanted to go; a posted form cannot be repeated after a sign-in, so it leads to the form or the start.
func (s *Server) returnPath(r *http.Request) string {
	switch {
	case r.Method == http.MethodGet:
		return r.URL.RequestURI()
	case inConsole(r):
		return admin.FormPage(r, s.config.BaseURL)
	}
	return "/"
}

func isSCIM(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, scim.Root+"/") }

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, api.Root+"/") }

func inConsole(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/admin/") }
