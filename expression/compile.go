package expression

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/optimizer"
)

const (
	// maxSource bounds the text, in bytes, and with it the depth of the parser's
	// recursion, which counts no brackets.
	maxSource = 128 << 10
	// maxNodes bounds the tree. The library's own limit, which CrowdSec has, is half
	// of it.
	maxNodes = 20000
)

// Compile checks src and makes it runnable. The error is an *Error.
func (e *Env) Compile(src string, on On, kind Kind) (*Program, error) {
	if strings.TrimSpace(src) == "" {
		return nil, newError(src, 1, 1, "the expression is empty", "write one, or leave the key out")
	}
	if len(src) > maxSource {
		return nil, newError(src, 1, 1, fmt.Sprintf("the expression has %d bytes", len(src)),
			fmt.Sprintf("keep it below %d: put long lists into a data file", maxSource))
	}
	p := &Program{env: e, source: src, on: on}
	err := p.compile(kind, true)
	if errors.Is(err, errFault) {
		// The optimiser makes trees that the library's own compiler cannot digest, of
		// filter(…)[-1].field for one. Without it they are slower, and right.
		err = p.compile(kind, false)
	}
	if err != nil {
		return nil, e.explain(src, on, err)
	}
	return p, nil
}

// errFault is a fault of the library, not of the expression.
var errFault = errors.New("it cannot be compiled")

// compile fills p. A panic of the library must cost one expression, not the
// process.
func (p *Program) compile(kind Kind, optimize bool) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errFault, r)
		}
	}()
	e, c := p.env, p.env.config(p.on)
	tree, err := checker.ParseCheck(p.source, c)
	if err != nil {
		return err
	}
	if err := checkKind(p.source, tree.Node.Type(), kind); err != nil {
		return err
	}
	e.fold(&tree.Node)
	// The optimiser rewrites the tree into shapes of its own: look at it before.
	p.reads = readsOf(tree.Node)
	p.reads.Remote = e.remotes(tree.Node)
	if optimize {
		if err := optimizer.Optimize(&tree.Node, c); err != nil {
			return err
		}
	}
	// It also leaves out what cannot change the result. What is left is what runs, and
	// where nothing fails that was left out, nobody shall miss it.
	p.requires, p.excludes = requirementsOf(tree.Node, true), requirementsOf(tree.Node, false)
	if (p.on == OnEvent || p.on == OnContext || p.on == OnAlert) && !e.plain {
		p.native = e.nativeOf(tree.Node, p.on, p.reads.Writes)
	}
	c.Optimize = optimize
	if p.code, err = compiler.Compile(tree, c); err != nil {
		return fmt.Errorf("%w: %s", errFault, oneLine(err.Error()))
	}
	return nil
}

func (e *Env) config(on On) *conf.Config {
	c := conf.CreateNew()
	switch on {
	case OnQueue:
		c.WithEnv(&queueVars{})
	case OnOverflow:
		c.WithEnv(&overflowVars{})
	case OnAlert:
		c.WithEnv(&alertVars{})
	case OnContext:
		c.WithEnv(&contextVars{})
	case OnResults:
		c.WithEnv(&resultsVars{})
	default:
		c.WithEnv(&eventVars{})
	}
	c.Functions = e.functions
	if on == OnResults {
		c.Functions = withBasename(e.functions)
	}
	c.MaxNodes = maxNodes
	return c
}

// checkKind refuses what can never give kind. A type that is known only at run
// time passes. CrowdSec compatible but stricter: there such an expression loads,
// and fails at each event.
func checkKind(src string, t reflect.Type, kind Kind) error {
	if kind == Any || t == nil || t.Kind() == reflect.Interface {
		return nil
	}
	want, what, advice := reflect.TypeFor[bool](), "true or false", "compare it with something: == 'text', != '', in [...]"
	if kind == String {
		want, what, advice = reflect.TypeFor[string](), "text", "convert it with string(...) or Sprintf('%v', ...)"
	}
	if t == want {
		return nil
	}
	return newError(src, 1, 1, fmt.Sprintf("it gives %s, but %s is needed here", t, what), advice)
}

// fold evaluates pure functions of constants, above all the Upper('…') that Hub
// content puts at the right of matches: without it the pattern would be compiled
// at every run.
func (e *Env) fold(root *ast.Node) {
	ast.Walk(root, &folder{env: e, was: map[ast.Node]ast.Node{}})
}

type folder struct {
	env *Env
	was map[ast.Node]ast.Node // constant → the call it replaced
}

// Visit is called for children before their parents.
func (f *folder) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.CallNode:
		if id, ok := n.Callee.(*ast.IdentifierNode); ok && f.env.pure[id.Value] {
			f.replace(node, f.env.functions[id.Value].Func, n.Arguments)
		}
	case *ast.BuiltinNode:
		switch n.Name {
		case "upper":
			f.replace(node, f.env.functions["Upper"].Func, n.Arguments)
		case "lower":
			f.replace(node, f.env.functions["Lower"].Func, n.Arguments)
		}
	case *ast.BinaryNode:
		if n.Operator != "matches" {
			return
		}
		call := f.was[n.Right]
		if s, ok := n.Right.(*ast.StringNode); ok && call != nil {
			// Upper turns \d into \D, but also \p{Greek} into nonsense. What CrowdSec
			// refuses only when it runs must not stop the item from loading.
			if _, err := regexp.Compile(s.Value); err != nil {
				n.Right = call
			}
		}
	}
}

func (f *folder) replace(node *ast.Node, call func(...any) (any, error), arguments []ast.Node) {
	in := make([]any, len(arguments))
	for i, a := range arguments {
		s, ok := a.(*ast.StringNode)
		if !ok {
			return
		}
		in[i] = s.Value
	}
	out, err := call(in...)
	if err != nil {
		return
	}
	var constant ast.Node
	switch v := out.(type) {
	case string:
		constant = &ast.StringNode{Value: v}
	case bool:
		constant = &ast.BoolNode{Value: v}
	default:
		return
	}
	constant.SetType(reflect.TypeOf(out))
	f.was[constant] = *node
	ast.Patch(node, constant)
}
