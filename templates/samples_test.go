package templates

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// sample is one state of one page, drawn by the tests.
type sample struct {
	name string
	draw func(io.Writer) error
}

const longName = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft International Holdings"

var (
	moment = time.Date(2026, 11, 24, 4, 20, 31, 0, time.UTC)
	acme   = Brand{Name: "Brightwater Council", SupportContact: "it-help@brightwater.example"}
	ada    = &Person{ID: "usr_ada", Name: "ada", DisplayName: "Ada Lindqvist", Email: "ada@brightwater.example"}
	names  = []string{"Your Benefits", "Payroll", "Wiki", "Travel desk", "Code review", "Mail", "Room booking", "Learning", "Library", "Expenses", "Time sheets", "Phone book"}
)

func shell(title, section string) Shell {
	return Shell{Title: title, Nonce: "bm9uY2U", Org: acme, Person: ada, IsAdmin: true, Section: section}
}

func outside(title string) Shell { return Shell{Title: title, Nonce: "bm9uY2U", Org: acme} }

func samples() []sample {
	return slices.Concat(cardSamples(), portalSamples(), consoleSamples(), requestSamples(), accountSamples(), sourceSamples(), upstreamSamples(), directorySamples(), tokenSamples(), scopeSamples(), clientSamples())
}

func cardSamples() []sample {
	branded := outside("Sign in")
	branded.Org = Brand{Name: longName, Color: "#f5c518", SupportContact: "Room 4.12, ask at the desk"}
	return []sample{
		{"signin", func(w io.Writer) error {
			return SignIn(w, SignInPage{Shell: outside("Sign in"), Action: "/login", App: "Deine Vorteile", About: AppAbout{Lang: "de", LogoURL: "/app-logo/app_1/0", Information: "https://benefits.example.org/about", Privacy: "https://benefits.example.org/privacy"}, Flow: "fl_1"})
		}},
		{"signin_choice", func(w io.Writer) error {
			return SignIn(w, SignInPage{Shell: outside("Sign in"), Action: "/login", App: "Your Benefits", Flow: "fl_1", Upstreams: []SignInUpstream{
				{"Example University", "/login/upstream/uni"}, {longName, "/login/upstream/other"}}})
		}},
		{"signin_elsewhere", func(w io.Writer) error {
			return SignIn(w, SignInPage{Shell: outside("Sign in"), Action: "/login", App: "Your Benefits", Flow: "fl_1", NoPassword: true, Upstreams: []SignInUpstream{
				{"Example University", "/login/upstream/uni"}, {"Partner", "/login/upstream/partner"}}})
		}},
		{"signin_error", func(w io.Writer) error {
			return SignIn(w, SignInPage{Shell: branded, Action: "/login", Name: "ana", App: longName, Code: "K7QX-2M4D",
				Error: "That name and password do not match. Try again, or ask your administrator for a new password."})
		}},
		{"signin_again", func(w io.Writer) error {
			return SignIn(w, SignInPage{Shell: outside("Sign in"), Action: "/login", Name: "ana", App: "Payroll", SwitchHref: "/logout",
				ReauthNote: "Payroll asks you to sign in again, because your last sign-in is more than an hour old."})
		}},
		{"signin_passkey", func(w io.Writer) error {
			return SignIn(w, SignInPage{Shell: outside("Sign in"), Action: "/login", Flow: "fl_1", Passkey: &Ceremony{Action: "/login/passkey", Options: `{"publicKey":{"challenge":"x"}}`, Token: "t", Conditional: true}})
		}},
		{"factor", func(w io.Writer) error {
			return Factor(w, FactorPage{Shell: shell("One more step", ""), Place: Place{Flow: "fl_1"}, Action: "/login/factor", App: longName, Error: "That code is wrong.",
				Code: true, Codes: true, Cancel: true, Switch: "/login", Passkey: &Ceremony{Action: "/login/factor/passkey", Options: `{}`, Token: "t"}})
		}},
		{"enrol", func(w io.Writer) error {
			return Enrol(w, EnrolPage{Shell: shell("Second factor", ""), Place: Place{Flow: "fl_1"}, App: longName, AppHref: "/login/enrol/app", Name: "Chrome on Linux",
				Passkey: &Ceremony{Action: "/login/enrol/passkey", Options: `{}`, Token: "t"}, LaterAction: "/login/enrol/later", LaterUntil: moment, CancelFlow: "/login"})
		}},
		{"enrol_no_passkeys", func(w io.Writer) error {
			return Enrol(w, EnrolPage{Shell: shell("Second factor", ""), AppHref: "/login/enrol/app", NoPasskeys: "Passkeys do not work at an address of numbers.", Cancel: Link{"Back", "/account"}})
		}},
		{"enrol_app", func(w io.Writer) error {
			return EnrolApp(w, EnrolAppPage{Shell: shell("Authenticator app", ""), Place: Place{Next: "/account"}, Action: "/login/enrol/app", QR: "M0 0h7v1h-7z", Size: 29, Secret: strings.Repeat("ABCD", 8),
				URI: "otpauth://totp/x:y?secret=ABCD", Token: "t", Name: "Phone", Back: "/login/enrol", Errors: Errors{{"code", "That is not the code of this key."}}})
		}},
		{"recovery", func(w io.Writer) error {
			return Recovery(w, RecoveryPage{Shell: shell("Recovery codes", ""), Codes: []string{"abcd-efgh-ijkl-mnop", "bcde-fghi-jklm-nopq"}, Added: longName, Continue: "/", User: "ada"})
		}},
		{"message", func(w io.Writer) error {
			return Message(w, MessagePage{Shell: outside("No access"), Tone: "danger", Support: true, Heading: "You may not use Payroll", Code: "K7QX-2M4D",
				Text: "Payroll is for people who were given it.", Next: "If you need it for your work, ask your administrator.",
				Links: []Link{{"Go to your apps", "/"}, {"Sign in as somebody else", "/logout"}}})
		}},
		{"message_plain", func(w io.Writer) error {
			return Message(w, MessagePage{Shell: outside("You can close this window")})
		}},
		{"confirm", func(w io.Writer) error {
			return Confirm(w, ConfirmPage{Shell: outside("Open app"), Question: "Open Your Benefits?", Detail: "Another site asked to open it with your account, Ana Silva.",
				Action: "/launch/app_1", Button: "Open Your Benefits", Hidden: map[string]string{"RelayState": "/claims?id=1&x=2"}, Cancel: Link{"Go to your apps", "/"}})
		}},
		{"consent", func(w io.Writer) error {
			return Consent(w, ConsentPage{Shell: shell("Open Your Benefits", ""), Action: "/consent", Flow: "fl_1", App: "Your Benefits", Person: "ana",
				Description: "Health, pension and days off in one place.", Asks: []string{"Your name", "Your e-mail address", "costCentre (user.attributes.costCentre)"}, Agreed: moment})
		}},
		{"consent_device", func(w io.Writer) error {
			return Consent(w, ConsentPage{Shell: shell("Open Lobby screen", ""), Action: "/consent", Flow: "fl_1", App: "Lobby screen", Person: "ana",
				Asks: []string{"Your name"}, Device: &ConsentDevice{Code: "WDJB-MJHT", Address: "2001:db8:1234:5678:9abc:def0:1234:5678"}})
		}},
		{"device", func(w io.Writer) error {
			return Device(w, DevicePage{Shell: outside("Connect a device"), Action: "/device"})
		}},
		{"device_wrong", func(w io.Writer) error {
			return Device(w, DevicePage{Shell: outside("Connect a device"), Action: "/device", Code: "WDJB-MJH", Error: "No device waits with this code. Check it, or start again on the device."})
		}},
		{"signedout", func(w io.Writer) error {
			return SignedOut(w, SignedOutPage{Shell: outside("Signed out"), SignInHref: "/login", Apps: []SignedOutApp{{"Payroll", "out"}, {"Orders", "told"}, {longName, "failed"}, {"Wiki", "untold"}}})
		}},
		{"signedout_whole", func(w io.Writer) error {
			return SignedOut(w, SignedOutPage{Shell: outside("Signed out"), SignInHref: "/login", Apps: []SignedOutApp{{"Payroll", "out"}, {"Wiki", "out"}}})
		}},
		{"signingout", func(w io.Writer) error {
			return SignedOut(w, SignedOutPage{Shell: outside("Signing out"), Next: "/logout/x/next", Apps: []SignedOutApp{{"Payroll", "out"}, {"Wiki", "waiting"}, {longName, "waiting"}}})
		}},
		{"autopost", func(w io.Writer) error {
			return AutoPost(w, AutoPostPage{Action: "https://sp.example/acs", App: "Your Benefits", Nonce: "bm9uY2U", Fields: []Field{{"SAMLResponse", strings.Repeat("PHNhbWw+", 500)}}})
		}},
	}
}

func tiles(n int) []Tile {
	list := make([]Tile, n)
	for i := range list {
		name := names[i%len(names)]
		if i >= len(names) {
			name = fmt.Sprintf("%s %d", name, i/len(names)+1)
		}
		list[i] = Tile{ID: fmt.Sprint("app_", i), Name: name, Href: fmt.Sprint("/launch/app_", i), Favourite: i == 2}
	}
	list[0].Description = "Leave, pension and health cover in one place, for all who work here"
	if n > 3 {
		list[3].Name, list[3].Description = longName, strings.Repeat("averyveryverylongdescription", 4)
	}
	return list
}

func portalSamples() []sample {
	noticed := shell("Your apps", SectionPortal)
	noticed.Notice = &Notice{Kind: "ok", Text: "Your password is changed. Other sessions were signed out."}
	return []sample{
		{"portal", func(w io.Writer) error {
			t := tiles(12)
			return Portal(w, PortalPage{Shell: noticed, Tiles: t, Recent: t[:3]})
		}},
		{"portal_one", func(w io.Writer) error {
			return Portal(w, PortalPage{Shell: shell("Your apps", SectionPortal), Tiles: tiles(1)})
		}},
		{"portal_empty", func(w io.Writer) error { return Portal(w, PortalPage{Shell: shell("Your apps", SectionPortal)}) }},
		{"portal_nothing", func(w io.Writer) error {
			return Portal(w, PortalPage{Shell: shell("Your apps", SectionPortal), Query: "pay<b>"})
		}},
		{"portal_1000", func(w io.Writer) error {
			return Portal(w, PortalPage{Shell: shell("Your apps", SectionPortal), Tiles: tiles(1000)})
		}},
		{"account", func(w io.Writer) error {
			return Account(w, AccountPage{Shell: shell("Your account", SectionAccount), Facts: userFacts(), Sessions: sessions(), EndAction: "/account/sessions/end",
				EndAllAction: "/account/sessions/end-all", PasswordAction: "/account/password", PasswordRules: "At least 12 characters.",
				Errors: Errors{{"current", "That is not your present password."}}})
		}},
		{"account_plain", func(w io.Writer) error {
			return Account(w, AccountPage{Shell: shell("Your account", SectionAccount), Facts: userFacts()})
		}},
	}
}

func userFacts() []Fact {
	return []Fact{{Label: "Name", Text: "Ada Lindqvist"}, {Label: "User name", Text: "ada", Kind: "code"}, {Label: "E-mail", Text: "ada@brightwater.example"},
		{Label: "Profile", Text: "Employee", Href: "/admin/profiles"}, {Label: "Permission sets", Tags: []string{"Payroll clerk", "Expenses approver", longName}},
		{Label: "Status", Text: "active", Kind: "state"}, {Label: "Manager", Kind: "missing"}, {Label: "Last sign-in", Time: moment, Hint: "By password, level standard."}}
}

func sessions() []SessionRow {
	return []SessionRow{
		{Handle: "s1", Device: "Firefox on Linux", Address: "203.0.113.7", Level: "standard", Started: moment.Add(-3 * time.Hour), Seen: moment, Current: true},
		{Handle: "s2", Device: "Safari on iPhone", Address: "2001:db8:85a3::8a2e:370:7334", Level: "high", Started: moment.Add(-30 * time.Hour), Seen: moment.Add(-26 * time.Hour)}}
}

func events() []EventRow {
	return []EventRow{
		{Code: "K7QX-2M4D", Href: "/admin/audit/K7QX-2M4D", Time: moment, Kind: "signon", Outcome: "refused", Reason: "permitted_users", Actor: "Ben Okafor", ActorHref: "/admin/users/usr_b",
			App: "Payroll", AppHref: "/admin/apps/app_2", Address: "203.0.113.7", Text: "Ben Okafor was refused by Payroll: not among the permitted profiles, permission sets, groups or users.",
			Facts: []Fact{{Label: "request id", Text: "id-8f2f0c0a1b2c3d4e5f60718293a4b5c6d7e8f901", Kind: "code"}, {Label: "profile", Text: "Contractor"}}},
		{Code: "M3RT-9W8P", Href: "/admin/audit/M3RT-9W8P", Time: moment.Add(-4 * time.Minute), Kind: "signon", Outcome: "ok", Actor: "Ana Silva", ActorHref: "/admin/users/usr_a", App: "Your Benefits", AppHref: "/admin/apps/app_1", Address: "198.51.100.23", Text: "Ana Silva signed on to Your Benefits."},
		{Code: "D5HN-4C2V", Href: "/admin/audit/D5HN-4C2V", Time: moment.Add(-25 * time.Hour), Kind: "signin", Outcome: "failed", Reason: "bad_password", Address: "192.0.2.99", Text: "Sign-in failed for an unknown name.", Count: 1312},
		{Code: "Q8ZL-7B6F", Href: "/admin/audit/Q8ZL-7B6F", Time: moment.Add(-90 * 24 * time.Hour), Kind: "app.add", Outcome: "ok", Actor: "uid 0", App: longName, AppHref: "/admin/apps/app_9"}}
}

func choices(n int, word string) []Choice {
	list := make([]Choice, n)
	for i := range list {
		list[i] = Choice{ID: fmt.Sprintf("%s_%d", word, i), Name: fmt.Sprintf("%s %d", word, i+1), Hint: countWords(i*7, "person", "people"), Checked: i == 1}
	}
	if n > 2 {
		list[2].Name = longName
	}
	return list
}
