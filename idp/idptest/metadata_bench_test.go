package idptest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/idp/api"
)

// aggregate writes a signed federation of many service providers, each with two certificates, display names and a contact, as
// the large ones publish it. It is written in canonical form, so that signing it does not need all of it in memory.
func aggregate(t testing.TB, path string, entities int, signer *SP) int64 {
	t.Helper()
	var body bytes.Buffer
	certificate := base64.StdEncoding.EncodeToString(signer.DER)
	for i := range entities {
		name := fmt.Sprintf("sp%05d", i)
		fmt.Fprintf(&body, "\n"+`<md:EntityDescriptor entityID="https://%s.example.org/shibboleth"><md:Extensions><mdrpi:RegistrationInfo xmlns:mdrpi="urn:oasis:names:tc:SAML:metadata:rpi" registrationAuthority="https://federation.example.org"></mdrpi:RegistrationInfo></md:Extensions><md:SPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:Extensions><mdui:UIInfo xmlns:mdui="urn:oasis:names:tc:SAML:metadata:ui"><mdui:DisplayName xml:lang="de">Dienst %d</mdui:DisplayName><mdui:DisplayName xml:lang="en">Service %d</mdui:DisplayName><mdui:Description xml:lang="en">%s</mdui:Description></mdui:UIInfo></md:Extensions>`, name, i, i, strings.Repeat("A service of the federation. ", 8))
		for _, use := range []string{"signing", "encryption"} {
			fmt.Fprintf(&body, `<md:KeyDescriptor use="%s"><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:X509Data><ds:X509Certificate>%s</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>`, use, certificate)
		}
		for j, binding := range []string{"HTTP-POST", "HTTP-Artifact", "PAOS"} {
			fmt.Fprintf(&body, `<md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:%s" Location="https://%s.example.org/acs/%d" index="%d"></md:AssertionConsumerService>`, binding, name, j, j)
		}
		fmt.Fprintf(&body, `</md:SPSSODescriptor><md:ContactPerson contactType="technical"><md:EmailAddress>mailto:ops@%s.example.org</md:EmailAddress></md:ContactPerson></md:EntityDescriptor>`, name)
	}
	root := `<md:EntitiesDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" ID="_all" cacheDuration="PT6H" validUntil="` + time.Now().AddDate(0, 0, 14).UTC().Format(time.RFC3339) + `">`
	const end = "\n</md:EntitiesDescriptor>"
	digest := sha256.New()
	_, _ = io.WriteString(digest, root)
	_, _ = digest.Write(body.Bytes())
	_, _ = io.WriteString(digest, end)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	size := int64(0)
	for _, part := range []io.Reader{strings.NewReader(root + enveloped(t, "_all", digest.Sum(nil), signer.Key)), &body, strings.NewReader(end)} {
		n, err := io.Copy(file, part)
		if size += n; err != nil {
			t.Fatal(err)
		}
	}
	return size
}

// enveloped is the signature element over a digest.
func enveloped(t testing.TB, id string, digest []byte, key *rsa.PrivateKey) string {
	t.Helper()
	info := `<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:CanonicalizationMethod><ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"></ds:SignatureMethod><ds:Reference URI="#` + id + `"><ds:Transforms><ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"></ds:Transform><ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"></ds:Transform></ds:Transforms><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"></ds:DigestMethod><ds:DigestValue>` +
		base64.StdEncoding.EncodeToString(digest) + `</ds:DigestValue></ds:Reference></ds:SignedInfo>`
	sum := sha256.Sum256([]byte(`<ds:SignedInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#">` + info))
	value, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return `<ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><ds:SignedInfo>` + info + `<ds:SignatureValue>` + base64.StdEncoding.EncodeToString(value) + `</ds:SignatureValue></ds:Signature>`
}

func certificatePEM(sp *SP) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: sp.DER}))
}

// peak samples the heap in use until it is asked for the highest value, in bytes above the one at the start.
func peak() func() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before, highest := m.HeapInuse, m.HeapInuse
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				runtime.ReadMemStats(&m)
				highest = max(highest, m.HeapInuse)
			}
		}
	}()
	return func() float64 {
		close(stop)
		<-done
		return float64(highest - before)
	}
}

// meanwhile signs a person on, again and again, while something runs, and returns how long each sign-on took, in order.
func meanwhile(b *testing.B, person *Client, app string, run func() error) []time.Duration {
	b.Helper()
	done := make(chan error, 1)
	go func() { done <- run() }()
	var waited []time.Duration
	for {
		start := time.Now()
		if page := person.Get("/launch/" + app); page.Status != http.StatusOK {
			b.Fatalf("%d at %s", page.Status, page.URL)
		}
		waited = append(waited, time.Since(start))
		select {
		case err := <-done:
			if err != nil {
				b.Fatal(err)
			}
			slices.Sort(waited)
			return waited
		default:
		}
	}
}

// BenchmarkServerAggregate imports a signed federation of 20,000 service providers over the wire, fetches it again unchanged,
// searches it and connects one: time, the highest heap while it runs, and how long sign-ons take meanwhile.
func BenchmarkServerAggregate(b *testing.B) {
	s := Start(b, Options{})
	signer := NewSP(b, "federation")
	dir := b.TempDir()
	size := aggregate(b, filepath.Join(dir, "all.xml"), 20_000, signer)
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	b.Cleanup(web.Close)
	n := api.NewMetadataSource{Name: "all", Kind: "aggregate", Set: map[string]string{"url": web.URL + "/all.xml", "keys": certificatePEM(signer)}}
	if _, err := s.API.AddMetadataSource(b.Context(), n); err != nil {
		b.Fatal(err)
	}
	s.AddPerson(b, "ana", "Employees")
	app := s.AddApp(b, NewSP(b, "wiki").Metadata(), nil)
	ana := s.SignedIn(b, "ana")
	for b.Loop() {
		for _, step := range []string{"import", "again"} {
			highest, start := peak(), time.Now()
			waited := meanwhile(b, ana, app.ID, func() error {
				source, err := s.API.RefreshMetadataSource(b.Context(), "all")
				if err == nil && source.Providers != 20_000 {
					err = fmt.Errorf("%+v", source)
				}
				return err
			})
			b.ReportMetric(time.Since(start).Seconds(), step+"-s")
			b.ReportMetric(float64(waited[len(waited)/2].Milliseconds()), step+"-sign-on-p50-ms")
			b.ReportMetric(float64(waited[len(waited)*99/100].Milliseconds()), step+"-sign-on-p99-ms")
			b.ReportMetric(highest()/(1<<20), step+"-peak-MiB")
		}
		b.ReportMetric(float64(size)/(1<<20), "MiB")
		start := time.Now()
		if list, err := s.API.Entities(b.Context(), "all", "sp19999", ""); err != nil || len(list.Items) != 1 {
			b.Fatal(err, list)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "search-ms")
		start = time.Now()
		if _, err := s.API.AddApp(b.Context(), api.NewApp{EntityID: "https://sp19999.example.org/shibboleth", Source: "all"}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "connect-ms")
	}
}
