package sp

import (
	"cmp"
	"slices"
)

// LogoutWay is how an app can be told that a session ended.
type LogoutWay string

// The ways: from server to server, through the person's browser, in a frame of a page of ours, or not at all.
const (
	LogoutBack  LogoutWay = "back"
	LogoutFront LogoutWay = "front"
	LogoutFrame LogoutWay = "frame"
	LogoutNone  LogoutWay = "none"
)

// LogoutWay is the best way that the app offers for a session that it got by a protocol, of which the empty one is SAML and any
// other OAuth: from server to server needs no browser and no cookies.
func (a *App) LogoutWay(protocol string) LogoutWay {
	if a.leavesByServer(protocol) {
		return LogoutBack
	}
	return a.BrowserWay(protocol)
}

func (a *App) leavesByServer(protocol string) bool {
	if protocol != "" {
		return a.Definition.OAuth != nil && a.Definition.OAuth.BackChannelLogoutURI != ""
	}
	if !a.namesPeople() {
		return false
	}
	_, ok := a.Definition.SAML.LogoutEndpoint(BindingSOAP)
	return ok
}

// BrowserWay is how the app can be told through the browser, be it beside a way that needs none.
func (a *App) BrowserWay(protocol string) LogoutWay {
	if client := a.Definition.OAuth; protocol != "" {
		switch {
		case client != nil && client.EndSession != "":
			return LogoutFront
		case client != nil && client.FrontChannelLogoutURI != "":
			return LogoutFrame
		}
		return LogoutNone
	}
	if a.namesPeople() {
		if _, ok := a.Definition.SAML.LogoutEndpoint(BindingRedirect, BindingPOST); ok {
			return LogoutFront
		}
	}
	return LogoutNone
}

// namesPeople tells whether the app would know whose SAML session ends.
func (a *App) namesPeople() bool {
	return a.Definition.SAML != nil && a.Definition.SAML.Settings.NameIDFormat != NameIDNone
}

// LogoutEndpoint is the app's single logout service for the first of the bindings that it has; none where saml.slo is off.
func (s *SAML) LogoutEndpoint(bindings ...string) (Endpoint, bool) {
	if !s.SLOEnabled() {
		return Endpoint{}, false
	}
	for _, binding := range bindings {
		i := slices.IndexFunc(s.Metadata.SLO, func(e Endpoint) bool { return e.Binding == binding })
		if i >= 0 {
			return s.Metadata.SLO[i], true
		}
	}
	return Endpoint{}, false
}

// NameEndpoint is where the app takes messages about names, for the first of the bindings that it has.
func (s *SAML) NameEndpoint(bindings ...string) (Endpoint, bool) {
	for _, binding := range bindings {
		i := slices.IndexFunc(s.Metadata.ManageNameID, func(e Endpoint) bool { return e.Binding == binding })
		if i >= 0 {
			return s.Metadata.ManageNameID[i], true
		}
	}
	return Endpoint{}, false
}

// AnswerLocation is where responses go (saml-metadata-2.0-os, 2.2.2).
func (e *Endpoint) AnswerLocation() string { return cmp.Or(e.ResponseLocation, e.Location) }

// LogoutPage is where the browser would be sent, and whether that works in a frame too: a redirect does, a form does not.
func (a *App) LogoutPage() (location string, framed bool) {
	if a.Definition.SAML == nil {
		if a.Definition.OAuth != nil {
			location = a.Definition.OAuth.EndSession // a page that may ask the person something
		}
		return location, false
	}
	endpoint, _ := a.Definition.SAML.LogoutEndpoint(BindingRedirect, BindingPOST)
	return endpoint.Location, endpoint.Binding == BindingRedirect
}
