package admin

import (
	"io"
	"net/http"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
)

// answers is an answer that writes itself, because it is long or takes long.
type answers func(w http.ResponseWriter) error

// auditQuery reads the filters of the API's audit.
func (c *call) auditQuery() (api.AuditQuery, error) {
	since, err := c.time("since")
	if err != nil {
		return api.AuditQuery{}, err
	}
	until, err := c.time("until")
	return api.AuditQuery{
		App: c.query("app"), User: c.query("user"), Actor: c.query("actor"), Kind: c.query("kind"), Outcome: c.query("outcome"),
		Reason: c.query("reason"), Address: c.query("address"), Code: c.query("code"), Since: since, Until: until,
		After: c.query("after"), Limit: c.limit(),
	}, err
}

func (a *Admin) auditList(c *call) (any, error) {
	q, err := c.auditQuery()
	if err != nil {
		return nil, err
	}
	return a.Actions.AuditEntries(c.ctx(), q)
}

func (a *Admin) auditExport(c *call) (any, error) {
	q, err := c.auditQuery()
	if err != nil {
		return nil, err
	}
	return answers(func(w http.ResponseWriter) error { return a.export(w, c.r, q, c.query("format")) }), nil
}

// export streams the entries of a query to whoever asked, through the API or the console.
func (a *Admin) export(w http.ResponseWriter, r *http.Request, q api.AuditQuery, format string) error {
	if format == "" {
		format = "jsonl"
	}
	name := "audit-" + a.Actions.Now().UTC().Format("2006-01-02-150405") + "." + format
	err := web.Stream(w, exportTypes[format], name, func(out io.Writer) error {
		return a.Actions.ExportAudit(r.Context(), byOf(r), q, format, out)
	})
	return worded(err)
}

func (a *Admin) auditVerify(c *call) (any, error) {
	return slow(func() (any, error) { return a.Actions.VerifyAudit(c.ctx(), c.query("head")) }), nil
}

// slow is an answer that may take longer than others.
func slow(action func() (any, error)) answers {
	return func(w http.ResponseWriter) error {
		web.TakeTime(w)
		answer, err := action()
		if err != nil {
			return worded(err)
		}
		web.WriteJSON(w, http.StatusOK, answer)
		return nil
	}
}
