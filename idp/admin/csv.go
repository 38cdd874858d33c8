package admin

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"gatehouse/idp/api"
)

// Bounds of a file of people.
const (
	maxImport     = 16 << 20 // bytes
	maxImportRows = 50_000
	maxShown      = 100 // errors, and rows of a preview
)

// csvRow is one line of the file: its number, and the columns that are not empty.
type csvRow struct {
	line   int
	values map[string]string
}

// importColumns are what a header may name, beside attributes.NAME.
var importColumns = []string{"name", "email", "given_name", "surname", "display_name", "profile", "permission_sets", "groups", "disabled"}

// readCSV reads a file of people (RFC 4180), separated by commas, semicolons or tabs. The error is about the file as a whole; lines
// that cannot be read are the second value.
func readCSV(text string) ([]csvRow, []api.ImportError, error) {
	data := bytes.TrimPrefix([]byte(text), []byte("\xef\xbb\xbf"))
	switch {
	case len(data) > maxImport:
		return nil, nil, badValue("csv", "The file is larger than %d MiB: import it in parts.", maxImport>>20)
	case bytes.HasPrefix(data, []byte("\xff\xfe")), bytes.HasPrefix(data, []byte("\xfe\xff")), bytes.IndexByte(data, 0) >= 0:
		return nil, nil, badValue("csv", "The file is no CSV text in UTF-8: save it as \"CSV UTF-8\", and try again.")
	case len(bytes.TrimSpace(data)) == 0:
		return nil, nil, badValue("csv", "The file is empty: its first line names the columns, such as name,email,profile.")
	case !utf8.Valid(data):
		line := 1 + bytes.Count(data[:firstInvalid(data)], []byte("\n"))
		return nil, nil, badValue("csv", "Line %d is not UTF-8: save the file as \"CSV UTF-8\", and try again.", line)
	}
	reader := csv.NewReader(bytes.NewReader(data))
	reader.Comma, reader.FieldsPerRecord, reader.ReuseRecord = separator(data), -1, true
	header, err := readHeader(reader)
	if err != nil {
		return nil, nil, err
	}
	return readRows(reader, header)
}

func firstInvalid(data []byte) int {
	for at := 0; at < len(data); {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return len(data)
}

// separator is the one that the header has most of.
func separator(data []byte) rune {
	head, _, _ := bytes.Cut(data, []byte("\n"))
	best, most := ',', 0
	for _, one := range ",;\t" {
		if n := bytes.Count(head, []byte(string(one))); n > most {
			best, most = one, n
		}
	}
	return best
}

func readHeader(reader *csv.Reader) ([]string, error) {
	record, err := reader.Read()
	if err != nil {
		return nil, badValue("csv", "Line 1 cannot be read: it names the columns, such as name,email,profile.")
	}
	var header []string
	for _, column := range record {
		column = strings.ToLower(strings.TrimSpace(column))
		if rest, ok := strings.CutPrefix(column, "attributes."); ok && rest != "" {
			column = "attributes." + strings.TrimSpace(record[len(header)][strings.IndexByte(record[len(header)], '.')+1:])
		} else if !slices.Contains(importColumns, column) {
			return nil, badValue("csv", "Line 1: there is no column %.60q. The columns are %s and attributes.NAME.", column, strings.Join(importColumns, ", "))
		}
		if slices.Contains(header, column) {
			return nil, badValue("csv", "Line 1: the column %.60q is there twice.", column)
		}
		header = append(header, column)
	}
	if !slices.Contains(header, "name") {
		return nil, badValue("csv", "Line 1: the column name is missing, which holds the user names.")
	}
	return header, nil
}

func readRows(reader *csv.Reader, header []string) ([]csvRow, []api.ImportError, error) {
	var rows []csvRow
	var problems []api.ImportError
	for {
		record, err := reader.Read()
		var parse *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return rows, problems, nil
		case errors.As(err, &parse): // what follows could be read wrongly
			return rows, append(problems, api.ImportError{Line: parse.StartLine, Text: "It cannot be read: " + csvReason(parse) + "."}), nil
		case err != nil:
			return nil, nil, err
		}
		line, _ := reader.FieldPos(0)
		if len(rows) == maxImportRows {
			return nil, nil, badValue("csv", "The file has more than %d people: import it in parts.", maxImportRows)
		}
		if len(record) != len(header) {
			problems = append(problems, api.ImportError{Line: line, Text: fmt.Sprintf("It has %d columns, and the first line names %d.", len(record), len(header))})
			continue
		}
		row := csvRow{line, map[string]string{}}
		for i, value := range record {
			if value = strings.TrimSpace(value); value != "" {
				row.values[header[i]] = value
			}
		}
		rows = append(rows, row)
	}
}

func csvReason(err *csv.ParseError) string {
	if errors.Is(err.Err, csv.ErrQuote) || errors.Is(err.Err, csv.ErrBareQuote) {
		return "a quotation mark is not closed, or stands where none may"
	}
	return "its form is not that of CSV"
}
