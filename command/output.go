package command

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// Output formats: for people, for programs, and CSV.
const (
	human = "human"
	jsonF = "json"
	raw   = "raw"
)

func (c *call) outputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&c.format, "output", "o", human, "output format: human, json or raw (CSV)")
}

func (c *call) checkFormat() error {
	switch c.format {
	case human, jsonF, raw:
		return nil
	}
	return fmt.Errorf("output format %q is unknown; use human, json or raw", c.format)
}

func (c *call) out() io.Writer { return c.cmd.OutOrStdout() }

// table is a list with a head, for people and as CSV, where names of columns have
// underscores for spaces.
type table struct {
	head []string
	rows [][]string
}

// print writes v as JSON, or t in the format asked for; empty is what people read
// when there are no rows.
func (c *call) print(v any, t table, empty string) error {
	switch c.format {
	case jsonF:
		enc := json.NewEncoder(c.out())
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		return enc.Encode(v)
	case raw:
		head := slices.Clone(t.head)
		for i := range head {
			head[i] = strings.ReplaceAll(head[i], " ", "_")
		}
		return csv.NewWriter(c.out()).WriteAll(append([][]string{head}, t.printable()...))
	}
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(c.out(), empty)
		return err
	}
	return t.write(c.out())
}

// write lays the table out for people; a column that is empty in all rows is left
// out.
func (t table) write(w io.Writer) error {
	var text strings.Builder
	tw := tabwriter.NewWriter(&text, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, strings.ToUpper(strings.Join(t.filled(t.head), "\t")))
	for _, row := range t.printable() {
		fmt.Fprintln(tw, strings.Join(t.filled(row), "\t"))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		if _, err := fmt.Fprintln(w, strings.TrimRight(line, " \n")); err != nil {
			return err
		}
	}
	return nil
}

// printable returns the rows, safe for a terminal.
func (t table) printable() [][]string {
	rows := make([][]string, len(t.rows))
	for i, row := range t.rows {
		for _, cell := range row {
			rows[i] = append(rows[i], printable(cell))
		}
	}
	return rows
}

// filled returns the cells of a row whose column is not empty.
func (t table) filled(row []string) []string {
	cells := make([]string, 0, len(row))
	for i, cell := range row {
		for _, other := range t.rows {
			if other[i] != "" {
				cells = append(cells, cell)
				break
			}
		}
	}
	return cells
}

// lines writes lines of a name and what there is to say.
func (c *call) lines() func(name, format string, args ...any) {
	return func(name, format string, args ...any) {
		fmt.Fprintf(c.out(), "%-12s%s\n", name, printable(fmt.Sprintf(format, args...)))
	}
}

// printable makes text safe for a terminal: what attackers wrote into a log must
// not move its cursor, nor turn the direction of what follows.
func printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unprintable(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// printableLines is printable for a text of several lines.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

func unprintable(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r < 0xa0: // controls
		return true
	case r == 0x2028, r == 0x2029: // line breaks
		return true
	case r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200e, r == 0x200f, r == 0x061c: // direction
		return true
	}
	return false
}

// when is an instant: for people in their own zone and to the second, for programs
// as RFC 3339.
func (c *call) when(t time.Time) string {
	switch {
	case c.format != human && t.IsZero():
		return ""
	case c.format != human:
		return t.UTC().Format(time.RFC3339)
	case t.IsZero():
		return "-"
	}
	return t.In(c.o.Now().Location()).Format(time.DateTime)
}

// stamp is an instant that is text, as alerts have it. What a replay found is left
// in the log's own zone.
func (c *call) stamp(text string) string {
	t, err := time.Parse(time.RFC3339Nano, text)
	switch {
	case err != nil:
		return text
	case c.format == human && c.offline:
		return t.Format(time.DateTime)
	case c.format == human:
		return c.when(t)
	}
	return t.Format(time.RFC3339)
}

// seen is when somebody was last heard of.
func (c *call) seen(t time.Time) string {
	if c.format == human && t.IsZero() {
		return "never"
	}
	return c.when(t)
}

// left is how long until t.
func (c *call) left(t time.Time) string {
	d := t.Sub(c.o.Now())
	if d <= 0 {
		return "ended"
	}
	return span(d)
}

// span is a length of time as people say it and as durations are given here: no
// more than two units, no zeros.
func span(d time.Duration) string {
	if d = d.Round(time.Second); d >= time.Hour {
		d = d.Round(time.Minute)
	}
	if d >= 48*time.Hour {
		d = d.Round(time.Hour)
		return strings.TrimSuffix(fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour), "0h")
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// lasting is span of a Go duration's text.
func lasting(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	return span(d)
}

// count is "1 line" or "7 lines".
func count[N int | int32 | int64](n N, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
