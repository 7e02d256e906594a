package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestValidateBeside: validating a configuration while a node runs on the same data
// directory reads and writes nothing there, whatever the configuration says.
func TestValidateBeside(t *testing.T) {
	n := newRestarting(t)
	n.login("203.0.113.1", 5)
	until(t, "the node rests", func() bool { return n.status().Buckets.Buckets == 1 })
	time.Sleep(1500 * time.Millisecond) // what it writes once a second is written
	before := filesBelow(t, n.path("state"))
	for _, c := range []struct{ name, text, wrong string }{
		{"as it runs", restarting, ""},
		{"a node of its own", strings.Replace(restarting, "data_dir", "node second\n\t\tdata_dir", 1), ""},
		{"another directory", strings.Replace(restarting, "{state}", "{dir}/never/made", 1), ""},
		{"with a firewall", strings.Replace(restarting, "collection none", "firewall {\n\t\tmode nftables\n\t\ttable rampart_never\n\t\t}", 1), ""},
		{"bad", strings.Replace(restarting, "collection none", "allow nonsense", 1), "nonsense"},
	} {
		n.write("Validate", n.expand(c.text))
		out, err := n.command("validate", "--config", n.path("Validate"), "--adapter", "caddyfile").CombinedOutput()
		if (err != nil) != (c.wrong != "") || !strings.Contains(string(out), c.wrong) {
			t.Errorf("%s: %v\n%s", c.name, err, out)
		}
	}
	if diff := cmp.Diff(before, filesBelow(t, n.path("state"))); diff != "" {
		t.Errorf("the data directory changed:\n%s", diff)
	}
	if _, err := os.Stat(n.path("never")); err == nil {
		t.Error("validating made a directory")
	}
	if a := n.login("203.0.113.1", 1); a.remediation() != "ban" {
		t.Errorf("the sixth request met %q", a.remediation())
	}
	if s := n.status(); len(s.Problems) != 0 || s.Node != "default" {
		t.Errorf("node %s, problems %q", s.Node, s.Problems)
	}
}

// filesBelow describes every file below dir: size, mode, content, and when it was
// written, where the running node does not write by itself what has not changed.
func filesBelow(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content, when := "", time.Time{}
		if !d.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content = fmt.Sprintf("%x", b)
			if d.Name() != "positions.json" {
				when = info.ModTime()
			}
		}
		out[path] = fmt.Sprint(info.Mode(), info.Size(), when, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
