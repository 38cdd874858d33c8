package saml

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"net/url"
	"runtime"
	"strings"
	"testing"
)

func b64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

func TestDecodeRedirect(t *testing.T) {
	xml := requestXML("", "")
	for level := range 10 {
		if m, problem := DecodeRedirect("SAMLRequest=" + url.QueryEscape(b64(deflate(xml, level)))); problem != nil || m.Request.ID != "_r1" {
			t.Errorf("level %d: %v", level, problem)
		}
	}
	plain := b64(deflate(xml, 9))
	for name, query := range map[string]string{
		"nothing escaped":   "SAMLRequest=" + plain,
		"lower-case":        "SAMLRequest=" + strings.NewReplacer("+", "%2b", "/", "%2f", "=", "%3d").Replace(plain),
		"no padding":        "SAMLRequest=" + url.QueryEscape(strings.TrimRight(plain, "=")),
		"line breaks":       "SAMLRequest=" + url.QueryEscape(plain[:20]+"\r\n"+plain[20:]),
		"encoding":          "SAMLEncoding=urn%3Aoasis%3Anames%3Atc%3ASAML%3A2.0%3Abindings%3AURL-Encoding%3ADEFLATE&SAMLRequest=" + url.QueryEscape(plain),
		"foreign parameter": "x=1&x=2&&y&SAMLRequest=" + url.QueryEscape(plain),
		"escaped name":      "SAML%52equest=" + url.QueryEscape(plain),
	} {
		if m, problem := DecodeRedirect(query); problem != nil || m.Request.Issuer != "https://sp.example/saml" {
			t.Errorf("%s: %v", name, problem)
		}
	}
}

func TestDecodeRedirectRefuses(t *testing.T) {
	xml := requestXML("", "")
	good := redirectQueryOf(xml)
	var wrapped bytes.Buffer
	z := zlib.NewWriter(&wrapped)
	z.Write([]byte(xml))
	z.Close()
	for name, test := range map[string]struct{ query, reason string }{
		"nothing":              {"", ReasonMalformed},
		"zlib":                 {"SAMLRequest=" + url.QueryEscape(b64(wrapped.Bytes())), ReasonMalformed},
		"trailing data":        {"SAMLRequest=" + url.QueryEscape(b64(append(deflate(xml, 9), 0))), ReasonMalformed},
		"truncated":            {"SAMLRequest=" + url.QueryEscape(b64(deflate(xml, 9)[:40])), ReasonMalformed},
		"plain XML":            {"SAMLRequest=" + url.QueryEscape(b64([]byte(xml))), ReasonMalformed},
		"garbage":              {"SAMLRequest=%%%", ReasonMalformed},
		"not base64":           {"SAMLRequest=***", ReasonMalformed},
		"too much padding":     {good + "===", ReasonMalformed},
		"bomb":                 {"SAMLRequest=" + url.QueryEscape(b64(deflate(strings.Repeat("\x00", 10<<20), 9))), ReasonTooLarge},
		"elements":             {redirectQueryOf("<a>" + strings.Repeat("<a/>", 20_000) + "</a>"), ReasonTooLarge},
		"request twice":        {good + "&" + good, ReasonDuplicate},
		"request twice hidden": {good + "&SAML%52equest=x", ReasonDuplicate},
		"relay state twice":    {good + "&RelayState=a&RelayState=b", ReasonDuplicate},
		"encoding":             {good + "&SAMLEncoding=urn:x", ReasonMalformed},
		"empty encoding":       {good + "&SAMLEncoding=", ReasonMalformed},
		"response too":         {good + "&SAMLResponse=x", ReasonDuplicate},
		"request as response":  {strings.Replace(good, "SAMLRequest", "SAMLResponse", 1), ReasonWrongMessage},
		"signature alone":      {good + "&Signature=x", ReasonBadSignature},
		"algorithm alone":      {good + "&SigAlg=x", ReasonBadSignature},
		"bad relay state":      {good + "&RelayState=%zz", ReasonMalformed},
		"another message":      {redirectQueryOf(strings.ReplaceAll(xml, "AuthnRequest", "AttributeStatement")), ReasonWrongMessage},
		"response as request":  {redirectQueryOf(strings.ReplaceAll(xml, "AuthnRequest", "LogoutResponse")), ReasonWrongMessage},
	} {
		_, problem := DecodeRedirect(test.query)
		if problem == nil || problem.Reason != test.reason || !problem.Local || problem.Text == "" {
			t.Errorf("%s: %v, want %s", name, problem, test.reason)
		}
	}
}

func TestRelayStateKept(t *testing.T) {
	good := redirectQueryOf(requestXML("", ""))
	for _, test := range []struct {
		query string
		want  string
		has   bool
	}{{"", "", false}, {"&RelayState", "", true}, {"&RelayState=", "", true}, {"&RelayState=a%26%3C%22%3E%2B+%C3%A9", `a&<">+ é`, true}} {
		m, problem := DecodeRedirect(good + test.query)
		if problem != nil || m.RelayState != test.want || m.HasRelayState != test.has {
			t.Errorf("%q: %v %+v", test.query, problem, m)
		}
	}
	form := postForm(requestXML("", ""))
	if m, _ := DecodePOST(form); m.HasRelayState {
		t.Error("RelayState from nowhere")
	}
	form.Set("RelayState", "")
	if m, _ := DecodePOST(form); !m.HasRelayState || m.RelayState != "" {
		t.Error("empty RelayState lost")
	}
}

func TestDecodePOST(t *testing.T) {
	xml := requestXML("", "")
	for name, body := range map[string]string{"plain": b64([]byte(xml)), "deflated": b64(deflate(xml, 9)), "leading space": b64([]byte("\n " + xml)), "BOM": b64([]byte("\uFEFF" + xml))} {
		if m, problem := DecodePOST(url.Values{"SAMLRequest": {body}}); problem != nil || m.Request.ID != "_r1" {
			t.Errorf("%s: %v", name, problem)
		}
	}
	good := b64([]byte(xml))
	for name, form := range map[string]url.Values{
		"nothing": {}, "twice": {"SAMLRequest": {good, good}}, "response": {"SAMLRequest": {good}, "SAMLResponse": {good}}, "empty": {"SAMLRequest": {""}},
		"relay state twice": {"SAMLRequest": {good}, "RelayState": {"a", "b"}}, "huge": {"SAMLRequest": {strings.Repeat("A", 1<<20)}},
	} {
		if _, problem := DecodePOST(form); problem == nil || !problem.Local {
			t.Errorf("%s: %v", name, problem)
		}
	}
}

// A bomb is given up at the limit: memory stays flat (BND-04).
func TestBombIsCheap(t *testing.T) {
	query := "SAMLRequest=" + url.QueryEscape(b64(deflate(strings.Repeat("<a/>", 5<<20), 9)))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, problem := DecodeRedirect(query); problem == nil {
		t.Fatal("accepted")
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
}

// FuzzDecode: no input makes decoding panic, and every refusal is a typed, local problem with a sentence.
func FuzzDecode(f *testing.F) {
	f.Add(benchQuery)
	f.Add("SAMLRequest=x&RelayState=&SigAlg=&Signature=")
	f.Fuzz(func(t *testing.T, query string) {
		m, problem := DecodeRedirect(query)
		if problem != nil && (!problem.Local || problem.Reason == "" || problem.Text == "") || problem == nil && m.Request.ID == "" {
			t.Fatalf("%+v", problem)
		}
		if form, err := url.ParseQuery(query); err == nil {
			DecodePOST(form)
		}
	})
}
