package notify

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
	"gopkg.in/yaml.v3"
)

const (
	defaultTimeout = 5 * time.Second
	maxTimeout     = 5 * time.Minute
	maxWait        = 24 * time.Hour
	maxRetries     = 100
	maxRate        = 10_000
	maxPer         = 7 * 24 * time.Hour
)

// spec is what every receiver's YAML may have. CrowdSec compatible: names, meaning
// and defaults of the keys; group_by, rate and digest are ours.
type spec struct {
	Type           string   `yaml:"type"`
	Name           string   `yaml:"name"`
	LogLevel       string   `yaml:"log_level"`
	Format         string   `yaml:"format"`
	GroupWait      duration `yaml:"group_wait"`
	GroupThreshold int      `yaml:"group_threshold"`
	MaxRetry       int      `yaml:"max_retry"`
	Timeout        duration `yaml:"timeout"`
	GroupBy        words    `yaml:"group_by"`
	Rate           rate     `yaml:"rate"`
	Digest         string   `yaml:"digest"`
}

// The words that group_by takes; read-only.
var groupWords = []string{"as", "country", "machine", "range", "scenario", "site", "source"}

// check finds what is wrong with the keys that all types have.
func (s *spec) check() error {
	switch {
	case s.Name == "":
		return fmt.Errorf("it has no name, so no profile can name it")
	case len(s.Name) > maxName:
		return fmt.Errorf("its name has %d bytes, at most %d fit", len(s.Name), maxName)
	case s.GroupThreshold < 0 || s.GroupThreshold > maxWaiting:
		return fmt.Errorf("group_threshold: %d, expected 0 to %d", s.GroupThreshold, maxWaiting)
	case s.GroupWait > duration(maxWait):
		return fmt.Errorf("group_wait: %s, expected at most %s", time.Duration(s.GroupWait), maxWait)
	case s.MaxRetry < 0 || s.MaxRetry > maxRetries:
		return fmt.Errorf("max_retry: %d, expected 0 to %d", s.MaxRetry, maxRetries)
	case s.Timeout > duration(maxTimeout):
		return fmt.Errorf("timeout: %s, expected at most %s", time.Duration(s.Timeout), maxTimeout)
	}
	for _, w := range s.GroupBy {
		if !slices.Contains(groupWords, w) {
			return fmt.Errorf("group_by: %q, expected some of %s", w, strings.Join(groupWords, ", "))
		}
	}
	if len(s.GroupBy) > 0 && s.GroupWait == 0 && s.GroupThreshold == 0 {
		return fmt.Errorf("group_by has no effect without group_wait or group_threshold: give one of them")
	}
	_, err := s.level()
	return err
}

// rule is how alerts become messages.
func (s *spec) rule() rule {
	return rule{wait: time.Duration(s.GroupWait), threshold: s.GroupThreshold, by: s.GroupBy, rate: s.Rate.n, per: s.Rate.per}
}

// level is the lowest level that is logged; all of them where none is given, so
// that the logger of the process decides.
func (s *spec) level() (zapcore.Level, error) {
	switch strings.ToLower(s.LogLevel) {
	case "", "trace", "debug":
		return zapcore.DebugLevel, nil
	case "info":
		return zapcore.InfoLevel, nil
	case "warn", "warning":
		return zapcore.WarnLevel, nil
	case "error", "fatal", "panic":
		return zapcore.ErrorLevel, nil
	}
	return 0, fmt.Errorf("log_level: %q, expected one of trace, debug, info, warning, error", s.LogLevel)
}

// duration is a Go duration text, zero or more.
type duration time.Duration

// UnmarshalYAML takes texts such as 30s; plain numbers have no unit and are none.
func (d *duration) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		return fmt.Errorf("line %d: expected a duration such as 30s", n.Line)
	}
	v, err := time.ParseDuration(n.Value)
	if err != nil || v < 0 {
		return fmt.Errorf("line %d: %q is no duration; expected one such as 30s", n.Line, n.Value)
	}
	*d = duration(v)
	return nil
}

// words is a text or a list of texts.
type words []string

// UnmarshalYAML takes both forms.
func (w *words) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = words{n.Value}
		return nil
	}
	return n.Decode((*[]string)(w))
}

// rate is a number of messages in a time, written 10/1m or 10/m.
type rate struct {
	n   int
	per time.Duration
}

// UnmarshalYAML takes that form.
func (r *rate) UnmarshalYAML(n *yaml.Node) error {
	count, per, ok := strings.Cut(n.Value, "/")
	var err error
	if ok {
		r.n, err = strconv.Atoi(strings.TrimSpace(count))
	}
	if per = strings.TrimSpace(per); ok && err == nil {
		if per != "" && !strings.ContainsAny(per[:1], "0123456789.") {
			per = "1" + per
		}
		r.per, err = time.ParseDuration(per)
	}
	if !ok || err != nil || r.n < 1 || r.n > maxRate || r.per < time.Second || r.per > maxPer {
		return fmt.Errorf("line %d: rate %q: expected messages per time such as 10/1m, up to %d in up to %s", n.Line, n.Value, maxRate, maxPer)
	}
	return nil
}

// or is a duration, or another where it is zero.
func (d duration) or(other time.Duration) time.Duration {
	return cmp.Or(time.Duration(d), other)
}

// port checks a number for being one.
func port(n int) error {
	if n < 1 || n > math.MaxUint16 {
		return fmt.Errorf("smtp_port: %d, expected 1 to %d", n, math.MaxUint16)
	}
	return nil
}
