package oauth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"slices"

	"gatehouse/sp"
)

// subject is by what an app knows a person: the id of the account, which is never used again, or for pairwise subjects a value
// that no other sector can link with its own (OpenID Connect Core 1.0, 8.1).
func (h *Handlers) subject(app *sp.App, user string) string {
	client := app.Definition.OAuth
	if client.Subject() == sp.SubjectPublic {
		return user
	}
	sector, _ := client.Sector()
	if sector == "" {
		sector = app.ID
	}
	mac := hmac.New(sha256.New, h.SubjectKey)
	mac.Write([]byte("sub\x00" + user + "\x00" + sector))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Classes of acr: our own names of the levels, and what research federations call one factor and two (REFEDS).
const (
	classLow      = "urn:gatehouse:level:low"
	classStandard = "urn:gatehouse:level:standard"
	classHigh     = "urn:gatehouse:level:high"
	classSFA      = "https://refeds.org/profile/sfa"
	classMFA      = "https://refeds.org/profile/mfa"
)

// levelOf is the level at which a class becomes true of a session; a class that is not here is never asserted.
func levelOf(class string) (sp.Level, bool) {
	switch class {
	case classLow:
		return sp.Low, true
	case classStandard, classSFA:
		return sp.Standard, true
	case classHigh, classMFA:
		return sp.High, true
	}
	return "", false
}

// classes are all that can be asserted, for discovery.
func classes() []string { return []string{classLow, classStandard, classHigh, classSFA, classMFA} }

// classOf is the acr of a sign-in: the first of those asked for that is true, else our own name of its level.
func classOf(level sp.Level, asked []string) string {
	for _, class := range asked {
		if need, known := levelOf(class); known && level.AtLeast(need) {
			return class
		}
	}
	switch {
	case level.AtLeast(sp.High):
		return classHigh
	case level.AtLeast(sp.Standard):
		return classStandard
	}
	return classLow
}

// references are the amr values (RFC 8176) of the methods that a session names. What the RFC has no word for is left out.
func references(level sp.Level, methods []string) []string {
	list := []string{}
	add := func(value string) {
		if !slices.Contains(list, value) {
			list = append(list, value)
		}
	}
	for _, method := range methods {
		switch method {
		case "password":
			add("pwd")
		case "totp", "recovery":
			add("otp")
		case "passkey":
			add("pop")
			add("user")
		case "security_key":
			add("hwk")
		}
	}
	if level.AtLeast(sp.High) {
		add("mfa")
	}
	return list
}
