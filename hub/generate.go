package hub

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// generate writes the assertions that hold of results, in the forms and the order
// that the Hub's tests have.
func generate(results any) string {
	g := &generator{}
	switch r := results.(type) {
	case ParserResults:
		g.parsers(r)
	case OverflowResults:
		g.overflows(r)
	}
	return g.text.String()
}

type generator struct{ text strings.Builder }

// line writes an assertion.
func (g *generator) line(format string, args ...any) { fmt.Fprintf(&g.text, format+"\n", args...) }

func (g *generator) parsers(r ParserResults) {
	g.line("len(results) == %d", len(r))
	for _, stage := range slices.Sorted(maps.Keys(r)) {
		for _, node := range slices.Sorted(maps.Keys(r[stage])) {
			list := fmt.Sprintf("results[%s][%s]", quoted(stage), quoted(node))
			g.line("len(%s) == %d", list, len(r[stage][node]))
			for i := range r[stage][node] {
				g.node(fmt.Sprintf("%s[%d]", list, i), &r[stage][node][i])
			}
		}
	}
}

// node writes what a node left. Of one that failed only that.
func (g *generator) node(at string, r *NodeResult) {
	g.line("%s.Success == %t", at, r.Success)
	if !r.Success {
		return
	}
	at += ".Evt"
	g.texts(at+".Parsed", r.Evt.Parsed)
	g.texts(at+".Meta", r.Evt.Meta)
	g.texts(at+".Enriched", r.Evt.Enriched)
	for _, k := range slices.Sorted(maps.Keys(r.Evt.Unmarshaled)) {
		g.tree(fmt.Sprintf("%s.Unmarshaled[%s]", at, quoted(k)), r.Evt.Unmarshaled[k])
	}
	g.line("%s.Whitelisted == %t", at, r.Evt.Whitelisted)
	if r.Evt.WhitelistReason != "" {
		g.line("%s.WhitelistReason == %s", at, quoted(r.Evt.WhitelistReason))
	}
}

// texts writes the texts of a map that are not empty.
func (g *generator) texts(at string, m map[string]string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if m[k] != "" {
			g.meta(fmt.Sprintf("%s[%s]", at, quoted(k)), k, m[k])
		}
	}
}

// meta writes a text. Of the path of the log only its end: it lies elsewhere on
// every machine.
func (g *generator) meta(at, key, value string) {
	if key == "datasource_path" {
		g.line("basename(%s) == %s", at, quoted(filepath.Base(value)))
		return
	}
	g.line("%s == %s", at, quoted(value))
}

// tree writes the leaves of a decoded tree. Lists are left out: assertions seldom
// mean all of one.
func (g *generator) tree(at string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			g.tree(fmt.Sprintf("%s[%s]", at, quoted(k)), v[k])
		}
	case string:
		g.line("%s == %s", at, quoted(v))
	case bool:
		g.line("%s == %t", at, v)
	case int:
		g.line("%s == %d", at, v)
	case float64:
		g.line("FloatApproxEqual(%s, %s)", at, strconv.FormatFloat(v, 'f', -1, 64))
	}
}

func (g *generator) overflows(r OverflowResults) {
	g.line("len(results) == %d", len(r))
	for i, ev := range r {
		at := fmt.Sprintf("results[%d].Overflow", i)
		for _, key := range ev.Overflow.GetSources() {
			s := ev.Overflow.Sources[key]
			source := fmt.Sprintf("%s.Sources[%s]", at, quoted(key))
			g.line("%s in %s.GetSources()", quoted(key), at)
			g.line("%s.IP == %s", source, quoted(s.IP))
			g.line("%s.Range == %s", source, quoted(s.Range))
			g.line("%s.GetScope() == %s", source, quoted(s.Scope))
			g.line("%s.GetValue() == %s", source, quoted(s.Value))
		}
		for j := range ev.Overflow.Alert.Events {
			for _, m := range ev.Overflow.Alert.Events[j].Meta {
				g.meta(fmt.Sprintf("%s.Alert.Events[%d].GetMeta(%s)", at, j, quoted(m.Key)), m.Key, m.Value)
			}
		}
		g.line("%s.Alert.GetScenario() == %s", at, quoted(ev.Overflow.Alert.GetScenario()))
		g.line("%s.Alert.Remediation == %t", at, ev.Overflow.Alert.Remediation)
		g.line("%s.Alert.GetEventsCount() == %d", at, ev.Overflow.Alert.GetEventsCount())
	}
}

// quoted writes a text as the expression language reads it. Only quotes and
// backslashes are escaped where that is enough, as in the Hub's tests.
func quoted(text string) string {
	for i := range len(text) {
		if text[i] < ' ' || text[i] == 0x7f {
			return strconv.Quote(text)
		}
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
