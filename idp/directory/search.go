package directory

import (
	"errors"
	"strings"

	"gatehouse/store"
)

// Search returns up to limit people whose user name begins with the text, in the order of names, then those whose e-mail
// does; an empty text finds all by name. The cursor continues it, empty at the end. Both walk an index, so the number of
// people does not matter.
func Search(tx store.Tx, text, cursor string, limit int) ([]User, string, error) {
	text = Normalise(text)
	if limit < 1 || limit > 1000 {
		limit = 100
	}
	if len(text) > maxEmail {
		return nil, "", nil
	}
	var found []User
	phase, after, _ := strings.Cut(cursor, ":")
	if cursor != "" && phase != "name" && phase != "email" {
		return nil, "", errCursor
	}
	if phase != "email" {
		users, next, err := Users.List(tx, store.Page{Index: "name", Prefix: text, After: after, Limit: limit})
		if err != nil {
			return nil, "", badCursor(cursor, err)
		}
		if next != "" {
			return users, "name:" + next, nil
		}
		found, after = users, ""
	}
	if text == "" {
		return found, "", nil
	}
	return searchEmail(tx, found, text, after, limit)
}

func searchEmail(tx store.Tx, found []User, text, after string, limit int) ([]User, string, error) {
	next := "email:" + after
	more := false
	page := store.Page{Index: "email", Prefix: text, After: after}
	err := Users.Each(tx, page, func(cursor string, user *User) error {
		if more = len(found) == limit; more {
			return store.ErrStop
		}
		next = "email:" + cursor
		if !strings.HasPrefix(Normalise(user.Name), text) { // those were found by name
			found = append(found, *user)
		}
		return nil
	})
	if err != nil {
		return nil, "", badCursor(after, err)
	}
	if !more {
		next = ""
	}
	return found, next, nil
}

var errCursor = refuse("The list cannot be continued there: start it again")

// badCursor blames the cursor, if there is one, for an error that is not the store's.
func badCursor(cursor string, err error) error {
	if cursor == "" || errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrNewer) {
		return err
	}
	return errCursor
}
