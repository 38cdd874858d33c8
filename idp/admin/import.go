package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"gatehouse/idp/api"
	"gatehouse/idp/audit"
	"gatehouse/idp/directory"
	"gatehouse/sp"
	"gatehouse/store"
)

// importBatch is how many people go into one transaction, so that sign-ins do not wait behind it.
const importBatch = 500

func (a *Admin) importRows() []row {
	return []row{{Method: "POST", Path: "/user-imports", Permission: UsersWrite, MaxBody: 2*maxImport + 1<<20, Action: with(func(c *call, ask api.Import) (any, error) {
		return slow(func() (any, error) { return a.Actions.ImportUsers(c.ctx(), c.by(), ask) }), nil
	})}}
}

// planned is what a line makes of a person.
type planned struct {
	row           csvRow
	before, after directory.User
}

func (p *planned) action() string {
	switch {
	case p.before.ID == "":
		return "add"
	case p.after.Disabled && !p.before.Disabled:
		return "disable"
	case p.before.Disabled && !p.after.Disabled:
		return "enable"
	case directory.Same(&p.before, &p.after):
		return ""
	}
	return "change"
}

// ImportUsers adds and changes the people of a CSV file. The whole of it is checked first, and with an error nothing is changed. A
// line whose name is there already changes that person; an empty cell leaves a value as it is, and `default` empties it.
func (a *Actions) ImportUsers(ctx context.Context, by By, ask api.Import) (api.Imported, error) {
	rows, problems, err := readCSV(ask.CSV)
	if err != nil {
		return api.Imported{}, err
	}
	var plans []planned
	err = a.view(ctx, func(tx store.Tx) error {
		plans, err = a.planImport(tx, by, rows, &problems)
		return err
	})
	if err != nil {
		return api.Imported{}, err
	}
	if len(problems) > 0 {
		slices.SortStableFunc(problems, func(x, y api.ImportError) int { return x.Line - y.Line })
		shown := min(len(problems), maxShown)
		return api.Imported{Errors: problems[:shown], More: len(problems) - shown}, a.noteImport(ctx, by, problems)
	}
	out := tally(plans, ask.DryRun)
	if ask.DryRun {
		return out, nil
	}
	return out, a.runImport(ctx, by, plans)
}

// noteImport writes down that a file was refused, and why its first line was.
func (a *Actions) noteImport(ctx context.Context, by By, problems []api.ImportError) error {
	event := audit.Event{Kind: "user.import", Outcome: audit.Refused, Reason: "bad_lines", Actor: by.ID, Facts: by.Sign(map[string]string{
		"errors": fmt.Sprint(len(problems)), "line": fmt.Sprint(problems[0].Line),
	}), Detail: problems[0].Text}
	if by.Address.IsValid() {
		event.Address = by.Address.String()
	}
	return worded(a.Store.Update(ctx, func(tx store.Tx) error {
		_, err := a.Audit.Append(tx, event)
		return err
	}))
}

func tally(plans []planned, show bool) api.Imported {
	var out api.Imported
	counts := map[string]*int{"add": &out.Created, "change": &out.Changed, "disable": &out.Disabled, "enable": &out.Enabled, "": &out.Unchanged}
	for i := range plans {
		p := &plans[i]
		action := p.action()
		*counts[action]++
		if show && action != "" && len(out.Rows) < maxShown {
			keys := slices.DeleteFunc(slices.Sorted(maps.Keys(p.row.values)), func(key string) bool { return key == "name" })
			out.Rows = append(out.Rows, api.ImportedRow{Line: p.row.line, Name: p.after.Name, Email: p.after.Email, Action: action, Keys: strings.Join(keys, ", ")})
		}
	}
	return out
}

// planImport checks every line against the store and against the others.
func (a *Actions) planImport(tx store.Tx, by By, rows []csvRow, problems *[]api.ImportError) ([]planned, error) {
	plans := make([]planned, 0, len(rows))
	names, emails := map[string]int{}, map[string]int{}
	for _, row := range rows {
		p, err := a.planRow(tx, by, row)
		if err == nil {
			err = once(names, "user name", p.after.Name, row.line)
		}
		if err == nil && p.after.Email != p.before.Email {
			err = once(emails, "e-mail address", p.after.Email, row.line)
		}
		if err == nil {
			plans = append(plans, p)
			continue
		}
		public := asPublic(err)
		if public == nil || public.Status >= http.StatusInternalServerError {
			return nil, err
		}
		*problems = append(*problems, api.ImportError{Line: row.line, Text: public.Text})
	}
	return plans, nil
}

func once(seen map[string]int, what, value string, line int) error {
	value = directory.Normalise(value)
	if value == "" {
		return nil
	}
	if first, twice := seen[value]; twice {
		return badValue("csv", "The %s %.80q is on line %d already.", what, value, first)
	}
	seen[value] = line
	return nil
}

// planRow makes the person of one line.
func (a *Actions) planRow(tx store.Tx, by By, row csvRow) (planned, error) {
	p := planned{row: row}
	name := row.values["name"]
	if name == "" {
		return p, badValue("name", "The user name is missing.")
	}
	found, _, err := directory.Users.By(tx, "name", directory.Normalise(name))
	switch {
	case errors.Is(err, store.ErrNotFound):
		p.after.Name = name
		p.after.Profile, err = importProfile(tx, row.values["profile"])
	case err == nil:
		p.before, p.after = found, found
		p.after.Attributes = maps.Clone(found.Attributes)
		err = importable(by, &found)
	}
	if err != nil {
		return p, err
	}
	for _, key := range slices.Sorted(maps.Keys(row.values)) {
		if err := setCell(tx, &p.after, key, row.values[key]); err != nil {
			return p, fieldOf(key, err)
		}
	}
	if p.after.Disabled && !p.before.Disabled && len(p.after.Roles) > 0 {
		return p, badValue("disabled", "%s has a role in the console: disable people with a role one by one.", p.after.Name)
	}
	return p, a.Directory.CheckUser(tx, &p.after)
}

// importProfile finds the profile of a new person; none is made.
func importProfile(tx store.Tx, ref string) (string, error) {
	few, _, err := directory.AllProfiles.List(tx, "", 1)
	if err == nil && len(few) == 0 {
		err = badValue("profile", "There is no profile yet: add one first, such as Standard.")
	}
	if err != nil {
		return "", err
	}
	return profileFor(tx, ref)
}

// importable refuses to change whom the actor may not, and who is kept elsewhere.
func importable(by By, user *directory.User) error {
	if user.Source != "" {
		return badValue("name", "%s comes from the directory %s and is changed there.", user.Name, user.Source)
	}
	return mayHandle(by, user)
}

func setCell(tx store.Tx, user *directory.User, key, value string) error {
	if value == sp.Undo && key != "name" {
		value = ""
	}
	switch key {
	case "name":
		return nil // a name finds a person, and does not change
	case "disabled":
		wanted := map[string]bool{"true": true, "yes": true, "1": true, "false": false, "no": false, "0": false, "": false}
		disabled, known := wanted[strings.ToLower(value)]
		if !known {
			return badValue("disabled", "disabled is true or false, not %.40q.", value)
		}
		user.Disabled = disabled
		return nil
	}
	return setUser(tx, user, key, value)
}

// runImport makes the plans true, batch by batch. Each is drawn up again in its transaction: when somebody changed what it rests on
// meanwhile, the import stops there and says from which line on.
func (a *Actions) runImport(ctx context.Context, by By, plans []planned) error {
	for batch := range slices.Chunk(plans, importBatch) {
		err := a.change(ctx, by, func(tx store.Tx) (audit.Event, error) {
			for i := range batch {
				if err := a.importOne(tx, by, batch[i].row); err != nil {
					return audit.Event{}, err
				}
			}
			return audit.Event{Kind: "user.import", Facts: map[string]string{
				"lines": fmt.Sprintf("%d to %d", batch[0].row.line, batch[len(batch)-1].row.line), "people": fmt.Sprint(len(batch)),
			}}, nil
		})
		if err != nil {
			public := asPublic(err)
			if public == nil || batch[0].row.line == plans[0].row.line {
				return err
			}
			return refused(public.Status, public.Reason, "csv", "Everything before line %d is in; nothing from there on, because: %s Import the file again.", batch[0].row.line, public.Text)
		}
	}
	return nil
}

func (a *Actions) importOne(tx store.Tx, by By, row csvRow) error {
	p, err := a.planRow(tx, by, row)
	if err != nil {
		return err
	}
	action := p.action()
	facts := map[string]string{"name": p.after.Name, "by": "import"}
	kind := "user.set"
	switch action {
	case "":
		return nil
	case "add":
		kind = "user.add"
		p.after, err = a.Directory.AddUser(tx, p.after)
	default:
		facts["keys"] = strings.Join(slices.Sorted(maps.Keys(row.values)), ", ")
		p.after, err = a.Directory.SetUser(tx, p.after)
	}
	if err == nil && action == "disable" {
		kind = "user.disable"
		ended := map[string]string{}
		ended, err = endSessions(tx, p.after.ID)
		maps.Copy(facts, ended)
	}
	if err != nil {
		return err
	}
	return a.note(tx, by, audit.Event{Kind: kind, User: p.after.ID, Facts: facts})
}
