package scim

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/idp/flow"
	"gatehouse/store"
)

// change makes the next document of a person out of the present one.
type change func(doc object) (object, error)

func (h *Handlers) showUser(w http.ResponseWriter, r *http.Request) error {
	var shown object
	err := h.Store.View(r.Context(), func(tx store.Tx) error {
		user, revision, err := findUser(tx, r.PathValue("id"))
		if err == nil {
			shown, err = h.userObject(tx, &user, revision)
		}
		return err
	})
	if err != nil {
		return err
	}
	return h.answer(w, r, http.StatusOK, shown)
}

func findUser(tx store.Tx, id string) (directory.User, store.Revision, error) {
	user, revision, err := directory.Users.Get(tx, id)
	if errors.Is(err, store.ErrNotFound) {
		err = missing("person", id)
	}
	return user, revision, err
}

// addUser makes a person (RFC 7644, 3.3).
func (h *Handlers) addUser(w http.ResponseWriter, r *http.Request) error {
	doc, err := h.body(r, h.users())
	if err != nil {
		return err
	}
	hash, err := h.hash(r.Context(), doc)
	if err != nil {
		return err
	}
	var shown object
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		user := directory.User{}
		if err := fill(tx, &user, doc); err != nil {
			return err
		}
		user, err := h.Directory.AddUser(tx, user)
		if err == nil && hash != "" {
			err = h.Directory.SetPassword(tx, user.ID, hash)
		}
		if err == nil {
			err = h.note(tx, r, audit.Event{Kind: "user.add", User: user.ID, Facts: map[string]string{"name": user.Name}})
		}
		if err == nil {
			shown, err = h.shownUser(tx, user.ID)
		}
		return err
	})
	if err != nil {
		return worded(err)
	}
	return h.answer(w, r, http.StatusCreated, shown)
}

func (h *Handlers) shownUser(tx store.Tx, id string) (object, error) {
	user, revision, err := directory.Users.Get(tx, id)
	if err != nil {
		return nil, err
	}
	return h.userObject(tx, &user, revision)
}

// body reads the document of POST and PUT.
func (h *Handlers) body(r *http.Request, k *kind) (object, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	return k.document(body)
}

// hash checks and hashes the password of a document, outside any transaction.
func (h *Handlers) hash(ctx context.Context, doc object) (string, error) {
	password, ok := doc["password"].(string)
	if !ok {
		return "", nil
	}
	name := asObject(doc["name"])
	hash, err := h.Directory.HashPassword(ctx, password, &directory.User{
		Name: str(doc["userName"]), DisplayName: str(doc["displayName"]), Email: address(doc["emails"]), GivenName: str(name["givenName"]), Surname: str(name["familyName"]),
	})
	return hash, worded(err)
}

func (h *Handlers) replaceUser(w http.ResponseWriter, r *http.Request) error {
	doc, err := h.body(r, h.users())
	if err != nil {
		return err
	}
	return h.changeUser(w, r, func(object) (object, error) { return doc, nil })
}

func (h *Handlers) patchUser(w http.ResponseWriter, r *http.Request) error {
	body, err := readBody(r)
	if err != nil {
		return err
	}
	all, err := operations(body)
	if err != nil {
		return err
	}
	k := h.users()
	return h.changeUser(w, r, func(doc object) (object, error) {
		for _, one := range all {
			if err := k.apply(doc, one); err != nil {
				return nil, err
			}
		}
		return doc, nil
	})
}

// changeUser changes a person in one transaction with its audit entries. The document is made once before, for the password, whose
// hash takes too long to be made inside.
func (h *Handlers) changeUser(w http.ResponseWriter, r *http.Request, next change) error {
	var doc object
	err := h.Store.View(r.Context(), func(tx store.Tx) error {
		user, _, err := findUser(tx, r.PathValue("id"))
		if err != nil {
			return err
		}
		if doc, err = userDocument(tx, &user); err == nil {
			doc, err = next(doc)
		}
		return err
	})
	if err != nil {
		return err
	}
	hash, err := h.hash(r.Context(), doc)
	if err != nil {
		return err
	}
	var shown object
	err = h.Store.Update(r.Context(), func(tx store.Tx) error {
		if err := h.storeUser(tx, r, next, hash); err != nil {
			return err
		}
		shown, err = h.shownUser(tx, r.PathValue("id"))
		return err
	})
	if err != nil {
		return worded(err)
	}
	return h.answer(w, r, http.StatusOK, shown)
}

// storeUser writes what has changed. Who is disabled, or gets a password, is signed out everywhere at once.
func (h *Handlers) storeUser(tx store.Tx, r *http.Request, next change, hash string) error {
	before, revision, err := findUser(tx, r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := precondition(r, tagOf(revision)); err != nil {
		return err
	}
	doc, err := userDocument(tx, &before)
	if err == nil {
		doc, err = next(doc)
	}
	after := before
	if err == nil {
		err = fill(tx, &after, doc)
	}
	if err != nil {
		return err
	}
	keys := changed(&before, &after)
	if len(keys) == 0 && hash == "" {
		return nil
	}
	if err := mayChange(&before, &after, hash != ""); err != nil {
		return err
	}
	if _, err := h.Directory.SetUser(tx, after); err != nil {
		return err
	}
	if hash != "" {
		if err := h.Directory.SetPassword(tx, after.ID, hash); err != nil {
			return err
		}
	}
	return h.noteUser(tx, r, &before, &after, keys, hash != "")
}

// changed names what differs, as the audit names it.
func changed(before, after *directory.User) []string {
	var keys []string
	for key, same := range map[string]bool{
		"name": before.Name == after.Name, "display_name": before.DisplayName == after.DisplayName, "email": before.Email == after.Email,
		"given_name": before.GivenName == after.GivenName, "surname": before.Surname == after.Surname, "external_id": before.ExternalID == after.ExternalID,
		"profile": before.Profile == after.Profile, "permission_sets": sameSet(before.PermissionSets, after.PermissionSets),
		"attributes": len(before.Attributes)+len(after.Attributes) == 0 || reflect.DeepEqual(before.Attributes, after.Attributes), "disabled": before.Disabled == after.Disabled,
	} {
		if !same {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// mayChange keeps a token from taking over those who hold a role: how they sign in, what they may do and whether they are enabled is
// for an owner to say. Disabling them is allowed, except for owners, so that nobody is left without one.
func mayChange(before, after *directory.User, password bool) error {
	if before.Source != "" {
		return forbidden("%s comes from the directory %s: change them there.", before.Name, before.Source)
	}
	if len(before.Roles) == 0 {
		return nil
	}
	enabled, disabled := before.Disabled && !after.Disabled, !before.Disabled && after.Disabled
	if password || enabled || disabled && isOwner(before) || before.Name != after.Name || before.Email != after.Email ||
		before.Profile != after.Profile || !sameSet(before.PermissionSets, after.PermissionSets) {
		return forbidden("%s has a role in Gatehouse, so an owner must make this change there.", before.Name)
	}
	return nil
}

func isOwner(user *directory.User) bool { return slices.Contains(user.Roles, "owner") }

// noteUser ends the sessions that the change ends, and writes its audit entries.
func (h *Handlers) noteUser(tx store.Tx, r *http.Request, before, after *directory.User, keys []string, password bool) error {
	var events []audit.Event
	if rest := slices.DeleteFunc(slices.Clone(keys), func(key string) bool { return key == "disabled" }); len(rest) > 0 {
		events = append(events, audit.Event{Kind: "user.set", Facts: map[string]string{"keys": strings.Join(rest, ", ")}})
	}
	if before.Disabled && !after.Disabled {
		events = append(events, audit.Event{Kind: "user.enable"})
	}
	if disabled := !before.Disabled && after.Disabled; disabled || password {
		ended, err := flow.Withdraw(tx, flow.Scope{User: after.ID})
		if err != nil {
			return err
		}
		facts := map[string]string{"sessions": strconv.Itoa(len(ended))}
		kind := map[bool]string{true: "user.disable", false: "user.password"}[disabled]
		events = append(events, audit.Event{Kind: kind, Facts: facts})
		if disabled && password {
			events = append(events, audit.Event{Kind: "user.password"})
		}
	}
	for _, event := range events {
		event.User = after.ID
		if err := h.note(tx, r, event); err != nil {
			return err
		}
	}
	return nil
}

// removeUser removes a person and ends their sessions (RFC 7644, 3.6).
func (h *Handlers) removeUser(w http.ResponseWriter, r *http.Request) error {
	err := h.Store.Update(r.Context(), func(tx store.Tx) error {
		user, revision, err := findUser(tx, r.PathValue("id"))
		if err != nil {
			return err
		}
		if err := precondition(r, tagOf(revision)); err != nil {
			return err
		}
		gone := user
		gone.Disabled = true
		if err := mayChange(&user, &gone, false); err != nil {
			return err
		}
		ended, err := flow.Withdraw(tx, flow.Scope{User: user.ID})
		if err == nil {
			err = flow.Forget(tx, flow.Scope{User: user.ID})
		}
		if err == nil {
			_, err = h.Directory.RemoveUser(tx, user.ID)
		}
		if err != nil {
			return err
		}
		facts := map[string]string{"name": user.Name, "sessions": strconv.Itoa(len(ended))}
		return h.note(tx, r, audit.Event{Kind: "user.remove", User: user.ID, Facts: facts})
	})
	if err != nil {
		return worded(err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
