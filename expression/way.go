package expression

import "github.com/expr-lang/expr/ast"

// Interpreted reports whether the program needs expr's machine, which takes some ten
// times as long as the closures that all others run as.
func (p *Program) Interpreted() bool { return !p.native.whole() }

// remotes reports whether an expression asks another machine.
func (e *Env) remotes(root ast.Node) bool {
	v := callFinder{names: e.remote}
	ast.Walk(&root, &v)
	return v.found
}

// callFinder looks for calls of functions.
type callFinder struct {
	names map[string]bool
	found bool
}

// Visit implements ast.Visitor.
func (f *callFinder) Visit(n *ast.Node) {
	if call, ok := (*n).(*ast.CallNode); ok {
		if id, ok := call.Callee.(*ast.IdentifierNode); ok && f.names[id.Value] {
			f.found = true
		}
	}
}
