package localapi

import "testing"

// fuzzDesk is a desk for a fuzz target, with machine m of password pw.
func fuzzDesk(f *testing.F) *desk {
	f.Helper()
	d := newDesk(f)
	d.must(d.registry.AddMachine("m", "pw", false))
	return d
}

// on is the desk for one input.
func (d *desk) on(t testing.TB) *desk {
	one := *d
	one.TB = t
	return &one
}
