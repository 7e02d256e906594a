package lint

import (
	"regexp"
	"strings"
)

// written is what parser nodes write, by field: "Meta.log_type", "Parsed.program".
type written struct {
	values map[string]map[string]bool
	open   map[string]bool // written, with values that depend on the event
	all    bool            // something writes where one cannot tell
}

func newWritten() *written {
	return &written{values: map[string]map[string]bool{}, open: map[string]bool{}}
}

// live adds what live requests and challenges carry without any parser.
func (w *written) live() {
	w.value("Meta.service", "http")
	w.value("Meta.log_type", "http_access-log")
	w.value("Meta.log_type", "rampart_captcha")
	for _, key := range []string{"source_ip", "http_path", "http_verb", "http_status", "http_user_agent", "http_args_len",
		"target_fqdn", "sub_type", "captcha_result", "solve_ms"} {
		w.open["Meta."+key] = true
	}
}

// anyParsed stands for all keys of Parsed: groks are made of named patterns that may
// hold captures of their own.
const anyParsed = "Parsed.*"

// of returns the values a field is given; open: others are possible.
func (w *written) of(field string) (values map[string]bool, open bool) {
	return w.values[field], w.all || w.open[field] || w.open[anyParsed] && strings.HasPrefix(field, "Parsed.")
}

// has reports whether the field may be written at all.
func (w *written) has(field string) bool {
	values, open := w.of(field)
	return open || len(values) > 0
}

func (w *written) value(field, v string) {
	if w.values[field] == nil {
		w.values[field] = map[string]bool{}
	}
	w.values[field][v] = true
}

// node adds what a node and those below it write.
func (w *written) node(n *node) {
	w.grok(&n.Grok)
	w.statics(n.Statics)
	w.setters(n.Filter.value)
	for _, c := range n.Nodes {
		w.node(c)
	}
}

func (w *written) grok(g *grok) {
	if !g.empty() {
		w.open[anyParsed] = true
	}
	w.statics(g.Statics)
}

func (w *written) statics(list []static) {
	for i := range list {
		s := &list[i]
		field := ""
		switch {
		case s.Meta.value != "":
			field = "Meta." + s.Meta.value
		case s.Parsed.value != "":
			field = "Parsed." + s.Parsed.value
		case s.Enriched.value != "":
			field = "Enriched." + s.Enriched.value
		case s.Target.value != "":
			field = strings.TrimPrefix(s.Target.value, "evt.")
		}
		w.setters(s.Expression.value)
		switch {
		case field == "":
		case s.Value.value != "":
			w.value(field, s.Value.value)
		default:
			w.expression(field, s.Expression.value)
		}
	}
}

// expression adds what an expression may give: the texts in it, where it is a
// choice between texts; anything, where it is not.
func (w *written) expression(field, source string) {
	results, ok := choices(source)
	if !ok {
		w.open[field] = true
		return
	}
	for _, v := range results {
		w.value(field, v)
	}
}

// setter is a call in a filter or static that writes a field.
var setter = regexp.MustCompile(`\bSet(Meta|Parsed)\(\s*(?:"([^"]*)"|'([^']*)')?`)

func (w *written) setters(source string) {
	for _, m := range setter.FindAllStringSubmatch(source, -1) {
		if key := m[2] + m[3]; key != "" {
			w.open[m[1]+"."+key] = true
		} else {
			w.all = true
		}
	}
	for _, name := range calls(source) {
		if strings.HasPrefix(name, "ParseKV") {
			w.open[anyParsed] = true
		}
	}
}

// plainLiteral is a text in quotes with nothing in it that needs thought.
var plainLiteral = regexp.MustCompile(`^(?:"([^"\\]*)"|'([^'\\]*)')$`)

// choices returns the results of CONDITION ? 'a' : 'b', or of a single text; false
// for any other expression. A branch that is nil writes nothing.
func choices(source string) ([]string, bool) {
	source = strings.TrimSpace(source)
	if m := plainLiteral.FindStringSubmatch(source); m != nil {
		return []string{m[1] + m[2]}, true
	}
	question := topLevel(source, '?')
	if question < 0 {
		return nil, source == "nil"
	}
	rest := source[question+1:]
	colon := topLevel(rest, ':')
	if colon < 0 {
		return nil, false
	}
	a, okA := choices(rest[:colon])
	b, okB := choices(rest[colon+1:])
	return append(a, b...), okA && okB
}

// topLevel is where c first stands outside of quotes and brackets, -1 nowhere.
// What belongs to ?. and ?? and to a ternary inside is passed over.
func topLevel(s string, c byte) int {
	depth, inner := 0, 0
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case b == '"' || b == '\'' || b == '`':
			end := closing(s, i)
			if end < 0 {
				return -1
			}
			i = end
		case strings.IndexByte("([{", b) >= 0:
			depth++
		case strings.IndexByte(")]}", b) >= 0:
			depth--
		case b == '?' && i+1 < len(s) && (s[i+1] == '.' || s[i+1] == '?'):
			i++
		case depth == 0 && b == c && inner == 0:
			return i
		case depth == 0 && b == '?':
			inner++
		case depth == 0 && b == ':' && inner > 0:
			inner--
		}
	}
	return -1
}

// closing is where the text that begins with the quote at i ends, -1 if it does
// not.
func closing(s string, i int) int {
	for j := i + 1; j < len(s); j++ {
		switch {
		case s[j] == '\\' && s[i] != '`':
			j++
		case s[j] == s[i]:
			return j
		}
	}
	return -1
}
