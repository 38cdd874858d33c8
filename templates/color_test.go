package templates

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// tokens reads the colour tokens of the stylesheet, light and dark.
func tokens(t *testing.T) (light, dark map[string]rgb) {
	t.Helper()
	css, _, _ := Asset(AssetPath("gatehouse.css"))
	before, after, ok := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("the stylesheet has no dark theme")
	}
	after, _, _ = strings.Cut(after, "/* Ground rules")
	read := func(text string) map[string]rgb {
		found := map[string]rgb{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): (#[0-9a-f]{6});`).FindAllStringSubmatch(text, -1) {
			found[m[1]], _ = parseColor(m[2])
		}
		return found
	}
	return read(before), read(after)
}

func TestTokenContrast(t *testing.T) {
	light, dark := tokens(t)
	if len(light) != len(dark) || len(light) < 20 {
		t.Fatalf("%d light and %d dark tokens", len(light), len(dark))
	}
	pairs := []string{"on-accent/accent", "on-danger/danger-fill"}
	for _, text := range []string{"text", "muted", "link", "danger", "warn", "ok", "info"} {
		pairs = append(pairs, text+"/ground", text+"/surface", text+"/sunken")
	}
	for _, role := range []string{"danger", "warn", "ok", "info"} {
		pairs = append(pairs, role+"/"+role+"-soft", "text/"+role+"-soft")
	}
	for name, theme := range map[string]map[string]rgb{"light": light, "dark": dark} {
		for _, pair := range pairs {
			front, back, _ := strings.Cut(pair, "/")
			if got := contrast(theme[front], theme[back]); got < textContrast {
				t.Errorf("%s: %s has contrast %.2f", name, pair, got)
			}
		}
		if got := contrast(theme["edge"], theme["surface"]); got < graphicContrast {
			t.Errorf("%s: the edge of fields has contrast %.2f", name, got)
		}
	}
	if light["sunken"] != lightGround || dark["sunken"] != darkGround {
		t.Error("lightGround and darkGround are not the hardest grounds of the stylesheet")
	}
}

func TestTileContrast(t *testing.T) {
	css, _, _ := Asset(AssetPath("gatehouse.css"))
	hues := regexp.MustCompile(`\.hue\d \{ background: (#\w{6}); color: (#\w{6}); \}`).FindAllStringSubmatch(string(css), -1)
	if len(hues) != 16 {
		t.Fatalf("%d tile colours, want 8 light and 8 dark", len(hues))
	}
	for _, h := range hues {
		back, _ := parseColor(h[1])
		front, _ := parseColor(h[2])
		if got := contrast(back, front); got < textContrast {
			t.Errorf("%s: contrast %.2f", h[0], got)
		}
	}
}

// TestAccentContrast tries organisation colours over the whole range.
func TestAccentContrast(t *testing.T) {
	values := regexp.MustCompile(`--(?:accent|on-accent|link):(#[0-9a-f]{6})`)
	for n := 0; n < 1<<24; n += 0x0b3a1 {
		css := string(accentStyle(Brand{Color: fmt.Sprintf("#%06x", n)}))
		m := values.FindAllStringSubmatch(css, -1)
		if len(m) != 6 {
			t.Fatalf("#%06x gives %q", n, css)
		}
		var c [6]rgb
		for i := range c {
			c[i], _ = parseColor(m[i][1])
		}
		for _, pair := range [][2]rgb{{c[0], c[1]}, {c[2], lightGround}, {c[3], c[4]}, {c[5], darkGround}} {
			if got := contrast(pair[0], pair[1]); got < textContrast {
				t.Errorf("#%06x: %s on %s has contrast %.2f", n, pair[0], pair[1], got)
			}
		}
	}
}
