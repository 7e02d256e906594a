package expression

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"
)

func (e *Env) timeFunctions() []function {
	interval := func(name string, f func([]time.Duration) time.Duration) function {
		return function{name, new(func(any) time.Duration), local, func(a args) (any, error) {
			gaps, err := intervals(a[0])
			if err != nil {
				return nil, err
			}
			return f(gaps), nil
		}}
	}
	return []function{
		{"TimeNow", new(func() string), local, func(args) (any, error) {
			return e.now().UTC().Format(time.RFC3339), nil
		}},
		{"ParseUnix", new(func(string) string), local, func(a args) (any, error) {
			s, err := a.text(0)
			if err != nil {
				return nil, err
			}
			whole, _, _ := strings.Cut(s, ".")
			n, err := strconv.ParseInt(whole, 10, 64)
			if err != nil || n <= 0 {
				e.debug("ParseUnix", zap.String("text", s))
				return "", nil
			}
			// CrowdSec compatible: in the zone of the machine.
			return time.Unix(n, 0).Format(time.RFC3339), nil
		}},
		{"now", new(func(...*time.Location) time.Time), local, func(a args) (any, error) {
			// The language's own now reads the wall clock; in a replay that is not now.
			if len(a) > 0 {
				if zone, ok := a[0].(*time.Location); ok && zone != nil {
					return e.now().In(zone), nil
				}
			}
			return e.now(), nil
		}},
		interval("MedianInterval", median),
		interval("AverageInterval", average),
	}
}

// intervals returns the times between neighbours of a list of at least two
// instants, after sorting a copy of it.
func intervals(list any) ([]time.Duration, error) {
	var times []time.Time
	switch l := list.(type) {
	case []time.Time:
		times = slices.Clone(l)
	case []any:
		for i, v := range l {
			t, ok := v.(time.Time)
			if !ok {
				return nil, fmt.Errorf("element %d is %s, a time is needed", i+1, typeName(v))
			}
			times = append(times, t)
		}
	default:
		return nil, fmt.Errorf("the argument is %s, a list of times is needed", typeName(list))
	}
	if len(times) < 2 {
		return nil, fmt.Errorf("at least two times are needed, there are %d", len(times))
	}
	slices.SortFunc(times, time.Time.Compare)
	gaps := make([]time.Duration, len(times)-1)
	for i := range gaps {
		gaps[i] = times[i+1].Sub(times[i])
	}
	return gaps, nil
}

func median(gaps []time.Duration) time.Duration {
	slices.Sort(gaps)
	n := len(gaps)
	if n%2 == 1 {
		return gaps[n/2]
	}
	return (gaps[n/2-1] + gaps[n/2]) / 2
}

func average(gaps []time.Duration) time.Duration {
	var sum time.Duration
	for _, g := range gaps {
		sum += g
	}
	return sum / time.Duration(len(gaps))
}

func (e *Env) decisionFunctions() []function {
	counted := func(name string, f func(value string) any) function {
		return function{name, nil, local, func(a args) (any, error) {
			value, err := a.text(0)
			if err != nil {
				return nil, err
			}
			return f(value), nil
		}}
	}
	total := counted("GetDecisionsCount", func(v string) any { return e.countSince(v, time.Time{}) })
	total.types = new(func(string) int)
	active := counted("GetActiveDecisionsCount", func(v string) any { n, _ := e.active(v); return n })
	active.types = new(func(string) int)
	left := counted("GetActiveDecisionsTimeLeft", func(v string) any { _, d := e.active(v); return d })
	left.types = new(func(string) time.Duration)
	since := function{"GetDecisionsSinceCount", new(func(string, string) int), local, func(a args) (any, error) {
		s, err := a.texts(2)
		if err != nil {
			return nil, err
		}
		d, err := parseDuration(s[1])
		if err != nil {
			e.warnOnce("decision count has a bad duration and answers 0", s[1])
			return 0, nil
		}
		return e.countSince(s[0], e.now().Add(-d)), nil
	}}
	return []function{total, active, left, since}
}

func (e *Env) countSince(value string, since time.Time) int {
	if e.decisions == nil {
		return 0
	}
	return e.decisions.Count(value, since)
}

func (e *Env) active(value string) (int, time.Duration) {
	if e.decisions == nil {
		return 0, 0
	}
	return e.decisions.Active(value)
}

// parseDuration is time.ParseDuration with days: "7d", "1d12h".
func parseDuration(s string) (time.Duration, error) {
	before, after, ok := strings.Cut(s, "d")
	if !ok {
		return time.ParseDuration(s)
	}
	days, err := strconv.ParseFloat(before, 64)
	if err != nil || !(days >= 0 && days <= 100000) { // so written, NaN is refused
		return 0, fmt.Errorf("parsing duration %q: the days are not a number from 0 to 100000", s)
	}
	var rest time.Duration
	if after != "" {
		if rest, err = time.ParseDuration(after); err != nil {
			return 0, fmt.Errorf("parsing duration %q: %w", s, err)
		}
	}
	return time.Duration(days*24*float64(time.Hour)) + rest, nil
}
