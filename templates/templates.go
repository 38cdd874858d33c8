// Package templates owns every page that Gatehouse shows: one struct and one function per page, the stylesheet, the script
// and the icons, all embedded.
//
// It must not know records, policies or routes: a page shows what its struct says and posts where its struct says. Read
// vocabulary.go for the words that pages share, card.go, portal.go and the console files for the pages, render.go for the
// machinery and the start-up check.
package templates

// Shell is what every page has around its content. Every page struct embeds it.
type Shell struct {
	Title   string  // of the document and, in the console, of the page
	Nonce   string  // of this answer's Content-Security-Policy, for the script and the style element
	Lang    string  // BCP 47; empty: en
	Org     Brand   //
	Person  *Person // nil: nobody is signed in
	IsAdmin bool    // show the way into the console
	Section string  // active navigation item: one of the Section… constants
	Notice  *Notice // nil: none

	Approves bool // the person answers requests for an app
	Waiting  int  // requests that wait for their answer; 100 stands for more
}

// The navigation items of Shell.Section.
const (
	SectionPortal         = "portal"
	SectionAccount        = "account"
	SectionOverview       = "overview"
	SectionApps           = "apps"
	SectionRequests       = "requests"
	SectionUsers          = "users"
	SectionProfiles       = "profiles"
	SectionPermissionSets = "permission-sets"
	SectionGroups         = "groups"
	SectionAudit          = "audit"
	SectionExplain        = "explain"
	SectionSettings       = "settings"
	SectionKeys           = "keys"
	SectionSources        = "sources"
	SectionUpstreams      = "upstreams"
	SectionDirectories    = "directories"
	SectionTokens         = "tokens"
	SectionScopes         = "scopes"
)

// Brand is how the organisation looks. Color is #rgb or #rrggbb; anything else is ignored.
type Brand struct {
	Name           string
	LogoURL        string
	Color          string
	SupportContact string // an e-mail address, an https URL or plain text
}

// Person is who is signed in.
type Person struct {
	ID          string
	Name        string // the user name
	DisplayName string // empty: Name is shown
	Email       string
}

// Label is the name to show.
func (p *Person) Label() string {
	if p.DisplayName != "" {
		return p.DisplayName
	}
	return p.Name
}

// Notice is one message above the content.
type Notice struct {
	Kind string   // "info", "ok", "warn" or "danger"
	Text string   // one or two sentences
	List []string // further points, if any
	Code string   // trace code with a copy button, if any
}
