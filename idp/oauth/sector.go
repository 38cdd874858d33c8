package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"slices"

	"gatehouse/idp/outbound"
	"gatehouse/sp"
)

// checkSector reads a sector_identifier_uri, by which clients of several hosts know a person by one pairwise subject: what is there
// must name every redirect URI of the client (OpenID Connect Core 1.0, 8.1; Dynamic Client Registration 1.0, 5). So nobody joins a
// sector whose host does not want them. It must not be called inside a transaction.
func (h *Handlers) checkSector(ctx context.Context, metadata *sp.Registration) *Problem {
	if metadata.SectorURI == "" {
		return nil
	}
	address, err := url.Parse(metadata.SectorURI)
	if err != nil || address.Scheme != "https" {
		return badSector("it must be an https address")
	}
	if problem := h.crowded("sector host "+address.Host, documentsPerHost); problem != nil {
		return problem
	}
	var body bytes.Buffer
	ask := outbound.Ask{URL: metadata.SectorURI, Accept: "application/json", Most: maxKeyBytes, Direct: true}
	if _, err := h.Fetch.Get(context.WithoutCancel(ctx), ask, &body); err != nil { // the cause is for the administrator alone
		return badSector("it cannot be had now").because(metadata.SectorURI, err.Error())
	}
	var list []string
	if json.Unmarshal(body.Bytes(), &list) != nil {
		return badSector("it must hold a JSON array of redirect URIs")
	}
	for _, uri := range metadata.RedirectURIs {
		if !slices.Contains(list, uri) {
			return badSector("it must name all redirect_uris of the client").because(uri, metadata.SectorURI)
		}
	}
	return nil
}

func badSector(text string) *Problem {
	return refuse(codeInvalidMetadata, "bad_sector", "sector_identifier_uri: "+text+".")
}
