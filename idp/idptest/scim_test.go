package idptest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gatehouse/idp/api"
	"gatehouse/idp/directory"
	"gatehouse/store"
)

// scimClient is a program that provisions with a token.
type scimClient struct {
	t      testing.TB
	s      *Server
	secret string
}

func (s *Server) scim(t testing.TB) *scimClient {
	t.Helper()
	if _, err := s.API.AddNamed(t.Context(), "profiles", api.Named{Name: "Standard"}); err != nil {
		t.Fatal(err)
	}
	return &scimClient{t, s, s.token(t, "hr", "directory.write")}
}

// do sends a request and reads the answer, an object or nothing. Headers come in pairs.
func (c *scimClient) do(method, path, body string, headers ...string) (int, map[string]any, http.Header) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.s.URL+"/scim/v2"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.secret)
	r.Header.Set("Content-Type", "application/scim+json; charset=utf-8")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	page := c.s.NewClient(c.t).Do(r)
	answer := map[string]any{}
	if page.Body != "" {
		if err := json.Unmarshal([]byte(page.Body), &answer); err != nil || page.Header.Get("Content-Type") != "application/scim+json" {
			c.t.Fatalf("%s %s: %s %v:\n%s", method, path, page.Header.Get("Content-Type"), err, page.Body)
		}
	}
	return page.Status, answer, page.Header
}

// ok wants a status and returns the answer.
func (c *scimClient) ok(status int, method, path, body string, headers ...string) map[string]any {
	c.t.Helper()
	got, answer, _ := c.do(method, path, body, headers...)
	if got != status {
		c.t.Fatalf("%s %s: %d instead of %d: %v", method, path, got, status, answer)
	}
	return answer
}

// refused wants an error in the form of RFC 7644, 3.12.
func (c *scimClient) refused(status int, kind, method, path, body string, headers ...string) {
	c.t.Helper()
	got, answer, _ := c.do(method, path, body, headers...)
	has, _ := answer["scimType"].(string)
	if got != status || has != kind || answer["status"] != fmt.Sprint(status) || answer["detail"] == "" || !strings.Contains(fmt.Sprint(answer["schemas"]), "messages:2.0:Error") {
		c.t.Errorf("%s %s %.150s: %d %v; want %d %q", method, path, body, got, answer, status, kind)
	}
}

// found lists the ids and the number of resources that a search finds.
func (c *scimClient) found(path string) (ids []string, total int) {
	c.t.Helper()
	answer := c.ok(200, "GET", path, "")
	for _, one := range answer["Resources"].([]any) {
		ids = append(ids, one.(map[string]any)["id"].(string))
	}
	return ids, int(answer["totalResults"].(float64))
}

func member(value any, path ...string) any {
	for _, name := range path {
		if list, ok := value.([]any); ok {
			if len(list) == 0 {
				return nil
			}
			value = list[0]
		}
		members, _ := value.(map[string]any)
		value = members[name]
	}
	return value
}

const (
	scimUser    = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"]`
	scimGroup   = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"]`
	enterprise  = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	ownURN      = "urn:gatehouse:params:scim:schemas:extension:2.0:User"
	filterQuery = "?filter="
)

func patch(operations string) string {
	return `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + operations + `]}`
}

// add makes a person and returns their id.
func (c *scimClient) add(name string, more ...string) string {
	c.t.Helper()
	body := fmt.Sprintf(`{%s,"userName":%q,"emails":[{"value":"%s@example.org","type":"work","primary":true}]%s}`, scimUser, name, name, strings.Join(more, ""))
	return c.ok(201, "POST", "/Users", body)["id"].(string)
}

// TestSCIMLife walks a person and a group from their making to their end.
func TestSCIMLife(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	c := s.scim(t)
	if _, err := s.API.AddNamed(t.Context(), "permission-sets", api.Named{Name: "Payroll"}); err != nil {
		t.Fatal(err)
	}
	status, ana, header := c.do("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","`+enterprise+`","`+ownURN+`"],"USERNAME":"ana","externalId":"hr-7",
		"name":{"givenName":"Ana","familyName":"Silva","formatted":"Ana Silva"},"displayName":"Ana Silva","title":"Nurse","emails":[{"value":"home@example.org","type":"home"},{"value":"ana@example.org","type":"work"}],
		"password":"`+Password+`","active":true,"`+enterprise+`":{"department":"Ward 3","manager":{"value":"x"}},"`+ownURN+`":{"permissionSets":["Payroll"]}}`)
	if status != 201 || header.Get("ETag") == "" || header.Get("Location") != member(ana, "meta", "location") || member(ana, "emails", "value") != "ana@example.org" || ana["password"] != nil ||
		member(ana, enterprise, "department") != "Ward 3" || member(ana, ownURN, "profile") != "Standard" || ana["externalId"] != "hr-7" || ana["title"] != nil {
		t.Fatalf("made: %d %v %v", status, ana, header)
	}
	id := ana["id"].(string)
	c.refused(409, "uniqueness", "POST", "/Users", `{`+scimUser+`,"userName":"ANA"}`)
	c.refused(409, "uniqueness", "POST", "/Users", `{`+scimUser+`,"userName":"other","emails":[{"value":"Ana@example.org"}]}`)
	c.refused(409, "uniqueness", "POST", "/Users", `{`+scimUser+`,"userName":"other","externalId":"hr-7"}`)
	if user, err := s.API.User(t.Context(), "ana"); err != nil || user.Surname != "Silva" || len(user.PermissionSets) != 1 || user.Attributes["department"][0] != "Ward 3" {
		t.Errorf("in the directory: %+v %v", user, err)
	}
	s.SignedIn(t, "ana")

	group := c.ok(201, "POST", "/Groups", `{`+scimGroup+`,"displayName":"Nurses","externalId":"g-1","members":[{"value":"`+id+`"}]}`)
	gid, version := group["id"].(string), member(group, "meta", "version").(string)
	if shown := c.ok(200, "GET", "/Users/"+id, ""); member(shown, "groups", "display") != "Nurses" {
		t.Errorf("groups of the person: %v", shown)
	}
	ben := c.add("ben")
	c.ok(200, "PATCH", "/Groups/"+gid, patch(`{"op":"add","path":"members","value":[{"value":"`+ben+`"}]}`))
	c.refused(412, "", "PUT", "/Groups/"+gid, `{`+scimGroup+`,"displayName":"Nobody"}`, "If-Match", version)
	if entry := s.Audit(t)[1]; entry.Kind != "group.set" || entry.Actor.Name != "token hr" || entry.Facts["added"] != ben {
		t.Errorf("audit: %+v", entry)
	}

	c.endsSessions(s, id, ben, gid)
}

// endsSessions goes on with the person: disabled, emptied, let in again, removed.
func (c *scimClient) endsSessions(s *Server, id, ben, gid string) {
	t := c.t
	t.Helper()
	// Disabled: signed out at once. A no-op leaves no entry and the same version.
	browser := s.SignedIn(t, "ana")
	etag := c.ok(200, "GET", "/Users/"+id, "")["meta"].(map[string]any)["version"].(string)
	if got, _, _ := c.do("GET", "/Users/"+id, "", "If-None-Match", etag); got != 304 {
		t.Errorf("If-None-Match: %d", got)
	}
	c.refused(412, "", "PATCH", "/Users/"+id, patch(`{"op":"replace","path":"active","value":false}`), "If-Match", `W/"1"`)
	c.ok(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","path":"active","value":false}`), "If-Match", etag)
	if page := browser.Get("/account"); page.URL.Path != "/login" {
		t.Errorf("disabled, and still at %s", page.URL)
	}
	entry := s.Audit(t)[0]
	for _, one := range s.Audit(t) {
		if one.Kind == "user.disable" {
			entry = one
		}
	}
	if entry.Kind != "user.disable" || entry.User.ID != id || entry.Facts["sessions"] == "0" {
		t.Errorf("audit: %+v", entry)
	}
	before := c.ok(200, "GET", "/Users/"+id, "")
	c.ok(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","value":{"active":false}}`))
	if after := c.ok(200, "GET", "/Users/"+id, ""); member(after, "meta", "version") != member(before, "meta", "version") {
		t.Error("a change that changes nothing made a new version")
	}

	// PUT: what is left out is emptied, but nobody is let in again by it.
	put := c.ok(200, "PUT", "/Users/"+id, `{`+scimUser+`,"userName":"ana"}`)
	if put["displayName"] != nil || put["emails"] != nil || put["active"] != false || member(put, ownURN, "permissionSets") == nil {
		t.Errorf("after PUT: %v", put)
	}
	c.ok(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","path":"active","value":true},{"op":"replace","path":"password","value":"another good phrase"}`))
	if page := s.NewClient(t); page.SignIn(page.Get("/login"), "ana", "another good phrase").URL.Path != "/" {
		t.Error("the password that SCIM set is not taken")
	}

	browser = s.NewClient(t)
	browser.SignIn(browser.Get("/login"), "ana", "another good phrase")
	c.ok(204, "DELETE", "/Users/"+id, "")
	if page := browser.Get("/account"); page.URL.Path != "/login" {
		t.Errorf("removed, and still at %s", page.URL)
	}
	c.refused(404, "", "GET", "/Users/"+id, "")
	c.refused(404, "", "DELETE", "/Users/"+id, "")
	c.ok(204, "DELETE", "/Groups/"+gid, "")
	if shown := c.ok(200, "GET", "/Users/"+ben, ""); shown["groups"] != nil {
		t.Errorf("after the group's end: %v", shown)
	}
}

// TestSCIMSearch asks for people and groups as clients do.
func TestSCIMSearch(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	c := s.scim(t)
	ids := map[string]string{}
	for i, name := range []string{"ana", "ben", "anton", "cy"} {
		ids[name] = c.add(name, fmt.Sprintf(`,"externalId":"x%d","name":{"familyName":"Of %s"}`, i, name))
	}
	c.ok(200, "PATCH", "/Users/"+ids["cy"], patch(`{"op":"replace","path":"active","value":false}`))
	gid := c.ok(201, "POST", "/Groups", `{`+scimGroup+`,"displayName":"Crew","members":[{"value":"`+ids["ben"]+`"}]}`)["id"].(string)
	for query, want := range map[string]string{
		`userName eq "ANA"`: "ana", `externalId eq "x1"`: "ben", `externalId eq "X1"`: "", `emails eq "cy@example.org"`: "cy", `emails.value eq "cy@EXAMPLE.org"`: "cy",
		`emails[type eq "work" and value co "anton@"]`: "anton", `userName sw "an"`: "ana anton", `userName co "n" and active eq true`: "ana anton ben", `active eq "False"`: "cy",
		`userName eq "ana" or userName eq "ben"`: "ana ben", `name.familyName eq "of cy"`: "cy", `displayName pr`: "", `id eq "` + ids["ben"] + `"`: "ben",
		`urn:ietf:params:scim:schemas:core:2.0:User:userName eq "cy"`: "cy", `groups.value eq "` + gid + `"`: "ben", `userName eq "ana" and active eq false`: "", `externalId eq "x0" and (userName sw "a" or userName sw "b")`: "ana",
	} {
		found, total := c.found("/Users" + filterQuery + escaped(query))
		var names []string
		for _, name := range []string{"ana", "anton", "ben", "cy"} {
			for _, id := range found {
				if id == ids[name] {
					names = append(names, name)
				}
			}
		}
		if strings.Join(names, " ") != want || total != len(names) {
			t.Errorf("%s: %v (%d), want %q", query, names, total, want)
		}
	}
	for _, query := range []string{`displayName eq "crew"`, `members eq "` + ids["ben"] + `"`, `id eq "` + gid + `" and members eq "` + ids["ben"] + `"`, `displayName sw "Cr"`} {
		if found, _ := c.found("/Groups" + filterQuery + escaped(query)); len(found) != 1 || found[0] != gid {
			t.Errorf("%s: %v", query, found)
		}
	}
	if found, _ := c.found("/Groups" + filterQuery + escaped(`members.value eq "`+ids["ana"]+`"`)); len(found) != 0 {
		t.Errorf("ana is in %v", found)
	}
	for _, query := range []string{`userName`, `userName xx "a"`, `nickName eq "a"`, `userName ne "a"`, `meta.lastModified gt "2020-01-01T00:00:00Z"`, `not (userName eq "a")`, `userName eq`, `userName eq 7`, `(((`, `userName eq "a`, strings.Repeat("(", 3000), "\x00", `emails[`, `urn:x:y eq "a"`, `password eq "x"`} {
		c.refused(400, "invalidFilter", "GET", "/Users"+filterQuery+escaped(query), "")
		c.refused(400, "invalidFilter", "GET", "/Groups"+filterQuery+escaped(query), "")
	}

	// Okta's probe, and pages.
	answer := c.ok(200, "GET", "/Users?startIndex=1&count=1", "")
	if answer["totalResults"] != 4.0 || answer["itemsPerPage"] != 1.0 || answer["startIndex"] != 1.0 {
		t.Errorf("probe: %v", answer)
	}
	first, _ := c.found("/Users?startIndex=1&count=3")
	second, _ := c.found("/Users?startIndex=4&count=3")
	if len(first) != 3 || len(second) != 1 || strings.Contains(strings.Join(first, " "), second[0]) {
		t.Errorf("pages: %v, %v", first, second)
	}
	if found, total := c.found("/Users?count=0"); len(found) != 0 || total != 4 {
		t.Errorf("count=0: %v of %d", found, total)
	}
	if found, total := c.found("/Users?startIndex=-3&count=2&filter=" + escaped(`userName sw "a"`)); len(found) != 2 || total != 2 {
		t.Errorf("startIndex=-3: %v of %d", found, total)
	}
	c.refused(400, "invalidValue", "GET", "/Users?startIndex=one", "")
	few := c.ok(200, "GET", "/Users/"+ids["ana"]+"?attributes=userName,name.familyName", "")
	if few["id"] == nil || few["userName"] == nil || few["name"] == nil || few["emails"] != nil {
		t.Errorf("attributes: %v", few)
	}
	if group := c.ok(200, "GET", "/Groups/"+gid+"?excludedAttributes=members", ""); group["members"] != nil || group["displayName"] != "Crew" {
		t.Errorf("excludedAttributes: %v", group)
	}
}

func escaped(query string) string {
	r := strings.NewReplacer(" ", "%20", `"`, "%22", "[", "%5B", "]", "%5D", "\x00", "%00")
	return r.Replace(query)
}

// TestSCIMSaysWhatItIs reads the three descriptions.
func TestSCIMSaysWhatItIs(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	c := s.scim(t)
	config := c.ok(200, "GET", "/ServiceProviderConfig", "")
	if member(config, "patch", "supported") != true || member(config, "bulk", "supported") != false || member(config, "authenticationSchemes", "type") != "oauthbearertoken" {
		t.Errorf("config: %v", config)
	}
	for _, path := range []string{"/Schemas", "/ResourceTypes"} {
		list := c.ok(200, "GET", path, "")
		for _, one := range list["Resources"].([]any) {
			if shown := c.ok(200, "GET", path+"/"+member(one, "id").(string), ""); shown["id"] != member(one, "id") {
				t.Errorf("%s: %v", path, shown)
			}
		}
		c.refused(404, "", "GET", path+"/none", "")
		c.refused(403, "", "GET", path+"?filter=id%20pr", "")
	}
	c.refused(404, "", "POST", "/Bulk", `{"Operations":[]}`)
	c.refused(404, "", "GET", "/Me", "")
	c.refused(404, "", "GET", "/None", "")
	c.refused(405, "", "DELETE", "/Users", "")
	c.secret = "gha_wrong"
	status, answer, header := c.do("GET", "/Users", "")
	if status != 401 || header.Get("WWW-Authenticate") == "" || answer["status"] != "401" {
		t.Errorf("a wrong token: %d %v", status, answer)
	}
}

// TestSCIMLeavesRolesAlone: a token of the directory takes over nobody who holds a role, and nobody of another directory.
func TestSCIMLeavesRolesAlone(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	c := s.scim(t)
	owner := s.AddPerson(t, "ada", "Standard", func(n *api.NewUser) { n.Roles = []string{"owner"} })
	desk := s.AddPerson(t, "dora", "Standard", func(n *api.NewUser) { n.Roles = []string{"help_desk"} })
	for _, id := range []string{owner.ID, desk.ID} {
		for path, value := range map[string]string{"password": `"a whole new phrase"`, "userName": `"mallory"`, "emails": `[{"value":"m@example.org"}]`, ownURN + ":permissionSets": `[]`} {
			if path == ownURN+":permissionSets" {
				continue // nothing to change
			}
			c.refused(403, "", "PATCH", "/Users/"+id, patch(`{"op":"replace","path":"`+path+`","value":`+value+`}`))
		}
		c.refused(400, "mutability", "PATCH", "/Users/"+id, patch(`{"op":"add","path":"roles","value":[{"value":"owner"}]}`))
		c.ok(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","path":"displayName","value":"Renamed"}`))
	}
	c.refused(400, "mutability", "POST", "/Users", `{`+scimUser+`,"userName":"eve","roles":[{"value":"owner"}]}`)
	c.refused(403, "", "PATCH", "/Users/"+owner.ID, patch(`{"op":"replace","path":"active","value":false}`))
	c.refused(403, "", "DELETE", "/Users/"+owner.ID, "")
	c.ok(200, "PATCH", "/Users/"+desk.ID, patch(`{"op":"replace","path":"active","value":false}`))
	c.refused(403, "", "PATCH", "/Users/"+desk.ID, patch(`{"op":"replace","path":"active","value":true}`))
	s.SignedIn(t, "ada")

	ben := c.add("ben")
	err := s.Store.Update(t.Context(), func(tx store.Tx) error {
		user, _, err := directory.Users.Get(tx, ben)
		user.Source, user.ExternalID = "corp", "uuid-1"
		if err == nil {
			err = directory.Users.Put(tx, &user)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c.refused(403, "", "PATCH", "/Users/"+ben, patch(`{"op":"replace","path":"displayName","value":"Other"}`))
	c.refused(403, "", "DELETE", "/Users/"+ben, "")
}
