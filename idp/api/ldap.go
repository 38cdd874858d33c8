package api

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// DirectorySource is an LDAP directory or Active Directory whose people sign in here. Of the bind password nothing is told but
// whether there is one.
type DirectorySource struct {
	Name        string      `json:"name"`
	Kind        string      `json:"kind"` // ldap, ad
	Settings    []Setting   `json:"settings"`
	HasPassword bool        `json:"has_password"`
	Created     time.Time   `json:"created"`
	CreatedBy   string      `json:"created_by"`
	People      int         `json:"people"` // up to 1,000 are counted
	Tried       time.Time   `json:"tried,omitzero"`
	Good        time.Time   `json:"good,omitzero"`
	Next        time.Time   `json:"next,omitzero"`
	Failures    int         `json:"failures,omitempty"` // in a row
	Error       string      `json:"error,omitempty"`
	Last        *SyncReport `json:"last,omitempty"` // of the last good run
}

// NewDirectorySource asks for a new source.
type NewDirectorySource struct {
	Name         string            `json:"name"`
	Kind         string            `json:"kind,omitempty"` // empty: ldap
	Set          map[string]string `json:"set"`
	BindPassword string            `json:"bind_password,omitempty"`
}

// DirectorySourceChange changes a source; an empty password leaves the one there is.
type DirectorySourceChange struct {
	Set          map[string]string `json:"set,omitempty"`
	BindPassword string            `json:"bind_password,omitempty"`
}

// SyncReport is what a run did, or would do. Left are entries that cannot be people here.
type SyncReport struct {
	Found    int      `json:"found"`
	Created  int      `json:"created"`
	Changed  int      `json:"changed"`
	Disabled int      `json:"disabled"`
	Left     int      `json:"left_out,omitempty"`
	Reasons  []string `json:"reasons,omitempty"` // for the first ones
	Gone     []string `json:"gone,omitempty"`    // who would be disabled, the first ones
}

// SourceTest is what a source says about somebody, or that it answers.
type SourceTest struct {
	Found          bool                `json:"found"`
	DN             string              `json:"dn,omitempty"`
	ID             string              `json:"id,omitempty"`
	Name           string              `json:"name,omitempty"`
	Email          string              `json:"email,omitempty"`
	GivenName      string              `json:"given_name,omitempty"`
	Surname        string              `json:"surname,omitempty"`
	DisplayName    string              `json:"display_name,omitempty"`
	Attributes     map[string][]string `json:"attributes,omitempty"`
	Groups         []string            `json:"groups,omitempty"` // there
	Profile        string              `json:"profile,omitempty"`
	PermissionSets []string            `json:"permission_sets,omitempty"`
	HereGroups     []string            `json:"groups_here,omitempty"`
	Problem        string              `json:"problem,omitempty"` // why it could not become a person here
}

// RunSync asks for a run. Force disables people however many are gone; DryRun changes nothing.
type RunSync struct {
	Force  bool `json:"force,omitempty"`
	DryRun bool `json:"dry_run,omitempty"`
}

// Import asks for people of a CSV file.
type Import struct {
	CSV    string `json:"csv"`
	DryRun bool   `json:"dry_run,omitempty"`
}

// Imported is what an import did, or would do. With Errors it does nothing.
type Imported struct {
	Created   int           `json:"created"`
	Changed   int           `json:"changed"`
	Unchanged int           `json:"unchanged"`
	Disabled  int           `json:"disabled"`
	Enabled   int           `json:"enabled"`
	Errors    []ImportError `json:"errors,omitempty"` // the first 100
	More      int           `json:"more_errors,omitempty"`
	Rows      []ImportedRow `json:"rows,omitempty"` // of a dry run, the first 100 that change something
}

// ImportError says what is wrong with a line of the file, which the header is the first of.
type ImportError struct {
	Line int    `json:"line"`
	Text string `json:"text"`
}

// ImportedRow is one person of a dry run.
type ImportedRow struct {
	Line   int    `json:"line"`
	Name   string `json:"name"`
	Email  string `json:"email,omitempty"`
	Action string `json:"action"` // add, change, disable, enable
	Keys   string `json:"keys,omitempty"`
}

const sources = "sources"

// DirectorySources lists the sources.
func (c *Client) DirectorySources(ctx context.Context) (List[DirectorySource], error) {
	return call[List[DirectorySource]](ctx, c, http.MethodGet, path(sources), nil, nil)
}

// DirectorySource shows one source.
func (c *Client) DirectorySource(ctx context.Context, name string) (DirectorySource, error) {
	return call[DirectorySource](ctx, c, http.MethodGet, path(sources, name), nil, nil)
}

// AddDirectorySource adds a source: its people may sign in from now on.
func (c *Client) AddDirectorySource(ctx context.Context, n NewDirectorySource) (DirectorySource, error) {
	return call[DirectorySource](ctx, c, http.MethodPost, path(sources), nil, n)
}

// SetDirectorySource changes a source.
func (c *Client) SetDirectorySource(ctx context.Context, name string, change DirectorySourceChange) (DirectorySource, error) {
	return call[DirectorySource](ctx, c, http.MethodPatch, path(sources, name), nil, change)
}

// RemoveDirectorySource removes a source; its people stay, and cannot sign in by it any more.
func (c *Client) RemoveDirectorySource(ctx context.Context, name string) (DirectorySource, error) {
	return call[DirectorySource](ctx, c, http.MethodDelete, path(sources, name), nil, nil)
}

// TestDirectorySource asks a source whether it answers, and with a user name, who that is.
func (c *Client) TestDirectorySource(ctx context.Context, name, user string) (SourceTest, error) {
	return call[SourceTest](ctx, c, http.MethodPost, path(sources, name, "test"), url.Values{"user": {user}}, nil)
}

// SyncDirectorySource brings the people of a source over now.
func (c *Client) SyncDirectorySource(ctx context.Context, name string, ask RunSync) (SyncReport, error) {
	return call[SyncReport](ctx, c.patient(), http.MethodPost, path(sources, name, "sync"), nil, ask)
}

// ImportUsers adds and changes people of a CSV file.
func (c *Client) ImportUsers(ctx context.Context, ask Import) (Imported, error) {
	return call[Imported](ctx, c.patient(), http.MethodPost, "/user-imports", nil, ask)
}
