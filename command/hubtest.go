package command

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/hub"
	"github.com/rampart-edge/rampart/replay"
)

// hubtestFlags are those of all commands about tests.
type hubtestFlags struct {
	hub, data, tests string
}

func hubtestCommand(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "hubtest", Short: "Run and write tests of Hub items",
		Long: "A test is a folder with config.yaml (items and type of log), a log, parser.assert and scenario.assert: one\n" +
			"expression a line that must be true of what parsers and scenarios made of the log. Nothing is downloaded: data\n" +
			"files are found below --data, by the path of their URL or else by name."}
	cmd.AddCommand(hubtestRun(o), hubtestList(o), hubtestCreate(o), hubtestCoverage(o), hubtestExplain(o))
	return cmd
}

// hubtest adds the flags and the way of a command about tests.
func hubtest(o Options, cmd *cobra.Command, run func(c *call, h *hubtestFlags, args []string) error) *cobra.Command {
	c, h := &call{o: o, offline: true}, &hubtestFlags{}
	hubFlags(cmd, &h.hub, &h.data)
	cmd.Flags().StringVar(&h.tests, "tests", "", "folder of the tests (default: .tests in the Hub)")
	return c.runs(cmd, func(c *call, args []string) error { return run(c, h, args) })
}

// runner opens the catalogue and the tests.
func (h *hubtestFlags) runner(o hub.RunnerOptions) (*hub.Catalogue, *hub.Runner, error) {
	if h.hub == "" {
		return nil, nil, errors.New("the folder of the Hub is not said; add --hub DIR, and --data DIR for its data files")
	}
	c, err := hub.Open(hub.Options{Hub: h.hub, Data: h.data})
	if err != nil {
		return nil, nil, err
	}
	o.Tests = h.tests
	r, err := hub.NewRunner(c, o)
	return c, r, err
}

func hubtestRun(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "run [NAME…]", Short: "Run tests; ends with status 1 if one fails",
		Example: "  " + o.Prefix + " hubtest run --all --hub ./hub --data ./hub-data\n" +
			"  " + o.Prefix + " hubtest run ssh-bf sshd-logs --hub ./hub -o json"}
	f := cmd.Flags()
	all := f.Bool("all", false, "run all tests")
	plain := f.Bool("slow", false, "run everything the plain way, without fast paths; the results are the same")
	dump := f.String("dump", "", "write what each test left into a folder of its name in this one")
	jobs := f.IntP("jobs", "j", 0, "tests at a time (default: one for each processor)")
	quiet := f.BoolP("quiet", "q", false, "show no progress")
	return hubtest(o, cmd, func(c *call, h *hubtestFlags, names []string) error {
		if len(names) == 0 && !*all {
			return errors.New("no test is named; name some, or add --all")
		}
		if len(names) > 0 && *all {
			return errors.New("there are names and --all; give one of them")
		}
		bar, done, failed, total := c.newBar(*quiet), 0, 0, len(names)
		_, r, err := h.runner(hub.RunnerOptions{Plain: *plain, Jobs: *jobs, Dump: *dump, Done: func(one hub.Result) {
			if done++; !one.Passed && one.Skipped == "" {
				failed++
			}
			bar.draw(int64(done), int64(total), fmt.Sprintf("%d of %d tests, %d failed", done, total, failed))
		}})
		if err != nil {
			return err
		}
		if *all {
			if names, err = r.List(); err != nil {
				return err
			}
			if total = len(names); total == 0 {
				return errors.New("there are no tests; they are folders with a config.yaml in .tests of the Hub, or where --tests says")
			}
		}
		report, err := r.Run(c.cmd.Context(), names...)
		bar.clear()
		if err != nil {
			return err
		}
		return c.writeTests(report)
	})
}

// writeTests shows what became of tests. The last line is always "N passed, N
// failed": on the standard output where people read, beside it where programs do.
func (c *call) writeTests(r *hub.Report) error {
	last := c.out()
	switch c.format {
	case jsonF:
		last = c.cmd.ErrOrStderr()
		if err := c.print(r, table{}, ""); err != nil {
			return err
		}
	case raw:
		last = c.cmd.ErrOrStderr()
		t := table{head: []string{"name", "result", "assertions", "lines", "seconds", "failure"}}
		for _, one := range r.Results {
			first := one.Skipped
			if len(one.Failures) > 0 {
				first = one.Failures[0].String()
			}
			t.rows = append(t.rows, []string{one.Name, verdict(&one), strconv.Itoa(one.Assertions), strconv.Itoa(one.Lines),
				strconv.FormatFloat(one.Elapsed.Seconds(), 'f', 3, 64), first})
		}
		if err := c.print(nil, t, ""); err != nil {
			return err
		}
	default:
		c.writeFailures(r)
	}
	if _, err := fmt.Fprintf(last, "%d passed, %d failed\n", r.Passed, r.Failed); err != nil {
		return err
	}
	if r.Failed > 0 {
		return c.failed()
	}
	return nil
}

func verdict(one *hub.Result) string {
	switch {
	case one.Skipped != "":
		return "skipped"
	case one.Passed:
		return "passed"
	}
	return "failed"
}

// shownFailures is how many failures of one test are shown.
const shownFailures = 10

func (c *call) writeFailures(r *hub.Report) {
	w, p := c.out(), c.newPaint()
	for i := range r.Results {
		one := &r.Results[i]
		switch verdict(one) {
		case "skipped":
			fmt.Fprintf(w, "%s %s: %s\n", p.warn("skipped"), printable(one.Name), printable(one.Skipped))
		case "failed":
			fmt.Fprintf(w, "%s %s\n", p.bad("failed"), printable(one.Name))
		}
		for j, f := range one.Failures {
			if j == shownFailures {
				fmt.Fprintf(w, "    … %d more; -o json has all\n", len(one.Failures)-shownFailures)
				break
			}
			fmt.Fprintf(w, "    %s\n", printable(f.String()))
		}
		if !one.Passed && one.Skipped == "" {
			for _, warning := range one.Warnings {
				fmt.Fprintf(w, "    %s\n", p.dim("note: "+printable(warning)))
			}
		}
	}
	cpu := ""
	if r.CPU > 0 {
		cpu = fmt.Sprintf(", %s of CPU", r.CPU.Round(10*time.Millisecond))
	}
	skips := ""
	if r.Skipped > 0 {
		skips = fmt.Sprintf(", %d skipped", r.Skipped)
	}
	fmt.Fprintf(w, "%s%s, %s, %s in %s%s\n", count(len(r.Results), "test"), skips, count(r.Assertions, "assertion"),
		count(r.Lines, "line"), r.Elapsed.Round(10*time.Millisecond), cpu)
}

func hubtestList(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the tests", Args: cobra.NoArgs}
	return hubtest(o, cmd, func(c *call, h *hubtestFlags, _ []string) error {
		_, r, err := h.runner(hub.RunnerOptions{})
		if err != nil {
			return err
		}
		names, err := r.List()
		if err != nil {
			return err
		}
		t := table{head: []string{"name"}}
		for _, name := range names {
			t.rows = append(t.rows, []string{name})
		}
		return c.print(names, t, "There are no tests.")
	})
}

func hubtestCreate(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME", Short: "Begin a test: its folder, with the assertions that hold now", Args: one("the NAME of the test to make"),
		Long: "Makes the folder of a test. With --log it runs the log and writes the assertions that hold of it: look through them,\n" +
			"for they say what is, not what should be.",
		Example: "  " + o.Prefix + " hubtest create my-ssh --type syslog --parser crowdsecurity/syslog-logs --parser crowdsecurity/sshd-logs \\\n" +
			"    --scenario crowdsecurity/ssh-bf --log sample.log --hub ./hub --data ./hub-data"}
	co := hub.CreateOptions{}
	f := cmd.Flags()
	f.StringVarP(&co.Type, "type", "t", "", "what the lines are: syslog, nginx… (required)")
	f.StringArrayVar(&co.Parsers, "parser", nil, "parser of the test, by name or path")
	f.StringArrayVar(&co.Scenarios, "scenario", nil, "scenario of the test, by name or path")
	f.StringArrayVar(&co.Postoverflows, "postoverflow", nil, "postoverflow of the test, by name or path")
	f.BoolVar(&co.IgnoreParsers, "ignore-parsers", false, "assert nothing of parsers")
	log := f.String("log", "", "log to take over; without it the test gets an empty one")
	return hubtest(o, cmd, func(c *call, h *hubtestFlags, args []string) error {
		_, r, err := h.runner(hub.RunnerOptions{})
		if err != nil {
			return err
		}
		co.Name = args[0]
		if *log != "" {
			if co.Log, err = os.ReadFile(*log); err != nil {
				return fmt.Errorf("reading the log: %w", err)
			}
		}
		files, err := r.Create(c.cmd.Context(), co)
		t := table{head: []string{"file"}}
		for _, file := range files {
			t.rows = append(t.rows, []string{file})
		}
		if len(files) > 0 {
			err = errors.Join(err, c.print(files, t, ""))
		}
		return err
	})
}

func hubtestCoverage(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "coverage", Short: "Show which items of the Hub have tests", Args: cobra.NoArgs}
	percent := cmd.Flags().Bool("percent", false, "show the percentages only")
	return hubtest(o, cmd, func(c *call, h *hubtestFlags, _ []string) error {
		_, r, err := h.runner(hub.RunnerOptions{})
		if err != nil {
			return err
		}
		cover, err := r.Coverage()
		if err != nil {
			return err
		}
		t := table{head: []string{"kind", "name", "tests"}}
		for _, list := range [][]hub.Covered{cover.Parsers, cover.Scenarios} {
			for _, one := range list {
				names := strings.Join(one.Tests, " ")
				if c.format == human && len(one.Tests) == 0 {
					names = "-"
				}
				t.rows = append(t.rows, []string{strings.TrimSuffix(string(one.Kind), "s"), one.Name, names})
			}
		}
		if *percent {
			t.rows = nil
		}
		if !*percent || c.format == jsonF {
			if err := c.print(cover, t, "The Hub has no items."); err != nil || c.format != human {
				return err
			}
		}
		_, err = fmt.Fprintf(c.out(), "parsers %.1f %%, scenarios %.1f %%\n", hub.Percent(cover.Parsers), hub.Percent(cover.Scenarios))
		return err
	})
}

func hubtestExplain(o Options) *cobra.Command {
	cmd := &cobra.Command{Use: "explain NAME", Short: "Show what a test's items make of its log, line by line", Args: one("the NAME of a test")}
	all := cmd.Flags().BoolP("all", "a", false, "show nodes that did nothing, too, and texts in full")
	return hubtest(o, cmd, func(c *call, h *hubtestFlags, args []string) error {
		catalogue, r, err := h.runner(hub.RunnerOptions{})
		if err != nil {
			return err
		}
		one, err := r.Case(args[0])
		if err != nil {
			return err
		}
		x, err := replay.ExplainCase(catalogue, one)
		if err != nil {
			return err
		}
		c.warn(x.Problems)
		show, _ := c.teller(*all)
		return x.Run(c.cmd.Context(), []replay.Input{{Path: one.Log, Type: one.Type, Labels: one.Labels}}, show)
	})
}
