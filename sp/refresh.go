package sp

import (
	"cmp"
	"crypto/rsa"
	"net/url"
	"slices"
	"time"
)

// How newer metadata of an app becomes what it is known by (saml.metadata_refresh).
const (
	RefreshReview    = "review"
	RefreshAutomatic = "automatic"
	RefreshOff       = "off"
)

// skew is how far clocks may differ when the end of metadata is judged (IIP-G01).
const skew = 3 * time.Minute

// Expired tells whether the metadata is past its end, so that nothing in it may be relied on any more.
func (m *Metadata) Expired(now time.Time) bool {
	return !m.ValidUntil.IsZero() && !m.ValidUntil.Add(skew).After(now)
}

// RefreshMode is what happens to newer metadata of the app.
func (a *App) RefreshMode() string {
	if a.Definition.SAML == nil {
		return RefreshOff
	}
	return cmp.Or(a.Definition.SAML.Settings.MetadataRefresh, RefreshReview)
}

// origin are the index values under which the apps of a metadata source stand.
func (a *App) origin() []string {
	if a.State == Removed || a.Definition.SAML == nil || a.Definition.SAML.Metadata.Source == "" {
		return nil
	}
	return []string{a.Definition.SAML.Metadata.Source}
}

// Widens tells whether newer metadata would tell more about people, or tell it to others: messages to a host that got none before,
// tags that release more, no key to encrypt to any more.
func Widens(before, after *Metadata) bool {
	known, tags := hosts(before), before.tags()
	return slices.ContainsFunc(hosts(after), func(host string) bool { return !slices.Contains(known, host) }) ||
		slices.ContainsFunc(after.tags(), func(tag [2]string) bool { return !slices.Contains(tags, tag) }) ||
		before.encrypts() && !after.encrypts()
}

// encrypts tells whether there is a key that answers can be encrypted to.
func (m *Metadata) encrypts() bool {
	return slices.ContainsFunc(m.EncryptionKeys(), func(k Key) bool {
		public, err := k.Public()
		key, ok := public.(*rsa.PublicKey)
		return err == nil && ok && key.N.BitLen() >= StrongRSABits
	})
}

// hosts are those to which answers, logouts and changes of names go.
func hosts(m *Metadata) []string {
	var list []string
	for _, e := range slices.Concat(m.ACS, m.SLO, m.ManageNameID) {
		for _, address := range []string{e.Location, e.ResponseLocation} {
			if u, err := url.Parse(address); err == nil && address != "" {
				list = append(list, u.Scheme+"://"+u.Host)
			}
		}
	}
	return list
}

// tags are the entity attributes one by one. That no identifier is wanted takes away, so without it there is more.
func (m *Metadata) tags() [][2]string {
	var list [][2]string
	for _, tag := range m.EntityAttributes {
		for _, value := range tag.Values {
			list = append(list, [2]string{tag.Name, value})
		}
	}
	if !slices.Contains(m.Tag(SubjectIDNeeded), "none") {
		list = append(list, [2]string{SubjectIDNeeded, "not none"})
	}
	return list
}

// KeepStricter puts back what a newer definition must not lower by itself: the demand for signed requests, encryption, and
// algorithms; that a client proves itself and speaks for nobody unasked, PKCE, pushed requests, bound tokens, and that it knows people by a name of its own. Asked are the settings that somebody asked for beside it, which hold. It returns the keys that it put back.
func (a *App) KeepStricter(before *App, asked map[string]string) []string {
	return append(a.keepSAML(before, asked), a.keepClient(before, asked)...)
}

func (a *App) keepSAML(before *App, asked map[string]string) []string {
	if before.Definition.SAML == nil {
		return nil
	}
	was, is := before.Definition.SAML, *a.Definition.SAML
	var kept []string
	if _, word := asked["saml.require_signed_requests"]; !word && was.RequireSigned() && !is.RequireSigned() {
		is.Settings.RequireSignedRequests = was.Settings.RequireSignedRequests
		if !is.RequireSigned() {
			is.Settings.RequireSignedRequests = new(true)
		}
		kept = append(kept, "saml.require_signed_requests")
	}
	if _, word := asked["saml.encrypt"]; !word && was.EncryptMode() == EncryptAlways && is.EncryptMode() != EncryptAlways {
		is.Settings.Encrypt = EncryptAlways
		kept = append(kept, "saml.encrypt")
	}
	if _, word := asked["saml.signature_algorithm"]; !word && was.SignatureAlgorithm() != AlgorithmSHA1 && is.SignatureAlgorithm() == AlgorithmSHA1 {
		is.Settings.SignatureAlgorithm = was.Settings.SignatureAlgorithm
		kept = append(kept, "saml.signature_algorithm")
	}
	a.Definition.SAML = &is
	return kept
}

func (a *App) keepClient(before *App, asked map[string]string) []string {
	if before.Definition.OAuth == nil {
		return nil
	}
	was, is := before.Definition.OAuth, *a.Definition.OAuth
	var kept []string
	keep := func(key string, lowered bool, back func()) {
		if _, word := asked[key]; lowered && !word {
			back()
			kept = append(kept, key)
		}
	}
	keep("oauth.token_endpoint_auth_method", is.Public() && !was.Public(), func() {
		is.AuthMethod, is.JWKS, is.JWKSURI, is.TLSSubject = was.AuthMethod, was.JWKS, was.JWKSURI, was.TLSSubject
	})
	keep("oauth.grant_types", was.Unattended(is.GrantTypes) != "", func() {
		if is.GrantTypes = was.GrantTypes; len(is.RedirectURIs) == 0 {
			is.RedirectURIs = was.RedirectURIs
		}
	})
	keep("oauth.require_pkce", was.NeedsPKCE() && !is.NeedsPKCE(), func() { is.RequirePKCE = new(true) })
	keep("oauth.require_pushed_authorization_requests", was.NeedsPAR() && !is.NeedsPAR(), func() { is.RequirePAR = new(true) })
	keep("oauth.dpop_bound_access_tokens", was.NeedsDPoP() && !is.NeedsDPoP(), func() { is.RequireDPoP = new(true) })
	keep("oauth.tls_client_certificate_bound_access_tokens", was.BindsCertificates() && !is.BindsCertificates(), func() { is.BindCertificates = new(true) })
	keep("oauth.subject_type", was.Subject() == SubjectPairwise && is.Subject() != SubjectPairwise, func() { is.SubjectType = was.SubjectType })
	a.Definition.OAuth = &is
	return kept
}
