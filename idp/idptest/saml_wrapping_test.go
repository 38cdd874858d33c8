package idptest

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/beevik/etree"
	dsig "github.com/russellhaering/goxmldsig"
)

var (
	emptyURI        = regexp.MustCompile(`URI="#[^"]*"`)
	signatureMethod = regexp.MustCompile(`<ds:SignatureMethod [^>]*/>`)
)

func methodTo(uri string) func(string) string {
	return func(m string) string {
		return signatureMethod.ReplaceAllString(m, `<ds:SignatureMethod Algorithm="`+uri+`"/>`)
	}
}

// transformTo adds a transform in place of the canonicalisation.
func transformTo(uri string) func(string) string {
	return func(m string) string {
		return strings.Replace(m, `<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"`, `<ds:Transform Algorithm="`+uri+`"`, 1)
	}
}

// cutOut is the part of a message from one text to another, both included.
func cutOut(message, from, to string) string {
	i := strings.Index(message, from)
	j := strings.Index(message, to)
	if i < 0 || j < i {
		return ""
	}
	return message[i : j+len(to)]
}

// envelope signs a message the way signer is set.
func envelope(t *testing.T, signer *dsig.SigningContext, message string) string {
	t.Helper()
	signer.Canonicalizer = dsig.MakeC14N10ExclusiveCanonicalizerWithPrefixList("")
	doc := etree.NewDocument()
	if err := doc.ReadFromString(message); err != nil {
		t.Fatal(err)
	}
	signature, err := signer.ConstructSignature(doc.Root(), true)
	if err != nil {
		t.Fatal(err)
	}
	doc.Root().InsertChildAt(1, signature)
	signed, err := doc.WriteToString()
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// refusedSignature: nothing is issued, nobody is asked to sign in, and the audit says that it was the signature or the shape.
func (w *world) refusedSignature(t *testing.T, page *Page) {
	t.Helper()
	code := codeTag.FindStringSubmatch(page.Body)
	if code == nil {
		t.Fatalf("no refusal, %d at %s:\n%s", page.Status, page.URL, page.Body)
	}
	entry, err := w.API.Trace(t.Context(), code[1])
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"malformed_message", "bad_signature", "refused_algorithm", "unsigned_request", "message_too_large"}
	if !slices.Contains(known, entry.Reason) {
		t.Errorf("refused for %s (%s), want one of %v", entry.Reason, entry.Detail, known)
	}
	w.checkHere(t, page, entry.Reason)
}

// wrapping: eleven ways to show the server one request and its verifier another. None may be processed.
func (w *world) wrapping(t *testing.T, sp *SP) {
	for name, layout := range layouts {
		t.Run(name, func(t *testing.T) {
			genuine, _ := w.request(sp, Ask{})
			signed := sp.SignXML(genuine)
			evil, _ := w.request(sp, Ask{Attributes: `IsPassive="true"`})
			message := layout(parts{
				original: signed, bare: genuine, evil: evil,
				signature:  cutOut(signed, "<ds:Signature ", "</ds:Signature>"),
				originalID: attribute(genuine, "ID"), evilID: attribute(evil, "ID"),
			})
			if err := etree.NewDocument().ReadFromString(message); err != nil || message == signed || message == evil {
				t.Fatalf("the layout is no forgery: %v\n%s", err, message)
			}
			w.refusedSignature(t, w.ana(t).CrossPost(w.sso, postOf(message)))
		})
	}
}

// wrappedLogouts: the same with LogoutRequests, where the forged one would end a person's session.
func (w *logoutWorld) wrappedLogouts(t *testing.T, c *Client, sp *SP, good Leave, cookie *http.Cookie) {
	for name, layout := range layouts {
		t.Run(name, func(t *testing.T) {
			sp.t, c.t = t, t
			harmless, forged := good, good
			harmless.ID, forged.ID, harmless.Name = newRequestID(), newRequestID(), "<saml:NameID>nobody</saml:NameID>"
			bare, evil := sp.Logout(w.slo, harmless), sp.Logout(w.slo, forged)
			signed := sp.SignXML(bare)
			message := layout(parts{
				original: signed, bare: bare, evil: evil, signature: cutOut(signed, "<ds:Signature ", "</ds:Signature>"),
				originalID: harmless.ID, evilID: forged.ID,
			})
			if err := etree.NewDocument().ReadFromString(message); err != nil || message == signed || message == evil {
				t.Fatalf("the layout is no forgery: %v\n%s", err, message)
			}
			w.refusedSignature(t, c.CrossPost(w.slo, postOf(message)))
			if w.over(t, cookie) {
				t.Fatal("the session has ended")
			}
		})
	}
	w.clock.advance(time.Minute)
}

// parts are what a wrapped message is made of.
type parts struct{ original, bare, evil, signature, originalID, evilID string }

func afterIssuer(message, insert string) string {
	return strings.Replace(message, "</saml:Issuer>", "</saml:Issuer>"+insert, 1)
}

func atEnd(message, insert string) string {
	end := strings.LastIndex(message, "</samlp:")
	return message[:end] + insert + message[end:]
}

func extensions(inner string) string { return "<samlp:Extensions>" + inner + "</samlp:Extensions>" }

var layouts = map[string]func(parts) string{
	"BND-15 the original in Extensions, its signature at the forged root": func(p parts) string {
		return afterIssuer(p.evil, p.signature+extensions(p.bare))
	},
	"BND-15 the same with both IDs equal": func(p parts) string {
		return afterIssuer(strings.Replace(p.evil, p.evilID, p.originalID, 1), p.signature+extensions(p.bare))
	},
	"BND-15 the original in an Object of the signature": func(p parts) string {
		return afterIssuer(p.evil, strings.Replace(p.signature, "</ds:Signature>", "<ds:Object>"+p.bare+"</ds:Object></ds:Signature>", 1))
	},
	"BND-15 the forged request inside the original": func(p parts) string { return atEnd(p.original, p.evil) },
	"BND-15 the signed original at the end":         func(p parts) string { return atEnd(p.evil, p.original) },
	"BND-15 the signed original before the Issuer": func(p parts) string {
		return strings.Replace(p.evil, "<saml:Issuer>", p.original+"<saml:Issuer>", 1)
	},
	"BND-15 the signed original in Extensions": func(p parts) string { return afterIssuer(p.evil, extensions(p.original)) },
	"BND-15 a foreign root around both": func(p parts) string {
		return `<x xmlns="urn:x">` + p.evil + p.original + `</x>`
	},
	"BND-15 the signature within the Issuer": func(p parts) string {
		return strings.Replace(p.evil, "</saml:Issuer>", p.signature+"</saml:Issuer>", 1)
	},
	"BND-15 the signature on another request": func(p parts) string { return afterIssuer(p.evil, p.signature) },
	"BND-15 the signature on another request of the same ID": func(p parts) string {
		return afterIssuer(strings.Replace(p.evil, p.evilID, p.originalID, 1), p.signature)
	},
	"BND-15 a second Issuer of the forger": func(p parts) string {
		const evil = `<saml:Issuer xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion">https://evil.example</saml:Issuer>`
		return strings.Replace(p.original, "<saml:Issuer", evil+"<saml:Issuer", 1)
	},
}
