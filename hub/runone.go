package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/engine"
	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/scenarios"
)

// RunOne runs one test and returns what it left as well, nil where it did not get
// that far.
func (r *Runner) RunOne(ctx context.Context, name string) (result Result, results *Results) {
	begin := time.Now()
	result.Name = name
	defer func() {
		if p := recover(); p != nil {
			// A fault of ours must not cost the other tests.
			result.fail(Failure{Err: fmt.Sprintf("the engine panicked: %v\n%s", p, debug.Stack())})
		}
		result.Passed = len(result.Failures) == 0 && result.Skipped == ""
		result.Elapsed = time.Since(begin)
	}()
	t, err := openTest(r.tests, name)
	if err != nil {
		result.fail(Failure{Err: err.Error()})
		return result, nil
	}
	if t.config.NucleiTemplate != "" {
		result.Skipped = "it is a test of a WAF"
		return result, nil
	}
	if results = r.replay(ctx, t, &result); results == nil {
		return result, nil
	}
	if r.options.Dump != "" {
		if err := results.WriteDumps(filepath.Join(r.options.Dump, name)); err != nil {
			result.fail(Failure{Err: err.Error()})
		}
	}
	r.assess(t, results, &result)
	return result, results
}

// replay runs the log of a test; nil where that was not possible. Items that do not
// load fail the test.
func (r *Runner) replay(ctx context.Context, t *testCase, result *Result) *Results {
	content, err := t.content(r.catalogue)
	note := func(err error) {
		for _, p := range Problems(err) {
			if p.Warn {
				result.Warnings = append(result.Warnings, p.Error())
			} else {
				result.fail(Failure{Err: p.Error()})
			}
		}
	}
	note(err)
	set, err := content.Compile(CompileOptions{Logger: r.options.Logger, Now: r.options.Now, Location: time.UTC,
		Replay: true, Plain: r.options.Plain, Strict: true})
	note(err)
	if len(result.Failures) > 0 {
		return nil
	}
	results, observe := set.Record()
	e := r.engine(set, observe)
	labels := map[string]string{"type": t.config.LogType}
	maps.Copy(labels, t.config.Labels)
	src := t.logPath()
	err = t.lines(func(text string) error {
		result.Lines++
		e.Line(event.Line{Raw: text, Src: src, Module: "file", Time: r.options.Now(), Labels: labels, Process: true})
		return ctx.Err()
	})
	if err != nil {
		result.fail(Failure{Err: err.Error()})
		return nil
	}
	results.Sort()
	return results
}

// engine makes an engine for a test, which shares nothing with that of another one.
func (r *Runner) engine(set *Ruleset, observe *engine.Observer) *engine.Engine {
	var e *engine.Engine
	buckets := scenarios.NewMemory(scenarios.MemoryOptions{Shards: 1, SampleBytes: sampleBytes, Now: r.options.Now,
		Overflow: func(o *scenarios.Overflow) { e.Overflow(o) }})
	buckets.Use(set.Rules)
	e = engine.New(engine.Options{Pipeline: set.Pipeline, Postoverflows: set.Postoverflows, Rules: set.Rules,
		Buckets: buckets, Profiles: r.profiles, Counters: &engine.Counters{}, Logger: r.options.Logger,
		Now: r.options.Now, Machine: "test", Replay: true, Faithful: true, Observe: observe})
	return e
}

// sampleBytes is room for the events of a test's buckets: all of them.
const sampleBytes = 1 << 30

// assess evaluates the assertions of a test. CrowdSec compatible: those of parsers
// unless ignore_parsers, those of scenarios if the test names any. Stricter: any
// that is false fails the test.
func (r *Runner) assess(t *testCase, results *Results, result *Result) {
	var wrong []Failure
	if !t.config.IgnoreParsers {
		if len(results.Parsers) < 2 {
			result.fail(Failure{File: parserFile, Err: "no line reached a parser"})
		} else {
			wrong = append(wrong, r.assertFile(t, parserFile, results.Parsers, result)...)
		}
	}
	if t.testsScenarios() {
		wrong = append(wrong, r.assertFile(t, scenarioFile, results.Overflows, result)...)
	}
	if !t.config.ExpectFailure {
		result.Failures = append(result.Failures, wrong...)
	} else if len(wrong) == 0 {
		result.fail(Failure{Err: "it expects an assertion to fail, and all of them hold"})
	}
}

// assertFile evaluates one file. CrowdSec compatible: without assertions the test
// does not pass; those that it could have are generated.
func (r *Runner) assertFile(t *testCase, name string, results any, result *Result) []Failure {
	data, err := os.ReadFile(filepath.Join(t.dir, name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		result.fail(Failure{File: name, Err: err.Error()})
		return nil
	}
	wrong, n := r.assert(name, string(data), results)
	result.Assertions += n
	if n == 0 {
		if result.Generated == nil {
			result.Generated = map[string]string{}
		}
		result.Generated[name] = generate(results)
		result.fail(Failure{File: name, Err: "it has no assertions; these can be generated"})
	}
	return wrong
}

// assert evaluates the lines of a file and counts them.
func (r *Runner) assert(file, text string, results any) (wrong []Failure, n int) {
	for number, line := range strings.Split(text, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if strings.TrimSpace(line) == "" {
			continue
		}
		n++
		a := parseAssertion(line)
		if f := a.check(results, r.env); f != nil {
			f.File, f.Line, f.Text = file, number+1, line
			wrong = append(wrong, *f)
		}
	}
	return wrong, n
}
