package expression

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/tidwall/gjson"
	"go.uber.org/zap"
)

func (e *Env) jsonFunctions() []function {
	return []function{
		{"JsonExtract", new(func(string, string) string), local, func(a args) (any, error) {
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			return jsonExtract(s[0], s[1]), nil
		}},
		{"JsonExtractUnescape", new(func(string, ...string) string), local, func(a args) (any, error) {
			// CrowdSec compatible: one key of the outermost object, never a path.
			s, err := a.texts(2)
			if err != nil {
				return nil, err
			}
			if v := jsonMember(gjson.Parse(s[0]), s[1]); v.Type == gjson.String {
				return v.Str, nil
			}
			return "", nil
		}},
		{"JsonExtractLib", new(func(string, ...string) string), local, func(args) (any, error) {
			// CrowdSec compatible: it is there, and no expression can call it.
			return nil, fmt.Errorf("it cannot be called from expressions: use JsonExtract")
		}},
		{"JsonExtractSlice", new(func(string, string) []any), local, func(a args) (any, error) {
			v, err := e.extract("JsonExtractSlice", a, gjson.Result.IsArray)
			list, _ := v.([]any)
			return list, err
		}},
		{"JsonExtractObject", new(func(string, string) map[string]any), local, func(a args) (any, error) {
			v, err := e.extract("JsonExtractObject", a, gjson.Result.IsObject)
			object, _ := v.(map[string]any)
			return object, err
		}},
		{"ToJsonString", new(func(any) string), local, func(a args) (any, error) {
			b, err := json.Marshal(a[0])
			if err != nil {
				e.debug("ToJsonString", zap.Error(err))
				return "", nil
			}
			return string(b), nil
		}},
	}
}

// decoderFunctions write what they decode into a map, commonly evt.Unmarshaled.
func decoderFunctions() []function {
	decoder := func(name string, decode func(text string, into map[string]any, key string) error) function {
		return function{name, new(func(string, map[string]any, string) error), local, func(a args) (any, error) {
			text, err := a.text(0)
			if err != nil {
				return nil, err
			}
			into, ok := a[1].(map[string]any)
			if !ok || into == nil {
				return nil, fmt.Errorf("argument 2 is %s, a map is needed", typeName(a[1]))
			}
			key, err := a.text(2)
			if err != nil {
				return nil, err
			}
			return nil, decode(text, into, key)
		}}
	}
	return []function{
		decoder("UnmarshalJSON", unmarshalJSON),
		decoder("ParseKV", parseKV),
		decoder("ParseKVLax", parseKVLax),
	}
}

func unmarshalJSON(text string, into map[string]any, key string) error {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return fmt.Errorf("decoding JSON: %w", err)
	}
	into[key] = v
	return nil
}

// jsonExtract returns the value at a path such as a.b[0].c as it stands in text;
// a string loses its quotes and keeps its escapes. "" where there is none.
// CrowdSec compatible in that what follows the value in broken JSON is not
// looked at.
func jsonExtract(text, path string) string {
	v := jsonAt(text, path)
	switch {
	case !v.Exists():
		return ""
	case v.Type == gjson.String:
		if len(v.Raw) < 2 || v.Raw[len(v.Raw)-1] != '"' {
			return "" // it never ends
		}
		return v.Raw[1 : len(v.Raw)-1]
	}
	return v.Raw
}

func jsonAt(text, path string) gjson.Result {
	v := gjson.Parse(text)
	for i, segment := range strings.Split(strings.ReplaceAll(path, "[", ".["), ".") {
		if i == 0 && segment == "" && strings.HasPrefix(path, "[") {
			continue // the path starts with an index
		}
		if !v.Exists() {
			break
		}
		index, ok := strings.CutPrefix(segment, "[")
		if !ok {
			v = jsonMember(v, segment)
			continue
		}
		n, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
		if err != nil || !strings.HasSuffix(index, "]") {
			return gjson.Result{}
		}
		v = jsonElement(v, n)
	}
	return v
}

// jsonMember returns the first value under key of an object.
func jsonMember(v gjson.Result, key string) (found gjson.Result) {
	if !v.IsObject() {
		return gjson.Result{}
	}
	v.ForEach(func(k, val gjson.Result) bool {
		if k.Str != key {
			return true
		}
		found = val
		return false
	})
	return found
}

func jsonElement(v gjson.Result, n int) (found gjson.Result) {
	if !v.IsArray() || n < 0 {
		return gjson.Result{}
	}
	v.ForEach(func(_, val gjson.Result) bool {
		if n > 0 {
			n--
			return true
		}
		found = val
		return false
	})
	return found
}

// extract decodes the value at a path if it is of the right kind, else it returns
// nil.
func (e *Env) extract(name string, a args, right func(gjson.Result) bool) (any, error) {
	s, err := a.texts(2)
	if err != nil {
		return nil, err
	}
	found := jsonAt(s[0], s[1])
	if !right(found) {
		e.debug(name, zap.String("path", s[1]), zap.Stringer("found", found.Type))
		return nil, nil
	}
	var v any
	if err := json.Unmarshal([]byte(found.Raw), &v); err != nil {
		e.debug(name, zap.String("path", s[1]), zap.Error(err))
		return nil, nil
	}
	return v, nil
}
