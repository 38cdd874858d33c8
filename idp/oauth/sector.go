package oauth

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"

	"gatehouse/idp/outbound"
	"gatehouse/sp"
)

// checkSector holds a sector_identifier_uri of client metadata against its redirect URIs. It must not be called inside a transaction.
func (h *Handlers) checkSector(ctx context.Context, metadata *sp.Registration) *Problem {
	if metadata.SectorURI == "" {
		return nil
	}
	if address, err := url.Parse(metadata.SectorURI); err == nil {
		if problem := h.crowded("sector host "+address.Host, documentsPerHost); problem != nil {
			return problem
		}
	}
	if wrong, detail := h.sector(ctx, metadata.SectorURI, metadata.RedirectURIs); wrong != "" { // the detail is for the administrator alone
		return badSector(wrong).because(metadata.SectorURI, detail)
	}
	return nil
}

// CheckSector is the same for an administrator, who is told everything. It must not be called inside a transaction.
func (h *Handlers) CheckSector(ctx context.Context, uri string, redirects []string) error {
	if wrong, detail := h.sector(ctx, uri, redirects); wrong != "" {
		return fmt.Errorf("%s: %s", wrong, detail)
	}
	return nil
}

// sector reads a sector_identifier_uri, by which clients of several hosts know a person by one pairwise subject: what is there must name
// every redirect URI of the client (OpenID Connect Core 1.0, 8.1; Dynamic Client Registration 1.0, 5). So nobody joins a sector whose
// host does not want them. It returns what is wrong, empty where nothing is, and the particulars.
func (h *Handlers) sector(ctx context.Context, uri string, redirects []string) (wrong, detail string) {
	if address, err := url.Parse(uri); err != nil || address.Scheme != "https" {
		return "it must be an https address", cut(uri)
	}
	var body bytes.Buffer
	ask := outbound.Ask{URL: uri, Accept: "application/json", Most: maxKeyBytes, Direct: true, Words: outbound.Words{Given: "sector_identifier_uri"}}
	if _, err := h.Fetch.Get(context.WithoutCancel(ctx), ask, &body); err != nil {
		return "it cannot be had now", err.Error()
	}
	var list []string
	if json.Unmarshal(body.Bytes(), &list) != nil {
		return "it must hold a JSON array of redirect URIs", "there is something else"
	}
	for _, redirect := range redirects {
		if !slices.Contains(list, redirect) {
			return "it must name all redirect_uris of the client", cut(redirect) + " is not there"
		}
	}
	return "", ""
}

func badSector(text string) *Problem {
	return refuse(codeInvalidMetadata, "bad_sector", "sector_identifier_uri: "+text+".")
}
