package saml

import (
	"encoding/json"
	"slices"
	"strings"

	"gatehouse/idp/flow"
	"gatehouse/sp"
)

// Asks names what the app will be told, where its policy wants the person's consent: never by default, because an
// organisation answers for its SAML apps.
func (h *Handlers) Asks(facts *flow.Facts) []string {
	app := facts.App
	if app.Policy.Consent != sp.ConsentAlways || app.Definition.SAML == nil {
		return nil
	}
	var names []string
	for _, a := range app.Released() {
		names = append(names, told(&a))
	}
	if name := toldByName(facts); name != "" && !slices.Contains(names, name) {
		names = append(names, name)
	}
	return names
}

// toldByName says what the NameID of the answer tells: the format that the request asks for decides what it is made of.
func toldByName(facts *flow.Facts) string {
	settings := facts.App.Definition.SAML
	asked := new(Accepted)
	if err := json.Unmarshal(facts.Request.Payload, asked); err != nil || asked.NameIDFormat == "" {
		asked.NameIDFormat = settings.NameIDFormat() // of a request that is only supposed
	}
	if asked.NameIDFormat == sp.NameIDNone {
		return ""
	}
	source := settings.NameIDSource(asked.NameIDFormat)
	if source == sp.SourceOpaque {
		return "An identifier for your account"
	}
	return told(&sp.Attribute{Name: "NameID", Source: strings.TrimPrefix(source, "attribute:")})
}

// told says in the person's words what an attribute tells. It names the source, so that consent is asked for again when the
// app's developer fills the attribute from another one.
func told(a *sp.Attribute) string {
	if words, ok := sourceWords[a.Source]; ok {
		return words
	}
	name := a.FriendlyName
	if name == "" {
		name = a.Name
	}
	return name + " (" + a.Source + ")"
}

var sourceWords = map[string]string{
	"username": "Your user name", "name": "Your user name", "uid": "Your user name",
	"email": "Your e-mail address", "mail": "Your e-mail address",
	"display_name": "Your name", "displayName": "Your name", "cn": "Your name",
	"given_name": "Your given name", "givenName": "Your given name", "surname": "Your surname", "sn": "Your surname",
	sp.SourceSubjectID: "An identifier for your account that other apps get too", sp.SourcePairwiseID: "An identifier for your account",
	sp.SourcePrincipalName: "Your user name", sp.SourceScopedAffiliation: "What you are in your organisation", sp.SourceHomeOrganisation: "Your organisation",
	"groups": "The groups you are in", "profile": "Your profile", "permission_sets": "Your permission sets",
}
