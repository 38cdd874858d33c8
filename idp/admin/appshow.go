package admin

import (
	"fmt"
	"time"

	"crypto/x509"

	"gatehouse/idp/api"
	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/sp/metadata"
	"gatehouse/store"
)

// wireApp is an app as lists show it.
func wireApp(app *sp.App) api.App {
	p := &app.Policy
	return api.App{
		ID: app.ID, Name: app.Definition.Name, Description: app.Definition.Description, State: string(app.State),
		Builtin: flow.IsBuiltin(app.ID), EntityID: app.EntityID(), ClientID: app.Credentials.ClientID, LogoURL: app.Definition.LogoURL,
		PermittedUsers: p.PermittedUsers, Permitted: len(p.Profiles) + len(p.PermissionSets) + len(p.Groups) + len(p.Users),
		Created: app.Created, CreatedBy: app.CreatedBy, Changed: app.Changed,
	}
}

// show is an app with everything about it.
func (a *Actions) show(tx store.Tx, app *sp.App) (api.App, error) {
	shown := wireApp(app)
	var err error
	if shown.Settings, err = appSettings(tx, app); err != nil {
		return shown, err
	}
	if saml := app.Definition.SAML; saml != nil {
		shown.SAML = wireSAML(&saml.Metadata)
	}
	if shown.OAuth, err = wireClient(tx, app); err != nil {
		return shown, err
	}
	shown.Warnings = append(append(appWarnings(app), a.endingMetadata(app)...), a.endingCertificates(app)...)
	unsigned, err := a.cannotSign(tx, app)
	shown.Warnings = append(shown.Warnings, unsigned...)
	return shown, err
}

func wireSAML(m *sp.Metadata) *api.SAML {
	wire := &api.SAML{
		EntityID: m.EntityID, SourceURL: m.SourceURL, Source: m.Source, ValidUntil: m.ValidUntil, NameIDFormats: m.NameIDFormats,
		RequestsSigned: m.AuthnRequestsSigned, DisplayName: m.DisplayName, LogoURL: m.LogoURL,
		ACS: wireEndpoints(m.ACS), SLO: wireEndpoints(m.SLO),
	}
	for i := range m.Keys {
		wire.Certificates = append(wire.Certificates, wireCertificate(&m.Keys[i]))
	}
	for _, service := range m.AttributeServices {
		for _, asked := range service.Requested {
			wire.Requested = append(wire.Requested, asked.Name)
		}
	}
	return wire
}

func wireEndpoints(list []sp.Endpoint) []api.Endpoint {
	wire := make([]api.Endpoint, len(list))
	for i, e := range list {
		wire[i] = api.Endpoint{Binding: e.Binding, Location: e.Location, Index: e.Index, Default: e.IsDefault != nil && *e.IsDefault}
	}
	return wire
}

func wireCertificate(key *sp.Key) api.Certificate {
	wire := api.Certificate{Use: string(key.Use), Fingerprint: key.Fingerprint()}
	if certificate, err := x509.ParseCertificate(key.Certificate); err == nil { // a bare key has none
		wire.Subject, wire.NotAfter = certificate.Subject.String(), certificate.NotAfter
	}
	return wire
}

// appWarnings are about the settings and the policy as they are.
func appWarnings(app *sp.App) []api.Warning {
	var list []api.Warning
	if app.Policy.LetsNobodyIn() {
		list = append(list, api.Warning{Code: api.WarnNobody, Severity: string(metadata.Caution), Text: "Nobody may use this app: its policy permits only those it names, and names none."})
	}
	if app.Definition.OAuth != nil && app.Definition.OAuth.Allows(sp.GrantClientCredentials) && app.Policy.RunAs == "" && !app.IsGateway() {
		list = append(list, api.Warning{Code: "no_run_as", Severity: string(metadata.Caution), Text: "The app may ask for tokens by its own credentials, but has nobody to act as: set oauth.run_as to a person (gatehouse app set APP oauth.run_as=NAME)."})
	}
	if app.Definition.OAuth != nil && app.Definition.OAuth.LacksKeys() {
		list = append(list, api.Warning{Code: "no_keys", Severity: string(metadata.Caution), Text: "The app may act for people by signed assertions (jwt-bearer), but has no keys to sign them with: set oauth.jwks_uri or oauth.jwks."})
	}
	if app.OlderSecrets() > 0 {
		list = append(list, api.Warning{Code: "older_secret", Severity: string(metadata.Caution), Text: fmt.Sprintf("The app acts in Gatehouse itself by scopes that it got at %s UTC, and a client secret from before that is still good: whoever held it has that power too. Replace the secret under Credentials (gatehouse app rotate-secret APP --replace).", app.Lent.UTC().Format("15:04 on 2 January 2006"))})
	}
	if app.OlderKeys() {
		list = append(list, api.Warning{Code: "older_key", Severity: string(metadata.Caution), Text: fmt.Sprintf("The app acts in Gatehouse itself by scopes that it got at %s UTC, and proves itself by keys from before: whoever held their private parts has that power too. If that may be somebody else, have the app make a new key, and give its public part (gatehouse app set APP oauth.jwks=@FILE).", app.Lent.UTC().Format("15:04 on 2 January 2006"))})
	}
	if app.Definition.SAML != nil {
		for _, text := range app.Definition.SAML.Cautions() {
			list = append(list, api.Warning{Code: "setting", Severity: string(metadata.Caution), Text: text})
		}
	}
	return list
}

// endingMetadata tells that sign-on has ended with the app's metadata, or ends within days.
func (a *Actions) endingMetadata(app *sp.App) []api.Warning {
	if app.Definition.SAML == nil {
		return nil
	}
	m := &app.Definition.SAML.Metadata
	warn := func(format string) []api.Warning {
		return []api.Warning{{Code: "metadata_ends", Severity: string(metadata.Caution), Text: fmt.Sprintf(format, m.ValidUntil.UTC().Format("2 January 2006, 15:04"))}}
	}
	switch {
	case m.Expired(a.Now()):
		return warn("The app's metadata was valid until %s UTC, so nobody can sign on: give it newer metadata.")
	case !m.ValidUntil.IsZero() && m.ValidUntil.Before(a.Now().Add(3*24*time.Hour)):
		return warn("The app's metadata is valid only until %s UTC; sign-on ends then unless it is renewed.")
	}
	return nil
}

func wireWarnings(list []metadata.Warning) []api.Warning {
	wire := make([]api.Warning, len(list))
	for i, w := range list {
		wire[i] = api.Warning{Code: w.Code, Text: w.Text, Severity: string(w.Severity)}
	}
	return wire
}

func wireDifferences(list []metadata.Change) []api.Difference {
	wire := make([]api.Difference, len(list))
	for i, c := range list {
		wire[i] = api.Difference(c)
	}
	return wire
}
