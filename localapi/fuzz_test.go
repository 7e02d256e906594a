package localapi

import (
	"testing"

	"go.uber.org/zap"
)

// fuzzDesk is a desk for a fuzz target, with machine m of password pw, and without the
// disk, which would be most of the work.
func fuzzDesk(f *testing.F) *desk {
	f.Helper()
	d := newDesk(f)
	d.must(d.registry.Close())
	var err error
	d.registry, err = OpenRegistry((&shelf{tables: map[string]map[string][]byte{}}).place(), d.clock.Now, zap.NewNop())
	d.must(err)
	o := d.server.o
	o.Registry, o.Logger = d.registry, zap.NewNop()
	d.server = New(o)
	d.handler = d.server.Handler(true, nil)
	d.must(d.registry.AddMachine("m", "pw", false))
	return d
}

// on is the desk for one input.
func (d *desk) on(t testing.TB) *desk {
	one := *d
	one.TB = t
	return &one
}
