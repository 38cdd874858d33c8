package admin

import "gatehouse/idp/web"

// sourcePages are the pages and posts of metadata sources.
func (a *Admin) sourcePages() []web.Route { return nil }
