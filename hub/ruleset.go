package hub

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/geoip"
	"github.com/rampart-edge/rampart/parsers"
	"github.com/rampart-edge/rampart/scenarios"
)

// CompileOptions are what compiled items share. All may be left out.
type CompileOptions struct {
	Logger *zap.Logger
	Now    func() time.Time
	// Clock is what expressions take for the present, such as that of the log that is
	// replayed; nil: Now, by which parsers find the year of dates without one.
	Clock     func() time.Time
	Decisions expression.DecisionCounts
	Location  *time.Location      // of dates without a zone; nil: UTC
	Geo       *geoip.Database     // nil: those among the data files of items
	Resolver  expression.Resolver // nil: the DNS is not asked
	HTTP      *http.Client        // of expressions that fetch something; nil: they fail
	CTI       expression.CTI
	// Replay: the lines are old ones. CrowdSec compatible: a date without a year is
	// then in the current one, even where that lies ahead.
	Replay bool
	// Plain runs everything the plain way; see expression.Options.
	Plain bool
	// Strict chains the stages of postoverflows as CrowdSec does: one in which nothing
	// succeeds ends it, and a whitelist in a later one is not asked.
	Strict bool
}

// Ruleset is what items compile to: one type for live traffic, replay and tests.
// It is immutable.
type Ruleset struct {
	Env           *expression.Env
	Pipeline      *parsers.Pipeline
	Postoverflows *parsers.Pipeline // nil: there are none
	Rules         *scenarios.Rules
	Contexts      *scenarios.Contexts // for scenarios.Memory.UseContexts
}

// Compile compiles all items. The Ruleset has all good ones, and is never nil; the
// error joins a *Problem for each fault, warnings among them.
func (c *Content) Compile(o CompileOptions) (*Ruleset, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Clock == nil {
		o.Clock = o.Now
	}
	geo, problems := o.Geo, []*Problem(nil)
	if geo == nil {
		geo, problems = c.places()
	}
	problems = append(problems, c.missing()...)
	r := &Ruleset{Env: expression.New(expression.Options{Data: c.data, Find: c.data.Find, Geo: geo, Resolver: o.Resolver,
		HTTP: o.HTTP, CTI: o.CTI, Logger: o.Logger, Now: o.Clock, Decisions: o.Decisions, Plain: o.Plain})}
	po := parsers.Options{Logger: o.Logger, Location: o.Location, Now: o.Now, FixYear: !o.Replay}
	var err error
	if r.Pipeline, err = parsers.Load(c.Parsers, r.Env, po); err != nil {
		problems = append(problems, c.problems(Parsers, err)...)
	}
	if len(c.Postoverflows) > 0 {
		po.Postoverflow = !o.Strict
		if r.Postoverflows, err = parsers.Load(c.Postoverflows, r.Env, po); err != nil {
			problems = append(problems, c.problems(Postoverflows, err)...)
		}
	}
	var list []*scenarios.Scenario
	for _, item := range c.Scenarios {
		good, err := scenarios.Load(item, r.Env)
		if list = append(list, good...); err != nil {
			problems = append(problems, c.problems(Scenarios, err)...)
		}
	}
	r.Rules = scenarios.NewRules(list)
	if r.Contexts, err = scenarios.LoadContexts(c.Contexts, r.Env); err != nil {
		problems = append(problems, c.problems(Contexts, err)...)
	}
	return r, join(problems)
}

// missing reports the data files that are not there. What looks for something in
// them finds nothing; the item works otherwise.
func (c *Content) missing() []*Problem {
	var list []*Problem
	seen := map[string]bool{}
	for _, d := range c.files {
		if d.item.Kind == Scenarios && d.file.Type != "" {
			continue // loading it says so
		}
		key := d.item.Path + "\x00" + d.file.DestFile
		if seen[key] || c.data.Has(d.file) {
			continue
		}
		seen[key] = true
		err := fmt.Errorf("its data file %s is not there", d.file.DestFile)
		if d.file.SourceURL != "" {
			err = fmt.Errorf("%w; %s has it", err, d.file.SourceURL)
		}
		list = append(list, &Problem{Kind: d.item.Kind, Name: d.item.Name, Path: d.item.Path, Warn: true, Err: err})
	}
	return list
}

// problems turns the error of a loader into problems of items.
func (c *Content) problems(k Kind, err error) []*Problem {
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var list []*Problem
		for _, e := range many.Unwrap() {
			list = append(list, c.problems(k, e)...)
		}
		return list
	}
	p := &Problem{Kind: k, Err: err}
	var parser *parsers.ItemError
	var scenario *scenarios.ItemError
	switch {
	case errors.As(err, &parser):
		p.Path, p.Line, p.Err = parser.Path, parser.Line, parser.Err
	case errors.As(err, &scenario):
		p.Path, p.Line, p.Warn, p.Err = scenario.Path, scenario.Line, scenario.Warn, scenario.Err
	}
	if i, ok := c.paths[p.Path]; ok {
		p.Name, p.Path = i.Name, i.Path
	} else {
		p.Name = stem(p.Path)
	}
	return []*Problem{p}
}
