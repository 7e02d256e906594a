package expression

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"strconv"

	"go.uber.org/zap"
)

func listFunctions() []function {
	return []function{
		{"Get", new(func([]string, int) string), pure, func(a args) (any, error) {
			list, err := a.list(0)
			if err != nil {
				return nil, err
			}
			i, err := a.number(1)
			if err != nil {
				return nil, err
			}
			if i < 0 {
				return nil, fmt.Errorf("the index %d is negative", i)
			}
			if i >= len(list) {
				return "", nil
			}
			return list[i], nil
		}},
		{"Flatten", nil, pure, func(a args) (any, error) { return flatten(nil, reflect.ValueOf([]any(a)), 0) }},
		{"Distinct", nil, pure, func(a args) (any, error) {
			if len(a) == 0 {
				return nil, fmt.Errorf("a list is needed")
			}
			v := reflect.ValueOf(a[0])
			if k := v.Kind(); k != reflect.Slice && k != reflect.Array {
				return nil, nil // CrowdSec compatible: no list, no answer
			}
			list := make([]any, v.Len())
			for i := range list {
				list[i] = v.Index(i).Interface()
			}
			return distinct(list), nil
		}},
		{"FlattenDistinct", nil, pure, func(a args) (any, error) {
			list, err := flatten(nil, reflect.ValueOf([]any(a)), 0)
			return distinct(list), err
		}},
	}
}

// flatten appends the leaves of nested lists.
func flatten(out []any, v reflect.Value, depth int) ([]any, error) {
	if depth > 100 {
		return nil, fmt.Errorf("the lists are nested deeper than 100")
	}
	if v.Kind() == reflect.Interface {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return append(out, nil), nil
	case v.Kind() == reflect.Slice, v.Kind() == reflect.Array:
		var err error
		for i := range v.Len() {
			if out, err = flatten(out, v.Index(i), depth+1); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return append(out, v.Interface()), nil
}

// distinct returns the first of all equal elements. Maps and lists, which do not
// compare, are equal to nothing.
func distinct(list []any) []any {
	seen := make(map[any]bool, len(list))
	out := []any{}
	for _, v := range list {
		if v == nil || reflect.ValueOf(v).Comparable() {
			if seen[v] {
				continue
			}
			seen[v] = true
		}
		out = append(out, v)
	}
	return out
}

func (e *Env) numberFunctions() []function {
	return []function{
		{"Atof", new(func(string) float64), local, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			f, err := strconv.ParseFloat(s, 64)
			if err != nil {
				e.debug("Atof", zap.String("text", s))
				return 0.0, nil
			}
			return f, nil
		}},
		{"FloatApproxEqual", new(func(float64, float64) bool), local, func(a args) (any, error) {
			x, ok := a[0].(float64)
			y, ok2 := a[1].(float64)
			if !ok || !ok2 {
				return nil, fmt.Errorf("both arguments must be floats")
			}
			return math.Abs(x-y) < 1e-6, nil
		}},
		{"Distance", new(func(string, string, string, string) float64), local, func(a args) (any, error) {
			s, err := a.texts(4)
			if err != nil {
				return nil, err
			}
			var degrees [4]float64
			for i, text := range s {
				if degrees[i], err = strconv.ParseFloat(text, 64); err != nil {
					return nil, fmt.Errorf("argument %d is not a number: %w", i+1, err)
				}
			}
			return kilometres(degrees[0], degrees[1], degrees[2], degrees[3]), nil
		}},
	}
}

// kilometres is the distance of two points on the surface of the earth, by the
// haversine formula on a sphere. CrowdSec compatible: a point at 0,0 is an
// address that no database knows, and is near everything.
func kilometres(lat1, lon1, lat2, lon2 float64) float64 {
	const radius = 6371
	if lat1 == 0 && lon1 == 0 || lat2 == 0 && lon2 == 0 {
		return 0
	}
	rad := func(deg float64) float64 { return deg * math.Pi / 180 }
	half := func(x float64) float64 { s := math.Sin(x / 2); return s * s }
	h := half(rad(lat2-lat1)) + math.Cos(rad(lat1))*math.Cos(rad(lat2))*half(rad(lon2-lon1))
	return 2 * radius * math.Asin(math.Sqrt(min(h, 1)))
}

func (e *Env) valueFunctions() []function {
	return []function{
		{"ToString", new(func(any) string), local, func(a args) (any, error) {
			s, _ := a[0].(string)
			return s, nil
		}},
		{"KeyExists", new(func(string, map[string]any) bool), local, func(a args) (any, error) {
			key, err := a.text(0)
			if err != nil {
				return nil, err
			}
			m, ok := a[1].(map[string]any)
			if !ok {
				return nil, fmt.Errorf("argument 2 is %s, a map is needed", typeName(a[1]))
			}
			_, ok = m[key]
			return ok, nil
		}},
		{"LogInfo", new(func(string, ...any) bool), local, func(a args) (any, error) {
			format, err := a.text(0)
			if err != nil {
				return nil, err
			}
			e.log.Info("expression says", zap.String("text", fmt.Sprintf(format, a[1:]...)))
			return true, nil
		}},
		{"Hostname", new(func() string), local, func(args) (any, error) { return os.Hostname() }},
	}
}
