package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/expression"
)

// testsDir is the folder of tests in a Hub.
const testsDir = ".tests"

// RunnerOptions are what tests are run with. All may be left out.
type RunnerOptions struct {
	Tests  string // folder of the tests; "": .tests of the Hub
	Jobs   int    // tests at a time; 0: as many as there are processors
	Plain  bool   // everything the plain way; see expression.Options
	Now    func() time.Time
	Logger *zap.Logger
	// Done is called with each result as it comes, from one goroutine at a time.
	Done func(Result)
	// Dump is a folder that gets a folder of dumps for each test; "": none are written.
	Dump string
}

// Runner runs the tests of a Hub.
type Runner struct {
	catalogue *Catalogue
	options   RunnerOptions
	tests     string
	profiles  *decisions.Profiles
	env       *expression.Env // of assertions
}

// NewRunner returns a runner for the items of a catalogue.
func NewRunner(c *Catalogue, o RunnerOptions) (*Runner, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	r := &Runner{catalogue: c, options: o, tests: o.Tests}
	if r.tests == "" {
		if c.hub == "" {
			return nil, errors.New("running tests: there is no hub, and no folder of tests is given")
		}
		r.tests = filepath.Join(c.hub, testsDir)
	}
	dir, err := filepath.Abs(r.tests) // events name their log by its whole path
	if err != nil {
		return nil, fmt.Errorf("running tests: %w", err)
	}
	r.tests = dir
	r.env = expression.New(expression.Options{Data: c.data, Find: c.data.Find, Now: o.Now, Logger: o.Logger})
	if r.profiles, err = decisions.LoadProfiles("builtin:profiles.yaml", decisions.DefaultProfiles(), r.env); err != nil {
		return nil, fmt.Errorf("running tests: %w", err)
	}
	return r, nil
}

// List returns the names of the tests, sorted.
func (r *Runner) List() ([]string, error) { return testNames(r.tests) }

// Run runs the named tests, or all where none is named. What is wrong with a test
// fails that test alone; the error is of running tests at all, or ctx's.
func (r *Runner) Run(ctx context.Context, names ...string) (*Report, error) {
	if len(names) == 0 {
		var err error
		if names, err = r.List(); err != nil {
			return nil, err
		}
	}
	begin, cpu := time.Now(), cpuTime()
	report := &Report{}
	var mu sync.Mutex
	var workers sync.WaitGroup
	queue := make(chan string)
	for range min(r.options.Jobs, len(names)) {
		workers.Go(func() {
			for name := range queue {
				one, _ := r.RunOne(ctx, name)
				mu.Lock()
				report.add(one)
				if r.options.Done != nil {
					r.options.Done(one)
				}
				mu.Unlock()
			}
		})
	}
	err := r.feed(ctx, names, queue)
	workers.Wait()
	slices.SortFunc(report.Results, func(a, b Result) int { return cmp.Compare(a.Name, b.Name) })
	report.Elapsed, report.CPU = time.Since(begin), cpuTime()-cpu
	return report, err
}

func (r *Runner) feed(ctx context.Context, names []string, queue chan<- string) error {
	defer close(queue)
	for _, name := range names {
		select {
		case queue <- name:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
