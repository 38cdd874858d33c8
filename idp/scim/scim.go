// Package scim is a SCIM 2.0 server (RFC 7643, RFC 7644): an HR system or another directory provisions people and groups with it.
//
// It translates and decides nothing of its own: people are directory.User, ending sessions is flow.Withdraw, and each change is one
// transaction with its audit entries. Who calls is a token with a scope of the directory; nobody's roles pass through here. Read
// document.go for what is read, patch.go for PATCH, filter.go for searches, then users.go and groups.go.
package scim

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/web"
	"gatehouse/store"
)

// Root is the base path; Media the media type of every answer (RFC 7644, 8.1).
const (
	Root  = "/scim/v2"
	Media = "application/scim+json"
)

// The permissions that the routes need, as the route tables of the API name them.
const (
	read  web.Permission = "users.read"
	write web.Permission = "users.write"
)

// Bounds: bytes of a request, members that one group may have here, resources of a page, people that a search without an index
// looks at, bytes of a filter or path.
const (
	maxBody     = 1 << 20
	maxMembers  = 10_000
	maxPage     = 200
	defaultPage = 100
	maxLooked   = 100_000
	maxFilter   = 2000
	maxOps      = 1000
)

// Handlers serve SCIM. All fields must be set.
type Handlers struct {
	Store     store.Store
	Directory *directory.Directory
	Audit     *audit.Log
	BaseURL   string // public origin
	Now       func() time.Time
}

// Routes are the paths below Root.
func (h *Handlers) Routes() []web.Route {
	route := func(method, path string, need web.Permission, handle web.HandlerFunc) web.Route {
		return web.Route{Method: method, Path: Root + path, Permission: need, MaxBody: maxBody, Errors: Problem, Handle: handle}
	}
	return []web.Route{
		route("GET", "/ServiceProviderConfig", read, h.config),
		route("GET", "/ResourceTypes", read, h.resourceTypes),
		route("GET", "/ResourceTypes/{id}", read, h.resourceType),
		route("GET", "/Schemas", read, h.schemas),
		route("GET", "/Schemas/{id}", read, h.schema),
		route("GET", "/Users", read, h.listUsers),
		route("POST", "/Users", write, h.addUser),
		route("GET", "/Users/{id}", read, h.showUser),
		route("PUT", "/Users/{id}", write, h.replaceUser),
		route("PATCH", "/Users/{id}", write, h.patchUser),
		route("DELETE", "/Users/{id}", write, h.removeUser),
		route("GET", "/Groups", read, h.listGroups),
		route("POST", "/Groups", write, h.addGroup),
		route("GET", "/Groups/{id}", read, h.showGroup),
		route("PUT", "/Groups/{id}", write, h.replaceGroup),
		route("PATCH", "/Groups/{id}", write, h.patchGroup),
		route("DELETE", "/Groups/{id}", write, h.removeGroup),
		route("POST", "/Users/.search", read, searched(h.listUsers)),
		route("POST", "/Groups/.search", read, searched(h.listGroups)),
		route("POST", "/Bulk", write, notServed("Bulk is not served: send one request for each change.")),
		route("GET", "/Me", read, notServed("A token is nobody, so there is no /Me.")),
	}
}

// notServed says what is not there. RFC 7644 would have 501 for /Me; a client's mistake is no failure of the server's.
func notServed(text string) web.HandlerFunc {
	return func(http.ResponseWriter, *http.Request) error {
		return &web.Error{Status: http.StatusNotFound, Reason: "not_served", Text: text}
	}
}

// answer writes a resource, as far as the query asks for it, with its version (RFC 7644, 3.14).
func (h *Handlers) answer(w http.ResponseWriter, r *http.Request, status int, resource object) error {
	meta, _ := resource["meta"].(object)
	if version, ok := meta["version"].(string); ok {
		w.Header().Set("ETag", version)
		if r.Method == http.MethodGet && matches(r.Header.Get("If-None-Match"), version) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	if location, ok := meta["location"].(string); ok {
		w.Header().Set("Location", location)
	}
	writeJSON(w, status, project(resource, r.URL.Query()))
	return nil
}

// precondition refuses a change to another version than the one that the client has seen.
func precondition(r *http.Request, version string) error {
	if wanted := r.Header.Get("If-Match"); wanted != "" && !matches(wanted, version) {
		return &web.Error{Status: http.StatusPreconditionFailed, Reason: "stale", Text: "This was changed meanwhile, so nothing was done. Read it again and repeat the change."}
	}
	return nil
}

// matches compares entity tags weakly (RFC 9110, 8.8.3.2).
func matches(header, version string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(version, "W/") {
			return true
		}
	}
	return false
}

func tag(text string) string { return `W/"` + text + `"` }

func tagOf(revision store.Revision) string { return tag(strconv.FormatUint(uint64(revision), 10)) }

// note appends the event of a change to the caller's transaction.
func (h *Handlers) note(tx store.Tx, r *http.Request, event audit.Event) error {
	info := web.Of(r)
	event.Actor, event.Outcome, event.Address = info.Actor.ID, audit.OK, info.AddressText()
	if event.Facts == nil {
		event.Facts = map[string]string{}
	}
	event.Facts["via"] = "scim"
	info.Actor.Sign(event.Facts)
	_, err := h.Audit.Append(tx, event)
	return err
}
