package saml

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"slices"
)

const nsXEnc = "http://www.w3.org/2001/04/xmlenc#"

// encryptedData is an EncryptedID or EncryptedAssertion as it came: who can unwrap one of the keys can read it (xmlenc-core1, 3.1).
type encryptedData struct {
	method string
	value  []byte
	keys   []wrappedKey
	legacy bool // AES-CBC is taken too: only once the signature around it is verified
}

type wrappedKey struct {
	method, digest, mgf string
	value               []byte
}

// maxWrapped is how many EncryptedKey elements are tried: each costs a private-key operation.
const maxWrapped = 4

var errEncrypted = errors.New("what is encrypted in it is incomplete")

// readEncrypted reads EncryptedData and the keys inside or beside it.
func readEncrypted(t *tree, holder int32) (*encryptedData, error) {
	data, err := t.only(holder, nsXEnc, "EncryptedData")
	if err != nil || data < 0 {
		return nil, errEncrypted
	}
	e := &encryptedData{}
	if e.method, _, _, e.value, err = readCipher(t, data); err != nil {
		return nil, err
	}
	for _, parent := range []int32{holder, t.child(data, nsDSig, "KeyInfo")} {
		if parent < 0 {
			continue
		}
		for at := t.nodes[parent].first; at >= 0; at = t.nodes[at].next {
			if !t.is(at, nsXEnc, "EncryptedKey") {
				continue
			}
			var key wrappedKey
			if key.method, key.digest, key.mgf, key.value, err = readCipher(t, at); err != nil {
				return nil, err
			}
			e.keys = append(e.keys, key)
		}
	}
	if len(e.keys) == 0 || len(e.keys) > maxWrapped {
		return nil, errEncrypted
	}
	return e, nil
}

// readCipher reads the method and the value of EncryptedData or EncryptedKey.
func readCipher(t *tree, at int32) (method, digest, mgf string, value []byte, err error) {
	chosen := t.child(at, nsXEnc, "EncryptionMethod")
	data := t.child(at, nsXEnc, "CipherData")
	if chosen < 0 || data < 0 || t.child(data, nsXEnc, "CipherValue") < 0 {
		return "", "", "", nil, errEncrypted
	}
	if child := t.child(chosen, nsDSig, "DigestMethod"); child >= 0 {
		digest = t.attrOr(child, "Algorithm")
	}
	if child := t.child(chosen, "http://www.w3.org/2009/xmlenc11#", "MGF"); child >= 0 {
		mgf = t.attrOr(child, "Algorithm")
	}
	text := withoutSpace(t.nodes[t.child(data, nsXEnc, "CipherValue")].text)
	if value, err = base64.StdEncoding.DecodeString(text); err != nil {
		return "", "", "", nil, errEncrypted
	}
	return t.attrOr(chosen, "Algorithm"), digest, mgf, value, nil
}

// child is the first child with the given name, -1: none.
func (t *tree) child(parent int32, space, name string) int32 {
	for at := t.nodes[parent].first; at >= 0; at = t.nodes[at].next {
		if t.is(at, space, name) {
			return at
		}
	}
	return -1
}

// errOpaque is the one answer to whatever goes wrong while decrypting, so that nobody learns from it (no padding oracle).
var errOpaque = errors.New("what is encrypted in it cannot be decrypted with any key of ours; AES-GCM and RSA-OAEP are understood")

// open decrypts with the first of our keys that fits. Only GCM and OAEP: old modes would be an oracle, save where nobody but the
// app that signed the message could have sent it.
func (e *encryptedData) open(keys []crypto.Decrypter) ([]byte, error) {
	at := slices.IndexFunc(blockCiphers, func(c *blockCipher) bool { return c.uri == e.method && (!c.legacy || e.legacy) })
	if at < 0 {
		return nil, errOpaque
	}
	for _, wrapped := range e.keys {
		for _, key := range keys {
			if plain, err := blockCiphers[at].open(wrapped.unwrap(key), e.value); err == nil {
				return plain, nil
			}
		}
	}
	return nil, errOpaque
}

// unwrap is the content key, nil when it is not for this key.
func (w *wrappedKey) unwrap(key crypto.Decrypter) []byte {
	digest, mask := crypto.SHA1, crypto.SHA1
	var known bool
	if w.digest != "" {
		if digest, known = oaepHashes[w.digest]; !known {
			return nil
		}
	}
	if w.mgf != "" && w.method == oaep11 {
		if mask, known = maskHashes[w.mgf]; !known {
			return nil
		}
	}
	if w.method != oaepMGF1P && w.method != oaep11 {
		return nil
	}
	plain, err := key.Decrypt(nil, w.value, &rsa.OAEPOptions{Hash: digest, MGFHash: mask})
	if err != nil {
		return nil
	}
	return plain
}

func (c *blockCipher) open(key, sealed []byte) ([]byte, error) {
	if len(key) != c.keySize {
		return nil, errOpaque
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if c.legacy {
		return openCBC(block, sealed)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil || len(sealed) < gcm.NonceSize() {
		return nil, errOpaque
	}
	return gcm.Open(nil, sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():], nil)
}

// openCBC decrypts AES-CBC with the vector in front and XML Encryption's padding, of which the last octet is the length.
func openCBC(block cipher.Block, sealed []byte) ([]byte, error) {
	if len(sealed) < 2*aes.BlockSize || len(sealed)%aes.BlockSize != 0 {
		return nil, errOpaque
	}
	plain := make([]byte, len(sealed)-aes.BlockSize)
	cipher.NewCBCDecrypter(block, sealed[:aes.BlockSize]).CryptBlocks(plain, sealed[aes.BlockSize:])
	padding := int(plain[len(plain)-1])
	if padding < 1 || padding > aes.BlockSize {
		return nil, errOpaque
	}
	return plain[:len(plain)-padding], nil
}

// openNameID decrypts the name.
func (e *encryptedData) openNameID(keys []crypto.Decrypter) (*SubjectID, error) {
	t, at, err := e.openElement(keys, nsAssertion, "NameID")
	if err != nil {
		return nil, err
	}
	return readNameID(t, at)
}

// openElement decrypts an element.
func (e *encryptedData) openElement(keys []crypto.Decrypter, space, name string) (*tree, int32, error) {
	_, t, at, err := e.openDocument(keys, space, name)
	return t, at, err
}

// openDocument decrypts an element into a document in which it is the first of its name under the root. It may lean on the usual
// prefixes of the message around it.
func (e *encryptedData) openDocument(keys []crypto.Decrypter, space, name string) (string, *tree, int32, error) {
	plain, err := e.open(keys)
	if err != nil {
		return "", nil, 0, err
	}
	source := `<n xmlns:saml="` + nsAssertion + `" xmlns:samlp="` + nsProtocol + `">` + string(plain) + `</n>`
	t, err := parse(source, messageLimits)
	if err != nil || t.child(0, space, name) < 0 {
		return "", nil, 0, errOpaque
	}
	return source, t, t.child(0, space, name), nil
}
