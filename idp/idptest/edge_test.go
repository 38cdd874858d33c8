package idptest

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/sp"
)

// errorForm is how errors look to whoever calls an address.
type errorForm struct {
	name, media string
	read        func(body string) (text, code string)
}

var (
	asPage = errorForm{"page", "text/html; charset=utf-8", func(body string) (string, string) {
		return firstOf(`<p class="lead">([^<]+)</p>`, body), firstOf(`<span class="label">Code</span><code>([^<]+)</code>`, body)
	}}
	asAPI = errorForm{"API", "application/json", func(body string) (string, string) {
		var answer struct {
			Error struct{ Reason, Text, Code string } `json:"error"`
		}
		if json.Unmarshal([]byte(body), &answer) != nil || answer.Error.Reason == "" {
			return "", ""
		}
		return answer.Error.Text, answer.Error.Code
	}}
	asOAuth = errorForm{"OAuth", "application/json", func(body string) (string, string) {
		var answer struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if json.Unmarshal([]byte(body), &answer) != nil || answer.Error == "" {
			return "", ""
		}
		text, _, _ := strings.Cut(answer.Description, " [")
		return text, firstOf(`\[([^]]+)\]$`, answer.Description)
	}}
	asSCIM = errorForm{"SCIM", "application/scim+json", func(body string) (string, string) {
		var answer struct {
			Schemas        []string
			Status, Detail string
		}
		if json.Unmarshal([]byte(body), &answer) != nil || answer.Status == "" || !slices.Contains(answer.Schemas, "urn:ietf:params:scim:api:messages:2.0:Error") {
			return "", ""
		}
		return answer.Detail, firstOf(`\(code ([^)]+)\)$`, answer.Detail)
	}}
	asFault = errorForm{"SOAP", "text/xml; charset=utf-8", func(body string) (string, string) {
		if !strings.Contains(body, "<soap11:Fault><faultcode>soap11:") {
			return "", ""
		}
		text := firstOf(`<faultstring>([^<]+)</faultstring>`, body)
		return text, firstOf(`\(code ([^)]+)\)$`, text)
	}}
)

func firstOf(pattern, text string) string {
	if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return ""
}

// errorsAt is what the callers of a path read. It is said here once more, and not asked of the server.
func errorsAt(path string) errorForm {
	people := []string{"/oauth/authorize", "/oauth/logout", "/oauth/logout/confirm"}
	switch {
	case strings.HasPrefix(path, "/api/"):
		return asAPI
	case strings.HasPrefix(path, "/scim/"):
		return asSCIM
	case strings.HasSuffix(path, "/backchannel"), strings.HasSuffix(path, "/frontchannel"), strings.HasPrefix(path, "/.well-known/"), strings.HasPrefix(path, "/oauth/") && !slices.Contains(people, path):
		return asOAuth
	case slices.Contains([]string{"/saml/soap", "/saml/artifact", "/saml/ecp"}, path):
		return asFault
	}
	return asPage
}

// edge asks what no handler should have to answer.
type edge struct {
	*world
	owner  *Client
	secret string // of an API token that may do everything
}

func newEdge(t *testing.T) *edge {
	w := newWorld(t)
	w.AddPerson(t, "olga", "Staff", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	e := &edge{w, w.signedIn(t, "olga"), w.token(t, "everything", sp.APIScopes()...)}
	e.owner.http.Transport = manyHops{&w.address}
	e.owner.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return e
}

// ask sends a request as somebody who may do everything would.
func (e *edge) ask(t *testing.T, method, path string, body io.Reader, change func(*http.Request)) *Page {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, e.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	if form := errorsAt(r.URL.Path).name; form == asAPI.name || form == asSCIM.name {
		r.Header.Set("Authorization", "Bearer "+e.secret)
	}
	if change != nil {
		change(r)
	}
	return e.owner.Do(r)
}

// check holds an answer against the form of its path.
func check(t *testing.T, what, path string, page *Page, status int) {
	t.Helper()
	form := errorsAt(path)
	text, code := form.read(page.Body)
	switch {
	case page.Status != status:
		t.Errorf("%s: %d, want %d: %.300s", what, page.Status, status, page.Body)
	case page.Header.Get("Content-Type") != form.media || text == "":
		t.Errorf("%s: %s is no error of the form %s: %.300s", what, page.Header.Get("Content-Type"), form.name, page.Body)
	case code == "" && status != http.StatusNotFound:
		t.Errorf("%s: there is no code: %.300s", what, page.Body)
	case !strings.Contains(page.Header.Get("Cache-Control"), "no-store"):
		t.Errorf("%s: Cache-Control %q", what, page.Header.Get("Cache-Control"))
	case !regexp.MustCompile(`[.:,] \w`).MatchString(text):
		t.Errorf("%s: it does not say what to do: %s", what, text)
	}
}

// mountedPaths are the methods of each path of the public listener.
func mountedPaths(s *Server) map[string][]web.Route {
	paths := map[string][]web.Route{}
	for _, route := range s.idp.Routes() {
		paths[route.Path] = append(paths[route.Path], route)
	}
	return paths
}

var placeholder = regexp.MustCompile(`\{[^}]+\}`)

// TestEdgeOfEveryRoute: what is refused before a handler has its say is refused in the form of the route, at every route.
func TestEdgeOfEveryRoute(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	for path, routes := range mountedPaths(e.Server) {
		at := placeholder.ReplaceAllString(path, "x")
		e.checkMethod(t, at, routes)
		for _, route := range routes {
			if route.Method == http.MethodOptions {
				continue
			}
			name := route.Method + " " + path
			check(t, name+", too large", at, e.tooLarge(t, &route, at), http.StatusRequestEntityTooLarge)
			check(t, name+", broken encoding", at, e.ask(t, route.Method, at+"?x=%zz", nil, nil), http.StatusBadRequest)
			check(t, name+", long query", at, e.ask(t, route.Method, at+"?x="+strings.Repeat("y", 33<<10), nil, nil), http.StatusRequestURITooLong)
			check(t, name+", long headers", at, e.ask(t, route.Method, at, nil, func(r *http.Request) { r.Header.Set("X-Long", strings.Repeat("y", 50<<10)) }), http.StatusRequestHeaderFieldsTooLarge)
			if at != path {
				check(t, name+", NUL", at, e.ask(t, route.Method, placeholder.ReplaceAllString(path, "%00"), nil, nil), http.StatusNotFound)
			}
		}
	}
}

func (e *edge) checkMethod(t *testing.T, at string, routes []web.Route) {
	t.Helper()
	page := e.ask(t, "PROPFIND", at, nil, nil)
	check(t, "PROPFIND "+at, at, page, http.StatusMethodNotAllowed)
	allowed := strings.Split(page.Header.Get("Allow"), ", ")
	for _, route := range routes {
		if route.Method != http.MethodOptions && !slices.Contains(allowed, route.Method) { // which is the browser's own question
			t.Errorf("PROPFIND %s: Allow %q leaves out %s", at, allowed, route.Method)
		}
	}
}

// tooLarge announces more than the route takes, and sends nothing before it is told to.
func (e *edge) tooLarge(t *testing.T, route *web.Route, at string) *Page {
	t.Helper()
	most := route.MaxBody
	if most == 0 {
		most = 64 << 10
	}
	page := e.ask(t, route.Method, at, io.LimitReader(zeros{}, most+1), func(r *http.Request) {
		r.ContentLength = most + 1
		r.Header.Set("Expect", "100-continue")
	})
	limit := fmt.Sprintf("at most %d KiB", most>>10)
	if most%(1<<20) == 0 {
		limit = fmt.Sprintf("at most %d MiB", most>>20)
	}
	if text, _ := errorsAt(at).read(page.Body); page.Status == http.StatusRequestEntityTooLarge && !strings.Contains(text, limit) {
		t.Errorf("%s %s: it does not say %q: %s", route.Method, at, limit, text)
	}
	return page
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestNonsenseAtEveryRoute: nothing that is sent makes a failure of ours, and every refusal has the form of the route.
func TestNonsenseAtEveryRoute(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	rp := e.Client(t, "nonsense", nil, nil)
	names := strings.Fields("id name app client_id user q limit after filter token code state grant_type scope redirect_uri SAMLRequest RelayState user_code password email key value set file source from until kind outcome profile group title reason address")
	values := func(value string, times int) string {
		form := url.Values{}
		for _, name := range names {
			form[name] = slices.Repeat([]string{value}, times)
		}
		return form.Encode()
	}
	for path, routes := range mountedPaths(e.Server) {
		at := strings.NewReplacer("{app}", rp.App, "{user}", "ana", "{client}", rp.ID).Replace(path)
		at = placeholder.ReplaceAllString(at, "x")
		for _, route := range routes {
			if leaves := route.Method != http.MethodGet && (strings.Contains(path, "logout") || strings.Contains(path, "sign-out")); leaves {
				continue // it would end the session that asks
			}
			for _, c := range []struct{ what, query, kind, body string }{
				{"NUL in the query", values("a\x00b", 1), "", ""},
				{"no UTF-8 in the query", values("a\xffb", 1), "", ""},
				{"repeated in the query", values("1", 3), "", ""},
				{"NUL in the form", "", "application/x-www-form-urlencoded", values("a\x00b", 1)},
				{"repeated in the form", "", "application/x-www-form-urlencoded", values("1", 3)},
				{"broken form", "", "application/x-www-form-urlencoded", "a=%zz&%"},
				{"another type", "", "text/csv", "a,b\n"},
				{"no type that can be read", "", ";;", "a"},
				{"broken JSON", "", "application/json", `{"name":"\u0000`},
				{"NUL in JSON", "", "application/json", `{"name":"a\u0000b","id":"\u0000","client_name":"\u0000"}`},
				{"broken parts", "", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"\x00\"\r\n\r\n"},
			} {
				if c.body != "" && route.Method == http.MethodGet {
					continue
				}
				page := e.ask(t, route.Method, at+"?"+c.query, strings.NewReader(c.body), func(r *http.Request) {
					if c.kind != "" {
						r.Header.Set("Content-Type", c.kind)
					}
				})
				name := route.Method + " " + path + ", " + c.what
				form := errorsAt(path)
				text, _ := form.read(page.Body)
				switch {
				case page.Status >= http.StatusInternalServerError:
					t.Errorf("%s: %d %.300s", name, page.Status, page.Body)
				case page.Status >= http.StatusBadRequest && page.Header.Get("Content-Type") != form.media, page.Status >= http.StatusBadRequest && form.name != asPage.name && text == "":
					t.Errorf("%s: %d %s: %.300s", name, page.Status, page.Header.Get("Content-Type"), page.Body)
				}
			}
		}
	}
}

// TestWhatIsSentToPrograms: each endpoint of programs says what it takes.
func TestWhatIsSentToPrograms(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		what, path, kind, body string
		status                 int
		says                   string
	}{
		{"wrong type", "/oauth/token", "application/json", `{}`, 400, "application/x-www-form-urlencoded"},
		{"wrong type", "/oauth/introspect", "text/plain", `a`, 400, "application/x-www-form-urlencoded"},
		{"wrong type", "/oauth/par", "", `a=b`, 400, "application/x-www-form-urlencoded"},
		{"wrong type", "/oauth/device", "application/json", `{}`, 400, "application/x-www-form-urlencoded"},
		{"wrong type", "/login/upstream/x/backchannel", "application/json", `{}`, 400, "application/x-www-form-urlencoded"},
		{"wrong type", "/api/v1/users", "text/plain", `{}`, 415, "application/json"},
		{"wrong type", "/scim/v2/Users", "text/plain", `{}`, 415, "application/scim+json"},
		{"wrong type", "/saml/soap", "application/json", `{}`, 415, "text/xml"},
		{"wrong type", "/saml/ecp", form, `a=b`, 415, "text/xml"},
		{"broken form", "/oauth/token", form, "grant_type=%zz", 400, "cannot be read as a form"},
		{"repeated", "/oauth/token", form, "grant_type=a&grant_type=b", 400, "more than once"},
		{"repeated", "/oauth/revoke", form, "token=a&token=b", 400, "more than once"},
		{"broken JSON", "/api/v1/users", "application/json", `{`, 400, "cannot be read"},
		{"broken JSON", "/scim/v2/Users", "application/scim+json", `{"a"`, 400, "cannot be read"},
		{"a list", "/api/v1/apps", "application/json", `[]`, 400, "body has to be a JSON object, in curly brackets."},
		{"a member of another kind", "/api/v1/apps", "application/json", `{"set":[]}`, 400, "does not fit: set has to be an object."},
		{"an unknown member", "/api/v1/users", "application/json", `{"nmae":"a"}`, 400, `has a member that is not known: \"nmae\": correct its name`},
		{"JSON that breaks off", "/api/v1/users", "application/json", `{`, 400, "it ends too early."},
		{"two values", "/api/v1/users", "application/json", `{"name":"a"}{}`, 400, "something after its JSON"},
		{"a number without end", "/scim/v2/Users", "application/scim+json", `{"a":1e999}`, 400, "holds a number that is too large: 1e999."},
		{"JSON that breaks off", "/scim/v2/Users", "application/scim+json", `{"a"`, 400, "it ends too early"},
		{"broken XML", "/saml/soap", "text/xml", `<a`, 400, "not a well-formed SOAP message"},
		{"another query", "/oauth/token?x=%zz", form, "grant_type=a", 400, "cannot be read"},
	} {
		page := e.ask(t, http.MethodPost, c.path, strings.NewReader(c.body), func(r *http.Request) { r.Header.Set("Content-Type", c.kind) })
		at, _, _ := strings.Cut(c.path, "?")
		check(t, c.what+" at "+c.path, at, page, c.status)
		if !strings.Contains(page.Body, c.says) {
			t.Errorf("%s at %s does not say %q: %s", c.what, c.path, c.says, page.Body)
		}
	}
}

// TestBodyThatDoesNotEnd: a body without a length that is larger than what is taken, and one that breaks off.
func TestBodyThatDoesNotEnd(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	e.organisation(t, "oauth.open_registration", "true")
	for path, kind := range map[string]string{
		"/oauth/token": "application/x-www-form-urlencoded", "/oauth/register": "application/json", "/api/v1/users": "application/json",
		"/scim/v2/Users": "application/scim+json", "/saml/soap": "text/xml", "/saml/sso": "application/x-www-form-urlencoded",
		"/login/upstream/x/backchannel": "application/x-www-form-urlencoded",
	} {
		typed := func(r *http.Request) { r.Header.Set("Content-Type", kind) }
		page := e.ask(t, http.MethodPost, path, io.LimitReader(zeros{}, 2<<20), typed)
		check(t, "endless at "+path, path, page, http.StatusRequestEntityTooLarge)
		if !strings.Contains(page.Body, "iB are taken here") {
			t.Errorf("%s does not say how much: %s", path, page.Body)
		}
		check(t, "broken off at "+path, path, e.brokenOff(t, path, kind), http.StatusRequestTimeout)
	}
}

// brokenOff sends the beginning of a body, and says that no more will come.
func (e *edge) brokenOff(t *testing.T, path, kind string) *Page {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(e.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	proof := ""
	if form := errorsAt(path).name; form == asAPI.name || form == asSCIM.name {
		proof = "Authorization: Bearer " + e.secret + "\r\n"
	}
	fmt.Fprintf(connection, "POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Type: %s\r\nContent-Length: 100\r\n\r\n<a", path, proof, kind)
	if err := connection.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &Page{Status: response.StatusCode, Header: response.Header, Body: string(body)}
}

// TestNoSuchAddress: an address that is none is answered as its neighbours would.
func TestNoSuchAddress(t *testing.T) {
	t.Parallel()
	e := newEdge(t)
	for _, path := range []string{"/oauth/nothing", "/oauth/token/", "/.well-known/nothing", "/.well-known/openid-configuration/tenant", "/api/v1/nothing", "/api/v2/apps", "/scim/v2/nothing", "/scim/v1/Users", "/scim/v2/Users/a/b", "/nothing", "/saml/nothing", "/oauthx"} {
		page := e.ask(t, http.MethodGet, path, nil, nil)
		check(t, path, path, page, http.StatusNotFound)
		if _, code := errorsAt(path).read(page.Body); (code == "") != (errorsAt(path).name == asPage.name) {
			t.Errorf("%s has the code %q", path, code)
		}
	}
}
