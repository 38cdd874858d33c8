package api

import (
	"context"
	"net/http"
	"time"
)

// MetadataSource is a place that publishes metadata of many service providers. Of the pinned keys, Settings has the fingerprints.
type MetadataSource struct {
	Name       string    `json:"name"`
	Kind       string    `json:"kind"` // aggregate, mdq
	Settings   []Setting `json:"settings"`
	Created    time.Time `json:"created"`
	CreatedBy  string    `json:"created_by"`
	Apps       int       `json:"apps"` // that follow it
	Entities   int       `json:"entities"`
	Providers  int       `json:"providers"`
	Left       int       `json:"left_out,omitempty"` // service providers that cannot be used
	Reasons    []string  `json:"reasons,omitempty"`  // why, for the first ones
	Tried      time.Time `json:"tried,omitzero"`
	Good       time.Time `json:"good,omitzero"`
	Next       time.Time `json:"next,omitzero"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	Failures   int       `json:"failures,omitempty"` // in a row
	Reason     string    `json:"reason,omitempty"`   // typed, of the last failure
	Error      string    `json:"error,omitempty"`
}

// NewMetadataSource asks for a new source. The setting keys holds PEM certificates or public keys.
type NewMetadataSource struct {
	Name string            `json:"name"`
	Kind string            `json:"kind"`
	Set  map[string]string `json:"set"`
}

// Entity is a service provider that a source knows. App is the connected app of that entity id, if there is one.
type Entity struct {
	EntityID string `json:"entity_id"`
	Name     string `json:"name"`
	App      string `json:"app,omitempty"`
}

// AppMetadata is how an app's metadata is kept up to date. Waiting are the differences of newer metadata that waits for a yes.
type AppMetadata struct {
	App      string       `json:"app"`
	From     string       `json:"from"` // an address, or a source's name; empty: nowhere
	Mode     string       `json:"mode"` // review, automatic, off
	Tried    time.Time    `json:"tried,omitzero"`
	Good     time.Time    `json:"good,omitzero"`
	Next     time.Time    `json:"next,omitzero"`
	Failures int          `json:"failures,omitempty"`
	Reason   string       `json:"reason,omitempty"`
	Error    string       `json:"error,omitempty"`
	Since    time.Time    `json:"waiting_since,omitzero"`
	Waiting  []Difference `json:"waiting,omitempty"`
	Version  string       `json:"version,omitempty"` // of what waits; an answer names it
}

// SeenMetadata says which version of newer metadata an answer is to: newer that came meanwhile is refused.
type SeenMetadata struct {
	Version string `json:"version"`
}

// MetadataSources lists the sources.
func (c *Client) MetadataSources(ctx context.Context) (List[MetadataSource], error) {
	return call[List[MetadataSource]](ctx, c, http.MethodGet, "/metadata-sources", nil, nil)
}

// MetadataSource shows one source.
func (c *Client) MetadataSource(ctx context.Context, name string) (MetadataSource, error) {
	return call[MetadataSource](ctx, c, http.MethodGet, path("metadata-sources", name), nil, nil)
}

// AddMetadataSource adds a source; nothing is fetched yet.
func (c *Client) AddMetadataSource(ctx context.Context, n NewMetadataSource) (MetadataSource, error) {
	return call[MetadataSource](ctx, c, http.MethodPost, "/metadata-sources", nil, n)
}

// SetMetadataSource changes settings of a source.
func (c *Client) SetMetadataSource(ctx context.Context, name string, change Change) (MetadataSource, error) {
	return call[MetadataSource](ctx, c, http.MethodPatch, path("metadata-sources", name), nil, change)
}

// RemoveMetadataSource removes a source and what was kept of it; apps stay as they are.
func (c *Client) RemoveMetadataSource(ctx context.Context, name string) (MetadataSource, error) {
	return call[MetadataSource](ctx, c, http.MethodDelete, path("metadata-sources", name), nil, nil)
}

// RefreshMetadataSource fetches a source now.
func (c *Client) RefreshMetadataSource(ctx context.Context, name string) (MetadataSource, error) {
	return call[MetadataSource](ctx, c, http.MethodPost, path("metadata-sources", name, "refresh"), nil, nil)
}

// Entities lists the service providers of a source that contain a text.
func (c *Client) Entities(ctx context.Context, source, search, after string) (List[Entity], error) {
	return call[List[Entity]](ctx, c, http.MethodGet, path("metadata-sources", source, "entities"), query("search", search, "after", after), nil)
}

// AppMetadata tells how an app's metadata is kept up to date.
func (c *Client) AppMetadata(ctx context.Context, app string) (AppMetadata, error) {
	return callAt[AppMetadata](ctx, c, http.MethodGet, "apps", app, "metadata", nil)
}

// AnswerAppMetadata is the word on newer metadata of the version that was seen: approve or dismiss; refresh looks for newer.
func (c *Client) AnswerAppMetadata(ctx context.Context, app, answer, seen string) (AppMetadata, error) {
	target, err := c.at(ctx, "apps", app, "metadata", answer)
	if err != nil {
		return AppMetadata{}, err
	}
	return call[AppMetadata](ctx, c, http.MethodPost, target, nil, SeenMetadata{seen})
}
