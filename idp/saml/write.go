package saml

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"
	"unicode/utf8"
)

// Everything below appends bytes in exclusive-canonical form (xml-exc-c14n): attributes sorted, empty elements written with
// a closing tag, and exactly the escapes that canonicalisation writes. So the bytes that are hashed are the bytes sent.

// errUnwritable says that a value holds characters that XML cannot carry.
var errUnwritable = errors.New("a value holds control characters or is not UTF-8, which XML cannot carry")

// writable tells whether XML 1.0 can carry the text. Text that it cannot is refused, never altered.
func writable(s string) bool {
	ascii := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < 0x20 && c != '\t' && c != '\n' && c != '\r' {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if ascii {
		return true
	}
	for _, r := range s {
		if r == 0xFFFE || r == 0xFFFF {
			return false
		}
	}
	return utf8.ValidString(s)
}

func appendText(dst []byte, s string) []byte {
	from := 0
	for i := 0; i < len(s); i++ {
		var escape string
		switch s[i] {
		case '&':
			escape = "&amp;"
		case '<':
			escape = "&lt;"
		case '>':
			escape = "&gt;"
		case '\r':
			escape = "&#xD;"
		default:
			continue
		}
		dst = append(append(dst, s[from:i]...), escape...)
		from = i + 1
	}
	return append(dst, s[from:]...)
}

// appendAttr appends ` name="value"`.
func appendAttr(dst []byte, name, s string) []byte {
	dst = append(append(append(dst, ' '), name...), '=', '"')
	from := 0
	for i := 0; i < len(s); i++ {
		var escape string
		switch s[i] {
		case '&':
			escape = "&amp;"
		case '<':
			escape = "&lt;"
		case '"':
			escape = "&quot;"
		case '\t':
			escape = "&#x9;"
		case '\n':
			escape = "&#xA;"
		case '\r':
			escape = "&#xD;"
		default:
			continue
		}
		dst = append(append(dst, s[from:i]...), escape...)
		from = i + 1
	}
	return append(append(dst, s[from:]...), '"')
}

// appendTime appends an attribute whose value is an instant in UTC, in whole seconds (core 1.3.3).
func appendTime(dst []byte, name string, t time.Time) []byte {
	dst = append(append(append(dst, ' '), name...), '=', '"')
	return append(t.UTC().AppendFormat(dst, "2006-01-02T15:04:05Z"), '"')
}

// newID makes a message or assertion id: an NCName of 160 random bits (core 1.3.4).
func newID() string {
	var random [20]byte
	rand.Read(random[:]) // never fails
	var id [41]byte
	id[0] = '_'
	hex.Encode(id[1:], random[:])
	return string(id[:])
}
