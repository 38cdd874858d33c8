package sampleapps

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// Credentials are what an identity provider gave an OAuth client.
type Credentials struct {
	ClientID string `json:"client_id,omitempty"`
	Secret   string `json:"client_secret,omitempty"`
	Initial  string `json:"initial_access_token,omitempty"` // of a gateway: by which its partners register (RFC 7591)
}

// kept is what one app must find again: its address, its SAML key, and what it got.
type kept struct {
	Port        int         `json:"port"`
	Key         []byte      `json:"key,omitempty"`         // PKCS #8
	Certificate []byte      `json:"certificate,omitempty"` // DER
	Own         Credentials `json:"own,omitzero"`
	Partner     Credentials `json:"partner,omitzero"` // of the client that a gateway registered
}

// keep holds what all apps must find again, by the app's name, in a file that only its owner reads. Without a path it lasts as
// long as the process.
type keep struct {
	path string
	mu   sync.Mutex
	apps map[string]kept
}

func openKeep(path string) (*keep, error) {
	k := &keep{path: path, apps: map[string]kept{}}
	if path == "" {
		return k, nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &k.apps)
	}
	if err != nil {
		return nil, fmt.Errorf("the keys of the sample apps cannot be read: %w: put %s back as it was, or remove it", err, path)
	}
	return k, nil
}

func (k *keep) of(app string) kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.apps[app]
}

// change writes what has become of an app before it returns.
func (k *keep) change(app string, change func(*kept)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	one := k.apps[app]
	change(&one)
	k.apps[app] = one
	if k.path == "" {
		return nil
	}
	text, err := json.MarshalIndent(k.apps, "", "  ")
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(k.path), filepath.Base(k.path)+".*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = next.Write(text)
	if err := errors.Join(err, next.Close()); err != nil {
		return errors.Join(err, os.Remove(next.Name()))
	}
	return os.Rename(next.Name(), k.path)
}

// samlKey is the app's key with its certificate, made the first time.
func (k *keep) samlKey(app string) (*rsa.PrivateKey, *x509.Certificate, error) {
	if one := k.of(app); one.Key != nil {
		parsed, err := x509.ParsePKCS8PrivateKey(one.Key)
		if err != nil {
			return nil, nil, err
		}
		key, ok := parsed.(*rsa.PrivateKey)
		if !ok {
			return nil, nil, fmt.Errorf("the key of %s is no RSA key", app)
		}
		cert, err := x509.ParseCertificate(one.Certificate)
		return key, cert, err
	}
	key, cert, err := newKey(app)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return key, cert, k.change(app, func(one *kept) { one.Key, one.Certificate = der, cert.Raw })
}
