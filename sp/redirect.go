package sp

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Redirects tells whether a redirect URI is one of the client's: equal octet by octet (RFC 9700, 4.1.3), but for the port of a
// native app's loopback address, which the system gives out anew each time (RFC 8252, 7.3).
func (o *OAuth) Redirects(uri string) bool {
	if slices.Contains(o.RedirectURIs, uri) {
		return true
	}
	if o.ApplicationType != TypeNative {
		return false
	}
	asked, ok := withoutPort(uri)
	return ok && slices.ContainsFunc(o.RedirectURIs, func(one string) bool {
		registered, ok := withoutPort(one)
		return ok && registered == asked
	})
}

// withoutPort writes a loopback address of plain http without its port; false: it is something else.
func withoutPort(uri string) (string, bool) {
	rest, plain := strings.CutPrefix(uri, "http://")
	end := strings.IndexAny(rest, "/?#")
	if !plain || end < 0 {
		return "", false
	}
	u, err := url.Parse("http://" + rest[:end])
	if err != nil || u.User != nil {
		return "", false
	}
	address, err := netip.ParseAddr(u.Hostname())
	return "http://" + u.Hostname() + rest[end:], err == nil && address.IsLoopback() && checkRedirect(uri, TypeNative) == nil
}

// checkRedirect refuses a redirect URI that a code must not be sent to (RFC 9700, 2.1; RFC 8252, 7): an https address, plain http
// on this machine alone, and for a native app a scheme of its own.
func checkRedirect(uri, applicationType string) error {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme == "" || len(uri) > maxItem || !printable(uri) || strings.ContainsAny(uri, " \\<>\"{}|^`"):
		return errors.New("is no absolute address")
	case strings.Contains(uri, "#"):
		return errors.New("has a fragment (#), which is not allowed")
	case strings.Contains(uri, "*"):
		return errors.New("has a wildcard: name each address")
	case u.User != nil:
		return errors.New("names a user")
	case strings.ContainsAny(u.Host, noHost):
		return errors.New("has a host with signs that no host has")
	case u.Scheme == "https" && u.Host != "":
		return nil
	case u.Scheme == "http" && Loopback(u.Hostname()):
		return nil
	case u.Scheme == "http":
		return errors.New("is plain http for a host that is not this machine: use https")
	case applicationType == TypeNative && strings.Contains(u.Scheme, ".") && u.Host == "":
		return nil // a private-use scheme is a domain turned round, such as org.example.app:/callback
	}
	return errors.New("must begin with https://, or for a native app (oauth.application_type=native) with a scheme like org.example.app:/")
}
