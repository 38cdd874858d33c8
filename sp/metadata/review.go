package metadata

import (
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"gatehouse/sp"
)

// soon is how early an end is announced.
const soon = 30 * 24 * time.Hour

// review warns of what was read and is legal, yet weak, incomplete or about to end.
func (r *reader) review() {
	m := &r.out
	if !m.ValidUntil.IsZero() && m.ValidUntil.Before(r.opts.Now.Add(soon)) {
		r.warn(Caution, "valid_until_soon", "The metadata is valid only until %s; sign-on ends then unless it is renewed.", date(m.ValidUntil))
	}
	r.reviewConsumers()
	for i := range m.Keys {
		r.reviewKey(&m.Keys[i])
	}
	r.reviewUses()
	r.reviewAlgorithms()
	r.reviewNames()
	if len(m.SLO) == 0 {
		r.warn(Info, "no_slo", "The app has no logout address, so signing out here does not sign out there.")
	}
}

func (r *reader) reviewConsumers() {
	seen := make(map[int]bool)
	defaults, repeated, unindexed := 0, false, false
	for _, e := range r.out.ACS {
		if strings.HasPrefix(strings.ToLower(e.Location), "http:") {
			r.warn(Caution, "http_acs", "Answers to %s travel unencrypted over http; use https outside of tests.", short(e.Location))
		}
		if e.Binding != sp.BindingPOST && e.Binding != sp.BindingArtifact && e.Binding != sp.BindingPAOS {
			r.warn(Info, "acs_binding", "The address %s uses the binding %s, which cannot carry an answer; it is not used.",
				short(e.Location), short(e.Binding))
		}
		if e.IsDefault != nil && *e.IsDefault {
			defaults++
		}
		if e.Index == nil {
			unindexed = true
			continue
		}
		repeated = repeated || seen[*e.Index]
		seen[*e.Index] = true
	}
	if repeated {
		r.warn(Caution, "acs_duplicate_index", "Two AssertionConsumerServices have the same index; the first one counts.")
	}
	if defaults > 1 {
		r.warn(Caution, "acs_several_defaults", "Several AssertionConsumerServices say that they are the default; the first one counts.")
	}
	if unindexed {
		r.warn(Info, "acs_without_index", "An AssertionConsumerService has no index and cannot be chosen by one.")
	}
}

func (r *reader) reviewKey(k *sp.Key) {
	if public, err := k.Public(); err == nil {
		switch key := public.(type) {
		case *rsa.PublicKey:
			if bits := key.N.BitLen(); bits < sp.StrongRSABits {
				r.warn(Caution, "key_weak", "The %s key is RSA with only %d bits; ask for 2,048 or more.", useWord(k.Use), bits)
			}
		case *ecdsa.PublicKey:
			if k.Use == sp.ForEncryption {
				r.warn(Caution, "key_ec_encryption", "The encryption key is an EC key; only RSA keys can be encrypted to.")
			}
		}
	}
	if len(k.Certificate) == 0 {
		return
	}
	cert, err := x509.ParseCertificate(k.Certificate)
	if err != nil {
		return // Public has read it before
	}
	switch name := short(cert.Subject.String()); {
	case !cert.NotAfter.After(r.opts.Now):
		r.warn(Caution, "certificate_expired", "The %s certificate %q expired on %s; its key is still used, the app may refuse it.",
			useWord(k.Use), name, date(cert.NotAfter))
	case cert.NotAfter.Before(r.opts.Now.Add(soon)):
		r.warn(Caution, "certificate_expires_soon", "The %s certificate %q expires on %s.", useWord(k.Use), name, date(cert.NotAfter))
	case cert.NotBefore.After(r.opts.Now.Add(skew)):
		r.warn(Info, "certificate_not_yet_valid", "The %s certificate %q begins on %s.", useWord(k.Use), name, date(cert.NotBefore))
	}
	weak := []x509.SignatureAlgorithm{x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1}
	if slices.Contains(weak, cert.SignatureAlgorithm) {
		r.warn(Info, "certificate_weak_signature", "The %s certificate is itself signed with %s; ask for a newer one.",
			useWord(k.Use), cert.SignatureAlgorithm)
	}
}

func (r *reader) reviewUses() {
	if r.out.AuthnRequestsSigned && len(r.out.SigningKeys()) == 0 {
		r.warn(Caution, "no_signing_key", "The app says that it signs requests, but gives no signing key: every request will be refused.")
	}
	keys := r.out.EncryptionKeys()
	if len(keys) == 0 {
		r.warn(Info, "no_encryption_key", "The app gives no encryption key, so assertions cannot be encrypted to it.")
		return
	}
	content, modern := false, false
	for _, k := range keys {
		for _, m := range k.EncryptionMethods {
			content = content || strings.HasSuffix(m.Algorithm, "-cbc") || strings.HasSuffix(m.Algorithm, "-gcm")
			modern = modern || strings.HasSuffix(m.Algorithm, "-gcm")
		}
	}
	if content && !modern {
		r.warn(Caution, "only_cbc", "The app declares only CBC encryption, which does not detect changes; ask for AES-GCM.")
	}
}

func (r *reader) reviewAlgorithms() {
	strong := func(uri string) bool { return !strings.HasSuffix(uri, "sha1") && !strings.Contains(uri, "md5") }
	if methods := r.out.SigningMethods; len(methods) > 0 && !slices.ContainsFunc(methods, strong) {
		r.warn(Caution, "only_sha1_signatures", "The app declares only broken signature methods (SHA-1, MD5); its requests will be refused.")
	}
	if methods := r.out.DigestMethods; len(methods) > 0 && !slices.ContainsFunc(methods, strong) {
		r.warn(Caution, "only_sha1_digests", "The app declares only broken digest methods (SHA-1, MD5).")
	}
}

func (r *reader) reviewNames() {
	if len(r.out.NameIDFormats) == 0 {
		r.warn(Info, "no_nameid_format", "The metadata asks for no NameID format; persistent is sent unless you set another.")
	}
	known := sp.KnownNameIDFormats()
	for _, format := range r.out.NameIDFormats {
		if !slices.Contains(known, format) {
			r.warn(Info, "unknown_nameid_format", "The NameID format %s is not supported.", short(format))
		}
	}
	seen := make(map[int]bool)
	for _, s := range r.out.AttributeServices {
		if seen[s.Index] {
			r.warn(Caution, "attributes_duplicate_index", "Two AttributeConsumingServices have the index %d; the first one counts.", s.Index)
		}
		seen[s.Index] = true
	}
}

func useWord(use sp.KeyUse) string {
	if use == sp.ForBoth {
		return "signing and encryption"
	}
	return string(use)
}

func date(t time.Time) string { return t.UTC().Format("2 January 2006") }
