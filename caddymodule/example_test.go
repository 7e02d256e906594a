package caddymodule

import (
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// TestExample: Caddyfile.example is formatted as Caddy formats, and valid; its
// one directory that needs root is exchanged.
func TestExample(t *testing.T) {
	data, err := os.ReadFile("../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	if warning, different := caddyfile.FormattingDifference("Caddyfile.example", data); different {
		t.Errorf("%s:%d: %s", warning.File, warning.Line, warning.Message)
	}
	text := string(data)
	for _, must := range []string{"admin unix/", "trusted_proxies_strict", "(rampart)", "grace_period", "stream_close_delay", "http:// {"} {
		if !strings.Contains(text, must) {
			t.Errorf("no %s", must)
		}
	}
	text = strings.Replace(text, "rampart {\n", "storage file_system "+t.TempDir()+"\n\trampart {\n\t\tdata_dir "+t.TempDir()+"\n\t\tnode example\n", 1)
	if err := validate(t, text); err != nil {
		t.Error(err)
	}
	if users("example") != 0 {
		t.Error("validating kept the node")
	}
}
