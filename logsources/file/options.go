package file

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/logsources"
)

// Defaults of Options.
const (
	DefaultPoll    = time.Second
	DefaultMaxLine = 64 << 10
)

// Options configures a source of files.
type Options struct {
	// Patterns are paths or glob patterns as in path/filepath.Match. What they
	// match is looked up again and again: files and directories may appear
	// later. Files with the name of an archive (.gz, .xz …) are left out.
	Patterns []string
	// Labels go with every line. The label "type" is required: it chooses the
	// parser (CrowdSec compatible).
	Labels map[string]string
	// Exclude lists regular expressions; paths that match one are left out.
	Exclude []string
	// FromStart reads files that exist at the first use of their pattern from
	// their start instead of their end.
	FromStart bool
	// Poll is the time between two looks at all files beside inotify; default 1 s.
	Poll time.Duration
	// MaxLine is the most bytes a line may have; longer ones are skipped and
	// counted. Default 64 KiB.
	MaxLine int
}

// Spec returns the specification of a source that follows the files of o, or an
// error that says what is wrong with o. Files need not exist.
//
// Positions are kept by path and type label: two sources that read one file under
// one type (which would count every line twice) disturb each other's positions.
func Spec(o Options) (logsources.Spec, error) {
	s, err := compile(o)
	if err != nil {
		return logsources.Spec{}, err
	}
	return logsources.Spec{
		Key: s.key(), Name: strings.Join(s.names(), " "), Type: "file",
		New: func(env logsources.Environment) (logsources.Source, error) {
			return newSource(s, env), nil
		},
	}, nil
}

// resolve follows symbolic links as far as path exists.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}

// settings are Options that were checked; immutable.
type settings struct {
	patterns []pattern
	exclude  []*regexp.Regexp
	labels   map[string]string
	start    bool
	poll     time.Duration
	maxLine  int
	linger   time.Duration // how long a rotated file is followed after its last line
	forget   time.Duration // how long the position of a vanished file is kept
	blind    bool          // without inotify, for tests
}

func compile(o Options) (*settings, error) {
	s := &settings{
		labels: maps.Clone(o.Labels), start: o.FromStart, poll: o.Poll, maxLine: o.MaxLine,
		linger: time.Minute, forget: 24 * time.Hour,
	}
	if len(o.Patterns) == 0 {
		return nil, errors.New("a file source needs a path or pattern, for example /var/log/auth.log")
	}
	var errs []error
	for _, text := range o.Patterns {
		p, err := newPattern(text)
		if err != nil {
			errs = append(errs, err)
		} else if !slices.ContainsFunc(s.patterns, func(q pattern) bool { return q.text == p.text }) {
			s.patterns = append(s.patterns, p)
		}
	}
	for _, text := range o.Exclude {
		re, err := regexp.Compile(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading exclude expression of file source %s: %w", o.Patterns[0], err))
			continue
		}
		s.exclude = append(s.exclude, re)
	}
	if s.labels["type"] == "" {
		errs = append(errs, fmt.Errorf("file source %s has no label \"type\": add the type of its lines, for example type=syslog or type=nginx", o.Patterns[0]))
	}
	if o.Poll < 0 || o.MaxLine < 0 {
		errs = append(errs, fmt.Errorf("file source %s: poll interval and longest line must not be negative", o.Patterns[0]))
	}
	if s.poll == 0 {
		s.poll = DefaultPoll
	}
	if s.maxLine == 0 {
		s.maxLine = DefaultMaxLine
	}
	return s, errors.Join(errs...)
}

func (s *settings) names() []string {
	list := make([]string, len(s.patterns))
	for i := range s.patterns {
		list[i] = s.patterns[i].text
	}
	return list
}

// key is the identity of the source: everything that would make it behave
// differently.
func (s *settings) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "file %q", s.names())
	for _, re := range s.exclude {
		fmt.Fprintf(&b, " !%q", re.String())
	}
	for _, k := range slices.Sorted(maps.Keys(s.labels)) {
		fmt.Fprintf(&b, " %q=%q", k, s.labels[k])
	}
	fmt.Fprintf(&b, " %v %v %d", s.start, s.poll, s.maxLine)
	return b.String()
}

func (s *settings) excluded(path string) bool {
	return slices.ContainsFunc(s.exclude, func(re *regexp.Regexp) bool { return re.MatchString(path) })
}
