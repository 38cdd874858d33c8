package idptest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	listedItem  = regexp.MustCompile("(?m)^- `([^`]+)`$")
	endpointRow = regexp.MustCompile("(?m)^\\| (\\w+Service) \\| `([^`]+)` \\| `([^`]+)` \\|$")
)

// TestSupported: the page that lists what is supported says what the server's metadata and settings say, no more and no less.
func TestSupported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := readDocs(t, "saml.md")
	m := w.ourMetadata(t, "/saml/metadata")
	same := func(section string, want []string) {
		t.Run("SEC-06 "+section, func(t *testing.T) { page.lists(t, section, want) })
	}
	same("NameID formats", m.texts("./IDPSSODescriptor/NameIDFormat", ""))
	same("Signature algorithms", m.texts("./Extensions/SigningMethod", "Algorithm"))
	same("Digest algorithms", m.texts("./Extensions/DigestMethod", "Algorithm"))
	same("Encryption to us", m.texts("./IDPSSODescriptor/KeyDescriptor/EncryptionMethod", "Algorithm"))
	same("Encryption to apps", slices.Concat(w.options(t, "saml.encryption_algorithm"), w.options(t, "saml.key_transport")))
	t.Run("SEC-06 Endpoints", func(t *testing.T) {
		var listed, want []string
		for _, row := range endpointRow.FindAllStringSubmatch(page["Endpoints"], -1) {
			listed = append(listed, strings.Join(row[1:], " "))
		}
		for _, service := range m.role.ChildElements() {
			if location := service.SelectAttrValue("Location", ""); location != "" {
				want = append(want, service.Tag+" "+service.SelectAttrValue("Binding", "")+" "+strings.TrimPrefix(location, w.URL))
			}
		}
		slices.Sort(listed)
		slices.Sort(want)
		if len(want) == 0 || !slices.Equal(listed, want) {
			t.Errorf("docs/saml.md lists\n%s\nthe server says\n%s", strings.Join(listed, "\n"), strings.Join(want, "\n"))
		}
	})
}

// TestSupportedOAuth: the page for developers of clients says what discovery says.
func TestSupportedOAuth(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	page := readDocs(t, "oauth.md")
	var document struct {
		Scopes      []string `json:"scopes_supported"`
		Grants      []string `json:"grant_types_supported"`
		Methods     []string `json:"token_endpoint_auth_methods_supported"`
		Signatures  []string `json:"id_token_signing_alg_values_supported"`
		FromClients []string `json:"dpop_signing_alg_values_supported"`
		Levels      []string `json:"acr_values_supported"`
	}
	w.JSON(t, "/.well-known/openid-configuration", &document)
	for section, want := range map[string][]string{
		"Scopes": document.Scopes, "Grant types": document.Grants, "Client authentication": document.Methods,
		"Signature algorithms": document.Signatures, "What clients sign": document.FromClients, "How strong a sign-in was": document.Levels,
	} {
		t.Run(section, func(t *testing.T) { page.lists(t, section, want) })
	}
}

// docs are the sections of a page of documentation by their headings.
type docs map[string]string

func readDocs(t *testing.T, name string) docs {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	page := docs{}
	for _, section := range strings.Split(string(content), "\n## ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		page[heading] = text
	}
	return page
}

// lists holds the items of a section against what the server says, whatever their order.
func (d docs) lists(t *testing.T, section string, want []string) {
	t.Helper()
	var listed []string
	for _, item := range listedItem.FindAllStringSubmatch(d[section], -1) {
		listed = append(listed, item[1])
	}
	slices.Sort(listed)
	slices.Sort(want)
	if want = slices.Compact(want); len(want) == 0 || !slices.Equal(listed, want) {
		t.Errorf("%s: the page lists %v, the server says %v", section, listed, want)
	}
}

// options are the values that an app's setting may have.
func (w *world) options(t *testing.T, key string) []string {
	t.Helper()
	app := w.AddApp(t, w.newSP(t, "options-"+strings.ReplaceAll(key, ".", "-")).Metadata(), nil)
	shown, err := w.API.App(t.Context(), app.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, setting := range shown.Settings {
		if setting.Key == key {
			return setting.Options
		}
	}
	t.Fatalf("no setting %s", key)
	return nil
}
