package admin

import (
	"slices"

	"gatehouse/idp/web"
	"gatehouse/sp"
)

// The roles of the console and the API (design, section 4).
const (
	RoleOwner     = "owner"
	RoleAppAdmin  = "app_admin"
	RoleDeveloper = "developer"
	RoleApprover  = "approver"
	RoleHelpDesk  = "help_desk"
	RoleAuditor   = "auditor"
)

// The permissions that the route table names. Overview is what every role has.
const (
	Overview      web.Permission = "overview"
	AppsRead      web.Permission = "apps.read"
	AppsWrite     web.Permission = "apps.write"
	AppsRegister  web.Permission = "apps.register" // add apps, which wait for approval, and change the definition of one's own
	UsersRead     web.Permission = "users.read"
	UsersWrite    web.Permission = "users.write"
	UsersPassword web.Permission = "users.password"
	SessionsRead  web.Permission = "sessions.read"
	SessionsEnd   web.Permission = "sessions.end"
	AuditRead     web.Permission = "audit.read"
	SettingsRead  web.Permission = "settings.read"
	SettingsWrite web.Permission = "settings.write"
	KeysRead      web.Permission = "keys.read"
	KeysWrite     web.Permission = "keys.write"
	AccessRead    web.Permission = "access.read"  // requests for access, and the access that came of them
	AccessWrite   web.Permission = "access.write" // answer requests for every app, revoke access
	TokensRead    web.Permission = "tokens.read"
	TokensWrite   web.Permission = "tokens.write" // make and revoke API tokens
)

// permissions says what each role may do; an owner may do everything. What depends on the app or the person is in may.go.
var permissions = map[string][]web.Permission{
	RoleAppAdmin:  {Overview, AppsRead, AppsRegister, AppsWrite, UsersRead, SessionsRead, SessionsEnd, AuditRead, AccessRead, AccessWrite},
	RoleDeveloper: {Overview, AppsRead, AppsRegister},
	RoleApprover:  {Overview, AppsRead},
	RoleHelpDesk:  {Overview, UsersRead, UsersPassword, SessionsRead, SessionsEnd},
	RoleAuditor:   {Overview, AppsRead, UsersRead, SessionsRead, AuditRead, SettingsRead, KeysRead, AccessRead},
}

// scopes says what each scope of a token allows (design, section 4). No scope reaches tokens, settings, keys or roles, so that a
// token cannot make itself stronger.
var scopes = map[string][]web.Permission{
	sp.ScopeDirectoryRead:  {Overview, UsersRead},
	sp.ScopeDirectoryWrite: {Overview, UsersRead, UsersWrite, UsersPassword},
	sp.ScopeAppsRead:       {Overview, AppsRead},
	sp.ScopeAppsWrite:      {Overview, AppsRead, AppsRegister, AppsWrite},
	sp.ScopeAuditRead:      {Overview, AuditRead},
}

// Grants tells whether one of a token's scopes holds a permission. An unknown scope holds none.
func Grants(held []string, need web.Permission) bool {
	return slices.ContainsFunc(held, func(scope string) bool { return slices.Contains(scopes[scope], need) })
}

// Holds tells whether an actor has a permission: a person by their roles, an API token by its scopes, and an app that acts for a
// person only by both.
func Holds(actor *web.Actor, need web.Permission) bool {
	switch {
	case actor.App != "":
		return Allows(actor.Roles, need) && Grants(actor.Scopes, need)
	case len(actor.Scopes) > 0:
		return Grants(actor.Scopes, need)
	}
	return Allows(actor.Roles, need)
}

// Lends tells whether somebody with the roles can give an app a scope of the API: who may do all of it themselves.
func Lends(roles []string, scope string) bool {
	permissions, known := scopes[scope]
	return known && !slices.ContainsFunc(permissions, func(one web.Permission) bool { return !Allows(roles, one) })
}

// ScopeFor is the narrowest scope that holds a permission; empty: none does.
func ScopeFor(need web.Permission) string {
	for _, scope := range sp.APIScopes() {
		if slices.Contains(scopes[scope], need) {
			return scope
		}
	}
	return ""
}

// Roles lists the roles in the order in which forms offer them.
func Roles() []string {
	return []string{RoleOwner, RoleAppAdmin, RoleDeveloper, RoleApprover, RoleHelpDesk, RoleAuditor}
}

// Allows tells whether one of the roles holds a permission. An unknown role holds none.
func Allows(roles []string, need web.Permission) bool {
	return slices.ContainsFunc(roles, func(role string) bool {
		return role == RoleOwner || slices.Contains(permissions[role], need)
	})
}

// IsAdmin tells whether the roles open the console at all.
func IsAdmin(roles []string) bool { return Allows(roles, Overview) }
