package idptest

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestSCIMEntra sends what Microsoft Entra ID sends, after its documentation "Tutorial: Develop and plan provisioning for a SCIM
// endpoint": operations with capitals, booleans as words, paths with filters, values without a path and with dots in their names.
func TestSCIMEntra(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	c := s.scim(t)
	if found, total := c.found("/Users?filter=" + escaped(`userName eq "Test_User_dfeef4c5-5681-4387-b016-bdf221e82081"`)); len(found) != 0 || total != 0 {
		t.Errorf("before: %v", found)
	}
	made := c.ok(201, "POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","`+enterprise+`"],"externalId":"0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef",
		"userName":"Test_User_ab6490ee","active":true,"addresses":[{"type":"work","formatted":"x"}],"emails":[{"primary":true,"type":"work","value":"Test_User_11bb11bb@testuser.com"}],"meta":{"resourceType":"User"},
		"name":{"formatted":"givenName familyName","familyName":"familyName","givenName":"givenName"},"roles":[]}`)
	id := made["id"].(string)
	shown := c.ok(200, "PATCH", "/Users/"+id, patch(`{"op":"Replace","path":"emails[type eq \"work\"].value","value":"updatedEmail@microsoft.com"},{"op":"Replace","path":"name.familyName","value":"updatedFamilyName"},
		{"op":"Add","path":"addresses[type eq \"work\"].formatted","value":"Street 1"},{"op":"Add","path":"title","value":"Nurse"},{"op":"Add","path":"`+enterprise+`:department","value":"Ward 3"},
		{"op":"Replace","value":{"displayName":"Updated","name.givenName":"Dotted","`+enterprise+`:costCenter":"77"}},{"op":"Replace","path":"active","value":"False"}`))
	if member(shown, "emails", "value") != "updatedEmail@microsoft.com" || member(shown, "name", "familyName") != "updatedFamilyName" || member(shown, "name", "givenName") != "Dotted" ||
		shown["displayName"] != "Updated" || shown["active"] != false || member(shown, enterprise, "department") != "Ward 3" || member(shown, enterprise, "costCenter") != "77" {
		t.Errorf("after PATCH: %v", shown)
	}
	shown = c.ok(200, "PATCH", "/Users/"+id, patch(`{"op":"Replace","path":"active","value":"True"},{"op":"Remove","path":"emails[type eq \"work\"]"},{"op":"Remove","path":"`+enterprise+`:department"}`))
	if shown["active"] != true || shown["emails"] != nil || member(shown, enterprise, "department") != nil {
		t.Errorf("after the removal: %v", shown)
	}
	c.refused(400, "noTarget", "PATCH", "/Users/"+id, patch(`{"op":"Replace","path":"emails[type eq \"home\"].value","value":"x@example.org"}`))
	shown = c.ok(200, "PATCH", "/Users/"+id, patch(`{"op":"Add","path":"emails[type eq \"work\"].value","value":"again@example.org"}`))
	if member(shown, "emails", "value") != "again@example.org" {
		t.Errorf("after the add: %v", shown)
	}

	group := c.ok(201, "POST", "/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group","http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],"externalId":"8aa1a0c0","displayName":"displayName","meta":{"resourceType":"Group"}}`)
	gid := group["id"].(string)
	ben := c.add("ben")
	c.ok(200, "PATCH", "/Groups/"+gid, patch(`{"op":"Add","path":"members","value":[{"$ref":null,"value":"`+id+`"},{"$ref":null,"value":"`+ben+`"}]}`))
	c.ok(200, "PATCH", "/Groups/"+gid, patch(`{"op":"Replace","path":"displayName","value":"Renamed"},{"op":"Remove","path":"members[value eq \"`+id+`\"]"}`))
	if shown := c.ok(200, "GET", "/Groups/"+gid, ""); shown["displayName"] != "Renamed" || len(shown["members"].([]any)) != 1 || member(shown, "members", "value") != ben {
		t.Errorf("group: %v", shown)
	}
	c.ok(200, "PATCH", "/Groups/"+gid, patch(`{"op":"Remove","path":"members","value":[{"value":"`+ben+`"}]}`))
	if shown := c.ok(200, "GET", "/Groups/"+gid, ""); shown["members"] != nil {
		t.Errorf("group: %v", shown)
	}
}

// TestSCIMOkta sends what Okta sends, after its documentation "SCIM 2.0 protocol reference": a whole PUT, changes without a path,
// with the id repeated, and groups by replace.
func TestSCIMOkta(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	c := s.scim(t)
	user := func(active bool, name string) string {
		return fmt.Sprintf(`{%s,"userName":"test.user@okta.local","name":{"givenName":%q,"familyName":"User"},"emails":[{"primary":true,"value":"test.user@okta.local","type":"work"}],
			"displayName":"Test User","locale":"en-US","externalId":"00ujl29u0le5T6Aj10h7","groups":[],"password":"1mz050nq","active":%v}`, scimUser, name, active)
	}
	id := c.ok(201, "POST", "/Users", user(true, "Test"))["id"].(string)
	if shown := c.ok(200, "PUT", "/Users/"+id, user(true, "Another")); member(shown, "name", "givenName") != "Another" {
		t.Errorf("after PUT: %v", shown)
	}
	if shown := c.ok(200, "PATCH", "/Users/"+id, patch(`{"op":"replace","value":{"active":false}}`)); shown["active"] != false {
		t.Errorf("after PATCH: %v", shown)
	}
	gid := c.ok(201, "POST", "/Groups", `{`+scimGroup+`,"displayName":"Test SCIMv2","members":[]}`)["id"].(string)
	c.ok(200, "PATCH", "/Groups/"+gid, patch(`{"op":"replace","value":{"id":"`+gid+`","displayName":"Test SCIMv2 renamed"}}`))
	c.ok(200, "PATCH", "/Groups/"+gid, patch(`{"op":"remove","path":"members[value eq \"usr_gone\"]"},{"op":"add","path":"members","value":[{"value":"`+id+`","display":"test.user@okta.local"}]}`))
	c.ok(200, "PATCH", "/Groups/"+gid, patch(`{"op":"replace","path":"members","value":[{"value":"`+id+`"}]}`))
	if shown := c.ok(200, "GET", "/Groups/"+gid, ""); shown["displayName"] != "Test SCIMv2 renamed" || member(shown, "members", "value") != id {
		t.Errorf("group: %v", shown)
	}
}

// TestSCIMMalformed: each mistake is a 4xx in SCIM's own form, and nothing is half done.
func TestSCIMMalformed(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	c := s.scim(t)
	ana := c.add("ana")
	gid := c.ok(201, "POST", "/Groups", `{`+scimGroup+`,"displayName":"Crew"}`)["id"].(string)
	user, group := "/Users/"+ana, "/Groups/"+gid
	before, entries := fmt.Sprint(c.ok(200, "GET", user, ""), c.ok(200, "GET", group, "")), len(changes(s, t))
	for body, kind := range map[string]string{
		``: "invalidSyntax", `{`: "invalidSyntax", `[]`: "invalidSyntax", `null`: "invalidSyntax", `"x"`: "invalidSyntax", `{} {}`: "invalidSyntax", `{}`: "invalidSyntax", "\xff": "invalidSyntax",
		`{"schemas":"x","userName":"b"}`: "invalidSyntax", `{"schemas":[7],"userName":"b"}`: "invalidSyntax", `{` + scimUser + `,"userName":7}`: "invalidValue", `{` + scimUser + `}`: "invalidValue",
		`{` + scimUser + `,"userName":"b","username":"c"}`: "invalidSyntax", `{` + scimUser + `,"userName":"b","emails":5}`: "invalidValue", `{` + scimUser + `,"userName":"b","emails":[5]}`: "invalidValue",
		`{` + scimUser + `,"userName":"b","emails":[{"value":{}}]}`: "invalidValue", `{` + scimUser + `,"userName":"b","active":"perhaps"}`: "invalidValue", `{` + scimUser + `,"userName":"b","active":1}`: "invalidValue",
		`{` + scimUser + `,"userName":"b","name":"B"}`: "invalidValue", `{` + scimUser + `,"userName":"b","nonsense":1}`: "invalidSyntax", `{` + scimUser + `,"userName":"b","urn:x:y":{}}`: "invalidSyntax",
		`{` + scimUser + `,"userName":"b","` + enterprise + `":[]}`: "invalidValue", `{` + scimUser + `,"userName":"b","` + enterprise + `":{"rank":"x"}}`: "invalidSyntax", `{` + scimUser + `,"userName":"b","externalId":{}}`: "invalidValue",
		`{` + scimUser + `,"userName":"b","emails":[{"value":"no address"}]}`: "invalidValue", `{` + scimUser + `,"userName":"b c"}`: "invalidValue", `{` + scimUser + `,"userName":"` + strings.Repeat("b", 300) + `"}`: "invalidValue",
		`{` + scimUser + `,"userName":"b","password":"short"}`: "invalidValue", `{` + scimUser + `,"userName":"b","password":"` + strings.Repeat("p", 2000) + `"}`: "invalidValue", `{` + scimUser + `,"userName":"b\u0000"}`: "invalidValue",
		`{` + scimUser + `,"userName":"b","` + ownURN + `":{"profile":"None"}}`: "invalidValue", `{` + scimUser + `,"userName":"b","` + ownURN + `":{"permissionSets":["None"]}}`: "invalidValue",
		`{` + scimUser + `,"userName":"b","externalId":"` + strings.Repeat("e", 5000) + `"}`: "invalidValue",
	} {
		c.refused(400, kind, "POST", "/Users", body)
	}
	for operations, kind := range map[string]string{
		``: "invalidSyntax", `7`: "invalidSyntax", `{}`: "invalidSyntax", `{"op":"move","path":"active"}`: "invalidSyntax", `{"op":"remove"}`: "noTarget", `{"op":"add","value":"x"}`: "invalidValue",
		`{"op":"replace","path":7}`: "invalidPath", `{"op":"replace","path":"nonsense","value":1}`: "invalidPath", `{"op":"replace","path":"name.nonsense","value":1}`: "invalidPath", `{"op":"replace","path":"emails[","value":1}`: "invalidPath",
		`{"op":"replace","path":"emails[type eq]","value":1}`: "invalidPath", `{"op":"replace","path":"]]][[","value":1}`: "invalidPath", `{"op":"replace","path":"emails[nonsense eq \"x\"].value","value":"x"}`: "invalidPath",
		`{"op":"replace","path":"active[type eq \"x\"]","value":true}`: "invalidPath", `{"op":"replace","path":"` + strings.Repeat("a", 3000) + `","value":1}`: "invalidPath", `{"op":"replace","path":"..","value":1}`: "invalidPath",
		`{"op":"replace","path":"urn:x:y:z","value":1}`: "invalidPath", `{"op":"replace","path":"id","value":"x"}`: "mutability", `{"op":"replace","path":"meta","value":{}}`: "mutability", `{"op":"add","path":"groups","value":[{"value":"x"}]}`: "mutability",
		`{"op":"replace","path":"active","value":"maybe"}`: "invalidValue", `{"op":"remove","path":"userName"}`: "invalidValue", `{"op":"replace","path":"displayName","value":"New"},{"op":"replace","path":"name","value":7}`: "invalidValue",
		`{"op":"replace","path":"displayName","value":"New"},{"op":"replace","path":"password","value":"x"}`: "invalidValue", `{"op":"replace","path":"externalId","value":7}`: "invalidValue",
	} {
		c.refused(400, kind, "PATCH", user, patch(operations))
	}
	for operations, kind := range map[string]string{
		`{"op":"add","path":"members","value":[{"value":"` + ana + `"},{"value":"usr_none"}]}`: "invalidValue", `{"op":"add","path":"members","value":["x"]}`: "invalidValue", `{"op":"add","path":"members","value":[{}]}`: "invalidValue",
		`{"op":"add","path":"members","value":7}`: "invalidValue", `{"op":"remove","path":"members[display eq \"x\"]"}`: "invalidPath", `{"op":"replace","path":"members[value eq \"x\"]","value":{}}`: "invalidPath", `{"op":"replace","path":"members.value","value":"x"}`: "invalidPath",
		`{"op":"replace","path":"displayName","value":""},{"op":"add","path":"members","value":[{"value":"` + ana + `"}]}`: "invalidValue", `{"op":"replace","path":"nonsense","value":1}`: "invalidPath",
		`{"op":"add","path":"members","value":[` + strings.TrimSuffix(strings.Repeat(`{"value":"u"},`, 10_001), ",") + `]}`: "invalidValue",
	} {
		c.refused(400, kind, "PATCH", group, patch(operations))
	}
	huge := `{` + scimGroup + `,"displayName":"Huge","members":[` + strings.TrimSuffix(strings.Repeat(`{"value":"usr_00000000000000000000000000"},`, 40_000), ",") + `]}`
	c.refused(413, "", "POST", "/Groups", huge)
	c.refused(400, "invalidValue", "POST", "/Groups", `{`+scimGroup+`,"displayName":"Half","members":[{"value":"`+ana+`"},{"value":"usr_none"}]}`)
	c.refused(400, "invalidSyntax", "POST", "/Users", strings.Repeat(`{"a":`, 20_000))
	c.refused(415, "invalidSyntax", "POST", "/Users", `{}`, "Content-Type", "text/xml")
	for _, path := range []string{"/Users/none", "/Users/%00", "/Users/" + gid, "/Groups/" + ana, "/Users/" + strings.Repeat("x", 2000)} {
		c.refused(404, "", "GET", path, "")
		c.refused(404, "", "PATCH", path, patch(`{"op":"replace","path":"displayName","value":"x"}`))
	}
	if after := fmt.Sprint(c.ok(200, "GET", user, ""), c.ok(200, "GET", group, "")); after != before {
		t.Errorf("something was done:\n%s\n%s", before, after)
	}
	if _, total := c.found("/Users"); total != 1 {
		t.Errorf("%d people", total)
	}
	if _, total := c.found("/Groups"); total != 1 {
		t.Errorf("%d groups", total)
	}
	if now := len(changes(s, t)); now != entries {
		t.Errorf("%d entries of changes, before %d", now, entries)
	}
}

// changes are the audit entries of what SCIM did.
func changes(s *Server, t *testing.T) (list []string) {
	all, err := s.API.Audit(t.Context(), api.AuditQuery{Outcome: "ok", Limit: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range all.Items {
		if entry.Facts["via"] == "scim" {
			list = append(list, entry.Code)
		}
	}
	return list
}
