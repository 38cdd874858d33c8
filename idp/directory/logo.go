package directory

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"

	"gatehouse/store"
)

// Logo is the organisation's picture, apart from Settings because those are read in every sign-on.
type Logo struct {
	Key   string `json:"key"`
	Type  string `json:"type"` // media type
	Bytes []byte `json:"bytes"`
}

// Logos holds the one Logo.
var Logos = &store.Table[Logo]{Name: "logo", Version: 1, Key: func(l *Logo) string { return l.Key }}

const maxLogo = 256 << 10

// SaveLogo stores a PNG, JPEG or WebP picture of at most 256 KiB. SVG is refused: it can carry scripts.
func SaveLogo(tx store.Tx, picture []byte) error {
	kind := pictureType(picture)
	if kind == "" || len(picture) > maxLogo {
		return refuse("The logo must be a PNG, JPEG or WebP picture of at most %d KiB", maxLogo>>10)
	}
	settings, _, err := LoadSettings(tx)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(picture)
	settings.Logo = hex.EncodeToString(sum[:8])
	if err := Logos.Put(tx, &Logo{Key: SettingsKey, Type: kind, Bytes: picture}); err != nil {
		return err
	}
	return SaveSettings(tx, settings)
}

// LoadLogo returns the picture, or store.ErrNotFound.
func LoadLogo(tx store.Tx) (Logo, error) {
	logo, _, err := Logos.Get(tx, SettingsKey)
	return logo, err
}

func pictureType(picture []byte) string {
	switch {
	case bytes.HasPrefix(picture, []byte("\x89PNG\r\n\x1a\n")):
		return "image/png"
	case bytes.HasPrefix(picture, []byte("\xff\xd8\xff")):
		return "image/jpeg"
	case len(picture) > 12 && string(picture[:4]) == "RIFF" && string(picture[8:12]) == "WEBP":
		return "image/webp"
	}
	return ""
}
