package admin

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/grants"
	"gatehouse/sp"
	"gatehouse/store"
)

// request stores an open request of a person for an app.
func (w *world) request(user, app string) string {
	w.t.Helper()
	r := grants.Request{
		ID: grants.NewRequestID(testNow), User: user, App: app, Why: "<b>why</b>", Asked: testNow, State: grants.Asked,
		Wanted: grants.Span{For: 5 * 24 * time.Hour},
	}
	must(w.t, w.store.Update(w.t.Context(), func(tx store.Tx) error { return grants.Requests.Put(tx, &r) }))
	return r.ID
}

func TestRequestsAreAnsweredByRole(t *testing.T) {
	w := newWorld(t)
	bob, app := w.person("bob"), w.app("payroll")
	_, err := w.SetApp(t.Context(), socket, app, map[string]string{"policy.permitted_users": sp.PermitPreauthorized, "policy.approvers": "bob"})
	must(t, err)
	for _, role := range Roles() {
		by := w.person("a-"+role, role)
		id := w.request(bob.ID, app)
		w.actor = by.Actor
		server := w.server()
		status, page := send(t, server, "GET", "/admin/requests", "", "")
		reads := slices.Contains([]string{RoleOwner, RoleAppAdmin, RoleAuditor}, role)
		writes := slices.Contains([]string{RoleOwner, RoleAppAdmin}, role)
		if reads != (status == http.StatusOK) || writes != strings.Contains(page, "/admin/requests/"+id+"/approve") {
			t.Errorf("%s: %d\n%s", role, status, page)
		}
		if reads && !strings.Contains(page, "&lt;b&gt;why") {
			t.Errorf("%s does not see the request, or it is alive:\n%s", role, page)
		}
		status, page = post(t, server, "/admin/requests/"+id+"/deny", "text", "No.")
		list, err := w.Requests(t.Context(), api.RequestQuery{State: string(grants.Asked)})
		must(t, err)
		if writes != (status == http.StatusSeeOther) || writes != (len(list.Items) == 0) || !writes && status != http.StatusForbidden {
			t.Errorf("%s: %d, open %+v\n%s", role, status, list.Items, page)
		}
		if !writes {
			_, err = w.DenyRequest(t.Context(), socket, id, api.Answer{})
			must(t, err)
		}
	}
	denied := w.entries("access.deny")
	if len(denied) != len(Roles()) || denied[0].User.Name != "bob" || denied[0].App.ID != app {
		t.Errorf("%+v", denied)
	}
}

func TestApproveRequestChecksItsValues(t *testing.T) {
	w := newWorld(t)
	bob, ada, app := w.person("bob"), w.person("ada", RoleOwner), w.app("payroll")
	id := w.request(bob.ID, app)
	for field, answer := range map[string]api.Answer{
		"for":   {For: "soon"},
		"for ":  {For: "400d"},
		"for  ": {For: "7d", Until: testNow.AddDate(0, 0, 1)},
		"until": {Until: testNow.Add(-time.Hour)},
		"text":  {Text: strings.Repeat("x", grants.MaxText+1)},
	} {
		_, err := w.ApproveRequest(t.Context(), ada, id, answer)
		if public := asPublic(err); public == nil || public.Status != http.StatusBadRequest || strings.TrimSpace(public.Field) == "" {
			t.Errorf("%s: %v", field, err)
		}
	}
	_, err := w.DenyRequest(t.Context(), ada, id, api.Answer{For: "7d"})
	refusal(t, err, http.StatusBadRequest, "bad_value", "for")
	_, err = w.Requests(t.Context(), api.RequestQuery{State: "open"})
	refusal(t, err, http.StatusBadRequest, "bad_value", "state")
	_, err = w.Requests(t.Context(), api.RequestQuery{After: "nonsense"})
	refusal(t, err, http.StatusBadRequest, "bad_value", "after")
	_, err = w.Requests(t.Context(), api.RequestQuery{User: "nobody"})
	refusal(t, err, http.StatusNotFound, "not_found", "user")
	_, err = w.RevokeGrant(t.Context(), ada, api.RevokeGrant{User: "bob", App: app})
	refusal(t, err, http.StatusNotFound, "not_found", "user")
	_, err = w.RevokeGrant(t.Context(), ada, api.RevokeGrant{User: "bob"})
	refusal(t, err, http.StatusBadRequest, "bad_value", "user")
	own := w.request(ada.ID, app)
	_, err = w.ApproveRequest(t.Context(), ada, own, api.Answer{})
	refusal(t, err, http.StatusForbidden, "own_request", "request")

	approved, err := w.ApproveRequest(t.Context(), ada, id, api.Answer{}) // as long as asked
	must(t, err)
	if !approved.Until.Equal(testNow.AddDate(0, 0, 5)) || approved.WantedFor != "5d" || approved.By.Name != "ada" {
		t.Errorf("%+v", approved)
	}
	if n := len(w.entries("access.approve")); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// TestRevokeKeepsWhoIsPermitted leaves the app in the session of somebody whom the policy permits by now without the grant.
func TestRevokeKeepsWhoIsPermitted(t *testing.T) {
	for _, permitted := range []bool{true, false} {
		w := newWorld(t)
		bob, app := w.person("bob"), w.app("payroll")
		_, err := w.SetApp(t.Context(), socket, app, map[string]string{"policy.permitted_users": sp.PermitPreauthorized, "policy.approvers": "bob"})
		must(t, err)
		_, err = w.ApproveRequest(t.Context(), socket, w.request(bob.ID, app), api.Answer{For: "1h"})
		must(t, err)
		w.signIn(bob.ID, app)
		if permitted {
			_, err = w.SetApp(t.Context(), socket, app, map[string]string{"policy.users": "bob"})
			must(t, err)
		}
		_, err = w.RevokeGrant(t.Context(), socket, api.RevokeGrant{User: "bob", App: "payroll"})
		must(t, err)
		list, err := w.Sessions(t.Context(), "bob", app)
		must(t, err)
		if (len(list.Items) == 1) != permitted {
			t.Errorf("permitted %v: %d sessions with the app", permitted, len(list.Items))
		}
	}
}

// TestAnswerFormKeepsWhatWasPosted shows the form of a refused answer again, on the page that it was on.
func TestAnswerFormKeepsWhatWasPosted(t *testing.T) {
	w := newWorld(t)
	bob, ada, app := w.person("bob"), w.person("ada", RoleOwner), w.app("payroll")
	id := w.request(bob.ID, app)
	w.actor = ada.Actor
	server := w.server()
	status, page := post(t, server, "/admin/requests/"+id+"/approve", "span", "date", "until", "2001-02-03", "text", "Kept <i>.", "back", app)
	for _, want := range []string{`href="#f-until-` + id + `"`, `value="2001-02-03"`, "Kept &lt;i&gt;.", `aria-label="App"`} {
		if status != http.StatusUnprocessableEntity || !strings.Contains(page, want) {
			t.Errorf("%d, no %s in\n%s", status, want, page)
		}
	}
	if list, err := w.Grants(t.Context(), api.RequestQuery{}); err != nil || len(list.Items) != 0 {
		t.Errorf("%+v, %v", list.Items, err)
	}
	for view, want := range map[string]string{"waiting": id, "all": "waiting", "now": "Nobody has access"} {
		if status, page := send(t, server, "GET", "/admin/requests?view="+view, "", ""); status != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("%s: %d\n%s", view, status, page)
		}
	}
}
