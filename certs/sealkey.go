package certs

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"gatehouse/store"
)

// SealCheck is the record by which a store knows its sealing key.
type SealCheck struct {
	Name  string `json:"name"`
	KeyID string `json:"key_id"`
	Value []byte `json:"value"` // checkText, sealed
}

// SealChecks holds the one SealCheck.
var SealChecks = &store.Table[SealCheck]{
	Name:    "seal",
	Version: 1,
	Key:     func(c *SealCheck) string { return c.Name },
}

const (
	checkName = "check"
	checkText = "gatehouse"
)

// WrongKeyError says that the store was sealed under another key than the one given.
type WrongKeyError struct{ Path, Want, Have string }

func (e *WrongKeyError) Error() string {
	return fmt.Sprintf("the sealing key in %s (id %s) is not the one of this store (id %s): "+
		"put the file that belongs to the store there", e.Path, e.Have, e.Want)
}

// MissingKeyError says that the sealing key file is absent although the store has content.
type MissingKeyError struct{ Path string }

func (e *MissingKeyError) Error() string {
	return fmt.Sprintf("the store has content but its sealing key %s is missing: "+
		"put the file back from where you keep it; a new one could not open what is sealed", e.Path)
}

// Unlock opens the sealing key at path for a store and checks that it is the store's. An empty store gets a new key; for a
// store with content none is ever made.
func Unlock(ctx context.Context, s store.Store, path string) (*Sealer, error) {
	sealer, err := OpenSealKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := mustBeEmpty(ctx, s, path); err != nil {
			return nil, err
		}
		sealer, err = NewSealKey(path)
	}
	if err != nil {
		return nil, err
	}
	return sealer, s.Update(ctx, func(tx store.Tx) error { return sealer.check(tx, path) })
}

// check compares the sealer with the store's check value, which it writes if there is none.
func (s *Sealer) check(tx store.Tx, path string) error {
	found, _, err := SealChecks.Get(tx, checkName)
	if errors.Is(err, store.ErrNotFound) {
		return SealChecks.Put(tx, &SealCheck{Name: checkName, KeyID: s.id, Value: s.Seal(checkName, []byte(checkText))})
	}
	if err != nil {
		return err
	}
	if text, err := s.Open(checkName, found.Value); err != nil || string(text) != checkText {
		return &WrongKeyError{Path: path, Want: found.KeyID, Have: s.id}
	}
	return nil
}

// mustBeEmpty refuses a store that holds more than schema versions.
func mustBeEmpty(ctx context.Context, s store.Store, path string) error {
	return s.View(ctx, func(tx store.Tx) error {
		return tx.Scan(store.Range{From: []byte{0}}, func(key, _ []byte) error {
			if bytes.HasPrefix(key, []byte("schema\x00")) {
				return nil
			}
			return &MissingKeyError{Path: path}
		})
	})
}

// OpenSealKey reads a sealing key file: one line of base64. An absent file gives fs.ErrNotExist; one that everybody on the
// machine may read is refused.
func OpenSealKey(path string) (*Sealer, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open sealing key: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("open sealing key: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("every user of this machine may use the sealing key %s: run chmod 600 on it", path)
	}
	text, err := io.ReadAll(io.LimitReader(file, 1024))
	if err != nil {
		return nil, fmt.Errorf("read sealing key: %w", err)
	}
	key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("%s is not a sealing key: it must hold %d bytes in base64 on one line", path, KeySize)
	}
	return NewSealer(key)
}

// NewSealKey makes a sealing key file with mode 0600, durable before it returns. An existing file is never replaced.
func NewSealKey(path string) (*Sealer, error) {
	key := newKey()
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make sealing key: %w", err)
	}
	_, err = file.WriteString(base64.StdEncoding.EncodeToString(key) + "\n")
	if err = errors.Join(err, file.Sync(), file.Close(), syncFolder(filepath.Dir(path))); err != nil {
		return nil, fmt.Errorf("make sealing key: %w", err)
	}
	return NewSealer(key)
}

// syncFolder makes a new folder entry durable.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
