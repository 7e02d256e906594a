package lint

import (
	"errors"
	"regexp"
	"strconv"
	"strings"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

// Profile is a file of profiles.
type Profile struct {
	Path string
	Data []byte
}

// Content is what is checked, all of it together: what one parser writes, another's
// filter may ask for.
type Content struct {
	Parsers       []parsers.Item
	Postoverflows []parsers.Item
	Scenarios     []scenarios.Item
	Profiles      []Profile
}

// Options for Check.
type Options struct {
	// Env compiles the expressions; its data files are those the items find.
	Env *expression.Env
	// About says whether findings about a file are wanted; nil: about all. The rest
	// of the content is there to be relied upon.
	About func(path string) bool
}

// Check finds what is wrong with the content.
func Check(c Content, o Options) *Report {
	k := &checker{options: o, report: &Report{Findings: []Finding{}, Costs: []Cost{}}, written: newWritten()}
	k.written.live()
	k.load(c)
	for _, set := range [][]parsers.Item{c.Parsers, c.Postoverflows} {
		nodes := k.nodes(set)
		for _, n := range nodes {
			k.written.node(n)
		}
		k.reach(nodes)
	}
	k.filters(c)
	k.profiles(c.Profiles)
	k.report.sort()
	return k.report
}

// checker is one Check under way.
type checker struct {
	options Options
	report  *Report
	parsed  []*node // of all parsers and postoverflows
	written *written
}

func (k *checker) wanted(path string) bool { return k.options.About == nil || k.options.About(path) }

func (k *checker) add(f Finding) {
	if k.wanted(f.Path) {
		k.report.Findings = append(k.report.Findings, f)
	}
}

// load has every item compiled and notes what its loader says.
func (k *checker) load(c Content) {
	for _, set := range []struct {
		items []parsers.Item
		post  bool
	}{{c.Parsers, false}, {c.Postoverflows, true}} {
		_, err := parsers.Load(set.items, k.options.Env, parsers.Options{Postoverflow: set.post})
		k.faults("", err)
	}
	for _, it := range c.Scenarios {
		_, err := scenarios.Load(it, k.options.Env)
		k.faults(it.Path, err)
	}
	for _, p := range c.Profiles {
		_, err := decisions.LoadProfiles(p.Path, p.Data, k.options.Env)
		k.faults(p.Path, err)
	}
}

// faults turns what a loader joined into findings.
func (k *checker) faults(path string, err error) {
	if err == nil {
		return
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			k.faults(path, e)
		}
		return
	}
	f := Finding{Path: path, Severity: Error, Rule: RuleLoad}
	var p *parsers.ItemError
	var s *scenarios.ItemError
	switch {
	case errors.As(err, &p):
		f.Path, f.Line, f.Text = p.Path, p.Line, p.Err.Error()
	case errors.As(err, &s):
		f.Path, f.Line, f.Text = s.Path, s.Line, s.Err.Error()
		if s.Warn {
			f.Severity = Warning
		}
	default:
		k.textual(f, err.Error())
		return
	}
	k.add(f)
}

// placed is a line of an error that says where.
var placed = regexp.MustCompile(`^(.+?):(\d+): (.*)$`)

// textual reads errors that are lines of text.
func (k *checker) textual(f Finding, text string) {
	for line := range strings.Lines(text) {
		f.Text, f.Line = strings.TrimSpace(line), 0
		if m := placed.FindStringSubmatch(f.Text); m != nil {
			f.Path, f.Text = m[1], m[3]
			f.Line, _ = strconv.Atoi(m[2]) // digits; too many of them are no line
		}
		k.add(f)
	}
}
