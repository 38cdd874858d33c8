package web

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// ClientCertificates is the certificate whose key the client of a request proved to have, first, and what it sent to vouch for it; nil:
// there is none. A trusted proxy tells it in the header of that name, and its own certificate is nobody's. What anybody else sends in
// that header does not count and is taken away.
func ClientCertificates(r *http.Request, proxies []netip.Prefix, header string) []*x509.Certificate {
	if header != "" && contains(proxies, peer(r)) {
		if values := r.Header.Values(header); len(values) == 1 {
			return readCertificate(values[0])
		}
		return nil
	}
	if header != "" {
		r.Header.Del(header)
	}
	if r.TLS == nil {
		return nil
	}
	return r.TLS.PeerCertificates
}

// readCertificate reads a header of a proxy: base64 between colons (RFC 9440, 2.1), or PEM, escaped as in URLs (nginx's
// $ssl_client_escaped_cert). What cannot be read is no certificate.
func readCertificate(value string) []*x509.Certificate {
	var der []byte
	if inner, ok := strings.CutPrefix(value, ":"); ok {
		if inner, ok = strings.CutSuffix(inner, ":"); !ok {
			return nil
		}
		der, _ = base64.StdEncoding.DecodeString(inner)
	} else if text, err := url.PathUnescape(value); err == nil {
		if block, rest := pem.Decode([]byte(text)); block != nil && len(strings.TrimSpace(string(rest))) == 0 {
			der = block.Bytes
		}
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil
	}
	return []*x509.Certificate{certificate}
}
