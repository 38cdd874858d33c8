package scim

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/elimity-com/scim/optional"
	"github.com/elimity-com/scim/schema"

	"gatehouse/idp/directory"
	"gatehouse/store"
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
		map[string]schema.Schema{userURN: core, enterpriseURN: enterprise, gatehouseURN: ours(nil, nil)},
		map[string]schema.Schema{userURN: keptCore, enterpriseURN: only(enterprise, enterpriseKept...), gatehouseURN: ours(nil, nil)},
	}
}

func (h *Handlers) groups() *kind {
	core := only(schema.CoreGroupSchema(), "displayName")
	core.Attributes = append(core.Attributes, membersAttribute())
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

func fixed(name, description string) schema.SimpleParams {
	return schema.SimpleStringParams(schema.StringParams{Name: name, Description: optional.NewString(description), Mutability: schema.AttributeMutabilityReadOnly()})
}

func membersAttribute() schema.CoreAttribute {
	return schema.ComplexCoreAttribute(schema.ComplexParams{
		Name: "members", MultiValued: true, Description: optional.NewString("The people in the group, 10,000 at most."),
		SubAttributes: []schema.SimpleParams{
			schema.SimpleStringParams(schema.StringParams{Name: "value", CaseExact: true, Mutability: schema.AttributeMutabilityImmutable(), Description: optional.NewString("The id of the person.")}),
			schema.SimpleReferenceParams(schema.ReferenceParams{Name: "$ref", Mutability: schema.AttributeMutabilityImmutable(), ReferenceTypes: []schema.AttributeReferenceType{"User"}}),
			schema.SimpleStringParams(schema.StringParams{Name: "type", CanonicalValues: []string{"User"}, Mutability: schema.AttributeMutabilityImmutable(), Description: optional.NewString("Always User.")}), fixed("display", "The user name."),
		},
	})
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
			text("value", "The address, unique in the directory."), schema.SimpleStringParams(schema.StringParams{Name: "type", CanonicalValues: []string{"work"}, Description: optional.NewString("Always work.")}),
			schema.SimpleBooleanParams(schema.BooleanParams{Name: "primary", Description: optional.NewString("Always true.")}),
		},
	})
}

// ours is the extension; the names that there are become its canonical values, where it is shown.
func ours(profiles, sets []string) schema.Schema {
	return schema.Schema{
		ID: gatehouseURN, Name: optional.NewString("Gatehouse User"), Description: optional.NewString("What decides about access in Gatehouse."),
		Attributes: schema.Attributes{
			schema.SimpleCoreAttribute(schema.SimpleStringParams(schema.StringParams{Name: "profile", CanonicalValues: profiles, Description: optional.NewString("The name of the profile; without one the person gets the standard profile.")})),
			schema.SimpleCoreAttribute(schema.SimpleStringParams(schema.StringParams{Name: "permissionSets", MultiValued: true, CanonicalValues: sets, Description: optional.NewString("The names of the permission sets.")})),
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

func (h *Handlers) schemaObjects(ctx context.Context) ([]object, error) {
	var profiles, sets []string
	err := h.Store.View(ctx, func(tx store.Tx) error {
		some, _, err := directory.AllProfiles.List(tx, "", maxPage)
		if err != nil {
			return err
		}
		several, _, err := directory.AllPermissionSets.List(tx, "", maxPage)
		profiles, sets = nil, nil
		for _, one := range some {
			profiles = append(profiles, one.Name)
		}
		for _, one := range several {
			sets = append(sets, one.Name)
		}
		return err
	})
	var all []object
	users := h.users().kept
	for _, s := range []schema.Schema{users[userURN], users[enterpriseURN], ours(profiles, sets), h.groups().kept[groupURN]} {
		one := object(s.ToMap())
		one["meta"] = object{"resourceType": "Schema", "location": h.BaseURL + Root + "/Schemas/" + s.ID}
		all = append(all, one)
	}
	return all, err
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
	all, err := h.schemaObjects(r.Context())
	if err != nil {
		return err
	}
	return h.unfiltered(w, r, all)
}

func (h *Handlers) schema(w http.ResponseWriter, r *http.Request) error {
	all, err := h.schemaObjects(r.Context())
	if err != nil {
		return err
	}
	return h.one(w, r, "schema", all)
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
