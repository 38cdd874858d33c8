package admin

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"strconv"
	"strings"
	"time"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/store"
)

// exportTypes are the formats of an export with their media types.
var exportTypes = map[string]string{"jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}

// ExportAudit writes every entry that a query chooses, newest first, one page in memory at a time. Format is "jsonl", one
// api.AuditEntry per line, or "csv". The export leaves an entry of its own first, so that one that broke off is known too.
func (a *Actions) ExportAudit(ctx context.Context, by By, q api.AuditQuery, format string, w io.Writer) error {
	if exportTypes[format] == "" {
		return badValue("format", "There is no format %.40q: choose jsonl or csv.", format)
	}
	q.After, q.Limit = "", maxPage
	err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
		filter, err := auditFilter(tx, &q)
		return audit.Event{Kind: "audit.export", App: filter.App, User: filter.User, Facts: exportFacts(&q, format)}, err
	})
	if err != nil {
		return err
	}
	out := newEntryWriter(format, w)
	for known := (refs{}); ; {
		page, err := a.auditPage(ctx, q, known)
		for i := range page.Items {
			if err == nil {
				err = out.write(&page.Items[i])
			}
		}
		if err == nil {
			err = out.flush()
		}
		if q.After = page.Next; err != nil || q.After == "" {
			return err
		}
	}
}

// exportFacts say what was asked for.
func exportFacts(q *api.AuditQuery, format string) map[string]string {
	facts := map[string]string{"format": format}
	for key, value := range map[string]string{
		"app": q.App, "user": q.User, "actor": q.Actor, "kind": q.Kind, "outcome": q.Outcome, "reason": q.Reason,
		"address": q.Address, "code": q.Code, "since": moment(q.Since), "until": moment(q.Until),
	} {
		if value != "" {
			facts["filter_"+key] = value
		}
	}
	return facts
}

func moment(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// entryWriter writes entries in one format.
type entryWriter interface {
	write(e *api.AuditEntry) error
	flush() error
}

func newEntryWriter(format string, w io.Writer) entryWriter {
	if format == "csv" {
		return &csvWriter{csv: csv.NewWriter(w)}
	}
	lines := json.NewEncoder(w)
	lines.SetEscapeHTML(false)
	return jsonWriter{lines}
}

type jsonWriter struct{ lines *json.Encoder }

func (w jsonWriter) write(e *api.AuditEntry) error { return w.lines.Encode(e) }
func (w jsonWriter) flush() error                  { return nil }

type csvWriter struct {
	csv    *csv.Writer
	headed bool
}

// csvColumns is the first line of an export.
var csvColumns = []string{
	"time", "node", "seq", "code", "kind", "outcome", "reason", "actor_id", "actor", "user_id", "user", "app_id", "app", "address",
	"detail", "count", "facts",
}

func (w *csvWriter) head() error {
	if w.headed {
		return nil
	}
	w.headed = true
	return w.csv.Write(csvColumns)
}

func (w *csvWriter) write(e *api.AuditEntry) error {
	if err := w.head(); err != nil {
		return err
	}
	facts := ""
	if len(e.Facts) > 0 {
		text, err := json.Marshal(e.Facts)
		if err != nil {
			return err
		}
		facts = string(text)
	}
	cells := []string{
		moment(e.Time), e.Node, strconv.FormatUint(e.Seq, 10), e.Code, e.Kind, e.Outcome, e.Reason, e.Actor.ID, e.Actor.Name,
		e.User.ID, e.User.Name, e.App.ID, e.App.Name, e.Address, e.Detail, strconv.Itoa(max(e.Count, 1)), facts,
	}
	for i := range cells {
		cells[i] = defused(cells[i])
	}
	return w.csv.Write(cells)
}

func (w *csvWriter) flush() error {
	if err := w.head(); err != nil {
		return err
	}
	w.csv.Flush()
	return w.csv.Error()
}

// defused keeps a spreadsheet from taking what a stranger wrote for a formula.
func defused(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
