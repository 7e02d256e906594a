package expression

import (
	"fmt"
	"maps"
	"path/filepath"

	"github.com/expr-lang/expr/builtin"
)

// resultsVars are the variables of an assertion of a Hub test (OnResults). What
// results is made of shows when the assertion runs.
type resultsVars struct {
	Results any `expr:"results"`
}

// withBasename returns functions with basename beside them, which assertions alone
// have: the last element of a path.
func withBasename(functions map[string]*builtin.Function) map[string]*builtin.Function {
	out := maps.Clone(functions)
	out["basename"] = &builtin.Function{
		Name: "basename",
		Func: func(a ...any) (any, error) {
			if len(a) != 1 {
				return nil, fmt.Errorf("basename takes one path, not %d", len(a))
			}
			text, ok := a[0].(string)
			if !ok {
				return nil, fmt.Errorf("basename takes a path, not %s", typeName(a[0]))
			}
			return filepath.Base(text), nil
		},
	}
	return out
}
