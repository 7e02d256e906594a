package lint

import (
	"regexp"
	"strconv"
	"strings"
)

// called is a name with a parenthesis behind it.
var called = regexp.MustCompile(`([A-Za-z_]\w*)\s*\(`)

// calls returns the functions and methods that an expression calls, in order, each
// as often as it is called. What stands in texts does not count.
func calls(source string) []string {
	var names []string
	for _, m := range called.FindAllStringSubmatch(blank(source), -1) {
		switch m[1] {
		case "in", "not", "and", "or", "matches", "contains", "startsWith", "endsWith", "let", "if", "else":
			continue // operators before a parenthesis
		}
		names = append(names, m[1])
	}
	return names
}

// blank returns the expression without what stands in its texts; the quotes stay.
func blank(source string) string {
	out := make([]byte, 0, len(source))
	for i := 0; i < len(source); i++ {
		out = append(out, source[i])
		switch source[i] {
		case '"', '\'', '`':
			end := closing(source, i)
			if end < 0 {
				return string(out)
			}
			out = append(out, source[i])
			i = end
		}
	}
	return string(out)
}

// matched is the text behind the operator matches.
var matched = regexp.MustCompile(`\bmatches\s+("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|` + "`[^`]*`" + `)`)

// unquote is the value of a text as expressions write it.
func unquote(quoted string) (string, bool) {
	switch quoted[0] {
	case '`':
		return strings.Trim(quoted, "`"), true
	case '\'':
		// strconv knows ' for one character only.
		inner := strings.NewReplacer(`\'`, `'`, `\"`, `"`).Replace(quoted[1 : len(quoted)-1])
		quoted = `"` + strings.ReplaceAll(inner, `"`, `\"`) + `"`
	}
	v, err := strconv.Unquote(quoted)
	return v, err == nil
}
