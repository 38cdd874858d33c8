package admin

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"gatehouse/idp/api"
	"gatehouse/idp/web"
	"gatehouse/templates"
)

// maxImportForm is how large a file the console takes, in bytes: it travels twice, because nothing is kept of a preview.
const maxImportForm = 4 << 20

const importPath = "/admin/user-imports"

func (a *Admin) importPages() []web.Route {
	return []web.Route{
		{Method: http.MethodGet, Path: importPath, Permission: UsersWrite, Handle: func(w http.ResponseWriter, r *http.Request) error {
			return a.importPage(w, r, templates.ImportPage{})
		}},
		{Method: http.MethodPost, Path: importPath, Permission: UsersWrite, MaxBody: 4 * maxImportForm, Handle: a.importPost},
	}
}

func (a *Admin) importPage(w http.ResponseWriter, r *http.Request, page templates.ImportPage) error {
	page.Shell, page.Action, page.Cancel = a.shell(r, "Import users", templates.SectionUsers), importPath, "/admin/users"
	page.Columns = append(append([]string{}, importColumns...), "attributes.NAME")
	return web.Page(w, r, statusOf(page.Errors), web.CSP{}, func(b *web.Buffer) error { return templates.Import(b, page) })
}

// importPost shows what a file would change, or changes it.
func (a *Admin) importPost(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	text, problem, err := importText(r)
	if err != nil {
		return err
	}
	if problem != "" {
		return a.importPage(w, r, templates.ImportPage{Errors: templates.Errors{{Field: "file", Text: problem}}})
	}
	web.TakeTime(w)
	ask := api.Import{CSV: text, DryRun: r.PostForm.Get("import") == ""}
	done, err := a.Actions.ImportUsers(r.Context(), byOf(r), ask)
	if err != nil {
		errs, err := a.formErrors(r, err)
		if err != nil {
			return err
		}
		for i := range errs {
			errs[i].Field = "file"
		}
		return a.importPage(w, r, templates.ImportPage{Errors: errs})
	}
	return a.importPage(w, r, importAnswer(&done, ask))
}

// importText is the file, or what was shown in the preview.
func importText(r *http.Request) (text, problem string, err error) {
	if r.PostForm.Get("import") != "" {
		return r.PostForm.Get("csv"), "", nil
	}
	file, _, err := r.FormFile("file")
	if err != nil {
		return "", "Choose the CSV file.", nil
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxImportForm+1))
	if len(content) > maxImportForm {
		return "", fmt.Sprintf("The file is larger than %d MiB: import it with `gatehouse user import`, or in parts.", maxImportForm>>20), nil
	}
	return string(content), "", err
}

func importAnswer(done *api.Imported, ask api.Import) templates.ImportPage {
	var page templates.ImportPage
	for _, problem := range done.Errors {
		page.Errors = append(page.Errors, templates.FieldError{Field: "file", Text: fmt.Sprintf("Line %d: %s", problem.Line, problem.Text)})
	}
	if done.More > 0 {
		page.Errors = append(page.Errors, templates.FieldError{Field: "file", Text: fmt.Sprintf("And %d more lines.", done.More)})
	}
	if len(page.Errors) > 0 {
		return page
	}
	page.Done, page.CSV = !ask.DryRun, ask.CSV
	page.Facts = []templates.Fact{
		{Label: "Added", Text: strconv.Itoa(done.Created)}, {Label: "Changed", Text: strconv.Itoa(done.Changed)}, {Label: "Disabled", Text: strconv.Itoa(done.Disabled)},
		{Label: "Enabled", Text: strconv.Itoa(done.Enabled)}, {Label: "Unchanged", Text: strconv.Itoa(done.Unchanged)},
	}
	for _, row := range done.Rows {
		page.Rows = append(page.Rows, templates.ImportRow(row))
	}
	return page
}
