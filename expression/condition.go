package expression

import (
	"slices"
	"time"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/parser"
)

// Window is what Condition.Quick is shown of a queue: what is known of its events
// without looking at them, and single texts. Events count from the oldest.
type Window interface {
	Len() int
	// Passes reports whether event i passes the predicate with number n.
	Passes(i, n int) bool
	Time(i int) time.Time
	// Text returns a field of event i: "Meta.key", "Parsed.key" or "Enriched.key".
	Text(i int, path string) string
}

// Condition is a program over queue that is asked anew after every event. Most
// such programs ask the same of each event and then count: what they ask is worked
// out once, when the event comes, and the counting needs neither the machine nor
// the events. What is not of that kind runs as the whole program. It is immutable
// and safe for concurrent use.
type Condition struct {
	*Program
	predicates []*Program
	quick      verdict
	queue      bool
}

// verdict is a part of a condition; known is false where only the whole program
// can tell, for one because it would fail.
type verdict func(w Window, v *Vars) (holds, known bool)

// mostPredicates is how many predicates one condition has at most; one with more
// runs as a whole.
const mostPredicates = 12

// CompileCondition compiles src over evt, queue and leaky. The error is an *Error.
func (e *Env) CompileCondition(src string) (*Condition, error) {
	p, err := e.Compile(src, OnQueue, Bool)
	if err != nil {
		return nil, err
	}
	c := &Condition{Program: p, queue: true}
	tree, err := parser.ParseWithConfig(src, e.config(OnQueue))
	if err != nil {
		return c, nil // it was compiled: then it runs as a whole
	}
	c.queue = mentions(tree.Node, "queue", "$env")
	if e.plain || p.reads.Writes {
		return c, nil
	}
	t := &conditions{env: e, lists: map[string]selection{}}
	if c.quick = t.verdict(tree.Node); c.quick == nil || len(t.predicates) > mostPredicates {
		c.quick = nil
		return c, nil
	}
	c.predicates = t.predicates
	return c, nil
}

// Predicates returns what the condition asks of single events, over evt, in the
// order of their numbers.
func (c *Condition) Predicates() []*Program { return c.predicates }

// UsesQueue reports whether the condition looks at queue at all.
func (c *Condition) UsesQueue() bool { return c.queue }

// Quick returns what the condition gives; known is false where that takes a run of
// the program. v needs Evt only.
func (c *Condition) Quick(w Window, v *Vars) (holds, known bool) {
	if c.quick == nil {
		return false, false
	}
	return c.quick(w, v)
}

// conditions translates a condition; nil and false stand for what it does not know.
type conditions struct {
	env        *Env
	predicates []*Program
	sources    []string
	lists      map[string]selection // let variables
}

// selection is a part of the queue: all of it or what passes a predicate, and of that
// the newest.
type selection struct {
	predicate int // -1: none
	newest    int // 0: all
}

// count returns how many events are in l, or enough where there are more.
func (l selection) count(w Window, enough int) int {
	n := min(w.Len(), enough)
	if l.predicate >= 0 {
		n = 0
		for i := w.Len() - 1; i >= 0 && n < enough; i-- {
			if w.Passes(i, l.predicate) {
				n++
			}
		}
	}
	if l.newest > 0 {
		n = min(n, l.newest)
	}
	return n
}

// times appends the instants of the events of l, the newest first.
func (l selection) times(w Window, out []time.Time) []time.Time {
	for i := w.Len() - 1; i >= 0 && (l.newest == 0 || len(out) < l.newest); i-- {
		if l.predicate < 0 || w.Passes(i, l.predicate) {
			out = append(out, w.Time(i))
		}
	}
	return out
}

// verdict translates what gives true or false. A conjunction is worth having when
// its left part is: most conditions begin with a length.
func (t *conditions) verdict(node ast.Node) verdict {
	if own := t.ofEvent(node); own != nil {
		return own
	}
	switch n := node.(type) {
	case *ast.UnaryNode:
		if inner := t.verdict(n.Node); inner != nil && (n.Operator == "not" || n.Operator == "!") {
			return func(w Window, v *Vars) (bool, bool) {
				holds, known := inner(w, v)
				return !holds, known
			}
		}
	case *ast.VariableDeclaratorNode:
		l, ok := t.selection(n.Value)
		if !ok {
			return nil
		}
		t.lists[n.Name] = l
		defer delete(t.lists, n.Name)
		return t.verdict(n.Expr)
	case *ast.BuiltinNode:
		return t.quantifier(n)
	case *ast.BinaryNode:
		switch n.Operator {
		case "and", "&&":
			return t.junction(n, false)
		case "or", "||":
			return t.junction(n, true)
		}
		for _, compare := range []func(*ast.BinaryNode) verdict{t.counts, t.gaps, t.distances, t.texts} {
			if f := compare(n); f != nil {
				return f
			}
		}
	}
	return nil
}

// junction is left and right; or, with stop true, left or right.
func (t *conditions) junction(n *ast.BinaryNode, stop bool) verdict {
	left := t.verdict(n.Left)
	if left == nil {
		return nil
	}
	right := t.verdict(n.Right)
	return func(w Window, v *Vars) (bool, bool) {
		holds, known := left(w, v)
		if !known || holds == stop || right == nil {
			return holds, known && holds == stop
		}
		return right(w, v)
	}
}

// ofEvent is a part that looks at evt alone.
func (t *conditions) ofEvent(node ast.Node) verdict {
	names := []string{"queue", "leaky", "$env"}
	for name := range t.lists {
		names = append(names, name)
	}
	if mentions(node, names...) || !mentions(node, "evt") {
		return nil
	}
	p, err := t.env.Compile(node.String(), OnEvent, Bool)
	if err != nil || p.reads.Writes {
		return nil
	}
	return func(_ Window, v *Vars) (bool, bool) {
		holds, err := p.Bool(v)
		return holds, err == nil
	}
}

// quantifier is any, all or none of the events.
func (t *conditions) quantifier(n *ast.BuiltinNode) verdict {
	if len(n.Arguments) != 2 || !slices.Contains([]string{"any", "all", "none"}, n.Name) {
		return nil
	}
	l, ok := t.selection(n.Arguments[0])
	p, ok2 := t.predicate(n.Arguments[1])
	if !ok || !ok2 || l.newest > 0 || l.predicate >= 0 {
		return nil
	}
	want := n.Name != "all" // what ends the search
	return func(w Window, _ *Vars) (bool, bool) {
		for i := range w.Len() {
			if w.Passes(i, p) == want {
				return n.Name == "any", true
			}
		}
		return n.Name != "any", true
	}
}

// selection translates a part of the queue.
func (t *conditions) selection(node ast.Node) (selection, bool) {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		l, ok := t.lists[n.Value]
		return l, ok
	case *ast.MemberNode:
		return selection{predicate: -1}, eventPath(n) == "queue.Queue"
	case *ast.BuiltinNode:
		if n.Name != "filter" || len(n.Arguments) != 2 {
			return selection{}, false
		}
		l, ok := t.selection(n.Arguments[0])
		if !ok || l != (selection{predicate: -1}) {
			return selection{}, false
		}
		l.predicate, ok = t.predicate(n.Arguments[1])
		return l, ok
	case *ast.SliceNode:
		l, ok := t.selection(n.Node)
		from, ok2 := integer(n.From)
		if !ok || !ok2 || n.To != nil || from >= 0 || l.newest > 0 {
			return selection{}, false
		}
		l.newest = -from
		return l, true
	}
	return selection{}, false
}

// predicate makes {#.Meta.x == 'y'} a program over evt and returns its number.
func (t *conditions) predicate(node ast.Node) (int, bool) {
	p, ok := node.(*ast.PredicateNode)
	names := []string{"evt", "queue", "leaky", "$env", "#acc", "#index"}
	for name := range t.lists {
		names = append(names, name)
	}
	if !ok || mentions(p.Node, names...) {
		return 0, false
	}
	// The tree is parsed again, so that it can be changed.
	tree, err := parser.ParseWithConfig("any(queue.Queue, "+node.String()+")", t.env.config(OnQueue))
	if err != nil {
		return 0, false
	}
	inner := &tree.Node.(*ast.BuiltinNode).Arguments[1].(*ast.PredicateNode).Node
	swap := &pointers{}
	ast.Walk(inner, swap)
	if swap.closures {
		return 0, false
	}
	source := (*inner).String()
	if i := slices.Index(t.sources, source); i >= 0 {
		return i, true
	}
	program, err := t.env.Compile(source, OnEvent, Bool)
	if err != nil || program.reads.Writes {
		return 0, false
	}
	t.sources, t.predicates = append(t.sources, source), append(t.predicates, program)
	return len(t.predicates) - 1, true
}

// pointers makes # an evt.
type pointers struct{ closures bool }

// Visit implements ast.Visitor.
func (p *pointers) Visit(node *ast.Node) {
	switch (*node).(type) {
	case *ast.PointerNode:
		ast.Patch(node, &ast.IdentifierNode{Value: "evt"})
	case *ast.PredicateNode:
		p.closures = true // whose # is another
	}
}

// mentions reports whether one of the names occurs in node; those of pointers
// begin with #.
func mentions(node ast.Node, names ...string) bool {
	m := &mention{names: names}
	ast.Walk(&node, m)
	return m.found
}

type mention struct {
	names []string
	found bool
}

// Visit implements ast.Visitor.
func (m *mention) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.IdentifierNode:
		m.found = m.found || slices.Contains(m.names, n.Value)
	case *ast.PointerNode:
		m.found = m.found || slices.Contains(m.names, "#"+n.Name)
	}
}
