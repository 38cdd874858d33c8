package admin

import "gatehouse/idp/api"

// sourceRows are the metadata sources, and how apps follow them. Pinned keys decide whom Gatehouse believes, so sources are the
// owner's to change, like the organisation's settings.
func (a *Admin) sourceRows() []row {
	do := a.Actions
	const one = "/metadata-sources/{source}"
	answer := func(word string) row {
		return row{Method: "POST", Path: "/apps/{app}/metadata/" + word, Permission: AppsRegister, Action: perhaps(func(c *call, seen api.SeenMetadata) (any, error) {
			return do.AnswerAppMetadata(c.ctx(), c.by(), c.path("app"), word, seen.Version)
		})}
	}
	return []row{
		{Method: "GET", Path: "/metadata-sources", Permission: AppsRead, Action: func(c *call) (any, error) { return do.MetadataSources(c.ctx()) }},
		{Method: "POST", Path: "/metadata-sources", Permission: SettingsWrite, MaxBody: 1 << 20, Status: 201, Action: with(func(c *call, n api.NewMetadataSource) (any, error) {
			return do.AddMetadataSource(c.ctx(), c.by(), n)
		})},
		{Method: "GET", Path: one, Permission: AppsRead, Action: func(c *call) (any, error) { return do.MetadataSource(c.ctx(), c.path("source")) }},
		{Method: "PATCH", Path: one, Permission: SettingsWrite, MaxBody: 1 << 20, Action: with(func(c *call, change api.Change) (any, error) {
			return do.SetMetadataSource(c.ctx(), c.forced(change), c.path("source"), change.Set)
		})},
		{Method: "DELETE", Path: one, Permission: SettingsWrite, Action: func(c *call) (any, error) {
			return do.RemoveMetadataSource(c.ctx(), c.by(), c.path("source"))
		}},
		{Method: "POST", Path: one + "/refresh", Permission: AppsWrite, Action: func(c *call) (any, error) {
			return do.RefreshMetadataSource(c.ctx(), c.by(), c.path("source"))
		}},
		{Method: "GET", Path: one + "/entities", Permission: AppsRead, Action: func(c *call) (any, error) {
			return do.SourceEntities(c.ctx(), c.path("source"), c.query("search"), c.query("after"), c.limit())
		}},
		{Method: "GET", Path: "/apps/{app}/metadata", Permission: AppsRead, Action: func(c *call) (any, error) { return do.AppMetadata(c.ctx(), c.path("app")) }},
		answer(answerApprove), answer(answerDismiss), answer(answerRefresh),
	}
}
