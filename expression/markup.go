package expression

import (
	"fmt"
	"time"

	"github.com/beevik/etree"
	"go.uber.org/zap"
)

// An event log is one XML document of which a parser takes some twenty values:
// it is parsed once. CrowdSec compatible: 50 documents for 5 s.
const (
	documentCount = 50
	documentLife  = 5 * time.Second
	// xmlPathCount bounds the compiled paths. They are constants of content; only
	// an expression that computes paths can fill it.
	xmlPathCount = 1024
)

// document is a parsed text, or the memory that it is not XML.
type document struct {
	tree *etree.Document
	err  error
}

type xmlPath struct {
	path etree.Path
	err  error
}

func (e *Env) markupFunctions() []function {
	return []function{
		{"XMLGetNodeValue", new(func(string, string) string), local, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			if el := e.element("XMLGetNodeValue", s[0], s[1]); el != nil {
				return el.Text(), nil
			}
			return "", nil
		}},
		{"XMLGetAttributeValue", new(func(string, string, string) string), local, func(a args) (any, error) {
			s, err := a.texts(3)
			if err != nil {
				return nil, err
			}
			if el := e.element("XMLGetAttributeValue", s[0], s[1]); el != nil {
				return el.SelectAttrValue(s[2], ""), nil
			}
			return "", nil
		}},
	}
}

// element returns the first element of the document at path, nil where there is
// none.
func (e *Env) element(name, text, path string) *etree.Element {
	p, ok := e.paths.Get(path)
	if !ok {
		p.path, p.err = etree.CompilePath(path)
		e.paths.Put(path, p)
	}
	if p.err != nil {
		e.warnOnce("XML path is malformed and finds nothing", path, zap.Error(p.err))
		return nil
	}
	d, ok := e.documents.Get(text)
	if !ok {
		d = parseDocument(text)
		e.documents.Put(text, d)
	}
	if d.err != nil {
		e.debug(name, zap.Error(d.err))
		return nil
	}
	return d.tree.FindElementPath(p.path)
}

func parseDocument(text string) (d *document) {
	d = &document{tree: etree.NewDocument()}
	defer func() {
		if r := recover(); r != nil {
			d.err = fmt.Errorf("parsing XML: %v", r)
		}
	}()
	if err := d.tree.ReadFromString(text); err != nil {
		d.err = fmt.Errorf("parsing XML: %w", err)
	}
	return d
}
