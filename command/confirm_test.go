package command

import (
	"bytes"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestConfirm: nothing but a yes is one, and where nobody can be asked nobody is.
func TestConfirm(t *testing.T) {
	for answer, want := range map[string]bool{"y\n": true, "Yes\n": true, "yes": true, "n\n": false, "\n": false, "": false, "yesterday\n": false} {
		var out bytes.Buffer
		cmd := &cobra.Command{}
		cmd.SetIn(strings.NewReader(answer))
		cmd.SetErr(&out)
		c := &call{cmd: cmd}
		if got := c.confirm("Delete?"); got != want || out.String() != "Delete? [y/N] " {
			t.Errorf("%q: %v after %q", answer, got, out.String())
		}
		if c.asks() {
			t.Error("a text is no terminal")
		}
	}
}
