package expression

import (
	"maps"

	"github.com/expr-lang/expr/ast"
)

// Programs over evt or Alert run as closures, without the virtual machine, which boxes every
// value it loads. What the closures do not know they leave to the machine, whole; a
// test holds the two equal.
type (
	truth func(v *Vars) bool
	words func(v *Vars) string
	value func(v *Vars) any
)

// native is what of a program runs without the machine. One of the first three is
// set where that is the whole program.
type native struct {
	truth truth
	words words
	value value
	// rest is truth without the parts that are requirements or exclusions.
	rest truth
	// guard is the leading part of a conjunction: where it is false so is the
	// whole. It writes nothing and cannot fail.
	guard truth
	// clauses must hold for truth to be true; where one does not, the program gives
	// false and has neither failed nor written.
	clauses []clause
	risky   bool // it may fail
	// dynamic: it may give something other than true or false, as an error.
	dynamic bool
	once    bool // to run it twice would be noticed
}

// whole reports whether the machine is not needed.
func (n *native) whole() bool { return n.truth != nil || n.words != nil || n.value != nil }

// nativeOf translates what it can of a program.
func (e *Env) nativeOf(root ast.Node, on On, writes bool) native {
	t := translator{env: e, on: on, writes: writes, shared: &translation{harmless: newHarmless(), tests: map[ast.Node]*test{}}}
	if on == OnAlert && mentions(root, "evt") {
		return native{} // a let variable that is no event
	}
	n := native{risky: writes || !t.harmless(root)}
	switch {
	case isBool(root):
		if c := t.truth(root); c != nil {
			clean := true
			n.truth, n.clauses = c.run, c.needs
			n.rest = conjunctionOf(t.rest(root, &clean))
		} else {
			n.guard = t.guard(root)
		}
	case isText(root):
		if x := t.words(root); x != nil {
			n.words = x.read
		} else {
			n.value = t.value(root)
		}
	default:
		n.value = t.value(root)
	}
	n.dynamic, n.once = t.shared.dynamic, t.shared.once
	return n
}

// translator makes closures; nil stands for what it does not know.
type translator struct {
	env    *Env
	on     On
	writes bool // some part of the program does
	lets   map[string]binding
	items  items // what # stands for
	shared *translation
}

// translation is what the parts of one program have in common.
type translation struct {
	harmless harmless
	tests    map[ast.Node]*test // so that nothing is translated twice
	slots    int                // of let variables
	dynamic  bool
	once     bool
}

// test is a translated condition. Its closure gives false where it fails.
type test struct {
	run truth
	// needs are clauses of which each must hold for it to be true; where one does
	// not, it is false without having done harm.
	needs []clause
	// over, where there are some, say what the test asks in a closure over a list: one
	// of them.
	over []truth
	// ofItem: it depends on # and on nothing else, and cannot fail.
	ofItem bool
}

// binding is a let variable. A harmless value is made anew where it is used, which a
// condition before that may spare; any other is made where it stands, and kept.
type binding struct {
	text  *text
	test  *test
	value value
}

func (t translator) harmless(n ast.Node) bool { return t.shared.harmless.of(n) }

// with is t inside a let expression. set, where it is not nil, runs before the
// rest. ok is false where the value is not known.
func (t translator) with(n *ast.VariableDeclaratorNode) (inner translator, set truth, ok bool) {
	var b binding
	lazy := t.harmless(n.Value) && !t.writes
	switch {
	case isText(n.Value):
		b.text = t.words(n.Value)
	case isBool(n.Value) && lazy:
		b.test = t.truth(n.Value)
	}
	if b.text == nil && b.test == nil {
		if b.value = t.value(n.Value); b.value == nil {
			return t, nil, false
		}
	}
	if b.value != nil || !lazy {
		b, set = t.keep(b)
	}
	t.lets = maps.Clone(t.lets)
	if t.lets == nil {
		t.lets = map[string]binding{}
	}
	t.lets[n.Name] = b
	return t, set, true
}

// keep makes a binding that is evaluated by set.
func (t translator) keep(b binding) (kept binding, set truth) {
	slot := t.shared.slots
	t.shared.slots++
	if b.text != nil {
		read, kept := b.text.read, &text{unless: b.text.unless}
		kept.read = func(v *Vars) string { return v.run.lets[slot].text }
		kept.plain = kept.read
		return binding{text: kept}, func(v *Vars) bool {
			v.run.keep(slot).text = read(v)
			return v.run.fault == nil
		}
	}
	read := b.value
	return binding{value: func(v *Vars) any { return v.run.lets[slot].any }}, func(v *Vars) bool {
		v.run.keep(slot).any = read(v)
		return v.run.fault == nil
	}
}

// rest translates the parts of a conjunction that is known to translate, without
// those that Requires or Excludes names as they stand. clean says, and is told,
// whether the parts before are harmless: what stands behind others is no requirement.
func (t translator) rest(node ast.Node, clean *bool) []truth {
	switch n := node.(type) {
	case *ast.VariableDeclaratorNode:
		if inner, set, ok := t.with(n); ok && set == nil {
			return inner.rest(n.Expr, clean)
		}
	case *ast.BinaryNode:
		if n.Operator == "&&" || n.Operator == "and" {
			return append(t.rest(n.Left, clean), t.rest(n.Right, clean)...)
		}
		for _, positive := range []bool{true, false} {
			if *clean && (&conjunction{positive: positive}).test(n, positive) != nil {
				return nil
			}
		}
	}
	*clean = *clean && t.harmless(node)
	return []truth{t.truth(node).run}
}

func conjunctionOf(parts []truth) truth {
	return func(v *Vars) bool {
		for _, part := range parts {
			if !part(v) {
				return false
			}
		}
		return true
	}
}

// guard translates the conjuncts of a conjunction from the left for as long as it
// knows them.
func (t translator) guard(node ast.Node) truth {
	if let, ok := node.(*ast.VariableDeclaratorNode); ok {
		if inner, set, ok := t.with(let); ok && set == nil {
			return inner.guard(let.Expr)
		}
		return nil
	}
	n, ok := node.(*ast.BinaryNode)
	if !ok || n.Operator != "&&" && n.Operator != "and" {
		return nil
	}
	if !t.harmless(n.Left) || t.truth(n.Left) == nil {
		return t.guard(n.Left)
	}
	left := t.truth(n.Left).run
	if right := t.guard(n.Right); right != nil {
		return func(v *Vars) bool { return left(v) && right(v) }
	}
	return left
}
