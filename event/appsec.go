package event

import (
	"fmt"
	"regexp"
	"slices"
)

// Appsec is what a WAF found in a request; filled by later layers. Expressions call
// the methods of MatchedRules on it as well: evt.Appsec.GetName().
type Appsec struct {
	HasInBandMatches  bool
	HasOutBandMatches bool
	MatchedRules
	Vars     map[string]string
	HookVars map[string]string
}

// GetVar returns a variable that the rules left, "" where there is none.
func (a Appsec) GetVar(name string) string { return a.Vars[name] }

// MatchedRules are the rules that matched, in the order they did. Each is a map: id
// (int), name, uri, method, hash, version, kind, rule_type, msg, severity, accuracy,
// confidence, revision, secmark, file (texts), severity_int (int), disruptive (bool),
// tags and matched_zones (lists of text). A key may be missing, or hold something
// else; it then counts as empty.
type MatchedRules []map[string]any

// text returns a text of the first rule.
func (m MatchedRules) text(key string) string {
	if len(m) == 0 {
		return ""
	}
	s, _ := m[0][key].(string)
	return s
}

// GetName returns the name of the first rule, "" where there is none.
func (m MatchedRules) GetName() string { return m.text("name") }

// GetURI returns the URI that the first rule matched, "" where there is none.
func (m MatchedRules) GetURI() string { return m.text("uri") }

// GetMethod returns the HTTP method that the first rule matched, "" where there is
// none.
func (m MatchedRules) GetMethod() string { return m.text("method") }

// GetHash returns the hash of the first rule, "" where there is none.
func (m MatchedRules) GetHash() string { return m.text("hash") }

// GetVersion returns the version of the first rule, "" where there is none.
func (m MatchedRules) GetVersion() string { return m.text("version") }

// GetField returns what each rule has under key, nil where it has nothing.
func (m MatchedRules) GetField(key string) []any {
	out := make([]any, len(m))
	for i, rule := range m {
		out[i] = rule[key]
	}
	return out
}

// GetNames returns the names that the rules have.
func (m MatchedRules) GetNames() []string {
	out := []string{}
	for _, rule := range m {
		if name, ok := rule["name"].(string); ok {
			out = append(out, name)
		}
	}
	return out
}

// GetRuleIDs returns the numbers that the rules have.
func (m MatchedRules) GetRuleIDs() []int {
	out := []int{}
	for _, rule := range m {
		if id, ok := rule["id"].(int); ok {
			out = append(out, id)
		}
	}
	return out
}

// Kinds returns the kinds that the rules have, each once.
func (m MatchedRules) Kinds() []string {
	out := []string{}
	for _, rule := range m {
		if kind, ok := rule["kind"].(string); ok && !slices.Contains(out, kind) {
			out = append(out, kind)
		}
	}
	return out
}

// GetMatchedZones returns where in requests the rules matched, each place once.
func (m MatchedRules) GetMatchedZones() []string {
	out := []string{}
	for _, rule := range m {
		for _, zone := range texts(rule["matched_zones"]) {
			if !slices.Contains(out, zone) {
				out = append(out, zone)
			}
		}
	}
	return out
}

// Severity counts as ModSecurity does: 0 is the gravest.
type Severity int

// NoSeverity is the severity of no rule.
const NoSeverity Severity = 255

// String returns the name, "" for a number that has none.
func (s Severity) String() string {
	names := [...]string{"emergency", "alert", "critical", "error", "warning", "notice", "info", "debug"}
	if s < 0 || int(s) >= len(names) {
		return ""
	}
	return names[s]
}

// GetHighestSeverity returns the gravest severity_int, NoSeverity where there is none.
func (m MatchedRules) GetHighestSeverity() Severity {
	highest := NoSeverity
	for _, rule := range m {
		if n, ok := rule["severity_int"].(int); ok {
			highest = min(highest, Severity(n))
		}
	}
	return highest
}

// ByID returns the rules with that number.
func (m MatchedRules) ByID(id int) MatchedRules { return by(m, "id", id) }

// ByKind returns the rules of that kind.
func (m MatchedRules) ByKind(kind string) MatchedRules { return by(m, "kind", kind) }

// BySeverity returns the rules of that severity, by its name.
func (m MatchedRules) BySeverity(name string) MatchedRules { return by(m, "severity", name) }

// ByAccuracy returns the rules of that accuracy.
func (m MatchedRules) ByAccuracy(accuracy string) MatchedRules { return by(m, "accuracy", accuracy) }

// ByDisruptiveness returns the rules that stop requests, or those that do not.
func (m MatchedRules) ByDisruptiveness(is bool) MatchedRules { return by(m, "disruptive", is) }

// ByTag returns the rules that have the tag.
func (m MatchedRules) ByTag(tag string) MatchedRules {
	return m.tagged(func(t string) bool { return t == tag })
}

// ByTags returns the rules that have any of the tags.
func (m MatchedRules) ByTags(tags []string) MatchedRules {
	return m.tagged(func(t string) bool { return slices.Contains(tags, t) })
}

// ByTagRx returns the rules that have a tag that the pattern matches. The error is
// that of a malformed pattern.
func (m MatchedRules) ByTagRx(pattern string) (MatchedRules, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("compiling a pattern of tags: %w", err)
	}
	return m.tagged(re.MatchString), nil
}

func (m MatchedRules) tagged(is func(tag string) bool) MatchedRules {
	out := MatchedRules{}
	for _, rule := range m {
		if slices.ContainsFunc(texts(rule["tags"]), is) {
			out = append(out, rule)
		}
	}
	return out
}

func by[T comparable](m MatchedRules, key string, value T) MatchedRules {
	out := MatchedRules{}
	for _, rule := range m {
		if v, ok := rule[key].(T); ok && v == value {
			out = append(out, rule)
		}
	}
	return out
}

// texts returns a list of texts, as Go has it or as JSON decodes it.
func texts(v any) []string {
	switch l := v.(type) {
	case []string:
		return l
	case []any:
		var out []string
		for _, e := range l {
			if s, ok := e.(string); ok {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}
