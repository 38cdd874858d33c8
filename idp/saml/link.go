package saml

import (
	"context"
	"errors"

	"gatehouse/idp/flow"
	"gatehouse/idp/session"
	"gatehouse/sp"
	"gatehouse/store"
)

// Link is the record that a person has a persistent name at an app: made with the first answer that carries one, unless the
// request forbids it (AllowCreate, core 3.4.1.1). The name itself is computed and not stored.
type Link struct {
	User         string `json:"user"`
	App          string `json:"app"`                      // or the affiliation, as ownerOf has it
	Name         string `json:"name,omitempty"`           // hash of the name, by which the app can ask for the person
	Salt         string `json:"salt,omitempty"`           // random, once a name was ended: so none comes again
	Ended        bool   `json:"ended,omitempty"`          // the app ended the name and got no other one yet
	SPProvidedID string `json:"sp_provided_id,omitempty"` // what the app calls the person itself (core 3.6.3)
}

// Links holds the links by user and app.
var Links = &store.Table[Link]{
	Name:    "saml_link",
	Version: 1,
	Key:     func(l *Link) string { return linkKey(l.User, l.App) },
	Lists: map[string]func(*Link) []string{
		"user": func(l *Link) []string { return []string{l.User} },
		"app":  func(l *Link) []string { return []string{l.App} },
		"name": func(l *Link) []string {
			if l.Name == "" || l.Ended {
				return nil
			}
			return []string{l.Name}
		},
	},
}

func linkKey(user, owner string) string { return user + "/" + owner }

// ownerOf is whose a name is: the app's, or that of the affiliation whose members share it. Ids of apps hold no space.
func ownerOf(app, affiliation string) string {
	if affiliation == "" {
		return app
	}
	return "affiliation " + affiliation
}

// linked is a link as an answer leans on it.
type linked struct {
	Link
	revision store.Revision
}

// link finds the link of a persistent name, a new one if there is none, and refuses where the request does not allow that; nil:
// the name is not persistent.
func (h *Handlers) link(ctx context.Context, pass *flow.Pass, asked *Accepted) (*linked, *Problem, error) {
	if asked.NameIDFormat != sp.NameIDPersistent {
		return nil, nil, nil
	}
	if asked.Affiliation != "" && asked.Affiliation != pass.App.Policy.Affiliation { // it left while the request waited
		return nil, requester(ReasonNameID, StatusInvalidNameIDPolicy, "The app asked for a name that it shared with other apps, and no longer does. Open the app again.").because(pass.App.Policy.Affiliation, asked.Affiliation), nil
	}
	found := &linked{}
	owner := ownerOf(pass.App.ID, asked.Affiliation)
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		found.Link, found.revision, err = Links.Get(tx, linkKey(pass.User.ID, owner))
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		*found, err = linked{Link: Link{User: pass.User.ID, App: owner}}, nil
	}
	if err == nil && asked.NoCreate && (found.revision == 0 || found.Ended) {
		return nil, requester(ReasonNameID, StatusInvalidNameIDPolicy, "The app knows nobody by your account yet and does not allow to introduce you. Open the app from your apps once, or ask its administrator to set AllowCreate."), nil
	}
	return found, nil, err
}

// commit makes or renews the link with the answer that carries the name. If it changed meanwhile the answer names a person as the
// app was told to forget: it is made anew.
func (l *linked) commit(tx store.Tx, name string) error {
	revision, err := Links.Revision(tx, linkKey(l.User, l.App))
	if err != nil {
		return err
	}
	if revision != l.revision {
		return flow.ErrChanged
	}
	key := session.NameKey(l.App, name)
	if revision != 0 && !l.Ended && l.Name == key {
		return nil
	}
	link := l.Link
	link.Ended, link.Name = false, key
	return Links.Put(tx, &link)
}
