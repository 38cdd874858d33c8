package admin

import "gatehouse/idp/web"

func (a *Admin) consoleRoutes() []web.Route { return nil }
