package templates

import (
	"fmt"
	"io"
	"strings"
	"time"
)

func consoleSamples() []sample {
	return append(append(appSamples(), appPageSamples()...), append(peopleSamples(), organisationSamples()...)...)
}

var benefits = AppHead{ID: "app_1", Name: "Your Benefits", State: "active", Base: "/admin/apps/app_1"}

func warnings() []Warning {
	return []Warning{
		{Kind: "danger", Text: "The signing certificate expired on 3 March 2026.", Next: "Ask the app's owner for new metadata, then replace it under Metadata."},
		{Kind: "warn", Text: "One ACS URL uses plain http: http://legacy.example/saml/acs.", Next: "Anybody on the way can read the assertion. Ask for an https address."},
		{Kind: "info", Text: "There is no encryption key, so assertions are signed but not encrypted."}}
}

func idpFacts() []Fact {
	return []Fact{{Label: "Entity ID", Text: "https://id.brightwater.example/saml/metadata", Kind: "code", Hint: "The name of this identity provider. Also called issuer."},
		{Label: "SSO URL", Text: "https://id.brightwater.example/saml/sso", Kind: "code", Hint: "Where the app sends people to sign in, by Redirect or POST."},
		{Label: "Certificate", Text: strings.Repeat("5F:E2:0A:", 10) + "71", Kind: "code", Hint: "SHA-256 fingerprint of the signing certificate."}}
}

func appSamples() []sample {
	problem := MetadataForm{Action: "/admin/apps/new", Source: "paste", Pasted: "<EntityDescriptor>\n</x>", Warnings: warnings(),
		Problem: &MetadataProblem{Line: 2, Reason: "The end tag </x> does not match <EntityDescriptor>.", Next: "Copy the whole document again."},
		Errors:  Errors{{"metadata", "This is not well-formed XML."}, {"name", "Another app is called Payroll: choose a different name."}}}
	return []sample{
		{"overview", func(w io.Writer) error {
			return Overview(w, OverviewPage{Shell: shell("Overview", SectionOverview), Events: events(),
				Counts: []Count{{"Apps", 38, "2 blocked", "/admin/apps"}, {"People", 12345, "118 disabled", "/admin/users"}, {"Sign-ons today", 4210, "", "/admin/audit"}, {"Refused today", 17, "", "/admin/audit?outcome=refused"}},
				Tasks: []Task{{"danger", "The signing certificate of Payroll expired on 3 March 2026.", Link{"Replace its metadata", "/admin/apps/app_2/metadata"}},
					{"warn", "Nobody can enter Travel desk.", Link{"Choose who may use it", "/admin/apps/app_3/access"}}, {"info", "One self-registered client waits for approval.", Link{"Review", "/admin/apps"}}}})
		}},
		{"overview_empty", func(w io.Writer) error { return Overview(w, OverviewPage{Shell: shell("Overview", SectionOverview)}) }},
		{"apps", func(w io.Writer) error {
			return Apps(w, AppsPage{Shell: shell("Apps", SectionApps), NewHref: "/admin/apps/new", Apps: appRows(), States: []Option{{"active", "Active", "36"}, {"blocked", "Blocked", "2"}},
				State: "blocked", Pager: Pager{From: 1, To: 50, Total: 1234, NextHref: "?after=x"}})
		}},
		{"apps_empty", func(w io.Writer) error {
			return Apps(w, AppsPage{Shell: shell("Apps", SectionApps), NewHref: "/admin/apps/new"})
		}},
		{"app_new", func(w io.Writer) error {
			return AppNew(w, AppNewPage{Shell: shell("Add an app", SectionApps), MetadataForm: MetadataForm{Action: "/admin/apps/new"}, Profiles: choices(12, "Profile"), Cancel: "/admin/apps"})
		}},
		{"app_new_errors", func(w io.Writer) error {
			return AppNew(w, AppNewPage{Shell: shell("Add an app", SectionApps), MetadataForm: problem, Name: "Payroll", Permitted: "all"})
		}},
	}
}

func appRows() []AppRow {
	rows := []AppRow{{Name: longName, Href: "/admin/apps/app_9", EntityID: "https://" + strings.Repeat("very-long-host.", 12) + "example/saml/metadata", State: "active", Who: "2 profiles, 1 permission set, 14 groups and 3 people", Warnings: 3, Changed: moment}}
	for i, name := range names {
		rows = append(rows, AppRow{Name: name, Href: fmt.Sprint("/admin/apps/app_", i), Origin: []string{"", "Registered itself"}[i%2], EntityID: "https://sp" + fmt.Sprint(i) + ".example/saml", State: []string{"active", "blocked", "pending"}[i%3], Who: "Everybody", Changed: moment.Add(-time.Duration(i) * 30 * time.Hour)})
	}
	return rows
}

func appPageSamples() []sample {
	head := func() Shell { return shell("Your Benefits", SectionApps) }
	return []sample{
		{"app", func(w io.Writer) error {
			return App(w, AppPage{Shell: head(), App: benefits, Warnings: warnings(), Nobody: true, IdP: idpFacts(), IdPLinks: []Link{{"Metadata", "/saml/metadata/app_1"}, {"Certificate", "/saml/certificate.pem"}}, Launch: "https://id.brightwater.example/launch/app_1",
				Facts: []Fact{{Label: "Entity ID", Text: "https://benefits.example/saml/metadata", Kind: "code"}, {Label: "ACS URLs", Tags: []string{"https://benefits.example/saml/acs", "https://" + strings.Repeat("long", 30)}}, {Label: "Added", Time: moment}}})
		}},
		{"app_pending", func(w io.Writer) error {
			pending := benefits
			pending.State = "pending"
			return App(w, AppPage{Shell: head(), App: pending, Origin: "From the document at notes.example", ApproveAction: "/approve", Seen: "2026-11-26T09:00:00.000000001Z", Facts: idpFacts()})
		}},
		{"app_blocked", func(w io.Writer) error {
			blocked := benefits
			blocked.State = "blocked"
			return App(w, AppPage{Shell: head(), App: blocked, Facts: idpFacts()})
		}},
		{"app_access", func(w io.Writer) error {
			return AppAccess(w, AppAccessPage{Shell: head(), App: benefits, Action: "/admin/apps/app_1/access", Permitted: "preauthorized", Profiles: choices(4, "Profile"), PermissionSets: choices(40, "Set"), Users: "ana\nben"})
		}},
		{"app_access_ask", func(w io.Writer) error {
			return AppAccess(w, AppAccessPage{Shell: head(), App: benefits, Action: "/x", AskEmpty: true, Nobody: true, Errors: Errors{{"users", "There is no user called “anna”: check the spelling."}}})
		}},
		{"app_settings", func(w io.Writer) error {
			return AppSettings(w, AppSettingsPage{Shell: head(), App: benefits, Action: "/admin/apps/app_1/settings", Rows: settingRows(), RegisterAction: "/r"})
		}},
		{"app_metadata", func(w io.Writer) error {
			return AppMetadata(w, AppMetadataPage{Shell: head(), App: benefits, MetadataForm: MetadataForm{Action: "/x", Source: "url", URL: "https://benefits.example/saml/metadata"}, Facts: idpFacts()})
		}},
		{"app_metadata_diff", func(w io.Writer) error {
			return AppMetadata(w, AppMetadataPage{Shell: head(), App: benefits, Review: true, MetadataForm: MetadataForm{Action: "/x", Pasted: "<EntityDescriptor/>", Warnings: warnings()[1:]},
				Diff: []DiffRow{{"ACS URL 0", "https://benefits.example/saml/acs", "https://benefits.example/v2/saml/acs"}, {"Signing certificate", strings.Repeat("5F:E2:0A:", 10), strings.Repeat("A1:22:9C:", 10)}, {"Logout URL", "", "https://benefits.example/slo"}, {"NameID format", "transient", ""}}})
		}},
		{"app_metadata_same", func(w io.Writer) error {
			return AppMetadata(w, AppMetadataPage{Shell: head(), App: benefits, Review: true})
		}},
		{"app_activity", func(w io.Writer) error {
			return AppActivity(w, AppActivityPage{Shell: head(), App: benefits, Events: events(), AllHref: "/admin/audit?app=app_1", Counts: []Count{{"People, 30 days", 1204, "", ""}}, Facts: []Fact{{Label: "Last used", Time: moment}}, Chart: chart(),
				Reasons: []Share{{"permitted_users", 312, 100, "/admin/audit?reason=permitted_users"}, {"bad_signature", 2, 1, ""}}, Grants: grantRows(), MoreGrants: true})
		}},
		{"app_people", func(w io.Writer) error {
			rows := []ReachRow{{Name: "ana", NameHref: "/u", Through: "profile Employees", Outcome: "allow", Text: "ana would get in.", ExplainTo: "/e"}, {Name: longName, Through: "on request", Until: moment, Outcome: "refuse", Text: "No."}}
			return AppPeople(w, AppPeoplePage{Shell: shell("People", SectionApps), App: benefits, Rows: rows, Pager: Pager{NextHref: "?after=x"}})
		}},
		{"explain", func(w io.Writer) error {
			return Explain(w, ExplainPage{Shell: shell("Explain", SectionExplain), User: "ana", App: "Payroll", Outcome: "refuse", Text: "You are not among the people who may use this app.",
				Rules: []RuleRow{{"app_state", "allow", "the app is active", ""}, {"permitted_users", "refuse", "nobody is permitted", "permit the person"}}})
		}},
		{"app_activity_new", func(w io.Writer) error { return AppActivity(w, AppActivityPage{Shell: head(), App: benefits}) }},
		{"app_sessions", func(w io.Writer) error {
			row := AppSessionRow{SessionRow: SessionRow{Handle: "ses_1", Device: "Firefox on Linux", Address: "192.0.2.7", Level: "standard", Started: moment, Seen: moment}, Person: "ana", PersonHref: "/admin/users/usr_a"}
			return AppSessions(w, AppSessionsPage{Shell: shell("Sessions", SectionApps), App: benefits, Rows: []AppSessionRow{row, {Person: longName}}, EndAction: "/e", EndAllAction: "/ea"})
		}},
		{"app_danger", func(w io.Writer) error {
			return AppDanger(w, AppDangerPage{Shell: head(), App: benefits, ApproveHref: "/a", BlockAction: "/b", UnblockAction: "/u", RemoveAction: "/r", Errors: Errors{{"name", "The name does not match: type it exactly."}}})
		}},
	}
}

func settingRows() []SettingRow {
	return []SettingRow{
		{Key: "saml.sign", Label: "Sign", Help: "Some apps demand a signed response, some a signed assertion; metadata does not say.", Group: "Signing", Kind: "select", Default: "both", Options: []Option{{Value: "both"}, {Value: "assertion"}, {Value: "response"}}},
		{Key: "saml.signature_algorithm", Label: "Signature algorithm", Group: "Signing", Kind: "select", Value: "rsa-sha1", Default: "rsa-sha256", Options: []Option{{Value: "rsa-sha256"}, {Value: "rsa-sha1"}}, Warning: "SHA-1 signatures can be forged: use it only for an app that knows nothing else."},
		{Key: "saml.require_signed_requests", Label: "Require signed requests", Help: "Refuse requests without a valid signature.", Group: "Signing", Kind: "bool", Value: "true", Default: "as the metadata says"},
		{Key: "saml.assertion_lifetime", Label: "Assertion lifetime", Help: "How long the app may accept an assertion.", Group: "Lifetimes", Kind: "duration", Value: "5 minutes", Default: "5m", Error: "“5 minutes” is no duration: write 5m."},
		{Key: "saml.allowed_relay_states", Label: "Allowed relay states", Help: "Prefixes for launch links, one per line.", Group: "Lifetimes", Kind: "list", Value: "https://benefits.example/a\nhttps://benefits.example/b"},
		{Key: "saml.attributes", Label: "Attributes", Help: "A JSON array of name, format, friendly_name and source.", Group: "Attributes", Kind: "json", Value: "[\n  {\"name\": \"mail\", \"source\": \"email\"}\n]", Default: "uid, mail, displayName, givenName, sn and groups"},
		{Key: "description", Label: "Description", Group: "Portal", Kind: "text", Value: "Leave, pension and health cover"}}
}

func userForm() UserForm {
	return UserForm{Action: "/admin/users/usr_a", Name: "ana", DisplayName: "Ana Silva", Email: "ana@brightwater.example", GivenName: "Ana", Surname: "Silva", Profiles: choices(3, "Profile"),
		PermissionSets: choices(20, "Set"), Groups: choices(3, "Group"), Roles: choices(2, "Role"), Attributes: "department=Finance", Errors: Errors{{"email", "That is no e-mail address: it needs an @."}, {"profile", "Choose a profile."}}}
}

func peopleSamples() []sample {
	rows := []UserRow{{Name: "ana", DisplayName: "Ana Silva", Email: "ana@brightwater.example", Href: "/admin/users/usr_a", Profile: "Employee", Status: "active", LastSignIn: moment},
		{Name: "ada", DisplayName: "Ada Lindqvist", Email: "ada@brightwater.example", Href: "/admin/users/usr_b", Profile: "Employee", Status: "active", Roles: []string{"owner", "auditor"}, LastSignIn: moment},
		{Name: strings.Repeat("wolfeschlegelsteinhausen", 3), Href: "/admin/users/usr_c", Status: "disabled"}}
	named := []NamedRow{{ID: "prf_1", Name: "Employee", Members: 1204, MembersHref: "/admin/users?profile=prf_1", Apps: 12, Limits: []Limit{{"ip_ranges", "Address ranges", "With commas.", "only from 10.0.0.0/8"}}}, {ID: "prf_2", Name: longName}}
	return []sample{
		{"users", func(w io.Writer) error {
			return Users(w, UsersPage{Shell: shell("Users", SectionUsers), Users: rows, NewHref: "/admin/users/new", Filter: "profile Employee", Clear: "/admin/users", Pager: Pager{FirstHref: "?", PrevHref: "?a", NextHref: "?b"}})
		}},
		{"users_none", func(w io.Writer) error {
			return Users(w, UsersPage{Shell: shell("Users", SectionUsers), Query: "zz", NewHref: "/admin/users/new"})
		}},
		{"user_new", func(w io.Writer) error {
			return UserNew(w, UserNewPage{Shell: shell("Add a user", SectionUsers), UserForm: userForm(), Cancel: "/admin/users"})
		}},
		{"user", func(w io.Writer) error {
			return User(w, UserPage{Shell: shell("Ana Silva", SectionUsers), UserForm: userForm(), Status: "active", Facts: userFacts(), Sessions: sessions(), Events: events()[:2], DisableAction: "/d", EnableAction: "/e", ResetAction: "/r", EndAction: "/x", EndAllAction: "/y", Secret: "quiet-otter-7-lantern"})
		}},
		{"named_list", func(w io.Writer) error {
			return NamedList(w, NamedListPage{Shell: shell("Profiles", SectionProfiles), One: "profile", Many: "profiles", What: "Everybody has one profile. It says from which addresses they may sign on, and apps can permit it.", Rows: named,
				AddAction: "/a", AddName: "Employee", RenameAction: "/r", RemoveAction: "/d", Errors: Errors{{"name", "There is a profile called Employee already."}}})
		}},
		{"named_list_empty", func(w io.Writer) error {
			return NamedList(w, NamedListPage{Shell: shell("Groups", SectionGroups), One: "group", Many: "groups", AddAction: "/a"})
		}},
	}
}

func organisationSamples() []sample {
	dark := shell("Keys", SectionKeys)
	dark.Org.Color = "#00205b"
	return []sample{
		{"audit", func(w io.Writer) error {
			return Audit(w, AuditPage{Shell: shell("Audit", SectionAudit), Events: events(), Kinds: []Option{{Value: "signon"}, {Value: "signin"}}, Outcome: "refused", Filtered: true, Apps: []Option{{Value: "app_1", Label: "Payroll"}}, Pager: Pager{NextHref: "?n"}})
		}},
		{"audit_further", func(w io.Writer) error {
			return Audit(w, AuditPage{Shell: shell("Audit", SectionAudit), Filtered: true, Unusual: true, Address: "192.0.2.0/24", Pager: Pager{NextHref: "?n"}, Chains: chainRows("")})
		}},
		{"audit_verify", func(w io.Writer) error {
			return AuditVerify(w, AuditVerifyPage{Shell: shell("Tamper evidence", SectionAudit), Whole: true, Compared: true, Chains: chainRows("")})
		}},
		{"audit_verify_broken", func(w io.Writer) error {
			return AuditVerify(w, AuditVerifyPage{Shell: shell("Tamper evidence", SectionAudit), Chains: chainRows("entry 17 is missing"), Head: "zz", Errors: Errors{{"head", "That is no head."}}})
		}},
		{"audit_verify_late", func(w io.Writer) error {
			return AuditVerify(w, AuditVerifyPage{Shell: shell("Tamper evidence", SectionAudit), Late: true})
		}},
		{"usage", func(w io.Writer) error {
			return Usage(w, UsagePage{Shell: shell("Usage", SectionOverview), Unused: 2, Shown: true, More: true, Grants: grantRows(), Pager: Pager{From: 1, To: 100, Total: 10_000, NextHref: "?from=100"},
				Apps: []UsageRow{{Name: longName, Href: "/admin/apps/app_9/activity", State: "blocked", Unused: true}, {Name: "Payroll", Href: "/admin/apps/app_2/activity", State: "active", LastUsed: moment, People30: 1204, People90: 100_000, SignOns: 31_112, Refused: 4}}})
		}},
		{"usage_empty", func(w io.Writer) error {
			return Usage(w, UsagePage{Shell: shell("Usage", SectionOverview), Shown: true})
		}},
		{"audit_empty", func(w io.Writer) error { return Audit(w, AuditPage{Shell: shell("Audit", SectionAudit)}) }},
		{"trace", func(w io.Writer) error {
			return Trace(w, TracePage{Shell: shell("Entry K7QX-2M4D", SectionAudit), Event: events()[0], Facts: events()[0].Facts, Related: events()[1:2],
				Rules: []RuleRow{{"app_state", "allow", "the app is active", ""}, {"permitted_users", "refuse", "not among the permitted profiles, permission sets, groups or users", "permit the person"}, {"min_level", "step_up", "", ""}}})
		}},
		{"settings", func(w io.Writer) error {
			return Settings(w, SettingsPage{Shell: shell("Settings", SectionSettings), Action: "/admin/settings", Rows: settingRows()})
		}},
		{"keys", func(w io.Writer) error {
			return Keys(w, KeysPage{Shell: dark, IdP: idpFacts(), Links: []Link{{"Certificate", "/saml/certificate.pem"}}, StageAction: "/admin/keys", Retired: []KeyRow{{ID: "key_0", State: "retired", Algorithm: "RSA 2048", Created: moment}}, Keys: []KeyRow{
				{ID: "key_1", State: "active", Algorithm: "RSA 2048", Fingerprint: strings.Repeat("5FE20A71", 8), NotBefore: moment, NotAfter: moment.AddDate(10, 0, 0), Created: moment},
				{ID: "key_2", State: "next", Algorithm: "RSA 2048", Fingerprint: strings.Repeat("0bd1", 16), NotBefore: moment, NotAfter: moment.AddDate(10, 0, 0), Warning: "Three apps have not fetched the new metadata."}}})
		}},
		{"key", func(w io.Writer) error {
			return Key(w, KeyPage{Shell: shell("Key key_2", SectionKeys), Key: KeyRow{ID: "key_2", State: "next", Algorithm: "RSA 2048", Unknown: 2}, Facts: idpFacts(), ActivateAction: "/a", ForAll: true, Replaces: true, Default: true, RetireAction: "/r",
				Errors: Errors{{"apps", "Choose at least one app."}, {"confirm", "Type the word retire to confirm."}}, Pager: Pager{FirstHref: "?f", NextHref: "?n"},
				Apps: []KeyAppRow{{ID: "app_1", Name: "Payroll", Href: "/admin/apps/app_1", Fetched: true, At: moment, Signs: true, Set: true, Checked: true}, {ID: "app_2", Name: longName, Href: "/admin/apps/app_2", SetTo: "key_1", Unfit: true, Blocked: true}, {ID: "app_3", Name: "Wiki", Href: "/admin/apps/app_3"}}})
		}},
		{"key_held", func(w io.Writer) error {
			return Key(w, KeyPage{Shell: shell("Key key_3", SectionKeys), Key: KeyRow{ID: "key_3", State: "retiring", Algorithm: "ECDSA P-256", Warning: "It ends soon."}, Held: []Link{{"Payroll", "/admin/apps/app_1"}, {"Wiki", "/admin/apps/app_3"}}})
		}},
		{"keys_empty", func(w io.Writer) error { return Keys(w, KeysPage{Shell: shell("Keys", SectionKeys)}) }},
	}
}
