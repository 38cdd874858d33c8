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
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "saml.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(content), "\n## ")[1:] {
		name, text, _ := strings.Cut(section, "\n")
		sections[name] = text
	}
	m := w.ourMetadata(t, "/saml/metadata")
	same := func(section string, want []string) {
		t.Run("SEC-06 "+section, func(t *testing.T) {
			var listed []string
			for _, item := range listedItem.FindAllStringSubmatch(sections[section], -1) {
				listed = append(listed, item[1])
			}
			slices.Sort(listed)
			slices.Sort(want)
			if want = slices.Compact(want); len(want) == 0 || !slices.Equal(listed, want) {
				t.Errorf("docs/saml.md lists %v, the server says %v", listed, want)
			}
		})
	}
	same("NameID formats", m.texts("./IDPSSODescriptor/NameIDFormat", ""))
	same("Signature algorithms", m.texts("./Extensions/SigningMethod", "Algorithm"))
	same("Digest algorithms", m.texts("./Extensions/DigestMethod", "Algorithm"))
	same("Encryption to us", m.texts("./IDPSSODescriptor/KeyDescriptor/EncryptionMethod", "Algorithm"))
	same("Encryption to apps", slices.Concat(w.options(t, "saml.encryption_algorithm"), w.options(t, "saml.key_transport")))
	t.Run("SEC-06 Endpoints", func(t *testing.T) {
		var listed, want []string
		for _, row := range endpointRow.FindAllStringSubmatch(sections["Endpoints"], -1) {
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
