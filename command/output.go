package command

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
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

// table is a list with a head, for people and as CSV.
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
		w := csv.NewWriter(c.out())
		return w.WriteAll(append([][]string{t.head}, t.rows...))
	}
	if len(t.rows) == 0 {
		_, err := fmt.Fprintln(c.out(), empty)
		return err
	}
	return t.write(c.out())
}

func (t table) write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(tw, strings.ToUpper(strings.Join(t.head, "\t")))
	for _, row := range t.rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = printable(cell)
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

// printable makes text safe for a terminal: what attackers wrote into a log must
// not move its cursor.
func printable(s string) string {
	clean := true
	for _, r := range s {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return '\uFFFD'
		}
		return r
	}, s)
}

// when is an instant for people: local, to the second.
func when(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// left is how long until t, rounded for people.
func left(t time.Time) string {
	d := time.Until(t)
	if d <= 0 {
		return "ended"
	}
	return d.Round(time.Second).String()
}
