package scim

import (
	"net/http"
	"slices"
	"strings"

	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"
)

// The schemas served. Ours holds what RFC 7643 has no attribute for.
const (
	userURN       = schema.UserSchema
	groupURN      = schema.GroupSchema
	enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	gatehouseURN  = "urn:gatehouse:params:scim:schemas:extension:2.0:User"
)

// kind is a kind of resource: Known are the attributes of RFC 7643, Kept those of them that Gatehouse keeps. What is known and not
// kept is taken and dropped, because clients send all they have; what is not even known is refused as a mistake.
type kind struct {
	name, path, urn string
	known, kept     map[string]schema.Schema // by schema URN
}

func (h *Handlers) users() *kind {
	core, enterprise := schema.CoreUserSchema(), schema.ExtensionEnterpriseUser()
	keptCore := only(core, "userName", "displayName", "active", "password", "groups")
	keptCore.Attributes = append(keptCore.Attributes, nameAttribute(), emailsAttribute())
	return &kind{"User", "/Users", userURN,
		map[string]schema.Schema{userURN: core, enterpriseURN: enterprise, gatehouseURN: ours()},
		map[string]schema.Schema{userURN: keptCore, enterpriseURN: only(enterprise, enterpriseKept...), gatehouseURN: ours()},
	}
}

func (h *Handlers) groups() *kind {
	core := schema.CoreGroupSchema()
	return &kind{"Group", "/Groups", groupURN, map[string]schema.Schema{groupURN: core}, map[string]schema.Schema{groupURN: core}}
}

// enterpriseKept are the attributes of the enterprise extension that become attributes of the person, under the same names.
var enterpriseKept = []string{"employeeNumber", "costCenter", "organization", "division", "department"}

func only(s schema.Schema, names ...string) schema.Schema {
	s.Attributes = slices.DeleteFunc(slices.Clone(s.Attributes), func(a schema.CoreAttribute) bool { return !slices.Contains(names, a.Name()) })
	return s
}

func text(name, description string) schema.SimpleParams {
	return schema.SimpleStringParams(schema.StringParams{Name: name, Description: optional.NewString(description)})
}

func nameAttribute() schema.CoreAttribute {
	return schema.ComplexCoreAttribute(schema.ComplexParams{
		Name: "name", Description: optional.NewString("The components of the person's name."),
		SubAttributes: []schema.SimpleParams{text("familyName", "The family name."), text("givenName", "The given name.")},
	})
}

func emailsAttribute() schema.CoreAttribute {
	return schema.ComplexCoreAttribute(schema.ComplexParams{
		Name: "emails", MultiValued: true, Description: optional.NewString("One address is kept: the primary one, else the one of type work, else the first."),
		SubAttributes: []schema.SimpleParams{
			text("value", "The address, unique in the directory."), text("type", "Always work."),
			schema.SimpleBooleanParams(schema.BooleanParams{Name: "primary", Description: optional.NewString("Always true.")}),
		},
	})
}

func ours() schema.Schema {
	return schema.Schema{
		ID: gatehouseURN, Name: optional.NewString("Gatehouse User"), Description: optional.NewString("What decides about access in Gatehouse."),
		Attributes: schema.Attributes{
			schema.SimpleCoreAttribute(text("profile", "The name of the profile; without one the person gets the standard profile.")),
			schema.SimpleCoreAttribute(schema.SimpleStringParams(schema.StringParams{Name: "permissionSets", MultiValued: true, Description: optional.NewString("The names of the permission sets.")})),
		},
	}
}

// schemaOf finds a schema by its URN, in which case does not matter.
func schemaOf(all map[string]schema.Schema, urn string) (schema.Schema, bool) {
	for id, s := range all {
		if strings.EqualFold(id, urn) {
			return s, true
		}
	}
	return schema.Schema{}, false
}

func (h *Handlers) schemaObjects() []object {
	var all []object
	users := h.users().kept
	for _, s := range []schema.Schema{users[userURN], users[enterpriseURN], users[gatehouseURN], h.groups().kept[groupURN]} {
		one := object(s.ToMap())
		one["meta"] = object{"resourceType": "Schema", "location": h.BaseURL + Root + "/Schemas/" + s.ID}
		all = append(all, one)
	}
	return all
}

func (h *Handlers) typeObjects() []object {
	resource := func(k *kind, extensions ...any) object {
		return object{
			"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"}, "id": k.name, "name": k.name, "endpoint": k.path, "schema": k.urn,
			"schemaExtensions": extensions, "meta": object{"resourceType": "ResourceType", "location": h.BaseURL + Root + "/ResourceTypes/" + k.name},
		}
	}
	extension := func(urn string) any { return object{"schema": urn, "required": false} }
	return []object{resource(h.users(), extension(enterpriseURN), extension(gatehouseURN)), resource(h.groups(), []any{}...)}
}

func (h *Handlers) schemas(w http.ResponseWriter, r *http.Request) error {
	return h.unfiltered(w, r, h.schemaObjects())
}

func (h *Handlers) schema(w http.ResponseWriter, r *http.Request) error {
	return h.one(w, r, "schema", h.schemaObjects())
}

func (h *Handlers) resourceTypes(w http.ResponseWriter, r *http.Request) error {
	return h.unfiltered(w, r, h.typeObjects())
}

func (h *Handlers) resourceType(w http.ResponseWriter, r *http.Request) error {
	return h.one(w, r, "resource type", h.typeObjects())
}

// unfiltered is a list that takes no filter (RFC 7644, 4).
func (h *Handlers) unfiltered(w http.ResponseWriter, r *http.Request, all []object) error {
	if r.URL.Query().Get("filter") != "" {
		return forbidden("This list takes no filter: ask for all of it.")
	}
	writeJSON(w, http.StatusOK, listed(all, len(all), 1))
	return nil
}

func (h *Handlers) one(w http.ResponseWriter, r *http.Request, what string, all []object) error {
	for _, one := range all {
		if strings.EqualFold(one["id"].(string), r.PathValue("id")) {
			return h.answer(w, r, http.StatusOK, one)
		}
	}
	return missing(what, r.PathValue("id"))
}

// config tells what is served (RFC 7643, 5).
func (h *Handlers) config(w http.ResponseWriter, r *http.Request) error {
	no := object{"supported": false}
	return h.answer(w, r, http.StatusOK, object{
		"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"patch":   object{"supported": true}, "bulk": object{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
		"filter": object{"supported": true, "maxResults": maxPage}, "changePassword": object{"supported": true}, "sort": no, "etag": object{"supported": true},
		"authenticationSchemes": []any{object{"type": "oauthbearertoken", "name": "API token", "description": "A token made with gatehouse token create, with the scope directory.read or directory.write.", "primary": true}},
		"meta":                  object{"resourceType": "ServiceProviderConfig", "location": h.BaseURL + Root + "/ServiceProviderConfig"},
	})
}

// listed is a page of resources (RFC 7644, 3.4.2).
func listed(page []object, total, start int) object {
	resources := make([]any, len(page))
	for i := range page {
		resources[i] = page[i]
	}
	return object{
		"schemas": []any{"urn:ietf:params:scim:api:messages:2.0:ListResponse"}, "totalResults": total, "startIndex": start, "itemsPerPage": len(page), "Resources": resources,
	}
}
