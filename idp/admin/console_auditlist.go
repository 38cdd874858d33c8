package admin

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

const (
	verifyPatience = 20 * time.Second // how long a page may read the audit
	lookFurther    = 5                // pages without a match that are passed over before the person is asked
)

// since are the periods that the page offers.
var since = map[string]time.Duration{"1h": time.Hour, "24h": 24 * time.Hour, "7d": 7 * 24 * time.Hour, "30d": 30 * 24 * time.Hour}

// auditQuery reads the page's filters.
func (a *Admin) auditQuery(values url.Values) (api.AuditQuery, error) {
	text := func(name string) string { return strings.TrimSpace(values.Get(name)) }
	q := api.AuditQuery{
		App: text("app"), User: text("user"), Actor: text("actor"), Kind: text("kind"), Outcome: text("outcome"),
		Reason: text("reason"), Address: text("address"), After: values.Get("after"), Limit: pageRows,
	}
	from, err := day("from", text("from"))
	if err != nil {
		return q, err
	}
	until, err := day("until", text("until"))
	if err != nil {
		return q, err
	}
	if !until.IsZero() {
		q.Until = until.AddDate(0, 0, 1)
	}
	q.Since = from
	if period := since[text("since")]; period > 0 {
		if start := a.Actions.Now().Add(-period); start.After(from) {
			q.Since = start
		}
	}
	return q, nil
}

func day(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return at, badValue(field, "%.40q is not a day: write it like 2027-01-31.", text)
	}
	return at, nil
}

// auditFields are the filters that links to other pages of the list, and to downloads, carry on.
var auditFields = []string{"app", "user", "actor", "kind", "outcome", "reason", "address", "since", "from", "until"}

func (a *Admin) auditPage(w http.ResponseWriter, r *http.Request) error {
	values := r.URL.Query()
	if code := strings.TrimSpace(values.Get("code")); code != "" {
		web.SeeOther(w, "/admin/audit/"+cmp.Or(pathSafe(code), "-"))
		return nil
	}
	page := auditForm(values)
	page.Shell = a.shell(r, "Audit", templates.SectionAudit)
	q, err := a.auditQuery(values)
	var list api.List[api.AuditEntry]
	if err == nil {
		list, err = a.firstMatches(r.Context(), q)
	}
	errs, err := a.formErrors(r, err)
	if err != nil {
		return err
	}
	if len(errs) > 0 {
		page.Notice = &templates.Notice{Kind: "danger", Text: errs[0].Text}
	}
	chains, err := a.Actions.AuditHeads(r.Context())
	if err != nil {
		return err
	}
	page.Events, page.Chains, page.Verify = eventRows(list.Items), chainRows(chains), "/admin/audit/verify"
	var pairs []string
	for _, field := range auditFields {
		pairs = append(pairs, field, values.Get(field))
	}
	page.Pager = pager("/admin/audit", q.After, list.Next, pairs)
	page.Exports = []templates.Link{
		{Label: "Download as CSV", Href: link("/admin/audit/export", append(pairs, "format", "csv")...)},
		{Label: "Download as JSON lines", Href: link("/admin/audit/export", append(pairs, "format", "jsonl")...)},
	}
	return web.Page(w, r, statusOf(errs), web.CSP{}, func(b *web.Buffer) error { return templates.Audit(b, page) })
}

// auditForm is the form as it was sent.
func auditForm(values url.Values) templates.AuditPage {
	text := func(name string) string { return strings.TrimSpace(values.Get(name)) }
	page := templates.AuditPage{
		App: text("app"), User: text("user"), Actor: text("actor"), Kind: text("kind"), Outcome: text("outcome"), Reason: text("reason"),
		Address: text("address"), Since: text("since"), From: text("from"), Until: text("until"),
	}
	page.Unusual = page.Actor+page.Reason+page.Address+page.From+page.Until != ""
	page.Filtered = page.Unusual || page.App+page.User+page.Kind+page.Outcome+page.Since != ""
	for _, k := range kinds {
		page.Kinds = append(page.Kinds, templates.Option{Value: k.kind, Label: k.text})
	}
	return page
}

// firstMatches passes over pages of the list in which nothing matches, a few of them.
func (a *Admin) firstMatches(ctx context.Context, q api.AuditQuery) (api.List[api.AuditEntry], error) {
	for range lookFurther - 1 {
		list, err := a.Actions.AuditEntries(ctx, q)
		if err != nil || len(list.Items) > 0 || list.Next == "" {
			return list, err
		}
		q.After = list.Next
	}
	return a.Actions.AuditEntries(ctx, q)
}

// auditDownload sends what the filters of the page choose as a file.
func (a *Admin) auditDownload(w http.ResponseWriter, r *http.Request) error {
	q, err := a.auditQuery(r.URL.Query())
	if err != nil {
		return err
	}
	return a.export(w, r, q, r.URL.Query().Get("format"))
}

// auditVerifyPage reads the whole audit while the page waits, if that does not take too long.
func (a *Admin) auditVerifyPage(w http.ResponseWriter, r *http.Request) error {
	head := strings.TrimSpace(r.URL.Query().Get("head"))
	page := templates.AuditVerifyPage{Shell: a.shell(r, "Tamper evidence", templates.SectionAudit), Head: head, Compared: head != ""}
	ctx, stop := context.WithTimeout(r.Context(), verifyPatience)
	defer stop()
	answer, err := a.Actions.VerifyAudit(ctx, head)
	if page.Late = errors.Is(err, context.DeadlineExceeded); page.Late {
		err = nil
	}
	if page.Errors, err = a.formErrors(r, err); err != nil {
		return err
	}
	page.Whole, page.Problem, page.Chains = answer.Whole, answer.Problem, chainRows(answer.Chains)
	return web.Page(w, r, statusOf(page.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.AuditVerify(b, page) })
}

func chainRows(chains []api.AuditChain) []templates.ChainRow {
	rows := make([]templates.ChainRow, len(chains))
	for i, c := range chains {
		rows[i] = templates.ChainRow{Node: c.Node, First: c.First, Last: c.Last, Count: c.Count, Head: c.Head}
		if c.Broken > 0 {
			rows[i].Problem = sentence("at entry " + strconv.FormatUint(c.Broken, 10) + ": " + c.Problem)
		}
	}
	return rows
}
