package expression

import (
	"errors"
	"fmt"
	"strings"
)

var errNoPairs = errors.New("there is no key=value pair in the text")

// parseKV puts the pairs of text into the map at into[key]. A value is bare, up
// to white space or the next =, or in double quotes; escapes in quotes stay.
// CrowdSec compatible, also in that a=b=c gives a the value b.
func parseKV(text string, into map[string]any, key string) error {
	pairs, err := pairsAt(into, key)
	if err != nil {
		return err
	}
	found := false
	for i := 0; i < len(text); {
		if isKVSpace(text[i]) || text[i] == '=' {
			i++
			continue
		}
		end := i
		for end < len(text) && text[end] != '=' && !isKVSpace(text[end]) {
			end++
		}
		if end == len(text) || text[end] != '=' {
			i = end
			continue
		}
		name := text[i:end]
		value, next := kvValue(text, end+1)
		i, found = next, true
		pairs[name] = value
	}
	return storePairs(into, key, pairs, found)
}

// kvValue returns the value at i, and where the text goes on after it.
func kvValue(text string, i int) (string, int) {
	if i < len(text) && text[i] == '"' {
		if end := closingQuote(text, i); end > 0 {
			return text[i+1 : end], end + 1
		}
	}
	end := i
	for end < len(text) && text[end] != '=' && !isKVSpace(text[end]) {
		end++
	}
	return text[i:end], end
}

// parseKVLax is parseKV for text whose bare values hold spaces: a value runs to
// the next word that is followed by =. Keys start with a letter or underscore.
// Quoted values lose their escapes.
func parseKVLax(text string, into map[string]any, key string) error {
	pairs, err := pairsAt(into, key)
	if err != nil {
		return err
	}
	found := false
	start, end := nextKey(text, 0)
	for start < len(text) {
		name := text[start:end]
		value := end + 1
		var next int
		if close := closingQuote(text, value); close > 0 {
			pairs[name] = unquoted(text[value+1 : close])
			next = close + 1
		} else {
			next = value
		}
		start, end = nextKey(text, next)
		if next == value {
			pairs[name] = strings.TrimSpace(text[value:start])
		}
		found = true
	}
	return storePairs(into, key, pairs, found)
}

// nextKey returns the bounds of the first key at or after i that begins a word;
// len(text) where there is none.
func nextKey(text string, i int) (start, end int) {
	for ; i < len(text); i++ {
		if i > 0 && !isKVSpace(text[i-1]) || !isKeyStart(text[i]) {
			continue
		}
		end = i
		for end < len(text) && (isKeyStart(text[end]) || strings.IndexByte("0123456789-.", text[end]) >= 0) {
			end++
		}
		if end < len(text) && text[end] == '=' {
			return i, end
		}
	}
	return len(text), len(text)
}

func isKeyStart(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func isKVSpace(c byte) bool {
	return c == ' ' || '\t' <= c && c <= '\r' && c != '\v'
}

// closingQuote returns where the quoted text that starts at i ends, 0 where text
// has no quote at i or it never ends.
func closingQuote(text string, i int) int {
	if i >= len(text) || text[i] != '"' {
		return 0
	}
	for i++; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i
		}
	}
	return 0
}

// unquoted is s without the backslashes that escape.
func unquoted(s string) string {
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
				continue
			case 't':
				b.WriteByte('\t')
				continue
			case 'r':
				b.WriteByte('\r')
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// pairsAt returns the map that an earlier call left at key, or a new one.
func pairsAt(into map[string]any, key string) (map[string]string, error) {
	v, ok := into[key]
	if !ok {
		return map[string]string{}, nil
	}
	pairs, ok := v.(map[string]string)
	if !ok {
		return nil, fmt.Errorf("%q already holds %s: choose another key", key, typeName(v))
	}
	return pairs, nil
}

func storePairs(into map[string]any, key string, pairs map[string]string, found bool) error {
	if !found {
		return errNoPairs
	}
	into[key] = pairs
	return nil
}
