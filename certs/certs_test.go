package certs_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/certs"
	"gatehouse/store"
	"gatehouse/store/bolt"
)

func open(t *testing.T) store.Store {
	t.Helper()
	s, err := bolt.Open(filepath.Join(t.TempDir(), "gatehouse.db"), bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func sealer(t *testing.T, fill byte) *certs.Sealer {
	t.Helper()
	s, err := certs.NewSealer(bytes.Repeat([]byte{fill}, certs.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func update(t *testing.T, s store.Store, fn func(store.Tx) error) {
	t.Helper()
	if err := s.Update(context.Background(), fn); err != nil {
		t.Fatal(err)
	}
}

func TestSealOpensOnlyWhatItSealed(t *testing.T) {
	s, plain := sealer(t, 1), []byte("private key")
	sealed := s.Seal("key:1", plain)
	if got, err := s.Open("key:1", sealed); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("Open = %q, %v", got, err)
	}
	if bytes.Contains(sealed, plain) || bytes.Equal(sealed, s.Seal("key:1", plain)) {
		t.Error("sealing hides nothing, or is not random")
	}
	if _, err := s.Open("key:2", sealed); !errors.Is(err, certs.ErrSealed) {
		t.Errorf("another context: %v", err)
	}
	if _, err := sealer(t, 2).Open("key:1", sealed); !errors.Is(err, certs.ErrSealed) {
		t.Errorf("another key: %v", err)
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := s.Open("key:1", bad); !errors.Is(err, certs.ErrSealed) {
			t.Errorf("flipped bit in byte %d: %v", i, err)
		}
		if _, err := s.Open("key:1", sealed[:i]); !errors.Is(err, certs.ErrSealed) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
}

func TestUnlock(t *testing.T) {
	ctx, s, folder := context.Background(), open(t), t.TempDir()
	path := filepath.Join(folder, "seal.key")
	if err := store.Prepare(ctx, s, certs.Keys); err != nil {
		t.Fatal(err)
	}
	first, err := certs.Unlock(ctx, s, path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v", info.Mode(), err)
	}
	again, err := certs.Unlock(ctx, s, path)
	if err != nil || again.ID() != first.ID() {
		t.Errorf("second Unlock = %v, %v", again, err)
	}
	other := filepath.Join(folder, "other.key")
	if _, err := certs.NewSealKey(other); err != nil {
		t.Fatal(err)
	}
	var wrong *certs.WrongKeyError
	if _, err := certs.Unlock(ctx, s, other); !errors.As(err, &wrong) || wrong.Want != first.ID() {
		t.Errorf("other key: %v", err)
	}
	var missing *certs.MissingKeyError
	absent := filepath.Join(folder, "absent.key")
	if _, err := certs.Unlock(ctx, s, absent); !errors.As(err, &missing) {
		t.Errorf("missing key: %v", err)
	}
	if _, err := os.Stat(absent); !errors.Is(err, os.ErrNotExist) {
		t.Error("a key was made for a store with content")
	}
	if _, err := certs.NewSealKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("an existing key was replaced: %v", err)
	}
}

func TestOpenSealKeyRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "seal.key")
	for name, text := range map[string]string{"empty": "", "short": "AAAA\n", "no base64": strings.Repeat("?", 44)} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := certs.OpenSealKey(path); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := os.Chmod(path, 0o604); err != nil {
		t.Fatal(err)
	}
	if _, err := certs.OpenSealKey(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by all: %v", err)
	}
}

func ring(t *testing.T, s store.Store, seal certs.Sealing) *certs.Keyring {
	t.Helper()
	k := &certs.Keyring{Seal: seal, Now: time.Now}
	if err := k.Ensure(context.Background(), s, "idp.example.com"); err != nil {
		t.Fatal(err)
	}
	return k
}

func active(t *testing.T, k *certs.Keyring, s store.Store) (key *certs.Key, revision store.Revision) {
	t.Helper()
	err := s.View(context.Background(), func(tx store.Tx) (err error) {
		key, revision, err = k.Active(tx, certs.RSA)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return key, revision
}

func TestFirstKeySignsAndSurvivesARestart(t *testing.T) {
	s, seal := open(t), sealer(t, 1)
	key, _ := active(t, ring(t, s, seal), s)
	again, _ := active(t, ring(t, s, seal), s)
	if key.ID != again.ID || key.State != certs.Active {
		t.Fatalf("%+v then %+v", key.Entry, again.Entry)
	}
	certificate, err := x509.ParseCertificate(again.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	years := certificate.NotAfter.Sub(time.Now()).Hours() / 24 / 365
	if certificate.Subject.CommonName != "idp.example.com" || years < 9.9 || years > 10.1 {
		t.Errorf("certificate of %q for %.1f years", certificate.Subject.CommonName, years)
	}
	digest := sha256.Sum256([]byte("x"))
	signature, err := key.Signer.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := rsa.VerifyPKCS1v15(certificate.PublicKey.(*rsa.PublicKey), crypto.SHA256, digest[:], signature); err != nil {
		t.Error(err)
	}
}

func TestRollover(t *testing.T) {
	s := open(t)
	k := ring(t, s, sealer(t, 1))
	old, before := active(t, k, s)
	material, err := certs.Generate(certs.RSA, "idp.example.com", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var next certs.Entry
	update(t, s, func(tx store.Tx) (err error) { next, err = k.Stage(tx, material); return err })
	if now, after := active(t, k, s); now.ID != old.ID || after == before {
		t.Fatalf("staging: active %s, revision %d then %d", now.ID, before, after)
	}
	update(t, s, func(tx store.Tx) error { _, err := k.Activate(tx, next.ID); return err })
	if now, _ := active(t, k, s); now.ID != next.ID {
		t.Errorf("activation does not hold: %s", now.ID)
	}
	if got := published(t, k, s); got != "active retiring" {
		t.Errorf("published: %s", got)
	}
	for id, want := range map[string]error{next.ID: certs.ErrKeyState, "key_none": certs.ErrNoKey} {
		err := s.Update(context.Background(), func(tx store.Tx) error { _, err := k.Retire(tx, id); return err })
		if !errors.Is(err, want) {
			t.Errorf("retire %s: %v", id, err)
		}
	}
	update(t, s, func(tx store.Tx) error { _, err := k.Retire(tx, old.ID); return err })
	if got := published(t, k, s); got != "active" {
		t.Errorf("published: %s", got)
	}
	update(t, s, func(tx store.Tx) error {
		if _, _, err := k.ByID(tx, old.ID); !errors.Is(err, certs.ErrNoKey) {
			t.Errorf("retired key by id: %v", err)
		}
		if record, _, err := certs.Keys.Get(tx, old.ID); err != nil || record.Private != nil {
			t.Errorf("the private part of a retired key is still there (%v)", err)
		}
		return nil
	})
}

func published(t *testing.T, k *certs.Keyring, s store.Store) string {
	t.Helper()
	var states []string
	update(t, s, func(tx store.Tx) error {
		keys, _, err := k.Published(tx)
		states = nil
		for _, key := range keys {
			states = append(states, string(key.State))
		}
		return err
	})
	return strings.Join(states, " ")
}

func TestFailedActivationChangesNothing(t *testing.T) {
	s := open(t)
	k := ring(t, s, sealer(t, 1))
	old, revision := active(t, k, s)
	material, err := certs.Generate(certs.ECDSA, "x", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	failed := errors.New("rolled back")
	err = s.Update(context.Background(), func(tx store.Tx) error {
		entry, err := k.Stage(tx, material)
		if err != nil {
			return err
		}
		if _, err := k.Activate(tx, entry.ID); err != nil {
			return err
		}
		if key, _, err := k.Active(tx, certs.ECDSA); err != nil || key.ID != entry.ID {
			t.Errorf("inside the transaction: %v, %v", key, err)
		}
		return failed
	})
	if !errors.Is(err, failed) {
		t.Fatal(err)
	}
	if now, at := active(t, k, s); now.ID != old.ID || at != revision || published(t, k, s) != "active" {
		t.Errorf("a change that was rolled back is seen: %+v", now.Entry)
	}
}

func TestWrongSealerOpensNoKey(t *testing.T) {
	s := open(t)
	ring(t, s, sealer(t, 1))
	other := &certs.Keyring{Seal: sealer(t, 2), Now: time.Now}
	err := s.View(context.Background(), func(tx store.Tx) error {
		_, _, err := other.Active(tx, certs.RSA)
		return err
	})
	if !errors.Is(err, certs.ErrSealed) {
		t.Errorf("Active = %v", err)
	}
}

func TestSecretIsMadeOnce(t *testing.T) {
	ctx, s, seal := context.Background(), open(t), sealer(t, 1)
	k := &certs.Keyring{Seal: seal, Now: time.Now}
	first, err := k.Secret(ctx, s, "nameid")
	if err != nil || len(first) != 32 {
		t.Fatalf("%x, %v", first, err)
	}
	keep := bytes.Clone(first)
	first[0] ^= 1 // the caller's own
	for _, ring := range []*certs.Keyring{k, {Seal: seal, Now: time.Now}} {
		if again, err := ring.Secret(ctx, s, "nameid"); err != nil || !bytes.Equal(again, keep) {
			t.Errorf("again: %x, %v", again, err)
		}
	}
	if other, err := k.Secret(ctx, s, "browser"); err != nil || bytes.Equal(other, keep) {
		t.Errorf("another name: %x, %v", other, err)
	}
}
