package saml

import (
	"slices"

	"gatehouse/sp"
)

// Authentication context classes (authn-context 3.4, REFEDS profiles) that Gatehouse can assert.
const (
	classUnspecified = "urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified"
	classPassword    = "urn:oasis:names:tc:SAML:2.0:ac:classes:Password"
	classProtected   = "urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport"
	classTimeSync    = "urn:oasis:names:tc:SAML:2.0:ac:classes:TimeSyncToken"
	classREFEDSSFA   = "https://refeds.org/profile/sfa"
	classREFEDSMFA   = "https://refeds.org/profile/mfa"
	classMultiple    = "http://schemas.microsoft.com/claims/multipleauthn"
)

// contextClass says at which level a class becomes true of a session, and which method it needs besides.
type contextClass struct {
	uri    string
	level  sp.Level
	method string // empty: any
}

// contextClasses is the one table of classes; a class that is not here is never asserted.
var contextClasses = []contextClass{
	{classUnspecified, sp.Low, ""},
	{classPassword, sp.Standard, "password"},
	{classProtected, sp.Standard, "password"},
	{classREFEDSSFA, sp.Standard, ""},
	{classREFEDSMFA, sp.High, ""},
	{classMultiple, sp.High, ""},
	{classTimeSync, sp.High, "totp"},
}

func findClass(uri string) *contextClass {
	for i := range contextClasses {
		if contextClasses[i].uri == uri {
			return &contextClasses[i]
		}
	}
	return nil
}

// ownClass is a class of the organisation's own, which stands for a level or a method (saml.authn_contexts); nil for no word.
func ownClass(uri, word string) *contextClass {
	switch word {
	case "":
		return nil
	case "password":
		return &contextClass{uri, sp.Standard, word}
	case "totp", "passkey":
		return &contextClass{uri, sp.High, word}
	}
	return &contextClass{uri, sp.Level(word), ""}
}

// Evidence is what a session proves about how the person signed in.
type Evidence struct {
	Level   sp.Level
	Methods []string // "password", "totp", "passkey", …
}

// proves tells whether the class is a true statement about the session.
func (e Evidence) proves(c *contextClass) bool {
	return e.Level.AtLeast(c.level) && (c.method == "" || slices.Contains(e.Methods, c.method))
}

// own is the class that describes the session when nothing particular is asked.
func (e Evidence) own() *contextClass {
	for _, uri := range []string{classREFEDSMFA, classProtected, classREFEDSSFA} {
		if c := findClass(uri); e.proves(c) {
			return c
		}
	}
	return findClass(classUnspecified)
}

// ContextDemand is a RequestedAuthnContext reduced to what Gatehouse knows. The zero value asks nothing.
type ContextDemand struct {
	Comparison string   `json:"comparison,omitempty"`
	Classes    []string `json:"classes,omitempty"` // known ones, in the order of preference
	MinLevel   sp.Level `json:"min_level,omitempty"`
	MaxLevel   sp.Level `json:"max_level,omitempty"` // of "maximum"; empty: none
	Lenient    bool     `json:"lenient,omitempty"`   // a stronger session satisfies exact and maximum

	Own map[string]string `json:"own,omitempty"` // those of Classes that are the organisation's own, and what each stands for
}

// find is a class that Gatehouse knows, or one of the organisation's own.
func (d *ContextDemand) find(uri string) *contextClass {
	if c := findClass(uri); c != nil {
		return c
	}
	return ownClass(uri, d.Own[uri])
}

// demandOf turns what is asked into a level to reach, or false when no sign-in here could satisfy it.
func demandOf(asked *RequestedContext, own map[string]string, lenient bool) (ContextDemand, bool) {
	if asked == nil {
		return ContextDemand{}, true
	}
	d := ContextDemand{Comparison: asked.Comparison, Lenient: lenient}
	weakest, strongest := sp.Level(""), sp.Level("")
	for _, uri := range asked.Classes {
		if word := own[uri]; word != "" && d.Own == nil {
			d.Own = map[string]string{uri: word}
		} else if word != "" {
			d.Own[uri] = word
		}
		c := d.find(uri)
		if c == nil {
			continue
		}
		d.Classes = append(d.Classes, uri)
		if weakest == "" || weakest.AtLeast(c.level) {
			weakest = c.level
		}
		if c.level.AtLeast(strongest) {
			strongest = c.level
		}
	}
	if len(d.Classes) == 0 || asked.HasDecl {
		return ContextDemand{}, false
	}
	switch asked.Comparison {
	case "maximum":
		d.MaxLevel = strongest
	case "better":
		d.MinLevel = above(strongest)
		return d, d.MinLevel != ""
	default:
		d.MinLevel = weakest
	}
	return d, true
}

func above(level sp.Level) sp.Level {
	switch level {
	case sp.Low:
		return sp.Standard
	case sp.Standard:
		return sp.High
	}
	return ""
}

// Class is the class to assert for a session: always one that is true of it and satisfies the demand. False: there is none.
func (d *ContextDemand) Class(e Evidence) (string, bool) {
	own := e.own()
	switch d.Comparison {
	case "":
		return own.uri, true
	case "better":
		return own.uri, e.Level.AtLeast(d.MinLevel)
	case "minimum":
		if listed := d.listed(e); listed != nil && listed.level == own.level {
			return listed.uri, true
		}
		return own.uri, e.Level.AtLeast(d.MinLevel)
	case "maximum":
		if d.MaxLevel.AtLeast(own.level) {
			return own.uri, true
		}
	}
	listed := d.listed(e)
	if listed == nil || !d.Lenient && own.level != listed.level {
		return "", false
	}
	return listed.uri, true
}

// listed is the first listed class that is true of the session.
func (d *ContextDemand) listed(e Evidence) *contextClass {
	for _, uri := range d.Classes {
		if c := d.find(uri); c != nil && e.proves(c) {
			return c
		}
	}
	return nil
}
