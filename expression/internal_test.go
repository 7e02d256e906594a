package expression

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/expr-lang/expr/vm"
)

// A pattern that is constant once its functions are evaluated is compiled once.
func TestPatternsAreFolded(t *testing.T) {
	e := New(Options{})
	for source, folded := range map[string]bool{
		`evt.Meta.k matches '^a'`:                 true,
		`evt.Meta.k matches Upper('^a')`:          true,
		`evt.Meta.k matches upper('^a')`:          true,
		`evt.Meta.k matches Lower(Upper('^a'))`:   true,
		`evt.Meta.k matches '^' + Upper('a')`:     true,
		`evt.Meta.k matches Upper('(?i)a')`:       false, // (?I) is no flag
		`evt.Meta.k matches Upper(evt.Parsed.re)`: false,
	} {
		p, err := e.Compile(source, OnEvent, Bool)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got := slices.Contains(p.code.Bytecode, vm.OpMatchesConst); got != folded {
			t.Errorf("%s: folded is %v", source, got)
		}
	}
}

func TestDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"1h": time.Hour, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "0d": 0, "1h30m": 90 * time.Minute,
	} {
		if got, err := parseDuration(s); err != nil || got != want {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "xd", "1d2d", "1dx", "-1d", "NaNd", "1e9d", "5"} {
		if got, err := parseDuration(s); err == nil {
			t.Errorf("%s: %v", s, got)
		}
	}
}

func TestWarningsAreBounded(t *testing.T) {
	e := New(Options{})
	for i := range 3 * maxWarnings {
		e.warnOnce("data file is not loaded", fmt.Sprint(i))
	}
	if n := len(e.warned.said); n != maxWarnings {
		t.Errorf("%d remembered", n)
	}
}

func TestExcerpt(t *testing.T) {
	long := strings.Repeat("é", 100)
	if got := excerpt(long, 101); strings.ContainsRune(got, '\ufffd') || !strings.HasPrefix(got, "`…") || !strings.HasSuffix(got, "…`") {
		t.Error(got)
	}
	if got := excerpt("a\n\t b", 0); got != "`a b`" {
		t.Error(got)
	}
}
