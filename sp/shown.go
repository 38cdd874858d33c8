package sp

import (
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/text/language"
)

// Localized is a text of an app's metadata in one language (BCP 47).
type Localized struct {
	Lang string `json:"lang"`
	Text string `json:"text"`
}

// Shown is how an app presents itself to one person.
type Shown struct {
	Name           string
	Lang           string // of Name; empty: as the page, or not known
	InformationURL string // about the app, may be empty
	PrivacyURL     string // its privacy statement, may be empty
	TermsURL       string // its terms of service, may be empty
}

// Shown picks what the metadata says in the first of the person's languages, which are those of an Accept-Language header; else
// English, else the first. A name that an administrator gave stays as it is.
func (a *App) Shown(accept string) Shown {
	shown := Shown{Name: a.Definition.Name, PrivacyURL: a.Definition.PrivacyURL, TermsURL: a.Definition.TermsURL}
	if a.Definition.SAML == nil {
		shown.InformationURL = a.Definition.StartURL
		return shown
	}
	m := &a.Definition.SAML.Metadata
	if a.Definition.Name == clip(m.Title(), maxName) {
		if name, ok := inLanguage(m.Names, accept); ok {
			shown.Name, shown.Lang = clip(name.Text, maxName), name.Lang
		}
	}
	shown.InformationURL = m.InformationURL
	if page, ok := inLanguage(m.InformationURLs, accept); ok {
		shown.InformationURL = page.Text
	}
	if shown.PrivacyURL == "" {
		shown.PrivacyURL = m.PrivacyURL
		if page, ok := inLanguage(m.PrivacyURLs, accept); ok {
			shown.PrivacyURL = page.Text
		}
	}
	return shown
}

// maxAccept bounds what is read of the header: browsers send some dozens of bytes.
const maxAccept = 500

// inLanguage is the value in the first language that there is one in; false: there is none.
func inLanguage(values []Localized, accept string) (Localized, bool) {
	if len(values) == 0 || len(accept) > maxAccept {
		return Localized{}, false
	}
	wanted, _, err := language.ParseAcceptLanguage(accept)
	if err != nil || len(wanted) == 0 {
		return Localized{}, false
	}
	offered := make([]language.Tag, len(values))
	for i := range values {
		offered[i] = language.Make(values[i].Lang)
	}
	_, at, confidence := language.NewMatcher(offered).Match(wanted...)
	return values[at], confidence > language.No
}

// MaxPicture is the longest picture within a data: address, in bytes of the address.
const MaxPicture = 24 << 10

// CheckPicture accepts an address that CheckAddress accepts, or a small picture as a data: address (RFC 2397).
func CheckPicture(raw string) error {
	if !strings.HasPrefix(raw, "data:") {
		return CheckAddress(raw)
	}
	_, err := InlinePicture(raw)
	return err
}

// InlinePicture is the picture in a data: address.
func InlinePicture(raw string) ([]byte, error) {
	kind, coded, found := strings.Cut(raw, ";base64,")
	switch {
	case len(raw) > MaxPicture:
		return nil, errors.New("holds a picture of more than 24 KiB")
	case !found || !strings.HasPrefix(kind, "data:image/"):
		return nil, errors.New("holds no picture in base64")
	}
	picture, err := base64.StdEncoding.DecodeString(coded)
	if err != nil {
		return nil, errors.New("holds a picture that is not base64")
	}
	return picture, nil
}
