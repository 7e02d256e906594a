package command

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/decisions"
)

// exportHead are the columns of an export as CSV. Those that an import knows have
// its names.
var exportHead = [...]string{"value", "scope", "type", "duration", "reason", "origin", "until", "id"}

func decisionsExport(o Options) *cobra.Command {
	var as string
	cmd := &cobra.Command{Use: "export", Short: "Write all decisions in force, for files and for an import elsewhere", Args: cobra.NoArgs,
		Long: "Writes decisions to the standard output as they are found, however many there are, those of lists included\n" +
			"(--origin picks). An import reads all three formats; csv and json keep how long, why and what.",
		Example: "  " + o.Prefix + " decisions export --format csv > bans.csv\n  " + o.Prefix + " decisions export --format values --type ban --origin crowdsec"}
	query := filterFlags(cmd, ageFlags()...)
	noSimulated := cmd.Flags().Bool("no-simu", false, "without simulated ones")
	cmd.Flags().StringVar(&as, "format", "csv", "csv, json, or values (one on each line)")
	return online(o, cmd, func(c *call, _ []string) error {
		q := query()
		if *noSimulated {
			q.Set("simulated", "false")
		}
		switch {
		case cmd.Flags().Changed("output") && cmd.Flags().Changed("format"):
			return fmt.Errorf("--output and --format say the same; give one")
		case c.format == jsonF:
			as = "json"
		}
		w, err := newExporter(as, c.out(), c.o.Now())
		if err != nil {
			return err
		}
		path := "/rampart/decisions/export"
		if len(q) > 0 {
			path += "?" + q.Encode()
		}
		return c.export(path, w)
	})
}

// export hands what the node answers on, one decision after the other.
func (c *call) export(path string, w exporter) error {
	resp, err := c.o.Request(c.cmd.Context(), c.at, http.MethodGet, path, nil)
	if err != nil {
		return c.unreached(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("reading the node's answer: %w", err)
		}
		return answerError(resp.StatusCode, data)
	}
	dec := json.NewDecoder(resp.Body)
	_, err = dec.Token()
	for err == nil && dec.More() {
		var d decisions.Decision
		if err = dec.Decode(&d); err == nil {
			err = w.write(&d)
		}
	}
	if err == nil {
		_, err = dec.Token() // without it the answer broke off
	}
	if err != nil {
		return fmt.Errorf("reading the node's answer: %w; what was written is not all", err)
	}
	return w.close()
}

// exporter writes decisions in one format.
type exporter interface {
	write(d *decisions.Decision) error
	close() error
}

func newExporter(as string, w io.Writer, now time.Time) (exporter, error) {
	switch as {
	case "csv":
		x := &csvExport{w: csv.NewWriter(w), now: now}
		return x, x.w.Write(exportHead[:])
	case "json":
		return &jsonExport{w: w, now: now}, nil
	case "values":
		return valuesExport{w}, nil
	}
	return nil, fmt.Errorf("format %q is unknown; use csv, json or values", as)
}

// remaining is how long a decision has to go, for an import: never nothing.
func remaining(d *decisions.Decision, now time.Time) string {
	return max(d.Until.Sub(now), time.Second).Round(time.Second).String()
}

type csvExport struct {
	w   *csv.Writer
	now time.Time
}

func (x *csvExport) write(d *decisions.Decision) error {
	return x.w.Write([]string{printable(d.Value), printable(d.Scope), printable(d.Type), remaining(d, x.now), printable(d.Scenario), printable(d.Origin),
		d.Until.UTC().Format(time.RFC3339), strconv.FormatInt(d.ID, 10)})
}

func (x *csvExport) close() error {
	x.w.Flush()
	return x.w.Error()
}

// exported is a decision as JSON.
type exported struct {
	Value    string    `json:"value"`
	Scope    string    `json:"scope"`
	Type     string    `json:"type"`
	Duration string    `json:"duration"`
	Reason   string    `json:"reason"`
	Origin   string    `json:"origin"`
	Until    time.Time `json:"until"`
	ID       int64     `json:"id"`
}

type jsonExport struct {
	w    io.Writer
	now  time.Time
	some bool
}

func (x *jsonExport) write(d *decisions.Decision) error {
	line, err := json.Marshal(exported{d.Value, d.Scope, d.Type, remaining(d, x.now), d.Scenario, d.Origin, d.Until, d.ID})
	if err != nil {
		return err
	}
	before := "[\n"
	if x.some {
		before = ",\n"
	}
	x.some = true
	_, err = x.w.Write(append([]byte(before), line...))
	return err
}

func (x *jsonExport) close() error {
	end := "\n]\n"
	if !x.some {
		end = "[]\n"
	}
	_, err := io.WriteString(x.w, end)
	return err
}

type valuesExport struct{ w io.Writer }

func (x valuesExport) write(d *decisions.Decision) error {
	_, err := fmt.Fprintln(x.w, printable(d.Value))
	return err
}

func (x valuesExport) close() error { return nil }
