package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// AuditQuery filters the audit; zero values do not filter. Entries come newest first. App, User and Actor are references (an
// actor may also be "uid 0" or "system"), Address is an IP address or a network such as 192.0.2.0/24, Code an entry's code.
type AuditQuery struct {
	App, User, Actor, Kind, Outcome, Reason, Address, Code string
	Since, Until                                           time.Time // inclusive, exclusive
	After                                                  string
	Limit                                                  int
}

func (q *AuditQuery) values() url.Values {
	values := query("app", q.App, "user", q.User, "actor", q.Actor, "kind", q.Kind, "outcome", q.Outcome, "reason", q.Reason,
		"address", q.Address, "code", q.Code, "since", stamp(q.Since), "until", stamp(q.Until), "after", q.After)
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	return values
}

// AuditChain is one node's chain of entries, each of which commits to the one before.
type AuditChain struct {
	Node    string `json:"node"`
	First   uint64 `json:"first"` // number of the oldest entry that retention left
	Last    uint64 `json:"last"`
	Count   uint64 `json:"count"`
	Head    string `json:"head"`              // hash of the last entry, to be kept elsewhere
	Broken  uint64 `json:"broken,omitempty"`  // number of the first entry that does not fit
	Problem string `json:"problem,omitempty"` // what is wrong there
}

// AuditVerification says whether the audit is whole: every chain, and the kept head, if one was given, is in one of them.
type AuditVerification struct {
	Whole   bool         `json:"whole"`
	Problem string       `json:"problem,omitempty"`
	Chains  []AuditChain `json:"chains"`
}

// Audit lists audit entries.
func (c *Client) Audit(ctx context.Context, q AuditQuery) (List[AuditEntry], error) {
	return call[List[AuditEntry]](ctx, c, http.MethodGet, "/audit", q.values(), nil)
}

// VerifyAudit reads every chain. Head is a hash that was kept from an earlier call, or empty.
func (c *Client) VerifyAudit(ctx context.Context, head string) (AuditVerification, error) {
	return call[AuditVerification](ctx, c.patient(), http.MethodGet, "/audit/verify", query("head", head), nil)
}

// ExportAudit writes all entries that match as the server sends them; format is "jsonl" (one AuditEntry per line) or "csv".
// Only after a nil error is the export whole.
func (c *Client) ExportAudit(ctx context.Context, q AuditQuery, format string, w io.Writer) error {
	values := q.values()
	values.Set("format", format)
	request, err := c.request(ctx, http.MethodGet, "/audit/export", values, nil)
	if err != nil {
		return err
	}
	response, err := c.patient().http.Do(request)
	if err != nil {
		return c.failed(err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return readError(response)
	}
	_, err = io.Copy(w, response.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &Error{Reason: "broken_off", Err: err, Text: fmt.Sprintf("the export broke off before its end: look into the log of %s, then try again", c.where)}
	}
	return err
}

// patient is the client for answers that may take as long as they need.
func (c *Client) patient() *Client {
	waits := *c
	waits.http = &http.Client{Transport: c.http.Transport, CheckRedirect: c.http.CheckRedirect}
	return &waits
}
