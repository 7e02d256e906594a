package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/replay"
)

// explainOptions are the flags of explain.
type explainOptions struct {
	choice   *replay.Choice
	file     string
	kind     string
	labels   map[string]string
	all      bool
	unparsed bool
}

func explainCommand(o Options) *cobra.Command {
	c := &call{o: o, offline: true}
	cmd := &cobra.Command{Use: "explain [LINE]", Short: "Show what parsers and scenarios make of log lines",
		Long: "Takes a line, or those of a file, through the parsers: stage by stage, node by node, with what each changed. Then\n" +
			"come the scenarios that took it, with how full their bucket is after it. Buckets fill from line to line.\n" +
			"Without LINE and --file it reads the standard input. It works offline, like replay.",
		Example: "  " + o.Prefix + " explain --type syslog \"$(tail -n 1 /var/log/auth.log)\"\n" +
			"  " + o.Prefix + " explain --type nginx --file access.log --unparsed\n" +
			"  " + o.Prefix + " explain --type syslog --hub ./hub --data ./hub-data --collection crowdsecurity/sshd --file auth.log",
		Args: cobra.MaximumNArgs(1), SilenceUsage: true}
	x := &explainOptions{choice: choiceFlags(cmd)}
	f := cmd.Flags()
	f.StringVarP(&x.file, "file", "f", "", "log to explain line by line; - is the standard input")
	f.StringVarP(&x.kind, "type", "t", "", "what the lines are: syslog, nginx, apache2, caddy… (required)")
	f.StringToStringVar(&x.labels, "label", nil, "further labels, as key=value")
	f.BoolVarP(&x.all, "all", "a", false, "show nodes that did nothing, too, and texts in full")
	f.BoolVar(&x.unparsed, "unparsed", false, "show only lines that no parser knows")
	c.outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.cmd = cmd
		if c.format != human && c.format != jsonF {
			return fmt.Errorf("output format %q is unknown to explain; use human or json", c.format)
		}
		return c.explain(x, args)
	}
	return cmd
}

func (c *call) explain(x *explainOptions, args []string) error {
	switch {
	case x.kind == "":
		return errNoType
	case len(args) > 0 && x.file != "":
		return errors.New("there is a line and a file; give one of them")
	case len(args) == 0 && x.file == "" && terminalIn():
		return errors.New("there is nothing to explain; give a line in quotes, or --file FILE")
	}
	e, err := replay.NewExplainer(*x.choice, nil)
	if err != nil {
		return advise(x.choice, err)
	}
	c.warn(e.Problems)
	show, total := c.teller(x.all)
	if len(args) > 0 {
		one := e.Line(args[0], replay.Input{Type: x.kind, Labels: x.labels})
		if stranger(one, x.kind) {
			c.strange(x.kind)
		}
		return show(one)
	}
	if x.file == "" {
		x.file = "-"
	}
	outcomes, strangers := map[string]int{}, 0
	err = e.Run(c.cmd.Context(), []replay.Input{{Path: x.file, Type: x.kind, Labels: x.labels}}, func(one *replay.Explanation) error {
		outcomes[one.Outcome]++
		if stranger(one, x.kind) {
			strangers++
		}
		if x.unparsed && one.Outcome != replay.Unparsed {
			return nil
		}
		return show(one)
	})
	if err != nil {
		return err
	}
	if known := outcomes[replay.Unparsed] > strangers || len(outcomes) > 1; strangers > 0 && !known {
		c.strange(x.kind)
	}
	return total(outcomes)
}

// stranger reports whether no parser took an interest in a line, so that its type
// may be none. Of a system log any program may be unknown.
func stranger(x *replay.Explanation, kind string) bool {
	if x.Outcome != replay.Unparsed || len(x.Steps) == 0 || kind == "syslog" {
		return false
	}
	last := x.Steps[len(x.Steps)-1].Stage
	return !slices.ContainsFunc(x.Steps, func(s replay.Step) bool {
		return s.Stage == last && s.Depth == 0 && s.Reason != parsers.ReasonFilter
	})
}

// strange says so, beside the output.
func (c *call) strange(kind string) {
	fmt.Fprintf(c.cmd.ErrOrStderr(), "warning: no parser takes lines of type %s; the type names the program that wrote them "+
		"(syslog, nginx, apache2, caddy…), and the parsers of the Hub need --hub DIR\n", printable(kind))
}

// teller returns what shows one explanation in the format asked for, and what sums
// up many.
func (c *call) teller(all bool) (show func(*replay.Explanation) error, total func(outcomes map[string]int) error) {
	if c.format == jsonF {
		enc := json.NewEncoder(c.out())
		enc.SetEscapeHTML(false)
		return func(x *replay.Explanation) error { return enc.Encode(x) }, func(map[string]int) error { return nil }
	}
	t := &telling{c: c, paint: c.newPaint(), all: all}
	return t.show, t.total
}

// terminalIn reports whether the standard input is a terminal.
func terminalIn() bool { return terminal(os.Stdin) }

// telling writes explanations for people.
type telling struct {
	c     *call
	paint paint
	all   bool
	err   error // of writing
}

func (t *telling) printf(format string, args ...any) {
	if t.err == nil {
		_, t.err = fmt.Fprintf(t.c.out(), format, args...)
	}
}

// show writes one explanation.
func (t *telling) show(x *replay.Explanation) error {
	where := ""
	if x.Source != "" {
		where = fmt.Sprintf("%s:%d: ", printable(x.Source), x.Number)
	}
	t.printf("%s%s\n", t.paint.strong(where), t.text(x.Line))
	t.steps(x.Steps, "  ")
	t.outcome(x)
	t.pours(x.Pours)
	for i := range x.Overflows {
		t.overflow(&x.Overflows[i])
	}
	t.printf("\n")
	return t.err
}

// steps writes the nodes of each stage.
func (t *telling) steps(list []replay.Step, indent string) {
	stage, hidden := "", 0
	flush := func() {
		if hidden > 0 {
			t.printf("%s  %s\n", indent, t.paint.dim(fmt.Sprintf("… %s that did nothing", count(hidden, "node"))))
		}
		hidden = 0
	}
	for i := range list {
		s := &list[i]
		if s.Stage != stage && s.Depth == 0 {
			flush()
			stage = s.Stage
			t.printf("%s%s\n", indent, t.paint.strong(printable(stage)))
		}
		if !t.all && !s.OK && len(s.Changes) == 0 && s.Reason != parsers.ReasonError && (s.Depth > 0 || s.Reason == parsers.ReasonFilter || !busy(list[i:])) {
			hidden++
			continue
		}
		t.step(s, indent+"  "+strings.Repeat("  ", s.Depth))
	}
	flush()
}

// busy reports whether anything below the first step, which failed, did something.
func busy(list []replay.Step) bool {
	for i := range list[1:] {
		s := &list[i+1]
		if s.Depth <= list[0].Depth {
			break
		}
		if s.OK || len(s.Changes) > 0 {
			return true
		}
	}
	return list[0].Reason != parsers.ReasonChildren
}

// step writes one node with what it changed.
func (t *telling) step(s *replay.Step, indent string) {
	mark, why := t.paint.good("✓"), ""
	if !s.OK {
		mark, why = t.paint.bad("✗"), t.paint.dim(" ("+reason(s)+")")
	}
	if s.Whitelisted {
		why += t.paint.warn(" whitelisted")
	}
	t.printf("%s%s %s%s\n", indent, mark, printable(s.Node), why)
	for _, c := range s.Changes {
		if c.Old == "" {
			t.printf("%s    %s %s\n", indent, t.paint.good("+"), t.field(c.Field, c.New))
			continue
		}
		t.printf("%s    %s %s %s\n", indent, t.paint.warn("~"), t.field(c.Field, c.New), t.paint.dim("was "+t.text(quoted(c.Old))))
	}
}

func reason(s *replay.Step) string {
	words := s.Reason
	switch s.Reason {
	case parsers.ReasonFilter:
		words = "its filter is false"
	case parsers.ReasonGrok:
		words = "its grok does not match"
	case parsers.ReasonChildren:
		words = "its children do not match"
	case parsers.ReasonError:
		words = "it gave the event up"
	}
	if s.Detail != "" {
		words += ": " + printable(s.Detail)
	}
	return words
}

func (t *telling) field(name, value string) string {
	return printable(name) + " = " + t.text(quoted(value))
}

// shownText is how many characters of a text are shown, unless all are asked for.
const shownText = 160

func (t *telling) text(s string) string {
	s = printable(s)
	if r := []rune(s); !t.all && len(r) > shownText {
		return string(r[:shownText]) + "…"
	}
	return s
}

// outcome writes what became of the line.
func (t *telling) outcome(x *replay.Explanation) {
	at := ""
	if !x.Time.IsZero() {
		at = ", at " + x.Time.Format("2006-01-02 15:04:05.999999999 -0700")
	}
	switch x.Outcome {
	case replay.Taken:
		t.printf("  %s%s\n", t.paint.strong("scenarios"), at)
	case replay.Untaken:
		t.printf("  %s%s\n", t.paint.warn("no scenario is interested"), at)
	case replay.Whitelisted:
		t.printf("  %s: %s\n", t.paint.warn("whitelisted"), t.text(x.Reason))
	case replay.Undated:
		t.printf("  %s\n", t.paint.warn("no parser found out when it happened, so it does not count"))
	default:
		why := t.text(x.Reason)
		if why == "" {
			why = stuck(x.Steps)
		}
		t.printf("  %s: %s\n", t.paint.bad("unparsed"), why)
	}
}

// stuck says where a line that nobody knows came to its end.
func stuck(list []replay.Step) string {
	if len(list) == 0 {
		return "there are no parsers"
	}
	stage, ok := list[len(list)-1].Stage, false
	for i := range list {
		if s := &list[i]; s.Depth == 0 {
			stage, ok = s.Stage, s.OK || ok && s.Stage == stage
		}
	}
	if ok {
		return "no node of " + stage + " that knows it hands it on (onsuccess: next_stage)"
	}
	return "no node of " + stage + " knows it"
}

// pours writes the scenarios that took the line, and how full they are.
func (t *telling) pours(list []replay.Pour) {
	if len(list) == 0 {
		return
	}
	rows := table{}
	for i := range list {
		p := &list[i]
		level := fmt.Sprintf("%d/%d", p.Held, p.Capacity)
		note := ""
		switch p.Outcome {
		case replay.Poured:
			if p.Capacity <= 0 { // of a type that does not leak
				level = count(p.Count, "event")
			}
		case replay.Overflowed:
			level = "overflowed"
		default:
			note = p.Outcome
		}
		if p.Distinct != "" {
			note = strings.TrimSpace(note + " distinct " + quoted(p.Distinct))
		}
		if !p.Until.IsZero() && p.Outcome == replay.Blackholed {
			note += " until " + p.Until.UTC().Format("15:04:05")
		}
		name := p.Scenario
		if p.Chained {
			name += " (of the overflow)"
		}
		rows.rows = append(rows.rows, []string{name, level, quoted(p.Key), note})
	}
	for _, row := range t.aligned(rows.rows) {
		t.printf("    %s\n", row)
	}
}

// aligned lays rows out in columns.
func (t *telling) aligned(rows [][]string) []string {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(printable(cell))))
		}
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		var b strings.Builder
		for j, cell := range row {
			cell = printable(cell)
			pad := strings.Repeat(" ", widths[j]-len([]rune(cell))+2)
			if j == 1 && cell == "overflowed" {
				cell = t.paint.bad(cell)
			}
			b.WriteString(cell + pad)
		}
		lines[i] = strings.TrimRight(b.String(), " ")
	}
	return lines
}

// overflow writes a bucket that overflowed and what followed.
func (t *telling) overflow(o *replay.Overflow) {
	t.printf("  %s %s\n", t.paint.bad("overflow of"), printable(o.Scenario))
	t.steps(o.Steps, "    ")
	if o.Whitelisted {
		t.printf("    %s: %s\n", t.paint.warn("whitelisted"), t.text(o.Reason))
	}
	for i := range o.Alerts {
		a := &o.Alerts[i]
		made := "no decision"
		for j, d := range a.Decisions {
			one := d.Type + " of " + d.Value + " for " + lasting(d.Duration)
			if j == 0 {
				made = one
			} else {
				made += ", " + one
			}
		}
		t.printf("    alert about %s, %s: %s\n", printable(a.GetValue()), count(a.EventsCount, "event"), printable(made))
	}
}

// total sums up many lines by their outcome.
func (t *telling) total(outcomes map[string]int) error {
	n := 0
	var parts []string
	for _, o := range []string{replay.Taken, replay.Untaken, replay.Whitelisted, replay.Undated, replay.Unparsed} {
		if c := outcomes[o]; c > 0 {
			n += c
			parts = append(parts, fmt.Sprintf("%d %s", c, o))
		}
	}
	t.printf("%s: %s\n", count(n, "line"), strings.Join(parts, ", "))
	return t.err
}
