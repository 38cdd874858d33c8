package templates

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestCheck(t *testing.T) {
	if err := Check(); err != nil {
		t.Fatal(err)
	}
	for name, page := range declared {
		if err := render(io.Discard, name, page.zero); err != nil {
			t.Errorf("drawn from its zero value: %v", err)
		}
	}
	stray := fstest.MapFS{"pages/signin.html": {}, "pages/stray.html": {}}
	if problems := undeclared(stray); len(problems) != 1 || !strings.Contains(problems[0].Error(), "stray") {
		t.Errorf("undeclared found %v, want the stray file alone", problems)
	}
}

// TestSamples holds every state of every page against the rules that look.md sets for all pages.
func TestSamples(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range samples() {
		var b bytes.Buffer
		if err := s.draw(&b); err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		seen[strings.ReplaceAll(s.name, "_", "")] = true
		for _, problem := range inspect(b.String()) {
			t.Errorf("%s: %s", s.name, problem)
		}
	}
	for name := range declared {
		if !seen[strings.ReplaceAll(name, "_", "")] {
			t.Errorf("page %s has no sample", name)
		}
	}
}

// TestHostileText puts markup and a script address into every string of every page: nothing may come out alive.
func TestHostileText(t *testing.T) {
	for _, evil := range []string{`"'><script>alert(1)</script>`, "javascript:alert(1)", "</style><b>", "\x00&#x27; onload=x"} {
		for name, page := range declared {
			v := reflect.New(reflect.TypeOf(page.zero)).Elem()
			fill(v, evil)
			var b bytes.Buffer
			if err := render(&b, name, v.Interface()); err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			for _, alive := range []string{"<script>alert", `href="javascript:`, `action="javascript:`, `src="javascript:`, "</style><b>"} {
				if strings.Contains(b.String(), alive) {
					t.Errorf("%s lets %q through", name, alive)
				}
			}
			for _, problem := range balance(b.String()) {
				t.Errorf("%s with %q: %s", name, evil, problem)
			}
		}
	}
}

// fill sets every string to text and makes one element of every list, so that each branch of a page is drawn.
func fill(v reflect.Value, text string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(1312)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), text)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), text)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, text)
		v.SetMapIndex(reflect.ValueOf(text), value)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			fill(v.Field(i), text)
		}
	}
}

func TestUnknownPageColor(t *testing.T) {
	for _, bad := range []string{"", "red", "#12", "#12345", "#gggggg", "#fff;}body{display:none", "fff"} {
		if css := accentStyle(Brand{Color: bad}); css != "" {
			t.Errorf("colour %q gave %q", bad, css)
		}
	}
}

func TestAssets(t *testing.T) {
	for _, name := range []string{"gatehouse.css", "gatehouse.js", "icons.svg", "icon.svg"} {
		content, contentType, ok := Asset(AssetPath(name))
		if !ok || len(content) == 0 || contentType == "" {
			t.Errorf("%s: not served under %q", name, AssetPath(name))
		}
	}
	for _, unknown := range []string{"", "/assets/", "gatehouse.css", "/assets/gatehouse.css", "/assets/../render.go"} {
		if _, _, ok := Asset(unknown); ok {
			t.Errorf("%q is served", unknown)
		}
	}
	for name, most := range map[string]int{"gatehouse.css": 40_000, "gatehouse.js": 30_000} {
		if content, _, _ := Asset(AssetPath(name)); len(content) >= most {
			t.Errorf("%s has %d bytes, want fewer than %d", name, len(content), most)
		}
	}
}

// TestIcons finds misspelt icon names: the browser would show nothing.
func TestIcons(t *testing.T) {
	sprite, _, _ := Asset(AssetPath("icons.svg"))
	used := regexp.MustCompile(`(?:icon |"Icon" )"([a-z]+)"`)
	err := fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".html") {
			return err
		}
		text, err := fs.ReadFile(files, path)
		for _, m := range used.FindAllSubmatch(text, -1) {
			if !bytes.Contains(sprite, fmt.Appendf(nil, `<symbol id="%s"`, m[1])) {
				t.Errorf("%s uses icon %q, which the sprite does not have", path, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestInitials(t *testing.T) {
	for name, want := range map[string]string{"Your Benefits": "YB", "payroll": "P", "": "?", "é-mail tool": "ÉM", "<b>": "B", "٣٤": "٣"} {
		if got := initials(name); got != want {
			t.Errorf("initials(%q) = %q, want %q", name, got, want)
		}
	}
}

// TestInspect shows that the inspection of pages can fail.
func TestInspect(t *testing.T) {
	page := `<!doctype html><html lang="en"><head><title>x</title></head><body><main><h1>x</h1>%s</main></body></html>`
	for _, bad := range []string{"<p><ul></ul></p>", "<div>", `<input name="a">`, `<b onclick="x">x</b>`, `<b style="x">x</b>`, "<h3>x</h3>",
		`<label for="nowhere">x</label>`, `<b id="a"></b><b id="a"></b>`, "<h1>again</h1>", `<input aria-label="x" aria-describedby="gone">`, "<button></button>", "<script>1</script>"} {
		if len(inspect(fmt.Sprintf(page, bad))) == 0 {
			t.Errorf("inspect does not mind %s", bad)
		}
	}
	if problems := inspect(fmt.Sprintf(page, "<p>fine</p>")); len(problems) != 0 {
		t.Errorf("inspect minds a good page: %v", problems)
	}
}

func BenchmarkPortal(b *testing.B) {
	p := PortalPage{Shell: shell("Your apps", SectionPortal), Tiles: tiles(40)}
	for b.Loop() {
		if err := Portal(io.Discard, p); err != nil {
			b.Fatal(err)
		}
	}
}

func TestEveryPageEmbedsShell(t *testing.T) {
	for name, page := range declared {
		if _, ok := reflect.TypeOf(page.zero).FieldByName("Shell"); !ok {
			t.Errorf("page %s has no Shell", name)
		}
		if !slices.Contains([]string{"card", "portal", "console"}, page.layout) {
			t.Errorf("page %s has layout %q", name, page.layout)
		}
	}
}

// TestDeviceError: after a wrong code the field has the focus, and says what is wrong with it.
func TestDeviceError(t *testing.T) {
	var page strings.Builder
	if err := Device(&page, DevicePage{Action: "/device", Code: "WDJB-MJH", Error: "No device waits."}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{" autofocus aria-invalid=\"true\" aria-describedby=\"h-user_code e-user_code\"", "id=\"e-user_code\""} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %s:\n%s", want, page.String())
		}
	}
}
