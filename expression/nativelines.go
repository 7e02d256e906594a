package expression

import "github.com/expr-lang/expr/ast"

// lines are what a closure goes over: constants, or the lines of a data file.
type lines struct {
	constant []string
	file     string
}

func (l lines) of(files *registry) []string {
	if l.file == "" {
		return l.constant
	}
	if f := files.files[l.file]; f != nil && f.kind == "string" {
		return f.lines.([]string)
	}
	return nil
}

// fileWeight stands for the shortest line of a file, which is not known yet.
const fileWeight = 5

func (l lines) weight() int {
	if l.file != "" {
		return fileWeight
	}
	weight := mostWeight
	for _, s := range l.constant {
		weight = min(weight, len(s))
	}
	return weight
}

// current returns the lines, and the file they are from.
func (l lines) current(e *Env) ([]string, *dataFile) {
	if l.file == "" {
		return l.constant, nil
	}
	f := e.file(l.file, "string")
	if f == nil {
		return nil, nil
	}
	return f.lines.([]string), f
}

// fileName is the name in File('…').
func (t translator) fileName(node ast.Node) (string, bool) {
	call, ok := node.(*ast.CallNode)
	if !ok || !isVariable(call.Callee, "File") || len(call.Arguments) != 1 {
		return "", false
	}
	name := t.words(call.Arguments[0])
	if name == nil || !name.constant {
		return "", false
	}
	return name.value, true
}

// inFile is text in File('…').
func (t translator) inFile(n *ast.BinaryNode) *test {
	name, ok := t.fileName(n.Right)
	x := t.words(n.Left)
	if n.Operator != "in" || !ok || x == nil {
		return nil
	}
	return &test{run: func(v *Vars) bool {
		s := x.read(v)
		f := t.env.file(name, "string")
		if v.run.fault != nil || f == nil {
			return false
		}
		_, found := f.set()[s]
		return found
	}}
}
