package sampleapps

import (
	"embed"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/crewjam/saml/samlsp"
)

//go:embed layout.html page.html client.html sample.css
var files embed.FS

// parsePage reads a page with the layout and the stylesheet that all sample apps share.
func parsePage(name string) (*template.Template, error) {
	style, err := files.ReadFile("sample.css")
	if err != nil {
		return nil, err
	}
	shared := template.FuncMap{"style": func() template.CSS { return template.CSS(style) }}
	return template.New(name).Funcs(shared).ParseFS(files, "layout.html", name)
}

const bodyLimit = 1 << 20

// page is what page.html shows.
type page struct {
	App        head
	Signs      bool   // its messages, so that it takes part in sign-out
	NameID     string // empty: nobody is signed in
	Attributes []attribute
	Problem    string
	Notice     string // how a sign-out went
	SignInURL  string
}

// head is what the top of every page shows.
type head struct{ Name, Description, Accent string }

type attribute struct {
	Name   string
	Values []string
}

// handler mounts the app's pages and its SAML endpoints.
func (a *App) handler() http.Handler {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /{$}", a.front)
	pages.HandleFunc("GET /signin", a.signIn)
	pages.HandleFunc("POST /signout", a.signOut)
	guard := http.NewCrossOriginProtection()
	mux := http.NewServeMux()
	mux.Handle("/", guard.Handler(pages))
	mux.HandleFunc("GET /saml/metadata", a.serveMetadata)
	mux.HandleFunc("POST /saml/acs", a.answer)
	mux.HandleFunc("GET /"+sloPath, a.leave)
	return http.MaxBytesHandler(mux, bodyLimit)
}

// front shows who is signed in, or how to sign in.
func (a *App) front(w http.ResponseWriter, r *http.Request) {
	view := page{}
	if session, err := a.session.GetSession(r); err == nil {
		if claims, ok := session.(samlsp.JWTSessionClaims); ok {
			view.NameID, view.Attributes = claims.Subject, sorted(claims.Attributes)
		}
	}
	a.show(w, http.StatusOK, view)
}

// sorted orders the attributes by name and leaves out the session index, which crewjam adds to them.
func sorted(values samlsp.Attributes) []attribute {
	var list []attribute
	for name, values := range values {
		if name != "SessionIndex" {
			list = append(list, attribute{Name: name, Values: values})
		}
	}
	slices.SortFunc(list, func(a, b attribute) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// signIn sends the browser to the identity provider.
func (a *App) signIn(w http.ResponseWriter, r *http.Request) {
	middleware, err := a.middleware(r.Context())
	if err != nil {
		a.show(w, http.StatusBadGateway, page{Problem: err.Error()})
		return
	}
	middleware.HandleStartAuthFlow(w, r)
}

func (a *App) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/samlmetadata+xml")
	w.Write(a.metadata)
}

// answer takes a SAML response. crewjam redirects to any RelayState of an unsolicited one: only local paths pass here.
func (a *App) answer(w http.ResponseWriter, r *http.Request) {
	middleware, err := a.middleware(r.Context())
	if err != nil {
		a.show(w, http.StatusBadGateway, page{Problem: err.Error()})
		return
	}
	if err := r.ParseForm(); err != nil {
		a.show(w, http.StatusBadRequest, page{Problem: "The answer could not be read: " + err.Error()})
		return
	}
	if len(a.waiting.GetTrackedRequests(r)) == 0 && !local(r.Form.Get("RelayState")) {
		r.Form.Del("RelayState")
	}
	middleware.ServeACS(w, r)
}

// local reports whether target is a path on this app.
func local(target string) bool {
	return strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//") && !strings.ContainsAny(target, "\\\r\n\t")
}

// refused shows why an answer was not accepted.
func (a *App) refused(w http.ResponseWriter, _ *http.Request, err error) {
	a.show(w, http.StatusForbidden, page{Problem: reason(err)})
}

// show writes the one page of the app.
func (a *App) show(w http.ResponseWriter, status int, view page) {
	view.App, view.SignInURL = head{a.spec.Name, a.spec.Description, a.spec.Accent}, "/signin"
	view.Signs = !a.spec.Unsigned
	write(w, status, a.page, view)
}

// write writes a page.
func write(w http.ResponseWriter, status int, page *template.Template, view any) {
	text := &strings.Builder{}
	if err := page.Execute(text, view); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'")
	w.WriteHeader(status)
	w.Write([]byte(text.String()))
}
