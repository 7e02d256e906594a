package hub

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// CreateOptions say what a new test is about. Name and Type must be given.
type CreateOptions struct {
	Name          string // of its folder
	Type          string // label type of the lines
	Parsers       []string
	Scenarios     []string
	Postoverflows []string
	// Log is the text of its log; the file is <name>.log. Empty: the file is made
	// empty, for somebody to fill.
	Log           []byte
	IgnoreParsers bool // only scenarios are asserted
}

// Create makes the folder of a test: its configuration, its log, and the assertions
// that hold of a run of it, which somebody must look through. It returns the paths
// of the files. A test that is there already is left alone.
func (r *Runner) Create(ctx context.Context, o CreateOptions) ([]string, error) {
	if o.Name == "" || o.Name != filepath.Base(o.Name) || strings.HasPrefix(o.Name, ".") {
		return nil, fmt.Errorf("creating a test: %q is no name for a folder", o.Name)
	}
	if o.Type == "" {
		return nil, fmt.Errorf("creating test %s: name the type of its log, such as nginx or syslog", o.Name)
	}
	dir := filepath.Join(r.tests, o.Name)
	if _, err := os.Stat(dir); err == nil {
		return nil, fmt.Errorf("creating test %s: %s is there already", o.Name, dir)
	}
	config, err := o.config()
	if err != nil {
		return nil, fmt.Errorf("creating test %s: %w", o.Name, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("creating test %s: %w", o.Name, err)
	}
	var paths []string
	write := func(name string, data []byte) {
		path := filepath.Join(dir, name)
		if werr := os.WriteFile(path, data, 0o644); werr != nil {
			err = errors.Join(err, fmt.Errorf("creating test %s: %w", o.Name, werr))
			return
		}
		paths = append(paths, path)
	}
	write(configFile, config)
	write(o.Name+".log", o.Log)
	if err != nil || len(o.Log) == 0 {
		write(parserFile, nil)
		write(scenarioFile, nil)
		return paths, err
	}
	asserts, err := r.generate(ctx, o.Name)
	write(parserFile, []byte(asserts[parserFile]))
	write(scenarioFile, []byte(asserts[scenarioFile]))
	return paths, err
}

// config is the configuration of the test, with all keys that people fill in.
func (o CreateOptions) config() ([]byte, error) {
	config := struct {
		Parsers         []string       `yaml:"parsers"`
		Scenarios       []string       `yaml:"scenarios"`
		Postoverflows   []string       `yaml:"postoverflows"`
		LogFile         string         `yaml:"log_file"`
		LogType         string         `yaml:"log_type"`
		Labels          map[string]any `yaml:"labels"`
		IgnoreParsers   bool           `yaml:"ignore_parsers"`
		OverrideStatics []any          `yaml:"override_statics"`
	}{o.Parsers, o.Scenarios, o.Postoverflows, o.Name + ".log", o.Type, map[string]any{}, o.IgnoreParsers, []any{}}
	return yaml.Marshal(config)
}

// generate runs a test and returns the assertions that it could have, by file.
func (r *Runner) generate(ctx context.Context, name string) (map[string]string, error) {
	t, err := openTest(r.tests, name)
	if err != nil {
		return nil, err
	}
	var result Result
	results := r.replay(ctx, t, &result)
	if results == nil {
		var errs []error
		for _, f := range result.Failures {
			errs = append(errs, errors.New(f.String()))
		}
		return nil, fmt.Errorf("running test %s: %w", name, errors.Join(errs...))
	}
	out := map[string]string{}
	if !t.config.IgnoreParsers {
		out[parserFile] = generate(results.Parsers)
	}
	if t.testsScenarios() {
		out[scenarioFile] = generate(results.Overflows)
	}
	return out, nil
}
