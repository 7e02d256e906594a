package scenarios

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/expression"
)

// maxItem is the largest file that is read. The Hub's largest is under 20 KiB.
const maxItem = 1 << 20

// Item is one file with scenarios.
type Item struct {
	Path string
	Data []byte
	// Own marks the operator's own file, not a Hub item: a missing name is the
	// file's stem (stem-2 and so on for further documents), the description is
	// optional and an absent label "remediation" means true. CrowdSec compatible:
	// its alerts carry neither hash nor version.
	Own bool
	// Version is the item's version in the Hub's index, "?" for a changed one.
	Version string
}

// Load compiles all documents of an item. Good documents are returned even when
// the error is not nil; the error joins one *ItemError for each fault.
func Load(item Item, env *expression.Env) ([]*Scenario, error) {
	if len(item.Data) > maxItem {
		return nil, &ItemError{Path: item.Path, Err: fmt.Errorf("file has %d bytes; a scenario file may have %d", len(item.Data), maxItem)}
	}
	l := loader{item: item, env: env}
	if !item.Own {
		sum := sha256.Sum256(item.Data)
		l.hash = hex.EncodeToString(sum[:])
	}
	l.run()
	return l.list, errors.Join(l.errs...)
}

type loader struct {
	item Item
	env  *expression.Env
	hash string
	doc  int // the document that is being read
	list []*Scenario
	errs []error
}

// run reads each document twice, once strictly into a Spec and once as nodes,
// which know the lines of keys.
func (l *loader) run() {
	strict := yaml.NewDecoder(bytes.NewReader(l.item.Data))
	strict.KnownFields(true)
	nodes := yaml.NewDecoder(bytes.NewReader(l.item.Data))
	for n := 1; ; {
		var doc yaml.Node
		err := nodes.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			l.doc = n
			l.add(syntaxError(err))
			return
		}
		var spec Spec
		err = strict.Decode(&spec)
		if empty(&doc) {
			continue
		}
		at := linesOf(&doc)
		var te *yaml.TypeError
		l.doc = n
		switch {
		case errors.As(err, &te):
			for _, text := range te.Errors {
				l.add(typeError(text, at.of("")))
			}
		case err != nil:
			l.add(at.of(""), err)
			return
		default:
			l.document(&spec, at, n)
		}
		n++
	}
}

func (l *loader) document(spec *Spec, at lines, n int) {
	if l.item.Own && spec.Name == "" {
		stem := strings.TrimSuffix(path.Base(l.item.Path), path.Ext(l.item.Path))
		if n > 1 {
			stem += "-" + strconv.Itoa(n)
		}
		spec.Name = stem
	}
	s, faults := compile(spec, l.item, l.env)
	bad := false
	for _, f := range faults {
		l.errs = append(l.errs, &ItemError{Path: l.item.Path, Document: l.doc, Line: at.of(f.key), Warn: f.warn, Err: f.err})
		bad = bad || !f.warn
	}
	if bad {
		return
	}
	s.Hash = l.hash
	l.list = append(l.list, s)
}

func (l *loader) add(line int, err error) {
	l.errs = append(l.errs, &ItemError{Path: l.item.Path, Document: l.doc, Line: line, Err: err})
}

var (
	lineText  = regexp.MustCompile(`^(?:yaml: )?line (\d+): `)
	fieldText = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
)

// typeError takes the line out of the decoder's text.
func typeError(text string, line int) (int, error) {
	if m := lineText.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = text[len(m[0]):]
	}
	if m := fieldText.FindStringSubmatch(text); m != nil {
		return line, fmt.Errorf("unknown key %q: remove it or correct its spelling", m[1])
	}
	return line, errors.New(text)
}

func syntaxError(err error) (int, error) { return typeError(err.Error(), 0) }
