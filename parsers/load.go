package parsers

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/pattern"
)

// maxFile bounds one item file; the largest of the Hub has 40 KiB.
const maxFile = 4 << 20

// Item is one parser file. Path is for errors, and its last element for the order
// in which nodes run; Stage is the stage it belongs to, such as "s01-parse".
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

// Load compiles items. The Pipeline has all good nodes; the error joins the
// *ItemErrors of the documents that could not be used.
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
	// CrowdSec compatible: by stage, then by the file's name, byte by byte. The
	// folders above do not count: there all files of a stage are in one.
	items = slices.Clone(items)
	slices.SortStableFunc(items, func(a, b Item) int {
		return cmp.Or(strings.Compare(a.Stage, b.Stage), strings.Compare(path.Base(a.Path), path.Base(b.Path)), strings.Compare(a.Path, b.Path))
	})
	l := &loader{env: env, options: o, plain: env.Plain(), matcher: pattern.Compile, library: names, global: maps.Clone(names)}
	if l.plain {
		l.matcher = pattern.CompilePlain
	}
	stages := map[string][]*node{}
	for _, item := range items {
		stages[item.Stage] = append(stages[item.Stage], l.file(item)...)
	}
	return newPipeline(stages, o, l.plain), errors.Join(l.problems...)
}

// loader compiles the files of one Load.
type loader struct {
	env      *expression.Env
	options  Options
	plain    bool // no fast paths
	matcher  compiler
	library  table
	global   table // the library, and what files added
	path     string
	document int   // from 1; 0: the file as a whole
	names    table // of the file at hand
	problems []error
}

func (l *loader) problem(line int, err error) {
	l.problems = append(l.problems, itemError(l.path, l.document, line, err))
}

// file returns the good nodes of an item, one for each document.
func (l *loader) file(item Item) []*node {
	l.path, l.document, l.names = item.Path, 0, table{}
	if len(item.Data) > maxFile {
		l.problem(0, fmt.Errorf("the file has %d bytes, more than %d", len(item.Data), maxFile))
		return nil
	}
	strict := yaml.NewDecoder(bytes.NewReader(item.Data))
	strict.KnownFields(true)
	// A second look, for the line at which a document begins.
	trees := yaml.NewDecoder(bytes.NewReader(item.Data))
	var nodes []*node
	for l.document = 1; ; l.document++ {
		var tree yaml.Node
		err := decode(trees, &tree)
		if errors.Is(err, io.EOF) {
			return nodes
		}
		if err != nil {
			// What follows a syntax error cannot be told apart from it.
			l.problem(yamlFault(err.Error(), 0))
			return nodes
		}
		line := firstLine(&tree)
		var spec nodeSpec
		err = decode(strict, &spec)
		var faults *yaml.TypeError
		switch {
		case errors.As(err, &faults):
			for _, text := range faults.Errors {
				l.problem(yamlFault(text, line))
			}
		case err != nil:
			l.problem(yamlFault(err.Error(), line))
			return nodes
		default:
			if n := l.parser(&spec, item.Stage, line); n != nil {
				nodes = append(nodes, n)
			}
		}
	}
}

// parser compiles a document; nil where it is none, or not a good one.
func (l *loader) parser(spec *nodeSpec, stage string, line int) *node {
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
	parts := strings.Split(format, ".")
	var version [3]uint64
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || len(parts) > len(version) {
			return fmt.Errorf("format %q is no version: use 1.0 to 3.0, or leave it out", format)
		}
		version[i] = n
	}
	if major := version[0]; major < 1 || major > 3 || major == 3 && version != [3]uint64{3} {
		return fmt.Errorf("format %q is not supported: use 1.0 to 3.0", format)
	}
	return nil
}

// decode is Decode with a bound on what a fault of the YAML library costs: one
// file, not the process.
func decode(dec *yaml.Decoder, into any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decoding YAML: %v", r)
		}
	}()
	return dec.Decode(into)
}

// firstLine returns the line of the first thing in a document.
func firstLine(tree *yaml.Node) int {
	for tree.Kind == yaml.DocumentNode && len(tree.Content) > 0 {
		tree = tree.Content[0]
	}
	return tree.Line
}
