package metadata

import (
	"crypto"
	"crypto/rsa"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gatehouse/sp"
)

// The algorithms of signed metadata, by URI: what is not listed is refused, SHA-1 above all.
const (
	transformEnveloped = nsDSig + "enveloped-signature"
	exclusiveC14N      = "http://www.w3.org/2001/10/xml-exc-c14n#"
	inclusiveC14N10    = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
	inclusiveC14N11    = "http://www.w3.org/2006/12/xml-c14n11"
	moreDSig           = "http://www.w3.org/2001/04/xmldsig-more#"
)

type signatureMethod struct {
	uri  string
	hash crypto.Hash
	ec   bool
}

func methodOf(uri string) *signatureMethod {
	for _, m := range []signatureMethod{
		{moreDSig + "rsa-sha256", crypto.SHA256, false},
		{moreDSig + "rsa-sha384", crypto.SHA384, false},
		{moreDSig + "rsa-sha512", crypto.SHA512, false},
		{moreDSig + "ecdsa-sha256", crypto.SHA256, true},
		{moreDSig + "ecdsa-sha384", crypto.SHA384, true},
		{moreDSig + "ecdsa-sha512", crypto.SHA512, true},
	} {
		if m.uri == uri {
			return &m
		}
	}
	return nil
}

func digests() map[string]crypto.Hash {
	return map[string]crypto.Hash{
		"http://www.w3.org/2001/04/xmlenc#sha256": crypto.SHA256, moreDSig + "sha384": crypto.SHA384,
		"http://www.w3.org/2001/04/xmlenc#sha512": crypto.SHA512,
	}
}

// maxPrefixes bounds the PrefixList of exclusive canonicalisation: each is looked up on every element.
const maxPrefixes = 64

// form is the canonical form that a method or a transform names. The ones with comments cannot be told apart from forgeries of
// comments and are refused.
func form(n *node) (canonical, error) {
	switch uri := n.attr("Algorithm"); uri {
	case inclusiveC14N10, inclusiveC14N11:
		return canonical{inclusive: true}, nil
	case exclusiveC14N:
		c := canonical{}
		for _, inclusive := range n.all(exclusiveC14N, "InclusiveNamespaces") {
			for _, prefix := range strings.Fields(inclusive.attr("PrefixList")) {
				if prefix == "#default" {
					prefix = ""
				}
				if c.prefixes = append(c.prefixes, prefix); len(c.prefixes) > maxPrefixes {
					return canonical{}, notTheRoot("its PrefixList is longer than any genuine one")
				}
			}
		}
		return c, nil
	default:
		return canonical{}, refusedMethod(uri)
	}
}

func shortURI(uri string) string {
	if uri == "" {
		return "no algorithm"
	}
	return short(uri[strings.LastIndexAny(strings.TrimSuffix(uri, "#"), "#/")+1:])
}

// maxPinned is how many keys may be pinned: the one in use, and those of a rollover.
const maxPinned = 10

// PinnedKeys reads the keys that metadata may be signed with: PEM certificates, of which only the key counts, or public keys.
func PinnedKeys(text []byte) ([]sp.Key, error) {
	var keys []sp.Key
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		key := sp.Key{Use: sp.ForSigning}
		switch block.Type {
		case "CERTIFICATE":
			key.Certificate = block.Bytes
		case "PUBLIC KEY":
			key.PublicKey = block.Bytes
		default:
			return nil, fmt.Errorf("a PEM block %q is neither a certificate nor a public key", short(block.Type))
		}
		public, err := key.Public()
		if err != nil {
			return nil, err
		}
		if weak, ok := public.(*rsa.PublicKey); ok && weak.N.BitLen() < sp.StrongRSABits {
			return nil, fmt.Errorf("the RSA key has %d bits; at least 2,048 can be pinned", weak.N.BitLen())
		}
		if !slices.ContainsFunc(keys, func(other sp.Key) bool { return sameKey(key, other) }) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 || len(keys) > maxPinned {
		return nil, errors.New("give 1 to 10 certificates or public keys in PEM form")
	}
	return keys, nil
}
