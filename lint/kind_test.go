package lint_test

import (
	"testing"

	"github.com/rampart-edge/rampart/lint"
)

func TestKindOf(t *testing.T) {
	for _, tt := range []struct {
		file, text string
		kind       lint.Kind
		stage      string
	}{
		{"a.yaml", "type: leaky\nfilter: x\n", lint.Scenario, ""},
		{"scenarios/a.yaml", "name: x\n", lint.Scenario, ""},
		{"s02-enrich/a.yaml", "filter: x\nstatics: []\n", lint.Parser, "s02-enrich"},
		{"parsers/s00-raw/author/a.yml", "onsuccess: next_stage\n", lint.Parser, "s00-raw"},
		{"a.yaml", "grok: {}\n", lint.Parser, "s01-parse"},
		{"postoverflows/s01-whitelist/x/a.yaml", "whitelist: {}\n", lint.Postoverflow, "s01-whitelist"},
		{"p.yaml", "name: x\nfilters: []\n", lint.ProfileFile, ""},
		{"p.yaml", "name: x\nparsers: [a/b]\n", lint.Unknown, ""},
		{"p.yaml", "name: [x\n", lint.Unknown, ""},
		{"p.yaml", "", lint.Unknown, ""},
	} {
		kind, stage := lint.KindOf(tt.file, []byte(tt.text))
		if kind != tt.kind || stage != tt.stage {
			t.Errorf("%s %q: %q %q, want %q %q", tt.file, tt.text, kind, stage, tt.kind, tt.stage)
		}
	}
}
