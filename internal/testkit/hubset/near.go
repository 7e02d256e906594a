package hubset

import (
	"bytes"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/expression"
	"github.com/rampart-edge/rampart/internal/testkit"
)

var (
	quoted   = regexp.MustCompile(`'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"`)
	fileName = regexp.MustCompile(`(?:File|RegexpInFile|LookupFile)\(.*?["']([^"']+)["']\)`)
)

// Maker makes events that come close to what expressions look for.
type Maker struct {
	*rand.Rand
	lines map[string][]string // of data files, by name
	all   []string            // constants of all expressions that it was shown
}

// NewMaker returns a maker whose choices follow from a seed.
func NewMaker(tb testing.TB, seed uint64) *Maker {
	tb.Helper()
	m := &Maker{Rand: rand.New(rand.NewPCG(seed, seed)), lines: map[string][]string{}}
	paths, err := filepath.Glob(testkit.Shared(tb, "hub-data") + "/*/*")
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil || !bytes.ContainsRune(data[:min(len(data), 4096)], '\n') {
			continue
		}
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimRight(line, "\n"); line != "" && line[0] != '#' && len(line) < 300 {
				name := strings.TrimPrefix(filepath.Base(p), "http_")
				m.lines[name] = append(m.lines[name], line)
			}
		}
	}
	return m
}

// Constants are the texts in a source, and some lines of the data files that it
// names.
func (m *Maker) Constants(source string) (list []string) {
	for _, q := range quoted.FindAllStringSubmatch(source, -1) {
		list = append(list, strings.NewReplacer(`\\`, `\`, `\'`, `'`, `\"`, `"`).Replace(q[1]+q[2]))
	}
	for _, f := range fileName.FindAllStringSubmatch(source, -1) {
		for _, line := range m.lines[strings.TrimPrefix(f[1], "http_")] {
			list = append(list, strings.NewReplacer(`\b`, "", `\\`, `\`).Replace(line))
			for _, q := range quoted.FindAllStringSubmatch(line, -1) {
				list = append(list, q[2])
			}
		}
	}
	m.all = append(m.all, list[:min(len(list), 30)]...)
	return list
}

// recased changes the letters of a text.
func (m *Maker) recased(s string) string {
	switch m.IntN(8) {
	case 0:
		return strings.ToUpper(s)
	case 1:
		return strings.ToLower(s)
	case 2:
		return strings.Map(func(r rune) rune {
			if m.IntN(2) == 0 {
				return unicode.ToUpper(r)
			}
			return unicode.ToLower(r)
		}, s)
	case 3: // letters that ASCII ones come from or go to
		return strings.NewReplacer("s", "ſ", "k", "\u212a", "i", "ı", "S", "ſ", "I", "İ").Replace(s)
	case 4:
		return url.QueryEscape(s)
	case 5:
		return url.PathEscape(s)
	}
	return s
}

// Text puts together a text of constants.
func (m *Maker) Text(constants []string) string {
	if len(constants) == 0 || m.IntN(8) == 0 {
		constants = m.all
	}
	var b strings.Builder
	for range m.IntN(4) {
		switch m.IntN(6) {
		case 0:
			b.WriteString([]string{"/", "a", "?q=1&", " ", "é", "\xff", "%2", "12", ".php", "K"}[m.IntN(10)])
		default:
			if len(constants) > 0 {
				c := constants[m.IntN(len(constants))]
				if n := len(c); n > 1 && m.IntN(8) == 0 {
					c = c[m.IntN(n):] // nearly
				}
				b.WriteString(m.recased(c))
			}
		}
	}
	return b.String()
}

// Near returns a copy of an event, with fields that p reads changed so that p may
// look at more than its first condition.
func (m *Maker) Near(ev *event.Event, p *expression.Program, constants []string) *event.Event {
	out := ev.Clone()
	if m.IntN(5) > 0 {
		for _, r := range p.Requires() {
			if m.IntN(10) > 0 {
				set(out, r.Field, r.Values[m.IntN(len(r.Values))])
			}
		}
	}
	for _, path := range p.Reads().Paths {
		required := slices.ContainsFunc(p.Requires(), func(r expression.Requirement) bool { return r.Field == path })
		if required && m.IntN(8) > 0 {
			continue
		}
		switch m.IntN(4) {
		case 0:
		case 1:
			if len(constants) > 0 {
				set(out, path, m.recased(constants[m.IntN(len(constants))]))
			}
		default:
			set(out, path, m.Text(constants))
		}
	}
	return out
}

// set writes a field of an event by its path.
func set(ev *event.Event, path, text string) {
	for _, f := range []struct {
		prefix string
		set    func(key, text string)
	}{
		{"Meta.", func(k, t string) { ev.SetMeta(k, t) }}, {"Parsed.", func(k, t string) { ev.SetParsed(k, t) }},
		{"Enriched.", ev.SetEnriched}, {"Line.Labels.", ev.SetLabel},
	} {
		if key, ok := strings.CutPrefix(path, f.prefix); ok {
			f.set(key, text)
			return
		}
	}
	switch path {
	case "Line.Raw":
		ev.Line.Raw = text
	case "Line.Src":
		ev.Line.Src = text
	case "Line.Module":
		ev.Line.Module = text
	case "StrTime":
		ev.StrTime = text
	}
}
