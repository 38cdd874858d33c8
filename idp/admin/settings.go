package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"maps"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/sp"
	"gatehouse/store"
)

// Settings lists the organisation's settings.
func (a *Actions) Settings(ctx context.Context) (api.List[api.Setting], error) {
	var list api.List[api.Setting]
	err := a.view(ctx, func(tx store.Tx) error {
		settings, _, err := directory.LoadSettings(tx)
		list.Items = wireSettings(&settings)
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
			if err := setSetting(tx, key, values[key]); err != nil {
				return audit.Event{}, fieldOf(key, err)
			}
		}
		settings, _, err := directory.LoadSettings(tx)
		list.Items = wireSettings(&settings)
		return audit.Event{Kind: "settings.set", Facts: settingFacts(values)}, err
	})
	return list, err
}

func setSetting(tx store.Tx, key, value string) error {
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

// decodePicture reads a data URI in base64 (RFC 2397).
func decodePicture(value string) ([]byte, error) {
	header, data, found := strings.Cut(value, ";base64,")
	picture, err := base64.StdEncoding.DecodeString(data)
	if !found || !strings.HasPrefix(header, "data:") || err != nil {
		return nil, badValue("logo", "The logo is set from a picture file: write logo=@FILE.")
	}
	return picture, nil
}

// settingFacts leaves the picture out of the audit.
func settingFacts(values map[string]string) map[string]string {
	facts := describe(values)
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
	"logo":                      {"Logo", "A picture, shown in the place of the name.", "none", sp.KindText},
	"color":                     {"Colour", "Of buttons and links, such as #1a6b7c. Its text colour follows from it.", "Gatehouse’s own", sp.KindText},
	"support_contact":           {"Support contact", "An e-mail address, telephone number or web address for people who cannot get on.", "none", sp.KindText},
	"saml.entity_id":            {"Entity ID", "The name of this identity provider towards every app. Changing it breaks each app until it has the new one.", "the metadata address", sp.KindText},
	"saml.want_signed_requests": {"Want signed requests", "Tell apps in the metadata that their requests should be signed.", "", sp.KindBool},
	"saml.metadata_lifetime":    {"Metadata lifetime", "How long an app may use the metadata before it fetches it again.", "", sp.KindDuration},
	"saml.scope":                {"Scopes", "The domains that scoped attributes, such as ana@example.org, may name: told to apps in the metadata. Several with commas.", "none", sp.KindText},
	"saml.information_url":      {"Information page", "An https page about signing in here, for people: told to apps in the metadata.", "none", sp.KindText},
	"saml.privacy_url":          {"Privacy statement", "An https page that says what happens with personal data: told to apps in the metadata.", "none", sp.KindText},
	"saml.security_contact":     {"Security contact", "The e-mail address for security incidents: told to apps in the metadata.", "the support contact", sp.KindText},
	"session.idle":              {"Idle limit", "A session that is not used for this long ends.", "", sp.KindDuration},
	"session.max":               {"Longest session", "After this long people sign in again in any case.", "", sp.KindDuration},
	"throttle.account":          {"Failures per account", "Wrong passwords in a row before an account has to wait.", "", sp.KindText},
	"throttle.address":          {"Failures per network", "Failed sign-ins a minute before a network has to wait. Good ones never count.", "", sp.KindText},
	"signin.methods":            {"Methods", "What people may sign in with.", "", sp.KindText},
	"oauth.disabled_grants":     {"Switched-off grant types", "Ways to get OAuth tokens that no app may use here, whatever it is set to. Several with commas.", "none", sp.KindText},
	"audit.retention":           {"Audit entries", "How long they are kept.", "", sp.KindDuration},
	"trace.retention":           {"Traces", "How long the details of single sign-ons are kept.", "", sp.KindDuration},

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
		list = append(list, setting)
	}
	return list
}
