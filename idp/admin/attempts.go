package admin

import (
	"context"

	"gatehouse/idp/api"
	"gatehouse/idp/federation"
	"gatehouse/sp"
	"gatehouse/store"
)

// Attempts lists the apps that are not connected and that signed-in people came from, the latest first.
func (a *Actions) Attempts(ctx context.Context) (api.List[api.Attempt], error) {
	list := api.List[api.Attempt]{Items: []api.Attempt{}}
	err := a.view(ctx, func(tx store.Tx) error {
		list.Items = []api.Attempt{}
		return sp.Attempts.Each(tx, store.Page{Index: "last", Reverse: true}, func(_ string, one *sp.Attempt) error {
			user, err := userRef(tx, one.User)
			if err != nil {
				return err
			}
			known, err := federation.KnownIn(tx, one.Identifier)
			list.Items = append(list.Items, api.Attempt{
				Identifier: one.Identifier, Protocol: one.Protocol, Count: one.Count, First: one.First, Last: one.Last, User: user, Sources: known,
			})
			return err
		})
	})
	return list, err
}
