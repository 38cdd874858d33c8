package idp

import (
	"gatehouse/idp/admin"
	"gatehouse/idp/api"
)

// AppSettings describes every key of `gatehouse app set`, in the order of the design, without values.
func AppSettings() []api.Setting { return admin.DescribeAppSettings() }

// OrganisationSettings describes every key of `gatehouse settings set`, in the order of the design, without values.
func OrganisationSettings() []api.Setting { return admin.DescribeSettings() }
