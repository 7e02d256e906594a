package expression

import "testing"

// TestRemote: programs that ask another machine are told from those that do not,
// and those that need the interpreter from those that do not.
func TestRemote(t *testing.T) {
	env := New(Options{})
	for src, want := range map[string]struct{ remote, interpreted bool }{
		"evt.Meta.a == 'b'":                               {false, false},
		"evt.Meta.a == 'LookupHost(x)'":                   {false, false},
		"LookupHost(evt.Meta.a) == ['192.0.2.1']":         {true, true},
		"any(['a'], {'192.0.2.1' in LookupHost(#)})":      {true, true},
		"evt.Meta.a == 'b' && HTTPGet('http://x') != nil": {true, true},
	} {
		p, err := env.Compile(src, OnEvent, Any)
		if err != nil {
			t.Fatal(err)
		}
		if p.Reads().Remote != want.remote {
			t.Errorf("%s: remote %t", src, p.Reads().Remote)
		}
		if p.Interpreted() && !want.interpreted {
			t.Errorf("%s: interpreted", src)
		}
	}
	plain, err := New(Options{Plain: true}).Compile("evt.Meta.a == 'b'", OnEvent, Any)
	if err != nil || !plain.Interpreted() {
		t.Errorf("the plain way: %v", err)
	}
}
