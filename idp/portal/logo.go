package portal

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"gatehouse/idp/flow"
	"gatehouse/idp/outbound"
	"gatehouse/idp/web"
	"gatehouse/sp"
	"gatehouse/store"
	"gatehouse/templates"
)

// Bounds of an app's picture.
const (
	maxPicture    = 256 << 10
	pictureWithin = 5 * time.Second
)

// pictureTypes are those that cannot carry scripts: SVG can, so it is not one of them.
var pictureTypes = []string{"image/png", "image/jpeg", "image/gif", "image/webp"}

// logo serves our copy of an app's picture, and fetches it when it is missing or a day old: a browser that asked the app's own
// server would tell it who opens a page here. An app without a usable picture is shown by its initials.
func (h *Handlers) logo(w http.ResponseWriter, r *http.Request) error {
	app, err := h.Engine.AppOf(r.Context(), r.PathValue("app"))
	if err != nil {
		return err
	}
	if app == nil || app.State == sp.Removed || app.Definition.LogoURL == "" || flow.LogoVersion(app.Definition.LogoURL) != r.PathValue("version") {
		return web.NotFound("There is no such picture.")
	}
	logo := &sp.Logo{App: app.ID}
	if app.Parent == "" || app.State == sp.Active && !app.Approved.IsZero() { // what a stranger named and nobody looked at is not fetched
		if logo, err = h.copied(r.Context(), app.ID, app.Definition.LogoURL); err != nil {
			return err
		}
	}
	header := w.Header()
	if logo.Type == "" {
		header.Set("Content-Type", "image/svg+xml")
		header.Set("Cache-Control", "public, max-age=600")
		header.Set("Content-Security-Policy", "default-src 'none'; sandbox")
		_, err = w.Write(templates.InitialsPicture(app.Definition.Name))
		return err
	}
	header.Set("Content-Type", logo.Type)
	header.Set("Cache-Control", "public, max-age=86400")
	_, err = w.Write(logo.Bytes)
	return err
}

// copied is the copy that is kept, made anew where it is no longer good; of many that ask at once, one fetches.
func (h *Handlers) copied(ctx context.Context, app, url string) (*sp.Logo, error) {
	if picture, err := sp.InlinePicture(url); err == nil {
		logo := &sp.Logo{App: app}
		take(logo, picture)
		return logo, nil
	}
	var known sp.Logo
	err := h.Store.View(ctx, func(tx store.Tx) (err error) {
		known, _, err = sp.Logos.Get(tx, app)
		return err
	})
	if err != nil && !errors.Is(err, store.ErrNotFound) || known.Fresh(url, h.Kit.Now()) {
		return &known, err
	}
	made, err, _ := h.fetching.Do(app+" "+url, func() (any, error) {
		ctx := context.WithoutCancel(ctx) // others may wait for it
		logo := &sp.Logo{App: app, URL: url, Fetched: h.Kit.Now()}
		var body bytes.Buffer
		if _, err := h.Fetch.Get(ctx, outbound.Ask{URL: url, Most: maxPicture, Within: pictureWithin, Accept: "image/*"}, &body); err == nil {
			take(logo, body.Bytes())
		}
		if logo.Type == "" && known.URL == url && known.Type != "" { // yesterday's is better than none
			logo.Type, logo.Bytes = known.Type, known.Bytes
		}
		return logo, h.Store.Update(ctx, func(tx store.Tx) error { return sp.KeepLogo(tx, logo) })
	})
	if err != nil {
		return nil, err
	}
	return made.(*sp.Logo), nil
}

// take keeps what is a picture of a type that is shown.
func take(logo *sp.Logo, picture []byte) {
	if kind := http.DetectContentType(picture); slices.Contains(pictureTypes, kind) {
		logo.Type, logo.Bytes = kind, picture
	}
}
