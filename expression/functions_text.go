package expression

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

func textFunctions() []function {
	return []function{
		textToText("Lower", strings.ToLower),
		textToText("Upper", strings.ToUpper),
		textToText("TrimSpace", strings.TrimSpace),
		textsToText("Trim", strings.Trim),
		textsToText("TrimLeft", strings.TrimLeft),
		textsToText("TrimRight", strings.TrimRight),
		textsToText("TrimPrefix", strings.TrimPrefix),
		textsToText("TrimSuffix", strings.TrimSuffix),
		textsToInt("Index", strings.Index),
		textsToInt("IndexAny", strings.IndexAny),
		textsToBool("Match", matchGlob),
		{"Replace", new(func(string, string, string, int) string), pure, func(a args) (any, error) {
			s, err := a.texts(3)
			if err != nil {
				return nil, err
			}
			n, err := a.number(3)
			if err != nil {
				return nil, err
			}
			return strings.Replace(s[0], s[1], s[2], n), nil
		}},
		{"ReplaceAll", new(func(string, string, string) string), pure, func(a args) (any, error) {
			s, err := a.texts(3)
			if err != nil {
				return nil, err
			}
			return strings.ReplaceAll(s[0], s[1], s[2]), nil
		}},
		{"Sprintf", new(func(string, ...any) string), pure, func(a args) (any, error) {
			format, err := a.text(0)
			if err != nil {
				return nil, err
			}
			return fmt.Sprintf(format, a[1:]...), nil
		}},
	}
}

func splitFunctions() []function {
	limited := func(name string, f func(s, sep string, n int) []string) function {
		return function{name, new(func(string, string, int) []string), pure, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			n, err := a.number(2)
			if err != nil {
				return nil, err
			}
			return f(s[0], s[1], n), nil
		}}
	}
	return []function{
		textsToList("Split", strings.Split),
		textsToList("SplitAfter", strings.SplitAfter),
		limited("SplitN", strings.SplitN),
		limited("SplitAfterN", strings.SplitAfterN),
		{"Fields", new(func(string) []string), pure, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			return strings.Fields(s), nil
		}},
		{"Join", new(func([]string, string) string), pure, func(a args) (any, error) {
			list, err := a.list(0)
			if err != nil {
				return nil, err
			}
			sep, err := a.text(1)
			if err != nil {
				return nil, err
			}
			return strings.Join(list, sep), nil
		}},
	}
}

func escapeFunctions() []function {
	return []function{
		textToText("QueryEscape", url.QueryEscape),
		textToText("PathEscape", url.PathEscape),
		textToText("QueryUnescape", func(s string) string { return unescaped(s, url.QueryUnescape) }),
		textToText("PathUnescape", func(s string) string { return unescaped(s, url.PathUnescape) }),
		{"ParseUri", new(func(string) map[string][]string), pure, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			return parseURI(s), nil
		}},
		{"ParseQuery", new(func(string) map[string][]string), pure, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			return parseQuery(s), nil
		}},
		{"ExtractQueryParam", new(func(string, string) []string), pure, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			_, query, _ := strings.Cut(s[0], "?")
			if values := parseQuery(query)[s[1]]; values != nil {
				return values, nil
			}
			return []string{}, nil
		}},
		{"B64Decode", new(func(string) string), pure, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			b, err := base64.StdEncoding.DecodeString(s)
			if err != nil {
				return nil, fmt.Errorf("decoding %d characters: %w", len(s), err)
			}
			return string(b), nil
		}},
	}
}

// unescaped is s decoded. CrowdSec compatible: what does not decode is returned
// as it came, so that filters still see it.
func unescaped(s string, decode func(string) (string, error)) string {
	if out, err := decode(s); err == nil {
		return out
	}
	return s
}

// parseURI returns the parameters of the query of a URI, none where the URI or
// its query is malformed.
func parseURI(uri string) map[string][]string {
	u, err := url.Parse(uri)
	if err != nil {
		return map[string][]string{}
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return map[string][]string{}
	}
	return values
}

// parseQuery returns the parameters of a query as lenient servers see them: only
// & separates, and a piece whose escapes are broken stays as it is.
func parseQuery(query string) map[string][]string {
	out := map[string][]string{}
	for piece := range strings.SplitSeq(query, "&") {
		if piece == "" {
			continue
		}
		key, value, _ := strings.Cut(piece, "=")
		key, value = unescaped(key, url.QueryUnescape), unescaped(value, url.QueryUnescape)
		out[key] = append(out[key], value)
	}
	return out
}

// matchGlob reports whether all of s matches pattern, in which * stands for any
// bytes and ? for one.
func matchGlob(pattern, s string) bool {
	p, i := 0, 0
	star, resume := -1, 0 // the last * and where s goes on if it takes one byte more
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p, i = p+1, i+1
		case star >= 0:
			resume++
			p, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
