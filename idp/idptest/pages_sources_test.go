package idptest

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/idp/api"
)

// TestSourcePages looks at the pages of metadata sources, and walks from a source to a connected app and to newer metadata of it.
func TestSourcePages(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	furnish(t, s)
	signer, dir := NewSP(t, "federation"), t.TempDir()
	aggregate(t, filepath.Join(dir, "all.xml"), 120, signer)
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(web.Close)
	n := api.NewMetadataSource{Name: "edugain", Kind: "aggregate", Set: map[string]string{"url": web.URL + "/all.xml", "keys": certificatePEM(signer)}}
	if _, err := s.API.AddMetadataSource(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	broken := api.NewMetadataSource{Name: "broken", Kind: "mdq", Set: map[string]string{"url": web.URL + "/none", "unsigned": "true"}}
	if _, err := s.API.AddMetadataSource(t.Context(), broken); err != nil {
		t.Fatal(err)
	}
	url, text := published(t)
	desk := NewSP(t, "desk")
	text.Store(new(string(desk.Metadata())))
	app, err := s.API.AddApp(t.Context(), api.NewApp{URL: url, Name: "Desk"})
	if err != nil {
		t.Fatal(err)
	}
	desk.ACS = append(desk.ACS, "https://new.example.org/"+strings.Repeat("acs", 30))
	text.Store(new(string(desk.Metadata())))
	if _, err := s.API.AnswerAppMetadata(t.Context(), app.App.ID, "refresh", ""); err != nil {
		t.Fatal(err)
	}
	g := newGallery(t)
	g.Open(s.URL)
	g.signIn("ada", Password)
	g.WaitFor("#tiles")
	g.visit("sources", s.URL+"/admin/metadata-sources")
	g.visit("source-mdq", s.URL+"/admin/metadata-sources/broken")
	g.visit("app-metadata-waiting", s.URL+"/admin/apps/"+app.App.ID+"/metadata")
	g.Click("form[action$='/metadata/approve'] button")
	g.WaitFor(".notice.ok")
	g.look("app-metadata-taken")
	g.Open(s.URL + "/admin/metadata-sources/edugain")
	g.Click("form[action$='/refresh'] button")
	g.WaitFor(".notice.ok")
	g.look("source")
	g.Click("table.list tbody tr:first-child button")
	g.WaitFor("form[action$='/access']")
	g.look("source-connected")
}
