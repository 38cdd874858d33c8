package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/certs"
	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/federation"
	"gatehouse/idp/flow"
	"gatehouse/idp/outbound"
	"gatehouse/idp/recovery"
	"gatehouse/idp/session"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/store/bolt"
	"gatehouse/templates"
)

var testNow = time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)

// world is the package over a store in a temporary folder, with the parts around it that are real too.
type world struct {
	*Actions
	t     testing.TB
	admin *Admin
	store store.Store
	actor web.Actor // who the guard finds signed in

	recorded []string // reasons of refusals that left an audit entry
}

type fixedMetadata struct{}

func (fixedMetadata) IDPMetadata(_ context.Context, app string) ([]byte, error) {
	return []byte("<EntityDescriptor app='" + app + "'/>"), nil
}

func (fixedMetadata) SignerOf(app *sp.SAML, published []*certs.Key) string {
	for _, key := range published {
		if app.Settings.SigningKey == key.ID || app.Settings.SigningKey == "" && key.State == certs.Active {
			return key.ID
		}
	}
	return ""
}

func newWorld(t testing.TB) *world {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "gatehouse.db"), bolt.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, s.Close()) })
	now := func() time.Time { return testNow }
	w := &world{t: t, store: s}
	kit := &web.Kit{Now: now, Busy: func(error) bool { return false }, Brand: func(context.Context) templates.Brand { return templates.Brand{Name: "Acme"} }, Guard: w.guard,
		Record: func(_ *http.Request, refused *web.Error) string {
			w.recorded = append(w.recorded, refused.Reason)
			return "TEST-CODE"
		}}
	sealer, err := certs.NewSealer(make([]byte, 32))
	must(t, err)
	keys := &certs.Keyring{Seal: sealer, Now: now}
	w.admin = New(Deps{
		Kit: kit, Engine: &flow.Engine{Reachable: sp.Standard, Now: now}, Store: s, Directory: directory.New(s, now),
		Factors:  directory.NewSecondFactors(s, now, keys.Seal, "https://id.example.org"),
		Sessions: &session.Keeper{Now: now}, Audit: &audit.Log{Node: "test", Now: now}, Keys: keys,
		Fetcher: outbound.NewFetcher([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}), IdP: fixedMetadata{},
		BaseURL: "https://id.example.org", Now: now,
	})
	w.Actions = w.admin.Actions
	w.Desk = &recovery.Desk{Store: s, Directory: w.Directory, Engine: w.Engine, Mailer: &outbound.Mailer{}, Seal: sealer.Seal, Open: sealer.Open, BaseURL: w.BaseURL, Now: now}
	w.Sources = &federation.Keeper{Store: s, Audit: w.Audit, Fetch: outbound.NewFetcher([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}), Own: w.EntityID, Now: now}
	must(t, s.Update(t.Context(), func(tx store.Tx) error {
		for _, app := range flow.BuiltinApps() {
			if err := sp.Apps.Put(tx, &app); err != nil {
				return err
			}
		}
		return nil
	}))
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// guard stands for the session and checks the permission as the server does.
func (w *world) guard(_ http.ResponseWriter, r *http.Request, need web.Permission) (*http.Request, error) {
	web.Of(r).Actor = w.actor
	if !Allows(w.actor.Roles, need) {
		return nil, &web.Error{Status: http.StatusForbidden, Reason: "no_permission", Text: "Your role does not allow this."}
	}
	return r, nil
}

// socket is an actor on the unix socket.
var socket = By{Actor: web.Actor{ID: "uid 0"}}

// person adds a person with roles and makes the actor that they are once signed in.
func (w *world) person(name string, roles ...string) By {
	w.t.Helper()
	user, err := w.AddUser(w.t.Context(), socket, api.NewUser{Name: name, Roles: roles})
	must(w.t, err)
	return By{Actor: web.Actor{ID: user.ID, Name: name, Roles: roles}, Address: netip.MustParseAddr("192.0.2.7")}
}

// signIn opens a session for a person that has reached apps.
func (w *world) signIn(user string, apps ...string) session.Session {
	w.t.Helper()
	var s session.Session
	must(w.t, w.store.Update(w.t.Context(), func(tx store.Tx) (err error) {
		_, s, err = w.Keeper.Start(tx, session.Opening{User: user, Methods: []session.Method{{Name: session.MethodPassword, At: testNow}}, Limits: session.Limits{Idle: time.Hour, Max: time.Hour}})
		for _, app := range apps {
			if err == nil {
				err = w.Keeper.AddApp(tx, &s, session.AppReached{App: app, At: testNow})
			}
			if err == nil {
				s, _, err = session.Table.Get(tx, s.ID)
			}
		}
		return err
	}))
	return s
}

// metadataOf is a service provider's metadata.
func metadataOf(entityID string, acs ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID=%q>`+"\n"+
		`<SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">`+"\n", entityID)
	for i, location := range acs {
		fmt.Fprintf(&b, `<AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location=%q index="%d"/>`+"\n", location, i)
	}
	b.WriteString("</SPSSODescriptor></EntityDescriptor>\n")
	return b.String()
}

// app adds an app and returns its id.
func (w *world) app(name string) string {
	w.t.Helper()
	added, err := w.AddApp(w.t.Context(), socket, api.NewApp{Metadata: metadataOf("https://"+name+".example/md", "https://"+name+".example/acs"), Name: name})
	must(w.t, err)
	return added.App.ID
}

// entries are the audit entries of a kind.
func (w *world) entries(kind string) []api.AuditEntry {
	w.t.Helper()
	list, err := w.AuditEntries(w.t.Context(), api.AuditQuery{Kind: kind})
	must(w.t, err)
	return list.Items
}

// refusal checks that an error is public with this status and reason and names the field.
func refusal(t *testing.T, err error, status int, reason, field string) {
	t.Helper()
	public := asPublic(err)
	if public == nil || public.Status != status || public.Reason != reason || public.Field != field {
		t.Errorf("got %#v (%v), want %d %s %q", public, err, status, reason, field)
	}
	if public != nil && !strings.HasSuffix(public.Text, ".") && !strings.HasSuffix(public.Text, "?") {
		t.Errorf("not a sentence: %q", public.Text)
	}
}

// server serves the console and the API; the actor is w.actor.
func (w *world) server() *httptest.Server {
	mux := http.NewServeMux()
	for _, route := range w.admin.Routes() {
		path := route.Path
		if strings.HasSuffix(path, "/") {
			path += "{$}"
		}
		mux.Handle(route.Method+" "+path, w.admin.kit.Wrap(route))
	}
	server := httptest.NewServer(mux)
	w.t.Cleanup(server.Close)
	return server
}
