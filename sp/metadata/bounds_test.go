package metadata

import (
	"crypto"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	dsig "github.com/russellhaering/goxmldsig"
)

// repeated is a document that a hostile server makes as it is read: a beginning, one piece again and again, an end.
func repeated(head, piece string, size int, tail string) io.Reader {
	pieces := strings.Repeat(piece, 1+(1<<16)/len(piece))
	parts := []io.Reader{strings.NewReader(head)}
	for n := 0; n < size; n += len(pieces) {
		parts = append(parts, strings.NewReader(pieces))
	}
	return io.MultiReader(append(parts, strings.NewReader(tail))...)
}

// grown is how many bytes were allocated for good or bad while fn ran.
func grown(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Before a signature counts, nothing that a server sends may cost much: neither what stands before it nor what is in it.
func TestUnverifiedIsCheap(t *testing.T) {
	key := rsaSigner(t)
	signed := key.sign(t, groupOfTwo, dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList(""), dsig.RSASHA256SignatureMethod)
	at, end := strings.Index(signed, "<ds:Signature"), strings.Index(signed, "</ds:Signature>")
	list := `<ec:InclusiveNamespaces xmlns:ec="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="` + strings.Repeat("a ", 400_000) + `"/>`
	for _, c := range []struct {
		name string
		in   io.Reader
	}{
		{"texts and comments before the signature", repeated(signed[:at], "x<!---->", 64<<20, signed[at:])},
		{"large texts in the signature", repeated(signed[:end], "<ds:Object>"+strings.Repeat("x", 1<<19)+"</ds:Object>", 64<<20, signed[end:])},
		{"a long list of prefixes", strings.NewReader(strings.Replace(signed, `<ds:SignatureMethod`, `<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#">`+list+`</ds:CanonicalizationMethod><ds:SignatureMethod`, 1))},
		{"a long list of prefixes in the one method", strings.NewReader(strings.Replace(signed, `<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>`, `<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#">`+list+`</ds:CanonicalizationMethod>`, 1))},
	} {
		t.Run(c.name, func(t *testing.T) {
			var err error
			begun := time.Now()
			bytes := grown(func() { err = Verify(c.in, []crypto.PublicKey{key.key.Public()}) })
			var refused *Error
			if took := time.Since(begun); !errors.As(err, &refused) || bytes > 32<<20 || took > 20*time.Second { // without the bounds it takes minutes
				t.Errorf("%v, %d MiB, %s", err, bytes>>20, took)
			}
		})
	}
}

// A genuine signature before a body of one's own: it is refused in the end, and must not cost more than reading does.
func TestManyNamespacesAreCheap(t *testing.T) {
	key := rsaSigner(t)
	form := dsig.MakeC14N10RecCanonicalizer()
	signed := key.sign(t, groupOfTwo, form, dsig.RSASHA256SignatureMethod)
	at := strings.Index(signed, "</ds:Signature>") + len("</ds:Signature>")
	var open, close strings.Builder
	for depth := range 28 {
		open.WriteString("<md:a")
		for i := range 60 {
			open.WriteString(" xmlns:p" + string(rune('a'+depth%26)) + string(rune('a'+depth/26)) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `="urn:x"`)
		}
		open.WriteString(">")
		close.WriteString("</md:a>")
	}
	begun := time.Now()
	err := Verify(repeated(signed[:at]+open.String(), "<md:b/>", 1<<20, close.String()+signed[at:]), []crypto.PublicKey{key.key.Public()})
	var refused *Error
	if took := time.Since(begun); !errors.As(err, &refused) || took > 30*time.Second { // without the bounds it takes hours
		t.Errorf("%v after %s", err, took)
	}
}

// One entity is held in memory as a whole, so it has the bound of one that is uploaded.
func TestLargeEntityIsLeftOut(t *testing.T) {
	big := `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata"><md:EntityDescriptor entityID="https://big.example/"><md:Extensions>`
	in := repeated(big, "<md:x>"+strings.Repeat("x", 1<<19)+"</md:x>", 64<<20, "</md:Extensions></md:EntityDescriptor>"+strings.TrimPrefix(document, `<?xml version="1.0"?>`)+"</md:EntitiesDescriptor>")
	taken := 0
	var d Document
	var err error
	bytes := grown(func() {
		d, err = Entities(in, Options{Now: now}, func(Result) error { taken++; return nil })
	})
	if err != nil || taken != 1 || d.Left != 1 || bytes > 160<<20 {
		t.Errorf("%d taken, %+v, %v, %d MiB", taken, d, err, bytes>>20)
	}
}

// A time that no record can hold is refused, and not an error of ours later.
func TestYearTenThousand(t *testing.T) {
	for _, text := range []string{"9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00+14:00"} {
		_, err := Parse([]byte(replaced("<EntityDescriptor", `<EntityDescriptor validUntil="`+text+`"`)), Options{Now: now, AllowExpired: true})
		var refused *Error
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// What is not seen, or turns text around, makes an entity look like another.
func TestUnseenCharacters(t *testing.T) {
	for _, r := range "\u200b\u202e\u2028\u3000\u0085\u00a0\ufeff" {
		if _, err := Parse([]byte(replaced("https://app.example.org/sp", "https://app.example.org/"+string(r)+"sp")), Options{Now: now}); err == nil {
			t.Errorf("%U in an entity id", r)
		}
	}
	ui := `<Extensions><UIInfo xmlns="urn:oasis:names:tc:SAML:metadata:ui"><DisplayName xml:lang="en">Pay` + "\u202e\u2066\u200b" + `roll</DisplayName><DisplayName xml:lang="de">Lohn` + "\u202e\u200b" + `</DisplayName></UIInfo></Extensions>`
	r, err := Parse([]byte(replaced(`:protocol">`, `:protocol">`+ui)), Options{Now: now})
	if err != nil || r.Metadata.DisplayName != "Payroll" || len(r.Metadata.Names) != 2 || r.Metadata.Names[1].Text != "Lohn" {
		t.Errorf("%q %q %v", r.Metadata.DisplayName, r.Metadata.Names, err)
	}
}
