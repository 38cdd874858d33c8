package saml

import (
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"runtime"
	"testing"
	"time"

	"gatehouse/idp/claims"
)

// sink keeps results alive.
var sink []byte

func decodeAndCheck(tb testing.TB, query string) Accepted {
	m, problem := DecodeRedirect(query)
	if problem != nil {
		tb.Fatal(problem)
	}
	accepted, problem := CheckMessage(m, benchApp, testEnv)
	if problem != nil {
		tb.Fatal(problem)
	}
	return accepted
}

var benchApp = testApp()

var benchQuery = redirectQueryOf(requestXML(`AssertionConsumerServiceURL="https://sp.example/acs" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" ForceAuthn="false"`,
	`<samlp:NameIDPolicy Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent" AllowCreate="true"/><samlp:RequestedAuthnContext Comparison="exact"><saml:AuthnContextClassRef>`+
		classProtected+`</saml:AuthnContextClassRef></samlp:RequestedAuthnContext>`)) + "&RelayState=https%3A%2F%2Fsp.example%2Fhome"

func BenchmarkDecodeCheck(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		decodeAndCheck(b, benchQuery)
	}
}

func BenchmarkBuildWithoutRSA(b *testing.B) {
	key := &Credential{ID: "k", signer: constantSigner{rsaPair().signer.Public()}, keyInfo: rsaPair().credential().keyInfo}
	signing := &Signing{key: key, algorithm: algorithms[0], digest: digests[0], Assertion: true}
	b.ReportAllocs()
	for b.Loop() {
		build(b, signing)
	}
}

// BenchmarkAnswer is the library's whole road: request query in, base64 of the signed answer out. raw/op is its cost in raw
// RSA-2048 signatures of the same run.
func BenchmarkAnswer(b *testing.B) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signing := signing(rsaPair(), "rsa-sha256", false, true)
	var answers, raw time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		decodeAndCheck(b, benchQuery)
		build(b, signing)
		answers += time.Since(begin)
		b.StopTimer()
		raw += rawSignature(b)
		b.StartTimer()
	}
	b.ReportMetric(float64(answers)/float64(raw), "raw/op")
}

func build(b *testing.B, signing *Signing) {
	attributes, problem := ReleaseTo(benchApp, &claims.Person{Name: "ana", Email: "ana@example.org", DisplayName: "Ana", GivenName: "Ana", Surname: "B"}, nil, &evaluator)
	if problem != nil {
		b.Fatal(problem)
	}
	st := testStatement()
	st.Attributes = attributes
	response, err := Build(st, signing, nil)
	if err != nil {
		b.Fatal(err)
	}
	sink = base64.StdEncoding.AppendEncode(sink[:0], response.XML)
}

// rawSignature is the time of one bare RSA signature.
func rawSignature(b *testing.B) time.Duration {
	sum := sha256.Sum256([]byte("x"))
	begin := time.Now()
	if _, err := rsaPair().signer.Sign(rand.Reader, sum[:], crypto.SHA256); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin)
}

// constantSigner signs for nothing, to see what the rest costs.
type constantSigner struct{ public crypto.PublicKey }

func (s constantSigner) Public() crypto.PublicKey { return s.public }

func (s constantSigner) Sign(_ io.Reader, _ []byte, _ crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 256), nil
}
