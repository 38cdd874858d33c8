package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"gatehouse/idp/api"
)

// json writes a wire value.
func (c *cli) json(value any) error {
	e := json.NewEncoder(c.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(value)
}

// show writes a wire value as JSON, or else as text.
func (c *cli) show(value any, text func() error) error {
	if c.output == "json" {
		return c.json(value)
	}
	return text()
}

// id writes the id of a changed or new record, or with JSON all of it.
func (c *cli) id(value any, id string) error {
	return c.show(value, func() error {
		_, err := fmt.Fprintln(c.out, id)
		return err
	})
}

// quiet says nothing about a success unless JSON is wanted.
func (c *cli) quiet(value any) error { return c.show(value, func() error { return nil }) }

// table writes aligned columns.
func (c *cli) table(head []string, rows [][]string) error {
	w := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	writeRow(w, head)
	for _, row := range rows {
		writeRow(w, row)
	}
	return w.Flush()
}

func writeRow(w io.Writer, cells []string) {
	clean := make([]string, len(cells))
	for i, cell := range cells {
		if clean[i] = plain(cell); clean[i] == "" {
			clean[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(clean, "\t"))
}

// facts writes labelled lines, leaving out the empty ones.
func (c *cli) facts(pairs ...string) error {
	w := tabwriter.NewWriter(c.out, 0, 8, 2, ' ', 0)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", pairs[i], plain(pairs[i+1]))
		}
	}
	return w.Flush()
}

// plain keeps what other people wrote from steering the terminal, breaking the columns, or looking like something else: what nobody sees,
// or what turns the reading direction round, is written as its number.
func plain(text string) string {
	var clean strings.Builder
	for _, r := range text {
		switch {
		case unicode.IsControl(r):
			clean.WriteByte(' ')
		case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp):
			fmt.Fprintf(&clean, "<U+%04X>", r)
		default:
			clean.WriteRune(r)
		}
	}
	return clean.String()
}

func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func names(refs []api.Ref) string {
	list := make([]string, len(refs))
	for i, ref := range refs {
		list[i] = ref.Name
	}
	return strings.Join(list, ", ")
}

// settings writes keys and values, and whether a value is the default; values come last because some are long.
func (c *cli) settings(list []api.Setting) error {
	rows := make([][]string, 0, len(list))
	for _, s := range list {
		origin := "set"
		if s.IsDefault {
			origin = "default"
		}
		rows = append(rows, []string{s.Key, origin, s.Value})
	}
	return c.table([]string{"KEY", "FROM", "VALUE"}, rows)
}

// warn writes warnings on stderr, one line each.
func (c *cli) warn(warnings []api.Warning) {
	for _, w := range warnings {
		word := "warning:"
		if w.Severity == "info" {
			word = "note:"
		}
		fmt.Fprintln(c.err, word, plain(w.Text))
	}
}

// keyValues reads KEY=VALUE words; a VALUE of `@FILE` is the file's content.
func keyValues(words []string) (map[string]string, error) {
	values := make(map[string]string, len(words))
	for _, word := range words {
		key, value, found := strings.Cut(word, "=")
		if !found || key == "" {
			return nil, usagef("%q is not KEY=VALUE", word)
		}
		if _, twice := values[key]; twice {
			return nil, usagef("%s is set twice", key)
		}
		if file, isFile := strings.CutPrefix(value, "@"); isFile {
			content, err := readFile(file)
			if err != nil {
				return nil, err
			}
			value = strings.TrimSpace(string(content))
		}
		values[key] = value
	}
	return values, nil
}

// maxFile bounds what is read from a file or stdin, in bytes: a little more than the server takes.
const maxFile = 1<<20 + 1

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("cannot read the file: %w", err)
	}
	defer func() { _ = file.Close() }()
	return readAll(file, name)
}

func readAll(r io.Reader, name string) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxFile))
	if err != nil {
		return nil, fmt.Errorf("cannot read %s: %w", name, err)
	}
	if len(content) == maxFile {
		return nil, fmt.Errorf("%s is larger than 1 MiB: give a smaller one", name)
	}
	return content, nil
}
