package certs

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/store"
)

// SecretRecord is a named secret of the server itself, sealed for "secret:NAME".
type SecretRecord struct {
	Name  string `json:"name"`
	Value []byte `json:"value"`
}

// Secrets holds the named secrets.
var Secrets = &store.Table[SecretRecord]{
	Name:    "secret",
	Version: 1,
	Key:     func(s *SecretRecord) string { return s.Name },
}

// Secret returns the 32 random bytes kept under a name, made at the first call; every node gets the same. Names come from
// the code, such as "nameid". The slice is the caller's.
func (k *Keyring) Secret(ctx context.Context, s store.Store, name string) ([]byte, error) {
	if value := k.cachedSecret(name); value != nil {
		return value, nil
	}
	var record SecretRecord
	read := func(tx store.Tx) (err error) {
		record, _, err = Secrets.Get(tx, name)
		return err
	}
	err := s.View(ctx, read)
	if errors.Is(err, store.ErrNotFound) {
		sealed := k.Seal.Seal("secret:"+name, newKey())
		err = s.Update(ctx, func(tx store.Tx) error {
			if err := read(tx); !errors.Is(err, store.ErrNotFound) {
				return err
			}
			record = SecretRecord{Name: name, Value: sealed}
			return Secrets.Put(tx, &record)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("secret %q: %w", name, err)
	}
	value, err := k.Seal.Open("secret:"+name, record.Value)
	if err != nil {
		return nil, err
	}
	k.secretsMu.Lock()
	defer k.secretsMu.Unlock()
	if k.secrets == nil {
		k.secrets = map[string][]byte{}
	}
	k.secrets[name] = value
	return append([]byte(nil), value...), nil
}

func (k *Keyring) cachedSecret(name string) []byte {
	k.secretsMu.RLock()
	defer k.secretsMu.RUnlock()
	return append([]byte(nil), k.secrets[name]...)
}
