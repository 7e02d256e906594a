package command

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/appliance"
)

const (
	importBatch = 1000
	// importBytes bounds a batch, as far as its texts go.
	importBytes = 400 << 10
	// maxComplaints is how many bad lines are named; the others are counted.
	maxComplaints = 20
)

func decisionsImport(o Options) *cobra.Command {
	m := importing{}
	cmd := &cobra.Command{Use: "import -i FILE|-", Short: "Record many decisions from a file", Args: cobra.NoArgs,
		Long: "Reads decisions from a file, or with - from the standard input, and records them some at a time.\n\n" +
			"  values  an address or a network on each line; what follows a # is a comment\n" +
			"  csv     with a head: value, and any of scope, type, duration and reason\n" +
			"  json    a list of objects with the same keys\n\n" +
			"Lines that are none are named with their numbers and left out, and so is what the allowlist covers. What a line\n" +
			"does not say comes from the flags. For lists that others keep up to date there is `lists import`.",
		Example: "  " + o.Prefix + " decisions import -i bans.csv\n  " + o.Prefix + " decisions import -i - --format values --duration 2d < bans.txt"}
	f := cmd.Flags()
	f.StringVarP(&m.file, "input", "i", "", "file to read, or - for the standard input")
	f.StringVar(&m.as, "format", "", "values, csv or json (default: from the file's name)")
	f.IntVar(&m.batch, "batch", 0, fmt.Sprintf("how many to record at a time, at most %d (default %d)", appliance.MaxImport, importBatch))
	f.StringVarP(&m.row.Duration, "duration", "d", "4h", "how long they last, such as 90s, 4h or 2d")
	f.StringVar(&m.row.Scope, "scope", "", "scope of the values (default: Ip or Range)")
	f.StringVarP(&m.row.Type, "type", "t", "ban", "ban, captcha or throttle")
	f.StringVarP(&m.row.Reason, "reason", "R", "manual", "why, for those who come after you")
	f.BoolVarP(&m.bypass, "bypass-allowlist", "B", false, "record what the allowlist covers, too; it has no effect there")
	f.BoolVarP(&m.quiet, "quiet", "q", false, "show no progress")
	return online(o, cmd, func(c *call, _ []string) error {
		m := m
		m.call = c
		return m.run()
	})
}

// importing is one import.
type importing struct {
	*call
	file, as      string // as: its format
	batch         int
	row           appliance.ImportRow // what lines do not say
	bypass, quiet bool

	rows  []appliance.ImportRow
	lines []int // of rows
	bytes int
	sum   importSum
	bar   *bar
}

// importSum is what became of an import.
type importSum struct {
	Read       int      `json:"read"`
	Made       int      `json:"made"`
	Known      int      `json:"known"` // of those made: there was one like it
	Suppressed int      `json:"suppressed"`
	Allowed    int      `json:"allowed"` // left out, since the allowlist covers them
	Bad        int      `json:"bad"`
	Problems   []string `json:"problems"` // of the first twenty that are bad
	Alerts     []int64  `json:"alerts"`   // that stand behind them
}

func (m *importing) run() error {
	if err := m.check(); err != nil {
		return err
	}
	m.bar = m.newBar(m.quiet)
	defer m.bar.clear()
	in, err := m.open(m.file, m.bar)
	if err != nil {
		return err
	}
	defer in.close()
	r, err := newRowReader(m.as, in)
	if err != nil {
		return fmt.Errorf("reading %s: %w", m.file, err)
	}
	m.sum.Problems, m.sum.Alerts = []string{}, []int64{}
	err = m.read(r)
	if err == nil {
		err = m.send()
	}
	m.bar.clear()
	if err != nil {
		if m.sum.Made > 0 {
			err = fmt.Errorf("%w\n%s recorded before it", err, plural(m.sum.Made, "decision was", "decisions were"))
		}
		return err
	}
	return m.tell()
}

// check looks at what was asked for, and says what the file's format is.
func (m *importing) check() error {
	switch {
	case m.file == "":
		return errors.New("nothing named to import; give --input FILE, or - for the standard input")
	case m.batch < 0 || m.batch > appliance.MaxImport:
		return fmt.Errorf("batch %d is not possible; use 1 to %d", m.batch, appliance.MaxImport)
	case m.batch == 0:
		m.batch = importBatch
	}
	if m.as == "" {
		m.as = strings.TrimPrefix(strings.ToLower(filepath.Ext(m.file)), ".")
		if m.as == "txt" {
			m.as = "values"
		}
	}
	switch m.as {
	case "values", "csv", "json":
		return nil
	}
	return fmt.Errorf("the name of %s does not say its format; give --format values, csv or json", m.file)
}

// read takes the lines in, and sends them some at a time.
func (m *importing) read(r rowReader) error {
	for {
		row, line, err := r.next()
		var bad badRow
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			m.sum.Read++
			m.complain(line, bad.Error())
			continue
		case err != nil:
			return fmt.Errorf("reading %s: %w", m.file, err)
		}
		m.sum.Read++
		row.Scope, row.Type = cmp.Or(row.Scope, m.row.Scope), cmp.Or(row.Type, m.row.Type)
		row.Duration, row.Reason = cmp.Or(row.Duration, m.row.Duration), cmp.Or(row.Reason, m.row.Reason)
		size := len(row.Value) + len(row.Scope) + len(row.Type) + len(row.Duration) + len(row.Reason) + 80
		if m.bytes+size > importBytes && len(m.rows) > 0 {
			if err := m.send(); err != nil {
				return err
			}
		}
		m.rows, m.lines, m.bytes = append(m.rows, row), append(m.lines, line), m.bytes+size
		if len(m.rows) == m.batch {
			if err := m.send(); err != nil {
				return err
			}
		}
	}
}

// complain counts what is wrong at a line, or of JSON at an entry.
func (m *importing) complain(at int, why string) {
	unit := "line"
	if m.as == "json" {
		unit = "entry"
	}
	if m.sum.Bad++; len(m.sum.Problems) < maxComplaints {
		m.sum.Problems = append(m.sum.Problems, fmt.Sprintf("%s %d: %s", unit, at, why))
	}
}

// send records what has been read.
func (m *importing) send() error {
	if len(m.rows) == 0 {
		return nil
	}
	q := appliance.ImportRequest{Rows: m.rows, BypassAllowlist: m.bypass}
	if m.file != "-" {
		q.From = filepath.Base(m.file)
	}
	var a appliance.ImportAnswer
	if err := m.do(http.MethodPost, "/rampart/decisions/import", nil, q, &a); err != nil {
		return err
	}
	if a.AlertID != 0 {
		m.sum.Alerts = append(m.sum.Alerts, a.AlertID)
	}
	m.sum.Made, m.sum.Known = m.sum.Made+a.Made, m.sum.Known+a.Known
	m.sum.Suppressed, m.sum.Allowed = m.sum.Suppressed+a.Suppressed, m.sum.Allowed+a.Allowed
	for _, r := range a.Refused {
		m.complain(m.lines[r.At], r.Why)
	}
	m.rows, m.lines, m.bytes = m.rows[:0], m.lines[:0], 0
	return nil
}

// tell says what became of it. Nothing recorded is an error.
func (m *importing) tell() error {
	s := &m.sum
	if m.format != human {
		t := table{head: []string{"read", "made", "known", "suppressed", "allowed", "bad"}, rows: [][]string{{fmt.Sprint(s.Read), fmt.Sprint(s.Made),
			fmt.Sprint(s.Known), fmt.Sprint(s.Suppressed), fmt.Sprint(s.Allowed), fmt.Sprint(s.Bad)}}}
		if err := m.print(s, t, ""); err != nil {
			return err
		}
	} else {
		m.tellPeople()
	}
	switch {
	case s.Read == 0:
		return fmt.Errorf("there is no decision in %s", m.file)
	case s.Bad == s.Read:
		return fmt.Errorf("nothing of %s is a decision; is its format %s?", m.file, m.as)
	}
	return nil
}

func (m *importing) tellPeople() {
	w, s := m.out(), &m.sum
	fmt.Fprintf(w, "%s recorded", plural(s.Made, "decision is", "decisions are"))
	if s.Known > 0 {
		fmt.Fprintf(w, ", %d of them like one that there was", s.Known)
	}
	fmt.Fprintln(w, ".")
	if s.Suppressed > 0 {
		fmt.Fprintf(w, "%s no effect: the allowlist outranks it.\n", plural(s.Suppressed, "of them has", "of them have"))
	}
	if s.Allowed > 0 {
		fmt.Fprintf(w, "Left out: %d that the allowlist covers (--bypass-allowlist records them).\n", s.Allowed)
	}
	if s.Bad > 0 {
		fmt.Fprintf(w, "Left out: %s.\n", plural(s.Bad, "that is none", "that are none"))
	}
	for _, p := range s.Problems {
		fmt.Fprintf(w, "  %s\n", printable(p))
	}
	if more := s.Bad - len(s.Problems); more > 0 {
		fmt.Fprintf(w, "  and %d more\n", more)
	}
}
