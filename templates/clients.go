package templates

import (
	"io"
	"time"
)

// KindLink is one kind of app that a form can add.
type KindLink struct {
	Label string
	Hint  string
	Href  string
	Here  bool
}

// The kinds of OAuth clients that a form describes.
const (
	ClientWeb     = "web"
	ClientPublic  = "public"
	ClientService = "service"
	ClientGateway = "gateway"
)

// ClientForm describes an OAuth client of Kind. It posts `kind`, `scopes` (repeated), and as the kind has them `redirect_uris` (one a
// line), `initiate_login_uri`, `installed` ("true"), `run_as` and `approval` ("required").
type ClientForm struct {
	Kind         string
	RedirectURIs string
	LoginURI     string
	Installed    bool // on a phone or a computer
	RunAs        string
	Approval     bool
	Scopes       []Choice
	Limited      bool // the person may not set what belongs to the policy
	Errors       Errors
}

// AppClientPage gives a SAML app the second protocol.
type AppClientPage struct {
	Shell
	App    AppHead
	Kinds  []KindLink
	Client ClientForm
	Action string
}

// AppClient writes the page that gives a SAML app the second protocol.
func AppClient(w io.Writer, p AppClientPage) error { return render(w, "app_client", p) }

// AppSAMLPage gives an OAuth client SAML. It posts MetadataForm.
type AppSAMLPage struct {
	Shell
	App AppHead
	MetadataForm
}

// AppSAML writes the page that gives an OAuth client SAML.
func AppSAML(w io.Writer, p AppSAMLPage) error { return render(w, "app_saml", p) }

// AppCredentialsPage shows by what an OAuth client proves itself, and where it finds Gatehouse. Secret and IsNew tell of a secret that
// was just made, or of a client that was just added, and Here is then the address of this page. An empty action hides its button.
type AppCredentialsPage struct {
	Shell
	App          AppHead
	Secret       string
	IsNew        bool
	Here         string
	Next         Link   // what is left to do
	Client       []Fact // to enter at the app
	Endpoints    []Fact // for apps that do not read the discovery document
	Public       bool   // it cannot keep a secret
	HasSecret    bool   // it proves itself by one
	Secrets      []SecretRow
	Seen         string // posted as `seen` by each of the actions
	Proof        []Fact
	Settings     []Fact // where answers go, and what it may ask for
	SettingsHref string
	RotateAction string
	// Since when it acts in Gatehouse itself, where a secret from before that is still good; zero: there is none. ReplaceAction
	// makes a new secret and ends all before.
	Lent          time.Time
	ReplaceAction string
	EndAction     string // ends the older secret
}

// AppTokensPage lists the people who gave an app something that still gives tokens; a GET of `user` looks one up, which is User.
// RevokeAction posts `user`, RevokeAllAction nothing; an empty action hides its button.
type AppTokensPage struct {
	Shell
	App             AppHead
	User            string
	Rows            []HoldingRow
	Pager           Pager
	RevokeAction    string
	RevokeAllAction string
	Errors          Errors
}

// AppTokens writes who gave an app something that still gives tokens.
func AppTokens(w io.Writer, p AppTokensPage) error { return render(w, "app_tokens", p) }

// HoldingRow is what one person gave one app: ID and Name are those of the other side.
type HoldingRow struct {
	ID      string
	Name    string
	Href    string // empty: no right to look there
	Count   int
	Scopes  []string
	Offline bool // the app can go on while the person is away
	Since   time.Time
	Used    time.Time
}

// SecretRow is one client secret that is good. Used is the zero time for one that never was.
type SecretRow struct {
	ID      string
	Created time.Time
	Used    time.Time
}

// AppCredentials writes the credentials of an OAuth client.
func AppCredentials(w io.Writer, p AppCredentialsPage) error { return render(w, "app_credentials", p) }
