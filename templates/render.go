package templates

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"strings"
	"sync"
)

//go:embed layouts parts pages assets
var files embed.FS

// page is one declared page: its file below pages, its layout, and the zero value of its struct, which the tests draw.
type page struct {
	layout string
	zero   any
}

var declared = map[string]page{
	"signin":          {"card", SignInPage{}},
	"app_people":      {"console", AppPeoplePage{}},
	"explain":         {"console", ExplainPage{}},
	"app_sessions":    {"console", AppSessionsPage{}},
	"consent":         {"card", ConsentPage{}},
	"device":          {"card", DevicePage{}},
	"factor":          {"card", FactorPage{}},
	"enrol":           {"card", EnrolPage{}},
	"enrol_app":       {"card", EnrolAppPage{}},
	"recovery":        {"card", RecoveryPage{}},
	"message":         {"card", MessagePage{}},
	"confirm":         {"card", ConfirmPage{}},
	"signedout":       {"card", SignedOutPage{}},
	"forgot":          {"card", ForgotPage{}},
	"link":            {"card", LinkPage{}},
	"portal":          {"portal", PortalPage{}},
	"account":         {"portal", AccountPage{}},
	"consents":        {"portal", ConsentsPage{}},
	"ask":             {"portal", AskPage{}},
	"ask_app":         {"portal", AskAppPage{}},
	"requests":        {"portal", RequestsPage{}},
	"access":          {"console", AccessPage{}},
	"overview":        {"console", OverviewPage{}},
	"apps":            {"console", AppsPage{}},
	"app_new":         {"console", AppNewPage{}},
	"app":             {"console", AppPage{}},
	"app_access":      {"console", AppAccessPage{}},
	"app_settings":    {"console", AppSettingsPage{}},
	"app_metadata":    {"console", AppMetadataPage{}},
	"app_activity":    {"console", AppActivityPage{}},
	"app_danger":      {"console", AppDangerPage{}},
	"app_tokens":      {"console", AppTokensPage{}},
	"app_client":      {"console", AppClientPage{}},
	"app_saml":        {"console", AppSAMLPage{}},
	"app_credentials": {"console", AppCredentialsPage{}},
	"users":           {"console", UsersPage{}},
	"user_new":        {"console", UserNewPage{}},
	"user":            {"console", UserPage{}},
	"named_list":      {"console", NamedListPage{}},
	"audit":           {"console", AuditPage{}},
	"trace":           {"console", TracePage{}},
	"audit_verify":    {"console", AuditVerifyPage{}},
	"usage":           {"console", UsagePage{}},
	"settings":        {"console", SettingsPage{}},
	"keys":            {"console", KeysPage{}},
	"key":             {"console", KeyPage{}},
	"sources":         {"console", SourcesPage{}},
	"source":          {"console", SourcePage{}},
	"upstreams":       {"console", UpstreamsPage{}},
	"upstream":        {"console", UpstreamPage{}},
	"scopes":          {"console", ScopesPage{}},
	"directories":     {"console", DirectoriesPage{}},
	"directory":       {"console", DirectoryPage{}},
	"import":          {"console", ImportPage{}},
	"tokens":          {"console", TokensPage{}},
}

// compiled parses all templates once, at the first page or at Check.
var compiled = sync.OnceValues(compile)

// compile makes one set of all templates, so that what pages share is kept once. What a page defines for its layout, "content" and
// "search", and the layout around it are named after the page in the set.
func compile() (*template.Template, error) {
	all, err := template.New("").Funcs(functions).ParseFS(files, "layouts/*.html", "parts/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse the shared templates: %w", err)
	}
	for name, p := range declared {
		named := strings.NewReplacer(
			`{{define "`+p.layout+`"}}`, `{{define "`+p.in(name)+`"}}`,
			`{{define "content"}}`, `{{define "content/`+name+`"}}`,
			`{{template "content" .}}`, `{{template "content/`+name+`" .}}`,
			`{{define "search"}}`, `{{define "search/`+name+`"}}`,
			`{{block "search" .}}`, `{{block "search/`+name+`" .}}`)
		for _, path := range []string{"layouts/" + p.layout + ".html", "pages/" + name + ".html"} {
			text, err := files.ReadFile(path)
			if err == nil {
				_, err = all.Parse(named.Replace(string(text)))
			}
			if err != nil {
				return nil, fmt.Errorf("parse page %s: %w", name, err)
			}
		}
	}
	return all, nil
}

// in is the name of the layout around a page.
func (p page) in(name string) string { return p.layout + "/" + name }

// render writes one page. The page is complete or, on an error of the template, cut short: callers buffer.
func render(w io.Writer, name string, data any) error {
	all, err := compiled()
	if err != nil {
		return err
	}
	if err := all.ExecuteTemplate(w, declared[name].in(name), data); err != nil {
		return fmt.Errorf("write page %s: %w", name, err)
	}
	return nil
}

// Check parses every template, and fails when a page has no template or a file belongs to no page. Call it at start-up. That each
// page can be drawn is proved by the tests: the templates are in the binary and do not change any more.
func Check() error {
	all, err := compiled()
	if err != nil {
		return err
	}
	problems := undeclared(files)
	for name, p := range declared {
		if all.Lookup(p.in(name)) == nil {
			problems = append(problems, fmt.Errorf("page %s: its layout %s defines no template of that name", name, p.layout))
		}
	}
	return errors.Join(problems...)
}

// undeclared lists the files below pages that belong to no page.
func undeclared(fsys fs.FS) []error {
	entries, err := fs.ReadDir(fsys, "pages")
	if err != nil {
		return []error{fmt.Errorf("list the pages: %w", err)}
	}
	var problems []error
	for _, e := range entries {
		if _, ok := declared[strings.TrimSuffix(e.Name(), ".html")]; !ok {
			problems = append(problems, fmt.Errorf("pages/%s belongs to no page: declare it in render.go", e.Name()))
		}
	}
	return problems
}
