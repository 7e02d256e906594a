package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rampart-edge/rampart/hub"
	"github.com/rampart-edge/rampart/lint"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/replay"
	"github.com/rampart-edge/rampart/scenarios"
)

// examine checks files beside what is chosen; without files that is what is checked.
func examine(ch *replay.Choice, args []string) (*lint.Report, error) {
	_, content, problems, err := ch.Load()
	if err != nil {
		return nil, err
	}
	own := map[string]bool{} // by absolute path
	var all lint.Content
	for _, arg := range args {
		files, err := yamlBelow(arg)
		if err != nil {
			return nil, err
		}
		found := false
		for _, f := range files {
			err := addFile(&all, f)
			if errors.Is(err, errNoKind) && f != arg {
				continue // a folder may hold anything
			}
			if err != nil {
				return nil, err
			}
			own[absolute(f)], found = true, true
		}
		if !found {
			return nil, fmt.Errorf("%s has no file of a parser, scenario or profile", arg)
		}
	}
	addContent(&all, content, own)
	// Compiling gives the expressions their data files. A file that is not there is told
	// only then; what else is wrong shows again below.
	rules, compiled := content.Compile(hub.CompileOptions{Replay: true})
	o := lint.Options{Env: rules.Env}
	if len(args) > 0 {
		o.About = func(path string) bool { return own[absolute(path)] }
	} else {
		o.About = func(path string) bool { return !strings.HasPrefix(path, "builtin:") || len(ch.Hub) == 0 }
	}
	report := lint.Check(all, o)
	for _, p := range problems {
		if len(args) == 0 {
			report.Findings = append(report.Findings, lint.Finding{Path: p.Path, Line: p.Line, Severity: lint.Error,
				Rule: lint.RuleLoad, Item: p.Name, Text: p.Err.Error()})
		}
	}
	for _, p := range hub.Problems(compiled) {
		f := lint.Finding{Path: p.Path, Line: p.Line, Severity: lint.Warning, Rule: lint.RuleLoad, Item: p.Name, Text: p.Err.Error()}
		if p.Warn && o.About(p.Path) && !slices.ContainsFunc(report.Findings, func(have lint.Finding) bool {
			return have.Path == f.Path && have.Line == f.Line && have.Text == f.Text
		}) {
			report.Findings = append(report.Findings, f)
		}
	}
	return report, nil
}

func absolute(p string) string {
	if a, err := filepath.Abs(p); err == nil {
		return a
	}
	return p
}

// errNoKind: a file is nothing that is checked.
var errNoKind = errors.New("is no parser, scenario or profile: none of their keys is in it")

// addFile adds a file as what it is.
func addFile(c *lint.Content, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading %s: %w", file, err)
	}
	switch kind, stage := lint.KindOf(file, data); kind {
	case lint.Parser:
		c.Parsers = append(c.Parsers, parsers.Item{Path: file, Stage: stage, Data: data})
	case lint.Postoverflow:
		c.Postoverflows = append(c.Postoverflows, parsers.Item{Path: file, Stage: stage, Data: data})
	case lint.Scenario:
		c.Scenarios = append(c.Scenarios, scenarios.Item{Path: file, Data: data, Own: true})
	case lint.ProfileFile:
		c.Profiles = append(c.Profiles, lint.Profile{Path: file, Data: data})
	default:
		return fmt.Errorf("%s %w", file, errNoKind)
	}
	return nil
}

// addContent adds the items of a selection that are not among the files.
func addContent(c *lint.Content, from *hub.Content, files map[string]bool) {
	parserItems := func(to *[]parsers.Item, list []parsers.Item) {
		for _, it := range list {
			if it.Path = from.Where(it.Path); !files[absolute(it.Path)] {
				*to = append(*to, it)
			}
		}
	}
	parserItems(&c.Parsers, from.Parsers)
	parserItems(&c.Postoverflows, from.Postoverflows)
	for _, it := range from.Scenarios {
		if it.Path = from.Where(it.Path); !files[absolute(it.Path)] {
			c.Scenarios = append(c.Scenarios, it)
		}
	}
}
