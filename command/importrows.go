package command

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/appliance"
)

// maxImportLine bounds one line, or one value, of a file of decisions, in bytes.
const maxImportLine = 64 << 10

// badRow is what is wrong with one line; those after it can be read.
type badRow string

func (b badRow) Error() string { return string(b) }

// rowReader reads decisions from a file.
type rowReader interface {
	// next returns a decision and its line, or of JSON its number; what it does not say is empty. An
	// error is io.EOF, a badRow, or one that ends all.
	next() (row appliance.ImportRow, at int, err error)
}

func newRowReader(format string, in io.Reader) (rowReader, error) {
	switch format {
	case "csv":
		return newCSVRows(in)
	case "json":
		return newJSONRows(in)
	}
	s := bufio.NewScanner(in)
	s.Buffer(nil, maxImportLine)
	return &valueRows{s: s}, nil
}

// valueRows has a value on each line.
type valueRows struct {
	s    *bufio.Scanner
	line int
}

func (r *valueRows) next() (row appliance.ImportRow, at int, err error) {
	for r.s.Scan() {
		r.line++
		text, _, _ := strings.Cut(r.s.Text(), "#")
		if row.Value = strings.TrimSpace(text); row.Value != "" {
			return row, r.line, nil
		}
	}
	if err := r.s.Err(); err != nil {
		return row, r.line, fmt.Errorf("line %d: %w", r.line+1, err)
	}
	return row, r.line, io.EOF
}

// csvRows is a table with a head.
// CrowdSec compatible: value, scope, type, duration and reason; others are not heeded.
type csvRows struct {
	r    *csv.Reader
	cols map[string]int
}

func newCSVRows(in io.Reader) (*csvRows, error) {
	r := csv.NewReader(in)
	r.FieldsPerRecord, r.ReuseRecord, r.TrimLeadingSpace, r.Comment = -1, true, true, '#'
	head, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("reading the head of the table: %w", err)
	}
	c := &csvRows{r: r, cols: map[string]int{}}
	for i, name := range head {
		c.cols[strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))] = i
	}
	if _, ok := c.cols["value"]; !ok {
		return nil, fmt.Errorf("the table has no column value in its head, but %q; expected value, and any of scope, type, duration and reason", slices.Clone(head))
	}
	return c, nil
}

func (r *csvRows) next() (row appliance.ImportRow, at int, err error) {
	fields, err := r.r.Read()
	var bad *csv.ParseError
	switch {
	case errors.As(err, &bad):
		return row, bad.StartLine, badRow(bad.Err.Error())
	case err != nil:
		return row, 0, err
	}
	line, _ := r.r.FieldPos(0)
	get := func(name string) string {
		if i, ok := r.cols[name]; ok && i < len(fields) {
			return strings.Clone(strings.TrimSpace(fields[i]))
		}
		return ""
	}
	row = appliance.ImportRow{Value: get("value"), Scope: get("scope"), Type: get("type"), Duration: get("duration"), Reason: get("reason")}
	if row.Value == "" {
		return row, line, badRow("there is no value")
	}
	return row, line, nil
}

// jsonRows is a list of objects.
type jsonRows struct {
	d *json.Decoder
	n int
}

func newJSONRows(in io.Reader) (*jsonRows, error) {
	d := json.NewDecoder(in)
	t, err := d.Token()
	if err != nil || t != json.Delim('[') {
		return nil, errors.New("expected a list of objects, such as [{\"value\": \"192.0.2.7\", \"duration\": \"4h\"}]")
	}
	return &jsonRows{d: d}, nil
}

func (r *jsonRows) next() (row appliance.ImportRow, at int, err error) {
	r.n++
	if !r.d.More() {
		if _, err := r.d.Token(); err != nil {
			return row, r.n, fmt.Errorf("behind entry %d: %w", r.n-1, noEnd(err))
		}
		return row, r.n, io.EOF
	}
	err = r.d.Decode(&row)
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind):
		return row, r.n, badRow(fmt.Sprintf("%s is a %s, expected a text", kind.Field, kind.Value))
	case err != nil:
		return row, r.n, fmt.Errorf("entry %d: %w", r.n, noEnd(err))
	case row.Value == "":
		return row, r.n, badRow("there is no value")
	}
	return row, r.n, nil
}

// noEnd keeps a list that breaks off from being taken for its end.
func noEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
