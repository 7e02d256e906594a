package spelling_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/spelling"
)

func TestNear(t *testing.T) {
	known := []string{"Upper", "Lower", "rampart/sshd", "rampart/http", "a/one", "a/two", "a/ten", "evt", "upper"}
	for _, c := range []struct{ name, want string }{
		{"rampart/ssh", "rampart/sshd"},
		{"uper", "Upper upper"},
		{"a/ona", "a/one"},
		{"a/xxx", ""},
		{"ev", "evt"},
		{"x", ""},
		{"", ""},
		{"rubbish", ""},
		{strings.Repeat("long", 50), ""},
	} {
		if got := strings.Join(spelling.Near(c.name, slices.Values(known)), " "); got != c.want {
			t.Errorf("%q: %q, not %q", c.name, got, c.want)
		}
	}
	if got := spelling.Near("aab", slices.Values([]string{"aad", "aae", "aac", "aaf"})); strings.Join(got, " ") != "aac aad aae" {
		t.Errorf("of equals: %q", got)
	}
}
