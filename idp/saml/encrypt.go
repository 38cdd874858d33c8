package saml

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"gatehouse/sp"
)

// blockCipher is a content encryption algorithm: the value of saml.encryption_algorithm, and its URI.
type blockCipher struct {
	name, uri string
	keySize   int
	legacy    bool // CBC: used only where saml.encryption_algorithm names it
}

// blockCiphers in the order of preference.
var blockCiphers = []*blockCipher{
	{"aes256-gcm", "http://www.w3.org/2009/xmlenc11#aes256-gcm", 32, false},
	{"aes128-gcm", "http://www.w3.org/2009/xmlenc11#aes128-gcm", 16, false},
	{"aes256-cbc", "http://www.w3.org/2001/04/xmlenc#aes256-cbc", 32, true},
	{"aes128-cbc", "http://www.w3.org/2001/04/xmlenc#aes128-cbc", 16, true},
}

// Key transport URIs and the mask functions of xmlenc11.
const (
	oaepMGF1P  = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p" // MGF1 with SHA-1, always
	oaep11     = "http://www.w3.org/2009/xmlenc11#rsa-oaep"        // MGF1 as its MGF element says, else with SHA-1
	mgf1SHA1   = "http://www.w3.org/2009/xmlenc11#mgf1sha1"
	mgf1SHA256 = "http://www.w3.org/2009/xmlenc11#mgf1sha256"
	mgf1SHA384 = "http://www.w3.org/2009/xmlenc11#mgf1sha384"
	mgf1SHA512 = "http://www.w3.org/2009/xmlenc11#mgf1sha512"
)

// transport is how the content key is wrapped.
type transport struct {
	uri, digest, mgf  string // mgf empty: not sent
	hash, maskingHash crypto.Hash
}

var oaepHashes = map[string]crypto.Hash{digestSHA1: crypto.SHA1, digestSHA256: crypto.SHA256, digestSHA384: crypto.SHA384, digestSHA512: crypto.SHA512}
var maskHashes = map[string]crypto.Hash{mgf1SHA1: crypto.SHA1, mgf1SHA256: crypto.SHA256, mgf1SHA384: crypto.SHA384, mgf1SHA512: crypto.SHA512}

// Recipient is whom an assertion is encrypted to, and how.
type Recipient struct {
	key       *rsa.PublicKey
	cipher    *blockCipher
	transport transport
}

// RecipientFor chooses key and algorithms for an app: its settings, else what the key's EncryptionMethods list, else
// AES-256-GCM and RSA-OAEP. Nil means that the assertion is sent in clear. An app that must get encrypted assertions, or
// that publishes a key for encryption which cannot be used, is a problem and never a reason for clear text.
func RecipientFor(app *sp.SAML) (*Recipient, *Problem) {
	if app.EncryptMode() == sp.EncryptNever {
		return nil, nil
	}
	must := app.EncryptMode() == sp.EncryptAlways
	err := errors.New("its metadata has no encryption key")
	for _, key := range app.Metadata.EncryptionKeys() {
		to, keyErr := recipient(&key, &app.Settings)
		if keyErr == nil {
			return to, nil
		}
		err = keyErr
		must = must || key.Use == sp.ForEncryption || len(key.EncryptionMethods) > 0
	}
	if !must {
		return nil, nil
	}
	return nil, cannotEncrypt().caused(err)
}

func cannotEncrypt() *Problem {
	return responder(ReasonEncryption, "", "The answer to this app cannot be encrypted, and it must be. Ask your administrator to check the app's encryption key and settings.")
}

// seal encrypts the name that a request wants as EncryptedID, and each attribute where the app is set so.
func (st *Statement) seal(asked *Accepted, app *sp.SAML) *Problem {
	attributes := app.Settings.EncryptAttributes == "on"
	if !asked.EncryptName && !attributes {
		return nil
	}
	to := NameRecipient(app)
	if to == nil {
		return cannotEncrypt()
	}
	if asked.EncryptName {
		st.NameTo = to
	}
	if attributes {
		st.AttributesTo = to
	}
	return nil
}

// NameRecipient is whom a name or an attribute is encrypted to by itself; nil: no key of the app can be used.
func NameRecipient(app *sp.SAML) *Recipient {
	for _, key := range app.Metadata.EncryptionKeys() {
		if to, err := recipient(&key, &app.Settings); err == nil {
			return to
		}
	}
	return nil
}

func recipient(key *sp.Key, settings *sp.SAMLSettings) (*Recipient, error) {
	public, err := key.Public()
	if err != nil {
		return nil, err
	}
	rsaKey, ok := public.(*rsa.PublicKey)
	if !ok || rsaKey.N.BitLen() < sp.StrongRSABits {
		return nil, errors.New("its encryption key is not an RSA key of at least 2,048 bits")
	}
	to := &Recipient{key: rsaKey}
	if to.cipher, err = chooseCipher(key.EncryptionMethods, settings.EncryptionAlgorithm); err != nil {
		return nil, err
	}
	to.transport, err = chooseTransport(key.EncryptionMethods, settings.KeyTransport)
	return to, err
}

// chooseCipher: the setting; else the best of ours that the key lists; else, where it lists none at all, the default.
func chooseCipher(methods []sp.EncryptionMethod, setting string) (*blockCipher, error) {
	lists := slices.ContainsFunc(methods, func(m sp.EncryptionMethod) bool { return !isTransport(m.Algorithm) })
	for _, c := range blockCiphers {
		listed := slices.ContainsFunc(methods, func(m sp.EncryptionMethod) bool { return m.Algorithm == c.uri })
		if setting == c.name || setting == "" && !c.legacy && (listed || !lists) {
			return c, nil
		}
	}
	if setting != "" {
		return nil, fmt.Errorf("saml.encryption_algorithm=%s is unknown", setting)
	}
	return nil, errors.New("its metadata lists only encryption algorithms that are refused; saml.encryption_algorithm=aes128-cbc would allow the old one")
}

func isTransport(uri string) bool {
	return uri == oaepMGF1P || uri == oaep11 || uri == "http://www.w3.org/2001/04/xmlenc#rsa-1_5"
}

// chooseTransport: with the digest and mask that the key's metadata names for the method, else SHA-1 for rsa-oaep-mgf1p,
// which every implementation understands, and SHA-256 for the newer rsa-oaep. (OAEP does not lean on collisions.)
func chooseTransport(methods []sp.EncryptionMethod, setting string) (transport, error) {
	wanted := map[string]string{"": "", "rsa-oaep-mgf1p": oaepMGF1P, "rsa-oaep": oaep11}
	uri, known := wanted[setting]
	if !known {
		return transport{}, fmt.Errorf("saml.key_transport=%s is unknown", setting)
	}
	lists := false
	for _, m := range methods {
		if !isTransport(m.Algorithm) {
			continue
		}
		lists = true
		if m.Algorithm == uri || uri == "" && (m.Algorithm == oaepMGF1P || m.Algorithm == oaep11) {
			if t, err := newTransport(m); err == nil {
				return t, nil
			}
		}
	}
	switch {
	case uri == oaep11:
		return newTransport(sp.EncryptionMethod{Algorithm: oaep11, Digest: digestSHA256, MGF: mgf1SHA256})
	case uri == oaepMGF1P || !lists:
		return newTransport(sp.EncryptionMethod{Algorithm: oaepMGF1P})
	}
	return transport{}, errors.New("its metadata lists only key transport algorithms that are refused")
}

func newTransport(m sp.EncryptionMethod) (transport, error) {
	t := transport{uri: m.Algorithm, digest: m.Digest, maskingHash: crypto.SHA1}
	if t.digest == "" {
		t.digest = digestSHA1
	}
	var ok bool
	if t.hash, ok = oaepHashes[t.digest]; !ok {
		return t, errors.New("the digest of its key transport is not supported")
	}
	if m.Algorithm == oaep11 && m.MGF != "" {
		t.mgf = m.MGF
		if t.maskingHash, ok = maskHashes[m.MGF]; !ok {
			return t, errors.New("the mask function of its key transport is not supported")
		}
	}
	return t, nil
}

// encryptTail replaces the assertion doc[from:] by an EncryptedAssertion that holds it (core 2.3.4).
func (to *Recipient) encryptTail(doc []byte, from int) ([]byte, error) {
	sealed, err := to.encrypted(doc[from:])
	if err != nil {
		return nil, err
	}
	out := append(doc[:from], `<saml:EncryptedAssertion xmlns:saml="`+nsAssertion+`">`...)
	return append(append(out, sealed...), `</saml:EncryptedAssertion>`...), nil
}

// encrypted is the EncryptedData of an element.
func (to *Recipient) encrypted(element []byte) ([]byte, error) {
	key := make([]byte, to.cipher.keySize)
	rand.Read(key) // never fails
	content, err := to.cipher.seal(key, element)
	if err != nil {
		return nil, err
	}
	t := &to.transport
	wrapped, err := rsa.EncryptOAEPWithOptions(rand.Reader, to.key, key, &rsa.OAEPOptions{Hash: t.hash, MGFHash: t.maskingHash})
	if err != nil {
		return nil, fmt.Errorf("encrypt the content key: %w", err)
	}
	out := append(make([]byte, 0, 2<<10+2*len(content)), `<xenc:EncryptedData xmlns:xenc="http://www.w3.org/2001/04/xmlenc#" Type="http://www.w3.org/2001/04/xmlenc#Element"><xenc:EncryptionMethod`...)
	out = appendAttr(out, "Algorithm", to.cipher.uri)
	out = append(out, `></xenc:EncryptionMethod><ds:KeyInfo xmlns:ds="`+nsDSig+`"><xenc:EncryptedKey><xenc:EncryptionMethod`...)
	out = append(appendAttr(out, "Algorithm", t.uri), `><ds:DigestMethod`...)
	out = append(appendAttr(out, "Algorithm", t.digest), `></ds:DigestMethod>`...)
	if t.mgf != "" {
		out = append(appendAttr(append(out, `<xenc11:MGF xmlns:xenc11="http://www.w3.org/2009/xmlenc11#"`...), "Algorithm", t.mgf), `></xenc11:MGF>`...)
	}
	out = append(out, `</xenc:EncryptionMethod><xenc:CipherData><xenc:CipherValue>`...)
	out = base64.StdEncoding.AppendEncode(out, wrapped)
	out = append(out, `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedKey></ds:KeyInfo><xenc:CipherData><xenc:CipherValue>`...)
	out = base64.StdEncoding.AppendEncode(out, content)
	return append(out, `</xenc:CipherValue></xenc:CipherData></xenc:EncryptedData>`...), nil
}

// seal encrypts under a fresh key: the random IV first, as xmlenc 5.2 has it.
func (c *blockCipher) seal(key, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if c.legacy {
		return sealCBC(block, plain), nil
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	out := make([]byte, gcm.NonceSize(), gcm.NonceSize()+len(plain)+gcm.Overhead())
	rand.Read(out)
	return gcm.Seal(out, out[:gcm.NonceSize()], plain, nil), nil
}

// sealCBC pads as xmlenc 5.2.1 says: the last byte is the number of padding bytes.
func sealCBC(block cipher.Block, plain []byte) []byte {
	padding := aes.BlockSize - len(plain)%aes.BlockSize
	out := make([]byte, aes.BlockSize+len(plain)+padding)
	rand.Read(out[:aes.BlockSize])
	copy(out[aes.BlockSize:], plain)
	out[len(out)-1] = byte(padding)
	cipher.NewCBCEncrypter(block, out[:aes.BlockSize]).CryptBlocks(out[aes.BlockSize:], out[aes.BlockSize:])
	return out
}
