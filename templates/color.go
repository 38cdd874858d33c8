package templates

import (
	"encoding/hex"
	"fmt"
	"html/template"
	"math"
	"strings"
)

// rgb is a colour with channels from 0 to 255.
type rgb struct{ r, g, b float64 }

// The grounds that accent text stands on; a test holds them equal to the stylesheet's tokens.
var (
	lightGround = rgb{0xee, 0xf1, 0xf3}
	darkGround  = rgb{0x1f, 0x25, 0x2a}
	black       = rgb{0, 0, 0}
	white       = rgb{255, 255, 255}
)

const (
	textContrast    = 4.5 // WCAG 2.2, 1.4.3
	graphicContrast = 3   // WCAG 2.2, 1.4.11
)

// accentStyle is the style element's text that gives the organisation's colour to a page, with derived colours for text
// on it and in it. It is empty for anything that is not #rgb or #rrggbb.
func accentStyle(b Brand) template.CSS {
	c, ok := parseColor(b.Color)
	if !ok {
		return ""
	}
	darkFill := c.until(white, darkGround, graphicContrast)
	return template.CSS(fmt.Sprintf(":root{--accent:%s;--on-accent:%s;--link:%s}@media(prefers-color-scheme:dark){:root{--accent:%s;--on-accent:%s;--link:%s}}",
		c, c.textOn(), c.until(black, lightGround, textContrast),
		darkFill, darkFill.textOn(), c.until(white, darkGround, textContrast)))
}

func parseColor(s string) (rgb, bool) {
	digits, ok := strings.CutPrefix(s, "#")
	if ok && len(digits) == 3 {
		digits = string([]byte{digits[0], digits[0], digits[1], digits[1], digits[2], digits[2]})
	}
	raw, err := hex.DecodeString(digits)
	if !ok || err != nil || len(raw) != 3 {
		return rgb{}, false
	}
	return rgb{float64(raw[0]), float64(raw[1]), float64(raw[2])}, true
}

func (c rgb) String() string {
	return fmt.Sprintf("#%02x%02x%02x", uint8(math.Round(c.r)), uint8(math.Round(c.g)), uint8(math.Round(c.b)))
}

// textOn is black or white, whichever is easier to read on c: at least 4.58:1 for every colour.
func (c rgb) textOn() rgb {
	if contrast(c, white) >= contrast(c, black) {
		return white
	}
	return black
}

// until mixes c with the end colour step by step until it contrasts enough with the ground.
func (c rgb) until(end, ground rgb, enough float64) rgb {
	for share := 0.0; share < 1; share += 0.04 {
		mixed, _ := parseColor(rgb{c.r + (end.r-c.r)*share, c.g + (end.g-c.g)*share, c.b + (end.b-c.b)*share}.String())
		if contrast(mixed, ground) >= enough {
			return mixed
		}
	}
	return end
}

// contrast is the ratio of WCAG 2.2, from 1 to 21.
func contrast(a, b rgb) float64 {
	la, lb := a.luminance(), b.luminance()
	return (max(la, lb) + 0.05) / (min(la, lb) + 0.05)
}

func (c rgb) luminance() float64 {
	linear := func(v float64) float64 {
		if v /= 255; v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c.r) + 0.7152*linear(c.g) + 0.0722*linear(c.b)
}
