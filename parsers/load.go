package parsers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/expression"
)

// maxFile bounds one item file; the largest of the Hub has 40 KiB.
const maxFile = 4 << 20

// Item is one parser file. Path is for errors and for the order in which nodes
// run; Stage is the stage it belongs to, such as "s01-parse".
type Item struct {
	Path  string
	Stage string
	Data  []byte
}

// Options for Load. All may be left out.
type Options struct {
	Logger   *zap.Logger
	Location *time.Location // zone of dates that name none; nil: UTC (CrowdSec compatible)
	Now      func() time.Time
	// Postoverflow: the items are postoverflows, which get overflows. There every
	// stage is run even where the one before matched nothing.
	Postoverflow bool
	// FixYear: a date without a year that would lie more than a day ahead is last
	// year's. For live sources; CrowdSec always takes the current year.
	FixYear bool
}

// Load compiles items. The Pipeline has all good nodes; the error joins one
// *ItemError for each document that could not be used.
func Load(items []Item, env *expression.Env, o Options) (*Pipeline, error) {
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Location == nil {
		o.Location = time.UTC
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	names, err := library()
	if err != nil {
		return nil, err
	}
	// CrowdSec compatible: stage first, then the path, byte by byte.
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b Item) int {
		if c := strings.Compare(a.Stage, b.Stage); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
	l := &loader{env: env, options: o, global: names}
	stages := map[string][]*node{}
	for _, item := range items {
		stages[item.Stage] = append(stages[item.Stage], l.file(item)...)
	}
	return newPipeline(stages, o), errors.Join(l.problems...)
}

// loader compiles the files of one Load.
type loader struct {
	env      *expression.Env
	options  Options
	global   table // the library, then what files added
	path     string
	names    table // of the file at hand
	problems []error
}

func (l *loader) problem(line int, err error) {
	l.problems = append(l.problems, itemError(l.path, line, err))
}

// file returns the good nodes of an item, one for each document.
func (l *loader) file(item Item) []*node {
	l.path, l.names = item.Path, table{}
	if len(item.Data) > maxFile {
		l.problem(0, fmt.Errorf("the file has %d bytes, more than %d", len(item.Data), maxFile))
		return nil
	}
	starts := documentLines(item.Data)
	dec := yaml.NewDecoder(bytes.NewReader(item.Data))
	dec.KnownFields(true)
	var nodes []*node
	for i := 0; ; i++ {
		line := starts[min(i, len(starts)-1)]
		var spec nodeSpec
		err := dec.Decode(&spec)
		if errors.Is(err, io.EOF) {
			return nodes
		}
		var typeError *yaml.TypeError
		switch {
		case errors.As(err, &typeError):
			l.problem(line, fmt.Errorf("decoding YAML: %s", strings.Join(typeError.Errors, "; ")))
			continue
		case err != nil:
			// What follows a syntax error cannot be told apart from it.
			l.problem(line, fmt.Errorf("decoding YAML: %s", strings.TrimPrefix(err.Error(), "yaml: ")))
			return nodes
		}
		if n := l.document(&spec, item.Stage, line); n != nil {
			nodes = append(nodes, n)
		}
	}
}

func (l *loader) document(spec *nodeSpec, stage string, line int) *node {
	if spec.Name == "" && spec.Description == "" && spec.Author == "" {
		// CrowdSec compatible: such a document is no parser.
		l.options.Logger.Info("document without name, description and author skipped", zap.String("item", l.path), zap.Int("line", line))
		return nil
	}
	if err := checkFormat(spec.Format); err != nil {
		l.problem(line, err)
		return nil
	}
	n, err := l.node(spec, nil, stage)
	if err != nil {
		l.problem(line, err)
		return nil
	}
	return n
}

// checkFormat accepts format versions 1.0 to 3.0; none means 1.0.
func checkFormat(format string) error {
	if format == "" {
		return nil
	}
	v, err := strconv.ParseFloat(format, 64)
	if err != nil || v < 1 || v > 3 {
		return fmt.Errorf("format %q is not supported: use 1.0 to 3.0", format)
	}
	return nil
}

// documentLines returns the line at which each document of a file begins.
func documentLines(data []byte) []int {
	lines := []int{1}
	for i, line := range bytes.Split(data, []byte("\n")) {
		if bytes.HasPrefix(line, []byte("---")) && i > 0 {
			lines = append(lines, i+2)
		}
	}
	return lines
}
