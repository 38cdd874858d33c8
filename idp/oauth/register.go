package oauth

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/audit"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
)

// Codes of registration (RFC 7591, 3.2.2).
const (
	codeInvalidRedirect = "invalid_redirect_uri"
	codeInvalidMetadata = "invalid_client_metadata"
)

// Registrations that are looked at in a minute: from one network, and under one parent.
const (
	newPerNetwork = 30
	newPerParent  = 120
)

// registered is what a client learns of itself (RFC 7591, 3.2.1; RFC 7592, 3).
type registered struct {
	ClientID      string `json:"client_id"`
	ClientSecret  string `json:"client_secret,omitempty"` // shown when it is made
	IssuedAt      int64  `json:"client_id_issued_at"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"` // 0: never
	Token         string `json:"registration_access_token"`
	URI           string `json:"registration_client_uri"`
	*sp.Registration
}

// register adds a client under the app whose initial access token is shown, or where the organisation allows that without one, under
// none. Nothing that the metadata names is fetched but a sector_identifier_uri.
func (h *Handlers) register(w http.ResponseWriter, r *http.Request) error {
	parent, problem, err := h.registrar(r)
	if err != nil {
		return err
	}
	var metadata sp.Registration
	if problem == nil {
		problem, err = readMetadata(r, &metadata)
	}
	if err != nil {
		return err
	}
	if problem == nil {
		problem = h.checkSector(r.Context(), &metadata)
	}
	var answer *registered
	if problem == nil {
		err = h.Store.Update(r.Context(), func(tx store.Tx) (err error) {
			answer, problem, err = h.admit(tx, r, parent, &metadata)
			return err
		})
	}
	if err != nil {
		return err
	}
	if problem != nil {
		return h.refused(r, "client.register", parent, problem)
	}
	web.WriteJSON(w, http.StatusCreated, answer)
	return nil
}

// registrar is the app under which a client registers; nil without a problem: none. Every try counts, the good ones too.
func (h *Handlers) registrar(r *http.Request) (*sp.App, *Problem, error) {
	network := "network " + audit.Network(web.Of(r).AddressText())
	if problem := h.crowded(network, newPerNetwork); problem != nil {
		return nil, problem, nil
	}
	if r.Header.Get("Authorization") == "" {
		settings, err := h.organisation(r.Context())
		if err == nil && !settings.OpenRegistration {
			return nil, badInitial("no_initial_token"), nil
		}
		return nil, h.crowded(sp.OpenParent, newPerParent), err
	}
	token := bearerOf(r)
	parent, err := h.clientOf(r.Context(), sp.ClientOfInitial(token))
	if err != nil || parent == nil || !parent.Credentials.IsInitial(token) {
		return nil, badInitial("bad_initial_token"), err
	}
	return parent, h.crowded(parent.ID, newPerParent), nil
}

// crowded counts one more of something, unless there was as much as the limit of it in this minute.
func (h *Handlers) crowded(what string, limit int) *Problem {
	if h.newcomers.over(what, h.Now(), limit) {
		return tooMany()
	}
	h.newcomers.count(what, h.Now())
	return nil
}

// bearerOf is the token in the header, the one place where registration reads it.
func bearerOf(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

func badInitial(reason string) *Problem {
	p := badToken()
	p.Reason, p.Text = reason, "Registration needs the initial access token of an app, and this is none that is good: it may have been made anew. Ask an administrator."
	return p
}

func tooMany() *Problem {
	return tryLater("too_many_registrations", "Too many clients register just now. Try again in a minute.", time.Minute)
}

// readMetadata reads the client metadata of a body; what it does not know it leaves alone (RFC 7591, 2).
func readMetadata(r *http.Request, into any) (*Problem, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return refuse(codeInvalidMetadata, "not_json", "Send the client metadata as JSON, with Content-Type: application/json."), nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err // too large, or cut off
	}
	if err := json.Unmarshal(body, into); err != nil {
		return refuse(codeInvalidMetadata, "bad_json", "The body is not the JSON of client metadata (RFC 7591)"+sp.Misfit(err)+".").because("", err.Error()), nil
	}
	return nil, nil
}

// admit makes the client, by what holds now.
func (h *Handlers) admit(tx store.Tx, r *http.Request, parent *sp.App, metadata *sp.Registration) (*registered, *Problem, error) {
	now := h.Now()
	parent, problem, err := stillParent(tx, parent, bearerOf(r))
	if problem != nil || err != nil {
		return nil, problem, err
	}
	app := h.newcomer(r, parent)
	if problem, err = room(tx, &app); problem != nil || err != nil {
		return nil, problem, err
	}
	if problem, err = h.describeClient(tx, &app, metadata); problem != nil || err != nil {
		return nil, problem, err
	}
	answer := h.answerOf(&app, app.NewManagementToken(now))
	if app.Definition.OAuth.HasSecret() {
		answer.giveSecret(app.AddSecret(now))
	}
	if err := sp.Apps.Put(tx, &app); err != nil {
		return nil, nil, err
	}
	return answer, nil, h.noteClient(tx, r, "client.register", &app, app.CreatedBy)
}

// newcomer is a client before its metadata is applied.
func (h *Handlers) newcomer(r *http.Request, parent *sp.App) sp.App {
	app := sp.NewChild(parent, h.Now())
	if parent == nil {
		app.Network = audit.Network(web.Of(r).AddressText())
	}
	return app
}

// room refuses a client where there are too many: under its parent, and of those that wait without one, from its network.
func room(tx store.Tx, app *sp.App) (*Problem, error) {
	count, err := sp.Apps.Count(tx, store.Page{Index: "parent", Value: app.Parent}, sp.MaxChildren)
	if err != nil {
		return nil, err
	}
	if count >= sp.MaxChildren {
		return noRoom("too_many_clients", "There are 1,000 clients here already. Remove those that are not used any more."), nil
	}
	if app.Network == "" {
		return nil, nil
	}
	count, err = sp.Apps.Count(tx, store.Page{Index: "waiting", Value: app.Network}, sp.MaxWaiting)
	if err != nil || count < sp.MaxWaiting {
		return nil, err
	}
	return noRoom("too_many_waiting", "100 clients from this network wait for an administrator already."), nil
}

func noRoom(reason, text string) *Problem {
	p := tooMany()
	p.Reason, p.Text, p.RetryAfter = reason, text, time.Hour
	return p
}

// stillParent is the parent as it is inside the transaction.
func stillParent(tx store.Tx, parent *sp.App, token string) (*sp.App, *Problem, error) {
	if parent == nil {
		return nil, nil, nil
	}
	app, _, err := sp.Apps.Get(tx, parent.ID)
	switch {
	case err != nil:
		return nil, nil, err
	case !app.Credentials.IsInitial(token) || app.Definition.OAuth == nil:
		return nil, badInitial("bad_initial_token"), nil
	case app.State != sp.Active:
		p := refuse(codeAccessDenied, "parent_not_active", "The app whose initial access token this is may register nothing now: it is blocked, or waits for approval.")
		p.Status, p.Challenge = http.StatusForbidden, bearerChallenge
		return nil, p, nil
	case len(app.AllowedScopes()) == 0:
		return nil, refuse(codeInvalidMetadata, "no_scopes", "The app whose initial access token this is may ask for no scopes, so its clients could not either: an administrator sets its oauth.scopes."), nil
	}
	return &app, nil, nil
}

// describeClient makes an app what its metadata says, and words what is wrong with it as RFC 7591, 3.2.2 does.
func (h *Handlers) describeClient(tx store.Tx, app *sp.App, metadata *sp.Registration) (*Problem, error) {
	err := app.Register(metadata)
	if err == nil {
		err = sp.CheckScopes(tx, "oauth.scopes", app.Definition.OAuth.Scopes)
	}
	var wrong *sp.SettingError
	switch {
	case errors.As(err, &wrong) && wrong.Key == "oauth.redirect_uris":
		return refuse(codeInvalidRedirect, "bad_redirect_uri", "redirect_uris: "+wrong.Reason+"."), nil
	case errors.As(err, &wrong):
		return refuse(codeInvalidMetadata, "bad_metadata", metadataName(wrong.Key)+": "+wrong.Reason+".").because("", wrong.Key), nil
	case err != nil:
		return nil, err
	}
	if client := app.Definition.OAuth; client.ShowsCertificate() && !slices.Contains(h.MTLS.methods(), client.Method()) {
		return refuse(codeInvalidMetadata, "certificates_off", "token_endpoint_auth_method: "+client.Method()+" is not offered here: see token_endpoint_auth_methods_supported of the discovery document."), nil
	}
	if app.Definition.OAuth.SigningAlgorithm() == sp.AlgorithmES256 {
		if _, _, err := h.Keys.Active(tx, certs.ECDSA); errors.Is(err, certs.ErrNoKey) {
			return refuse(codeInvalidMetadata, "no_signing_key", "id_token_signed_response_alg: there is no key for ES256 here, so ask for RS256."), nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// metadataName is what client metadata calls a setting.
func metadataName(key string) string {
	switch key {
	case "name":
		return "client_name"
	case "start_url":
		return "client_uri"
	case "logo_url":
		return "logo_uri"
	case "privacy_url":
		return "policy_uri"
	case "terms_url":
		return "tos_uri"
	case "contact":
		return "contacts"
	case "oauth.scopes":
		return "scope"
	}
	return strings.TrimPrefix(key, "oauth.")
}

func (h *Handlers) answerOf(app *sp.App, token string) *registered {
	id := app.Credentials.ClientID
	return &registered{ClientID: id, IssuedAt: app.Created.Unix(), Token: token, URI: h.BaseURL + registerPath + "/" + id, Registration: app.Registered()}
}

func (r *registered) giveSecret(secret string) {
	r.ClientSecret, r.SecretExpires = secret, new(int64)
}

// noteClient writes the audit entry of what a client, or its gateway, did to its registration.
func (h *Handlers) noteClient(tx store.Tx, r *http.Request, kind string, app *sp.App, actor string) error {
	return h.Engine.Append(tx, audit.Event{
		Kind: kind, Outcome: audit.OK, App: app.ID, Actor: actor, Address: web.Of(r).AddressText(),
		Facts: map[string]string{"name": app.Definition.Name, "client_id": app.Credentials.ClientID, "parent": app.Parent, "state": string(app.State)},
	})
}
