package sp

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// DefaultACS picks the assertion consumer service for a request that names none: among those with one of the bindings
// (any, if none is given) the first that says isDefault, else the first that does not deny it, else the first
// (saml-metadata-2.0-os, 2.2.3; saml-core-2.0-os, 3.4.1).
func (m *Metadata) DefaultACS(bindings ...string) (Endpoint, bool) {
	best, rank := Endpoint{}, 0
	for _, e := range m.ACS {
		if !e.has(bindings) {
			continue
		}
		if r := e.defaultRank(); r > rank {
			best, rank = e, r
		}
	}
	return best, rank > 0
}

// ACSByURL finds the assertion consumer service at exactly this location, octet by octet, with one of the bindings (any,
// if none is given).
func (m *Metadata) ACSByURL(location string, bindings ...string) (Endpoint, bool) {
	return find(m.ACS, func(e Endpoint) bool { return e.Location == location && e.has(bindings) })
}

// ACSByIndex finds the assertion consumer service with this index; the first, should the metadata use one twice.
func (m *Metadata) ACSByIndex(index int) (Endpoint, bool) {
	return find(m.ACS, func(e Endpoint) bool { return e.Index != nil && *e.Index == index })
}

// Title is what to call the service provider when nobody gave it a name: its display name, else the host of its entity
// id, else the entity id.
func (m *Metadata) Title() string {
	if m.DisplayName != "" {
		return m.DisplayName
	}
	if u, err := url.Parse(m.EntityID); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return m.EntityID
}

func find(endpoints []Endpoint, ok func(Endpoint) bool) (Endpoint, bool) {
	i := slices.IndexFunc(endpoints, ok)
	if i < 0 {
		return Endpoint{}, false
	}
	return endpoints[i], true
}

func (e Endpoint) has(bindings []string) bool {
	return len(bindings) == 0 || slices.Contains(bindings, e.Binding)
}

func (e Endpoint) defaultRank() int {
	switch {
	case e.IsDefault == nil:
		return 2
	case *e.IsDefault:
		return 3
	}
	return 1
}

// MaxLocation is the longest URL, in bytes, that an app may register.
const MaxLocation = 2048

// ErrPlainHTTP refuses an http address whose host is not this machine.
var ErrPlainHTTP = errors.New("must begin with https:// (http is for localhost, unless you allow it)")

// CheckLocation refuses an address that Gatehouse must not send a browser with an answer to: anything but an absolute
// https URL (http for a loopback host, or when allowHTTP) without user, password and fragment. The address is never
// changed. The error completes the sentence "the address …".
func CheckLocation(location string, allowHTTP bool) error {
	if strings.Contains(location, "#") {
		return errors.New("must not have a fragment (#…)")
	}
	return checkURL(location, allowHTTP)
}

// CheckAddress is CheckLocation for an address that is only linked to or shown: it may have a fragment.
func CheckAddress(raw string) error { return checkURL(raw, false) }

// noHost are signs that no host has, and that a content security policy reads. Those of a zone of an IPv6 address can be anything.
const noHost = ";,'()*% "

func checkURL(raw string, allowHTTP bool) error {
	if raw == "" {
		return errors.New("is empty")
	}
	if len(raw) > MaxLocation {
		return errors.New("is longer than 2,048 bytes")
	}
	if i := strings.IndexFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' }); i >= 0 {
		return errors.New("must not contain spaces, control characters or backslashes")
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("is not a valid URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return errors.New("must be an absolute URL that begins with https://")
	case u.Hostname() == "":
		return errors.New("has no host")
	case strings.ContainsAny(u.Host, noHost):
		return errors.New("has a host with signs that no host has")
	case u.User != nil:
		return errors.New("must not hold a user name or password")
	case u.Scheme == "http" && !allowHTTP && !Loopback(u.Hostname()):
		return ErrPlainHTTP
	}
	return nil
}

// Loopback tells whether a host name or address (without port or brackets) stands for this machine.
func Loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.IsLoopback()
}
