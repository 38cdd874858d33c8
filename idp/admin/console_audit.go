package admin

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/flow"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

// kinds are the kinds of entries, with what each means.
var kinds = []struct{ kind, text string }{
	{"signin", "Sign-in"},
	{"signon", "Opening of an app"},
	{"signout", "Sign-out"}, {"signout.result", "Sign-out from apps"}, {"logout.tell", "Telling an app of a sign-out"},
	{"token", "OAuth token"}, {"token.revoke", "Revocation of an OAuth token"}, {"introspect", "Check of an OAuth token"}, {"userinfo", "Request for a person’s claims"},
	{"permission", "Use of the console"},
	{"request", "Request"},
	{"app.add", "App added"},
	{"app.replace", "Metadata of the app replaced"},
	{"app.set", "App changed"},
	{"app.block", "App blocked"},
	{"app.unblock", "App unblocked"},
	{"app.approve", "App approved"},
	{"app.remove", "App removed"},
	{"app.secret", "New secret of the app"},
	{"app.metadata_refresh", "Search for newer metadata of the app"}, {"app.metadata_waits", "Newer metadata of the app waits for an answer"},
	{"app.metadata_dismiss", "Newer metadata of the app turned down"},
	{"metadata_source.add", "Metadata source added"}, {"metadata_source.set", "Metadata source changed"},
	{"metadata_source.remove", "Metadata source removed"}, {"metadata_source.refresh", "Fetch of a metadata source"},
	{"nameid", "Name at an app changed"},
	{"apitoken.add", "API token made"},
	{"apitoken.revoke", "API token revoked"},
	{"apitoken", "API token"},
	{"api", "Call of the API with an OAuth token"},
	{"app.registration_token", "Initial access token made"},
	{"client.register", "Registration of a client"}, {"client.update", "Change of a client by itself"}, {"client.remove", "Removal of a client by itself"},
	{"client.document", "Metadata document of a client"},
	{"scope.add", "Scope added"}, {"scope.set", "Scope changed"}, {"scope.remove", "Scope removed"},
	{"user.add", "Person added"},
	{"user.set", "Person changed"},
	{"user.password", "Password set"},
	{"user.disable", "Person disabled"},
	{"user.enable", "Person enabled"},
	{"user.remove", "Person removed"},
	{"factor.add", "Second factor added"},
	{"factor.rename", "Second factor renamed"},
	{"factor.remove", "Second factor removed"},
	{"factor.recovery", "Recovery codes made"},
	{"factor.later", "Second factor put off"},
	{"factor.reset", "Second factors reset"},
	{"user.invite", "Person invited"},
	{"link.ask", "Link for a forgotten password asked for"},
	{"link.use", "Use of a one-time link"},
	{"link.make", "Set-up link made"},
	{"mail.send", "Mail"},
	{"mail.test", "Test mail"},
	{"consent.give", "Consent given"},
	{"consent.withdraw", "Consent withdrawn"},
	{"app.leave", "App left by the person"},
	{"profile.add", "Profile added"},
	{"profile.set", "Profile changed"},
	{"profile.remove", "Profile removed"},
	{"permission_set.add", "Permission set added"},
	{"permission_set.set", "Permission set changed"},
	{"permission_set.remove", "Permission set removed"},
	{"group.add", "Group added"},
	{"group.set", "Group changed"},
	{"group.remove", "Group removed"},
	{"session.end", "Sessions ended"},
	{"audit.export", "Audit exported"},
	{"access.ask", "Access asked for"},
	{"access.approve", "Access granted"},
	{"access.deny", "Access denied"},
	{"access.withdraw", "Request for access withdrawn"},
	{"access.expire", "Request for access expired"},
	{"access.end", "Access on request ended"},
	{"access.revoke", "Access on request revoked"},
	{"settings.set", "Settings changed"},
	{"upstream.add", "Upstream added"},
	{"source.add", "Directory added"}, {"source.set", "Directory changed"}, {"source.remove", "Directory removed"}, {"source.sync", "Bringing over people of a directory"},
	{"user.import", "Import of people from a file"},
	{"upstream.set", "Upstream changed"},
	{"upstream.refresh", "Fetch of an upstream’s metadata"},
	{"upstream.remove", "Upstream removed"},
	{"key.stage", "Signing key made"},
	{"key.activate", "Signing key activated"},
	{"key.retire", "Signing key retired"},
	{"certificate.expiring", "Certificate ends soon"},
}

// pathSafe keeps of a typed code what codes are made of.
func pathSafe(code string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, code)
}

func (a *Admin) trace(w http.ResponseWriter, r *http.Request) error {
	entry, err := a.Actions.Trace(r.Context(), r.PathValue("code"))
	if err != nil {
		return err
	}
	page := templates.TracePage{
		Shell: a.shell(r, "Entry "+entry.Code, templates.SectionAudit), Event: eventRow(&entry),
		Back: templates.Link{Label: "Audit", Href: "/admin/audit"},
	}
	page.Facts, page.Rules = traceFacts(&entry)
	return web.Page(w, r, http.StatusOK, web.CSP{}, func(b *web.Buffer) error { return templates.Trace(b, page) })
}

// traceFacts splits an entry's facts into the rules that were weighed and the rest.
func traceFacts(e *api.AuditEntry) ([]templates.Fact, []templates.RuleRow) {
	var facts []templates.Fact
	var rules []templates.RuleRow
	if e.User.Name != "" {
		facts = append(facts, templates.Fact{Label: "About", Text: e.User.Name, Href: "/admin/users/" + e.User.ID})
	}
	if e.Detail != "" {
		facts = append(facts, templates.Fact{Label: "Detail", Text: e.Detail})
	}
	if e.Remedy != "" {
		facts = append(facts, templates.Fact{Label: "What to do", Text: e.Remedy})
	}
	for _, key := range slices.Sorted(maps.Keys(e.Facts)) {
		if key == flow.RulesFact {
			for weighed := range strings.SplitSeq(e.Facts[key], ", ") {
				rule, outcome, _ := strings.Cut(weighed, " ")
				rules = append(rules, templates.RuleRow{Rule: rule, Outcome: outcome})
			}
			continue
		}
		facts = append(facts, templates.Fact{Label: capital(strings.ReplaceAll(key, "_", " ")), Text: e.Facts[key], Kind: "code"})
	}
	return facts, rules
}

func eventRows(list []api.AuditEntry) []templates.EventRow {
	rows := make([]templates.EventRow, 0, len(list))
	for i := range list {
		rows = append(rows, eventRow(&list[i]))
	}
	return rows
}

func eventRow(e *api.AuditEntry) templates.EventRow {
	row := templates.EventRow{
		Code: e.Code, Href: "/admin/audit/" + e.Code, Time: e.Time, Kind: e.Kind, Outcome: e.Outcome, Reason: e.Reason,
		Actor: actorWords(e.Actor.Name), App: e.App.Name, Address: e.Address, Text: eventText(e), Count: e.Count,
	}
	if looksLikeID(e.Actor.ID, "usr_") && e.Actor.Name != e.Actor.ID {
		row.ActorHref = "/admin/users/" + e.Actor.ID
	}
	if e.App.ID != "" && e.App.Name != e.App.ID {
		row.AppHref = appBase(e.App.ID)
	}
	return row
}

// actorWords explains who acted through the socket: whoever runs the command line as this user of the machine.
func actorWords(name string) string {
	if strings.HasPrefix(name, socketActor) {
		return "command line (" + name + ")"
	}
	return name
}

// eventText says in words what happened, to whom where that is not who did it.
func eventText(e *api.AuditEntry) string {
	text := e.Kind
	for _, k := range kinds {
		if k.kind == e.Kind {
			text = k.text
		}
	}
	if e.User.Name != "" && e.User.ID != e.Actor.ID {
		text += ": " + e.User.Name
	} else if name := e.Facts["name"]; name != "" && e.App.ID == "" {
		text += ": " + name
	}
	if e.Outcome != "ok" && e.Outcome != "" {
		text += " " + e.Outcome
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}
