package admin

import (
	"context"
	"slices"

	"gatehouse/sp"
	"gatehouse/store"
)

const sectorKey = "oauth.sector_identifier_uri"

// sector is what a sector_identifier_uri was found to vouch for: these redirect URIs.
type sector struct {
	uri       string
	redirects []string
}

func sectorOf(app *sp.App) sector {
	if app.Definition.OAuth == nil {
		return sector{}
	}
	return sector{app.Definition.OAuth.SectorURI, app.Definition.OAuth.RedirectURIs}
}

func (s sector) equal(other sector) bool {
	return s.uri == other.uri && slices.Equal(s.redirects, other.redirects)
}

// setsSector tells whether a change of settings may be about what a sector vouches for.
func setsSector(values map[string]string) bool {
	_, itself := values[sectorKey]
	_, redirects := values["oauth.redirect_uris"]
	return itself || redirects
}

// vouched reads the sector_identifier_uri of an app as planned, which changes nothing, where it or a redirect URI is another one than
// before. It must not be called inside a transaction.
func (a *Actions) vouched(ctx context.Context, plan func(store.Tx) (before, after sp.App, err error)) (sector, error) {
	var was, is sector
	err := a.view(ctx, func(tx store.Tx) error {
		before, after, err := plan(tx)
		was, is = sectorOf(&before), sectorOf(&after)
		return err
	})
	if err != nil || is.uri == "" || is.equal(was) {
		return is, err
	}
	if err := a.CheckSector(ctx, is.uri, is.redirects); err != nil {
		return is, badValue(sectorKey, "The sector of the app cannot be used: %s", ended(err.Error()))
	}
	return is, nil
}

// inSector refuses an app with a sector that nobody has looked at for what it is now.
func inSector(before, after *sp.App, seen sector) error {
	is := sectorOf(after)
	if is.uri == "" || is.equal(sectorOf(before)) || is.equal(seen) {
		return nil
	}
	return badValue(sectorKey, "%s has a sector (%s), which has to be read again for other redirect URIs: set them by themselves.", after.Definition.Name, sectorKey)
}
