package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/idp/outbound"
	"gatehouse/idp/recovery"
	"gatehouse/sp"
	"gatehouse/store"
)

// Settings lists the organisation's settings.
func (a *Actions) Settings(ctx context.Context) (api.List[api.Setting], error) {
	var list api.List[api.Setting]
	err := a.view(ctx, func(tx store.Tx) (err error) {
		list.Items, err = allSettings(tx)
		return err
	})
	return list, err
}

// SetSettings changes the organisation's settings: all of them, or none. The logo is a data URI of a picture.
func (a *Actions) SetSettings(ctx context.Context, by By, values map[string]string) (api.List[api.Setting], error) {
	if len(values) == 0 {
		return api.List[api.Setting]{}, badValue("set", "Nothing was to be set: name at least one KEY=VALUE.")
	}
	var list api.List[api.Setting]
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if err := a.setSetting(tx, key, values[key]); err != nil {
				return audit.Event{}, fieldOf(key, err)
			}
		}
		var err error
		list.Items, err = allSettings(tx)
		return audit.Event{Kind: "settings.set", Facts: settingFacts(values)}, err
	})
	return list, err
}

func (a *Actions) setSetting(tx store.Tx, key, value string) error {
	if key == keyAdminMFA {
		return a.requireMFA(tx, value)
	}
	if key == mailServer && value != "" && value != sp.Undo {
		return a.setMailServer(tx, value)
	}
	if key == "logo" && value != "" && value != sp.Undo {
		picture, err := decodePicture(value)
		if err != nil {
			return err
		}
		return directory.SaveLogo(tx, picture)
	}
	settings, _, err := directory.LoadSettings(tx)
	if err != nil {
		return err
	}
	if err := settings.Set(key, value); err != nil {
		var input *directory.InputError
		if errors.As(err, &input) {
			return badValue(key, "%s", ended(input.Text)) // begins with the key, which has no capital
		}
		return err
	}
	return directory.SaveSettings(tx, settings)
}

// keyAdminMFA is a setting that says what the console's own policy says.
const keyAdminMFA = "signin.require_mfa_for_admins"

func allSettings(tx store.Tx) ([]api.Setting, error) {
	settings, _, err := directory.LoadSettings(tx)
	if err != nil {
		return nil, err
	}
	console, _, err := sp.Apps.Get(tx, flow.Console)
	if err != nil {
		return nil, err
	}
	return withAdminMFA(wireSettings(&settings), console.Policy.MinLevel == sp.High), nil
}

// withAdminMFA puts the setting that the console's policy holds among the others.
func withAdminMFA(list []api.Setting, required bool) []api.Setting {
	own := api.Setting{
		Key: keyAdminMFA, Value: strconv.FormatBool(required), IsDefault: !required, Default: "false", Kind: string(sp.KindBool),
		Label: "Second factor for administrators", Help: "Whoever opens the console or uses the API has to sign in with one: the least level of the app Console.",
	}
	i := slices.IndexFunc(list, func(s api.Setting) bool { return s.Key == "signin.mfa_enrolment" })
	return slices.Insert(list, i, own)
}

// DescribeSettings are the settings that the organisation has, without values.
func DescribeSettings() []api.Setting {
	list := withAdminMFA(wireSettings(&directory.Settings{}), false)
	for i := range list {
		list[i].Value, list[i].IsDefault = "", false
	}
	return list
}

// requireMFA sets the least level of the console's policy.
func (a *Actions) requireMFA(tx store.Tx, value string) error {
	console, _, err := sp.Apps.Get(tx, flow.Console)
	if err != nil {
		return err
	}
	switch value {
	case "true":
		console.Policy.MinLevel = sp.High
	case "false", "", sp.Undo:
		if console.Policy.MinLevel == sp.High {
			console.Policy.MinLevel = ""
		}
	default:
		return badValue(keyAdminMFA, "%s is true or false, not %.40q.", keyAdminMFA, value)
	}
	console.Changed = a.Now()
	return sp.Apps.Put(tx, &console)
}

// decodePicture reads a data URI in base64 (RFC 2397).
func decodePicture(value string) ([]byte, error) {
	header, data, found := strings.Cut(value, ";base64,")
	picture, err := base64.StdEncoding.DecodeString(data)
	if !found || !strings.HasPrefix(header, "data:") || err != nil {
		return nil, badValue("logo", "The logo is set from a picture file: write logo=@FILE.")
	}
	return picture, nil
}

// mailServer is the key whose value may hold a password.
const mailServer = "smtp.url"

// setMailServer stores the address of a mail server, with the password in it sealed and apart. An address with a user takes its
// password along each time, so that nobody can have one sent to another server.
func (a *Actions) setMailServer(tx store.Tx, value string) error {
	u, _, err := outbound.ParseMailServer(value)
	if err != nil {
		return badValue(mailServer, "%s", sentence(err.Error()))
	}
	settings, _, err := directory.LoadSettings(tx)
	if err != nil {
		return err
	}
	password, has := u.User.Password()
	if u.User.Username() != "" && !has {
		return badValue(mailServer, "Give the password too, like smtp://user:password@mail.example.org: what is stored is never shown, and not sent to another server.")
	}
	settings.SMTP.Password = nil
	if has {
		settings.SMTP.Password = a.Keyring.Seal.Seal(recovery.PasswordContext, []byte(password))
		u.User = url.User(u.User.Username())
	}
	settings.SMTP.URL = u.String()
	return directory.SaveSettings(tx, settings)
}

// settingFacts leaves the picture and the password of the mail server out of the audit.
func settingFacts(values map[string]string) map[string]string {
	facts := describe(values)
	if u, err := url.Parse(facts[mailServer]); facts[mailServer] != "" {
		facts[mailServer] = "a mail server"
		if err == nil && u.Host != "" {
			facts[mailServer] = u.Scheme + "://" + u.Host
		}
	}
	if strings.HasPrefix(facts["logo"], "data:") {
		facts["logo"] = "a picture"
	}
	return facts
}

// settingWords say what the organisation's keys are for. Default is what holds while nothing is set, where the key has no
// value of its own for that.
var settingWords = map[string]struct {
	label, help, standard string
	kind                  sp.Kind
}{
	"name":                      {"Name", "What people see on every page.", "Gatehouse", sp.KindText},
	"logo":                      {"Logo", "A picture file (logo=@FILE), shown in the place of the name.", "none", sp.KindText},
	"color":                     {"Colour", "Of buttons and links, such as #1a6b7c. Its text colour follows from it.", "Gatehouse’s own", sp.KindText},
	"support_contact":           {"Support contact", "An e-mail address, telephone number or web address for people who cannot get on.", "none", sp.KindText},
	"saml.entity_id":            {"Entity ID", "The name of this identity provider towards every app. Changing it breaks each app until it has the new one.", "the metadata address", sp.KindText},
	"saml.want_signed_requests": {"Want signed requests", "Tell apps in the metadata that their requests should be signed.", "", sp.KindBool},
	"saml.metadata_lifetime":    {"Metadata lifetime", "How long an app may use the metadata before it fetches it again.", "", sp.KindDuration},
	"saml.scope":                {"Scopes", "The domains that scoped attributes, such as ana@example.org, may name: told to apps in the metadata. Several with commas.", "none", sp.KindText},
	"saml.information_url":      {"Information page", "An https page about signing in here, for people: told to apps in the metadata.", "none", sp.KindText},
	"saml.privacy_url":          {"Privacy statement", "An https page that says what happens with personal data: told to apps in the metadata.", "none", sp.KindText},
	"saml.security_contact":     {"Security contact", "The e-mail address for security incidents: told to apps in the metadata.", "the support contact", sp.KindText},
	"saml.authn_contexts":       {"Own context classes", "Authentication context classes of your own that apps may ask for, such as https://example.org/ac/strong=high: the word is low, standard, high, password, totp or passkey. Several with commas.", "none", sp.KindText},
	"session.idle":              {"Idle limit", "A session that is not used for this long ends.", "", sp.KindDuration},
	"session.max":               {"Longest session", "After this long people sign in again in any case.", "", sp.KindDuration},
	"throttle.account":          {"Failures per account", "Wrong passwords in a row before an account has to wait.", "", sp.KindText},
	"throttle.address":          {"Failures per network", "Failed sign-ins a minute before a network has to wait. Good ones never count.", "", sp.KindText},
	"signin.methods":            {"Methods", "What people may sign in with.", "", sp.KindList},
	"signin.mfa_enrolment":      {"Setting up a second factor", "How people get their first one.", "", sp.KindChoice},
	"signin.mfa_grace":          {"Grace for a second factor", "For how long people may put off setting one up, counted from the first time they do. Only apps whose policy.on_low_level is grace wait.", "", sp.KindDuration},
	"smtp.url":                  {"Mail server", "Such as smtp://user:password@mail.example.org. The password is stored sealed and never shown. Needed for forgotten passwords, invitations and notices by e-mail.", "none", sp.KindText},
	"smtp.from":                 {"Sender", "The e-mail address that mail comes from.", "none", sp.KindText},
	"smtp.notices":              {"Notices", "Tell people by e-mail about new browsers, a changed password and a used link.", "", sp.KindBool},
	"oauth.disabled_grants":     {"Switched-off grant types", "Ways to get OAuth tokens that no app may use here, whatever it is set to.", "none", sp.KindList},
	"oauth.open_registration":   {"Open registration", "Clients may register themselves without an initial access token; each waits until an administrator approves it.", "", sp.KindBool},
	"oauth.legacy_methods":      {"Legacy grant types", "Only for old software that can do nothing else, in apps that list it in oauth.grant_types.", "", sp.KindChoice},
	"audit.retention":           {"Audit entries", "How long they are kept.", "", sp.KindDuration},
	"trace.retention":           {"Traces", "How long the details of single sign-ons are kept.", "", sp.KindDuration},

	"oauth.client_id_metadata_documents": {"Client-ID metadata documents", "Clients may name themselves by the https address of a document about them; each waits until an administrator approves it.", "", sp.KindBool},

	"saml.entity_categories":        {"Entity categories", "Entity categories that this identity provider belongs to, such as http://refeds.org/category/hide-from-discovery: told in the metadata. Several with commas.", "none", sp.KindText},
	"saml.supported_categories":     {"Supported categories", "Entity categories of apps to which attributes are released: told in the metadata. Several with commas.", "none", sp.KindText},
	"saml.assurance_certifications": {"Assurance", "Assurance profiles that the organisation is certified for, such as https://refeds.org/sirtfi: told in the metadata. Several with commas.", "none", sp.KindText},
	"saml.ip_hints":                 {"Networks of your people", "Discovery services suggest this identity provider to browsers from there, such as 192.0.2.0/24. Several with commas.", "none", sp.KindText},
	"saml.domain_hints":             {"Domains of your people", "Discovery services suggest this identity provider for these domains. Several with commas.", "none", sp.KindText},
	"saml.geolocation_hints":        {"Places", `Discovery services show this identity provider near there: a JSON array such as ["geo:52.52,13.40"].`, "none", sp.KindText},
}

func wireSettings(s *directory.Settings) []api.Setting {
	var list []api.Setting
	for _, one := range s.List() {
		words := settingWords[one.Key]
		setting := api.Setting{
			Key: one.Key, Value: one.Value, IsDefault: one.IsDefault, Default: one.Default,
			Label: words.label, Help: words.help, Kind: string(words.kind),
		}
		if setting.Default == "" {
			setting.Default = words.standard
		}
		list = append(list, withOptions(setting))
	}
	return list
}
