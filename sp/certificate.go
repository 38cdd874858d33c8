package sp

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// TLSSubject is what a client's certificate says of it (RFC 8705, 2.1.2): exactly one of these, under tls_client_auth.
type TLSSubject struct {
	DN    string `json:"tls_client_auth_subject_dn,omitempty"` // RFC 4514
	DNS   string `json:"tls_client_auth_san_dns,omitempty"`
	URI   string `json:"tls_client_auth_san_uri,omitempty"`
	IP    string `json:"tls_client_auth_san_ip,omitempty"`
	Email string `json:"tls_client_auth_san_email,omitempty"`
}

func tlsSettings() []Setting {
	subject := func(name, label, help string, check func(string) error, field func(*TLSSubject) *string) Setting {
		return worded("oauth.tls_client_auth_"+name, label, help+" For tls_client_auth, which needs exactly one of these.",
			check, func(a *App) *string { return field(&client(a).TLSSubject) })
	}
	return []Setting{
		subject("subject_dn", "Certificate subject", "The subject of the app's certificate, as openssl x509 -subject -nameopt RFC2253 writes it.",
			func(v string) error { _, err := parseDN(v); return err }, func(s *TLSSubject) *string { return &s.DN }),
		subject("san_dns", "Certificate DNS name", "A DNS name in the app's certificate.", isHostName, func(s *TLSSubject) *string { return &s.DNS }),
		subject("san_uri", "Certificate URI", "A URI in the app's certificate.", isURI, func(s *TLSSubject) *string { return &s.URI }),
		subject("san_ip", "Certificate IP address", "An IP address in the app's certificate.", isIP, func(s *TLSSubject) *string { return &s.IP }),
		subject("san_email", "Certificate e-mail address", "An e-mail address in the app's certificate.", isMailbox, func(s *TLSSubject) *string { return &s.Email }),
		flag("oauth.tls_client_certificate_bound_access_tokens", "Tokens bound to certificates", "A token works only with the client certificate that it was asked for with (mutual TLS).", "false",
			func(a *App) **bool { return &client(a).BindCertificates }),
	}
}

// worded is a text that must pass, where there is one.
func worded(key, label, help string, check func(string) error, field func(*App) *string) Setting {
	s := text(key, label, help, field)
	plain := s.set
	s.set = func(a *App, v string) error {
		if v = strings.TrimSpace(v); v != "" {
			if err := check(v); err != nil {
				return err
			}
		}
		return plain(a, v)
	}
	return s
}

func isHostName(v string) error {
	if strings.ContainsFunc(v, func(r rune) bool { return r > '~' || r <= ' ' || strings.ContainsRune("*/:@", r) }) {
		return errors.New("must be a DNS name like client.example.org, letter by letter as in the certificate")
	}
	return nil
}

func isURI(v string) error {
	if u, err := url.Parse(v); err != nil || u.Scheme == "" {
		return errors.New("must be an absolute URI like spiffe://example.org/orders")
	}
	return nil
}

func isIP(v string) error {
	if _, err := netip.ParseAddr(v); err != nil {
		return errors.New("must be one IP address")
	}
	return nil
}

func isMailbox(v string) error {
	if local, domain, ok := strings.Cut(v, "@"); !ok || local == "" || domain == "" {
		return errors.New("must be an e-mail address")
	}
	return nil
}

// count is how many are set.
func (s *TLSSubject) count() int {
	return len(slices.DeleteFunc([]string{s.DN, s.DNS, s.URI, s.IP, s.Email}, func(v string) bool { return v == "" }))
}

// String is what must be there, for administrators.
func (s *TLSSubject) String() string {
	return s.DN + s.DNS + s.URI + s.IP + s.Email
}

// Is tells whether a certificate says it: letter by letter, save that DNS names have no case. Whether the certificate is to be believed
// is the caller's to judge.
func (s *TLSSubject) Is(cert *x509.Certificate) bool {
	switch {
	case s.count() != 1:
		return false
	case s.DN != "":
		registered, err := parseDN(s.DN)
		return err == nil && sameDN(registered, cert.RawSubject)
	case s.DNS != "":
		return slices.ContainsFunc(cert.DNSNames, func(one string) bool { return strings.EqualFold(one, s.DNS) })
	case s.URI != "":
		return slices.ContainsFunc(cert.URIs, func(one *url.URL) bool { return one.String() == s.URI })
	case s.Email != "":
		return slices.Contains(cert.EmailAddresses, s.Email)
	}
	registered, err := netip.ParseAddr(s.IP)
	for _, one := range cert.IPAddresses {
		if got, ok := netip.AddrFromSlice(one); ok && err == nil && got.Unmap() == registered.Unmap() {
			return true
		}
	}
	return false
}

// dnTypes are the object identifiers of the names in a distinguished name (RFC 4514, 3; RFC 4519).
var dnTypes = map[string]string{
	"CN": "2.5.4.3", "SN": "2.5.4.4", "SURNAME": "2.5.4.4", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8", "S": "2.5.4.8",
	"STREET": "2.5.4.9", "O": "2.5.4.10", "OU": "2.5.4.11", "TITLE": "2.5.4.12", "POSTALCODE": "2.5.4.17", "GIVENNAME": "2.5.4.42", "GN": "2.5.4.42",
	"ORGANIZATIONIDENTIFIER": "2.5.4.97", "UID": "0.9.2342.19200300.100.1.1", "DC": "0.9.2342.19200300.100.1.25",
	"EMAILADDRESS": "1.2.840.113549.1.9.1", "E": "1.2.840.113549.1.9.1",
}

// pair is one name and value of a distinguished name.
type pair struct{ oid, value string }

var errDN = errors.New("must be a subject like CN=orders,O=Example,C=SE (RFC 4514), with names or object identifiers")

// parseDN reads the string form of a distinguished name, most specific part first: its parts, each with one pair or more.
func parseDN(text string) ([][]pair, error) {
	parts := [][]pair{nil}
	for rest := text; ; {
		name, after, ok := strings.Cut(rest, "=")
		oid := oidOf(strings.TrimSpace(name))
		value, end, err := cutValue(after)
		if !ok || oid == "" || value == "" || err != nil {
			return nil, errDN
		}
		last := len(parts) - 1
		parts[last] = append(parts[last], pair{oid, value})
		if end == "" {
			return parts, nil
		}
		if end[0] != '+' {
			parts = append(parts, nil)
		}
		rest = end[1:]
	}
}

func oidOf(name string) string {
	if oid := dnTypes[strings.ToUpper(name)]; oid != "" {
		return oid
	}
	if strings.ContainsFunc(name, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }) || !strings.Contains(name, ".") {
		return ""
	}
	return name
}

// cutValue takes a value off the front of a text, without its escapes and the spaces around it; end begins with the separator.
func cutValue(text string) (value, end string, err error) {
	var b strings.Builder
	kept := 0 // bytes that are no trailing spaces
	text = strings.TrimLeft(text, " ")
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text) && strings.IndexByte(` "#+,;<=>\`, text[i+1]) >= 0:
			b.WriteByte(text[i+1])
			i, kept = i+1, b.Len()
		case c == '\\':
			octet, ok := hexOctet(text[i+1:])
			if !ok {
				return "", "", errDN
			}
			b.WriteByte(octet)
			i, kept = i+2, b.Len()
		case c == ',' || c == '+' || c == ';':
			return b.String()[:kept], text[i:], nil
		case c == '"' || c == '<' || c == '>' || c == '#' && b.Len() == 0:
			return "", "", errDN
		default:
			if b.WriteByte(c); c != ' ' {
				kept = b.Len()
			}
		}
	}
	return b.String()[:kept], "", nil
}

func hexOctet(text string) (byte, bool) {
	const digits = "0123456789abcdef"
	if len(text) < 2 {
		return 0, false
	}
	pair := strings.ToLower(text[:2])
	high, low := strings.IndexByte(digits, pair[0]), strings.IndexByte(digits, pair[1])
	return byte(high<<4 | low), high >= 0 && low >= 0
}

// sameDN compares with the subject of a certificate, which lists the parts the other way around.
func sameDN(parts [][]pair, raw []byte) bool {
	var subject pkix.RDNSequence
	if rest, err := asn1.Unmarshal(raw, &subject); err != nil || len(rest) > 0 || len(subject) != len(parts) {
		return false
	}
	for i, part := range parts {
		set := subject[len(subject)-1-i]
		if len(set) != len(part) {
			return false
		}
		rest := slices.Clone(part)
		for _, one := range set {
			value, _ := one.Value.(string)
			at := slices.Index(rest, pair{one.Type.String(), value})
			if at < 0 {
				return false
			}
			rest = slices.Delete(rest, at, at+1)
		}
	}
	return true
}

// checkCertificates is what only holds between the settings about certificates.
func (o *OAuth) checkCertificates() error {
	switch {
	case o.Method() == AuthTLS && o.TLSSubject.count() != 1:
		return &SettingError{"oauth.tls_client_auth_subject_dn", "tls_client_auth needs exactly one of oauth.tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip and _san_email: what the app's certificate says of it"}
	case o.Method() == AuthSelfSignedTLS && o.JWKSURI == "" && !holdsCertificate(o.JWKS):
		return &SettingError{"oauth.jwks", "self_signed_tls_client_auth needs the app's certificate: put it into a key of oauth.jwks as x5c, or set oauth.jwks_uri"}
	}
	return nil
}

func holdsCertificate(jwks json.RawMessage) bool {
	var set struct {
		Keys []struct {
			X5C []string `json:"x5c"`
		} `json:"keys"`
	}
	if json.Unmarshal(jwks, &set) != nil {
		return false
	}
	for _, key := range set.Keys {
		if len(key.X5C) > 0 {
			return true
		}
	}
	return false
}
