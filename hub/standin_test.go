package hub

import (
	"slices"
	"strings"
	"testing"
)

// TestStandIns: of a built-in parser and the Hub's for the same logs one runs; and
// the table names only what there is.
func TestStandIns(t *testing.T) {
	c, err := Open(Options{})
	if err != nil {
		t.Fatal(err)
	}
	all, made := c.builtins(Parsers), map[string]bool{}
	for _, name := range all {
		if len(standIns(name)) == 0 {
			t.Errorf("%s has no stand-in: lines could be parsed twice", name)
		}
		for _, stand := range standIns(name) {
			if made[stand] {
				continue
			}
			made[stand] = true
			c.add(&Item{Kind: Parsers, Name: stand, Stage: "s01-parse", Origin: Hub, file: "parsers/s01-parse/a/" + stem(stand) + ".yaml",
				Path: stand + ".yaml", content: "name: " + stand + "\nonsuccess: next_stage\nstatics:\n  - meta: a\n    value: b\n"})
		}
	}
	names := func(s Selection) []string {
		t.Helper()
		content, err := c.Select(s)
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, i := range content.Items {
			if i.Kind == Parsers {
				list = append(list, i.Name)
			}
		}
		slices.Sort(list)
		return list
	}
	if got := names(Selection{Builtin: true}); !slices.Equal(got, all) {
		t.Errorf("without the Hub's: %v, want %v", got, all)
	}
	got := names(Selection{Builtin: true, Collections: []string{"rampart/sshd"}, Parsers: []string{"crowdsecurity/sshd-logs"}})
	want := slices.DeleteFunc(slices.Concat(all, []string{"crowdsecurity/sshd-logs"}), func(n string) bool { return strings.HasPrefix(n, "rampart/sshd-") })
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("with the Hub's sshd-logs: %v, want %v", got, want)
	}
	for _, name := range names(Selection{Builtin: true, Parsers: []string{"crowdsecurity/syslog-logs"}}) {
		if strings.HasSuffix(name, "syslog") {
			t.Errorf("%s is still there", name)
		}
	}
}
