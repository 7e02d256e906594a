package command

import (
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/decisions"
)

// TestExportIsImport: what an export writes, an import reads.
func TestExportIsImport(t *testing.T) {
	d := decisions.Decision{ID: 7, Scope: "Ip", Value: "192.0.2.7", Type: "captcha", Origin: "o", Scenario: "a \"b\", c", Until: now.Add(90 * 60e9)}
	for _, format := range []string{"csv", "json", "values"} {
		var text strings.Builder
		w, err := newExporter(format, &text, now)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := w.write(&d); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.close(); err != nil {
			t.Fatal(err)
		}
		r, err := newRowReader(format, strings.NewReader(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; ; n++ {
			row, _, err := r.next()
			if err != nil {
				break
			}
			if row.Value != d.Value || format != "values" && (row.Duration != "1h30m0s" || row.Reason != d.Scenario || row.Type != d.Type || row.Scope != d.Scope) {
				t.Errorf("%s: %+v", format, row)
			}
		}
		if n != 2 {
			t.Errorf("%s: %d rows in %s", format, n, text.String())
		}
	}
}

// FuzzRows: whatever a file has, reading it ends.
func FuzzRows(f *testing.F) {
	for _, format := range []string{"csv", "json", "values"} {
		f.Add(format, "value,duration\n192.0.2.7,4h\n\"x\n")
		f.Add(format, `[{"value":"x"},7,{"value":{}},{"value":"y"}`)
	}
	f.Fuzz(func(t *testing.T, format, text string) {
		r, err := newRowReader(format, strings.NewReader(text))
		if err != nil {
			return
		}
		for n := 0; n <= len(text)+1; n++ {
			_, at, err := r.next()
			if _, bad := err.(badRow); err != nil && !bad {
				return
			}
			if at < 1 {
				t.Errorf("a row at %d", at)
			}
		}
		t.Error("there are more rows than bytes")
	})
}
