package saml

import (
	"context"
	"errors"

	"gatehouse/idp/flow"
	"gatehouse/sp"
	"gatehouse/store"
)

// Link is the record that a person has a persistent name at an app: made with the first answer that carries one, unless the
// request forbids it (AllowCreate, core 3.4.1.1). The name itself is computed and not stored.
type Link struct {
	User string `json:"user"`
	App  string `json:"app"`
}

// Links holds the links by user and app.
var Links = &store.Table[Link]{
	Name:    "saml_link",
	Version: 1,
	Key:     func(l *Link) string { return linkKey(l.User, l.App) },
	Lists: map[string]func(*Link) []string{
		"user": func(l *Link) []string { return []string{l.User} },
		"app":  func(l *Link) []string { return []string{l.App} },
	},
}

func linkKey(user, app string) string { return user + "/" + app }

// link tells whether an answer must make a link, and refuses where the request does not allow that.
func (h *Handlers) link(ctx context.Context, pass *flow.Pass, asked *Accepted, id *NameID) (make bool, problem *Problem, err error) {
	if id.Format != sp.NameIDPersistent {
		return false, nil, nil
	}
	err = h.Store.View(ctx, func(tx store.Tx) error {
		revision, err := Links.Revision(tx, linkKey(pass.User.ID, pass.App.ID))
		make = revision == 0
		return err
	})
	if make && asked.NoCreate {
		problem = requester(ReasonNameID, StatusInvalidNameIDPolicy, "The app knows nobody by your account yet and does not allow to introduce you. Open the app from your apps once, or ask its administrator to set AllowCreate.")
	}
	return make, problem, err
}

// commitLink makes the link with the answer that carries the name.
func commitLink(tx store.Tx, user, app string) error {
	_, _, err := Links.Get(tx, linkKey(user, app))
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	return Links.Put(tx, &Link{User: user, App: app})
}
