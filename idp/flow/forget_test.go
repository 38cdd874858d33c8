package flow

import (
	"context"
	"path/filepath"
	"testing"

	"gatehouse/idp/grants"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

// counted counts the write transactions of a store.
type counted struct {
	store.Store
	updates int
}

func (c *counted) Update(ctx context.Context, fn func(store.Tx) error, reads ...[]byte) error {
	c.updates++
	return c.Store.Update(ctx, fn, reads...)
}

// TestForgetRestWritesOnlyWhatIsLeft: it is called each minute, and every write waits for the disk.
func TestForgetRestWritesOnlyWhatIsLeft(t *testing.T) {
	opened, err := bolt.Open(filepath.Join(t.TempDir(), "gatehouse.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer opened.Close()
	s := &counted{Store: opened}
	e := &Engine{Store: s}
	if err := e.ForgetRest(t.Context()); err != nil || s.updates != 0 {
		t.Errorf("nothing left: %d writes, %v", s.updates, err)
	}
	err = s.Update(t.Context(), func(tx store.Tx) error {
		for i := range 2*forgetBatch + 1 {
			if err := grants.Consents.Put(tx, &grants.Consent{User: "usr_1", App: "app_" + string(rune('a'+i%26)) + string(rune('a'+i/26))}); err != nil {
				return err
			}
		}
		return Forget(tx, Scope{User: "usr_1"})
	})
	if err != nil {
		t.Fatal(err)
	}
	s.updates = 0
	if err := e.ForgetRest(t.Context()); err != nil || s.updates != 2 {
		t.Errorf("%d writes, %v", s.updates, err)
	}
	err = s.View(t.Context(), func(tx store.Tx) error {
		n, err := grants.Consents.Count(tx, store.Page{}, 0)
		if n != 0 {
			t.Errorf("%d consents are left", n)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
