package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/rampart-edge/rampart/lint"
)

func lintCommand(o Options) *cobra.Command {
	c := &call{o: o, offline: true}
	cmd := &cobra.Command{Use: "lint [FILE…]", Short: "Find what is wrong with parsers, scenarios and profiles",
		Long: "Checks files of parsers, postoverflows, scenarios and profiles: keys, expressions and patterns, nodes that no event\n" +
			"reaches, filters that nothing passes or that ask for what no parser writes. What a file is follows from its folders\n" +
			"and its keys. Beside the files stand the built-in parsers and what --hub, --collection and the other flags name;\n" +
			"without a file, that is what is checked. --costs shows what filters cost. It ends with status 1 if there are errors,\n" +
			"with --strict also if there are warnings.",
		Example: "  " + o.Prefix + " lint ./scenarios/*.yaml ./parsers/s01-parse/own.yaml profiles.yaml\n" +
			"  " + o.Prefix + " lint --hub ./hub --data ./hub-data --collection crowdsecurity/nginx\n" +
			"  " + o.Prefix + " lint --hub ./hub --data ./hub-data --everything -o json",
		SilenceUsage: true}
	ch := choiceFlags(cmd)
	f := cmd.Flags()
	f.BoolVar(&ch.Everything, "everything", false, "load every item of the Hub")
	strict := f.Bool("strict", false, "warnings are failures, too")
	costs := f.Bool("costs", false, "show what filters cost")
	c.outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c.cmd = cmd
		if err := c.checkFormat(); err != nil {
			return err
		}
		report, err := examine(ch, args)
		if err != nil {
			return advise(ch, err)
		}
		if err := c.writeReport(report, *costs); err != nil {
			return err
		}
		if n := report.Errors(); n > 0 || *strict && len(report.Findings) > 0 {
			return c.failed()
		}
		return nil
	}
	return cmd
}

// errFailed ends the program with status 1; what is wrong has been told.
var errFailed = errors.New("failed")

// failed is errFailed, which nobody prints.
func (c *call) failed() error {
	c.cmd.SilenceErrors = true
	return errFailed
}

// yamlBelow returns the file, or the YAML files of a folder and its subfolders.
func yamlBelow(p string) ([]string, error) {
	info, err := os.Stat(p)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", p, errors.Unwrap(err))
	}
	if !info.IsDir() {
		return []string{p}, nil
	}
	var list []string
	err = filepath.WalkDir(p, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && (strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, ".yml")) {
			list = append(list, path)
		}
		return err
	})
	return list, err
}

// writeReport shows findings and, where they are asked for, costs.
func (c *call) writeReport(r *lint.Report, costs bool) error {
	if c.format == jsonF {
		if !costs {
			r.Costs = []lint.Cost{}
		}
		return c.print(r, table{}, "")
	}
	if c.format == raw {
		t := table{head: []string{"path", "line", "severity", "rule", "item", "text", "advice"}}
		for _, f := range r.Findings {
			t.rows = append(t.rows, []string{f.Path, fmt.Sprint(f.Line), string(f.Severity), f.Rule, f.Item, f.Text, f.Advice})
		}
		return c.print(nil, t, "")
	}
	paint := c.newPaint()
	for _, f := range r.Findings {
		text := printable(f.String())
		if f.Severity == lint.Error {
			text = strings.Replace(text, ": error: ", ": "+paint.bad("error")+": ", 1)
		} else {
			text = strings.Replace(text, ": warning: ", ": "+paint.warn("warning")+": ", 1)
		}
		fmt.Fprintln(c.out(), text)
	}
	if costs {
		if err := c.writeCosts(r.Costs); err != nil {
			return err
		}
	}
	errs := r.Errors()
	_, err := fmt.Fprintf(c.out(), "%s, %s\n", count(errs, "error"), count(len(r.Findings)-errs, "warning"))
	return err
}

// writeCosts lists what filters cost, dearest first.
func (c *call) writeCosts(list []lint.Cost) error {
	t := table{head: []string{"item", "runs on", "as", "dear parts"}}
	for _, one := range list {
		runs := "every event"
		switch one.Gate {
		case lint.GateValues:
			runs = "what has the right " + strings.Join(one.By, ", ")
		case lint.GateTexts:
			runs = "what has one of its texts in it"
		}
		var parts []string
		for _, p := range one.Dear {
			parts = append(parts, p.What+" ("+p.Why+")")
		}
		t.rows = append(t.rows, []string{one.Item, runs, one.Way, strings.Join(parts, "; ")})
	}
	return c.print(nil, t, "There are no filters.")
}
