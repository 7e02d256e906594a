package scenarios

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/rampart-edge/rampart/expression"
)

// longest bounds capacity × leakspeed, so that neither nanoseconds in 64 bits nor
// microseconds in a double (as Redis scripts count) can overflow.
const longest = 100 * 365 * 24 * time.Hour

// fault is one thing wrong with a document and the key to blame.
type fault struct {
	key  string
	warn bool
	err  error
}

type compiler struct {
	spec   *Spec
	env    *expression.Env
	faults []fault
}

// compile makes the scenario of a document; it is usable unless a fault that is
// more than a warning comes with it. All faults are found in one go.
func compile(spec *Spec, item Item, env *expression.Env) (*Scenario, []fault) {
	c := &compiler{spec: spec, env: env}
	if !c.known() {
		return nil, c.faults
	}
	s := &Scenario{
		Name: spec.Name, Description: spec.Description, Type: spec.Type, Path: item.Path, Version: item.Version,
		Filter: spec.Filter, GroupBy: spec.GroupBy, Capacity: spec.Capacity, CacheSize: spec.CacheSize,
		Labels: spec.Labels, Reprocess: spec.Reprocess, Scope: spec.Scope.Type,
	}
	if item.Own {
		s.Version = ""
	}
	c.texts(s, item.Own)
	c.numbers(s)
	c.data()
	c.programs(s)
	c.scope(s)
	if len(c.faults) > 0 && c.bad() {
		return nil, c.faults
	}
	s.seal(spec)
	return s, c.faults
}

func (c *compiler) fail(key, format string, args ...any) {
	c.faults = append(c.faults, fault{key: key, err: fmt.Errorf(format, args...)})
}

func (c *compiler) bad() bool {
	for _, f := range c.faults {
		if !f.warn {
			return true
		}
	}
	return false
}

// known checks format and type first: for what is not ours to run, no other
// complaint makes sense.
func (c *compiler) known() bool {
	if err := checkFormat(c.spec.Format); err != nil {
		c.fail("format", "%w", err)
		return false
	}
	switch c.spec.Type {
	case Leaky, Trigger, Counter, Conditional, Bayesian:
		return true
	case "":
		c.fail("type", "type is missing: write leaky, trigger, counter, conditional or bayesian")
	default:
		c.fail("type", "invalid type '%s': write leaky, trigger, counter, conditional or bayesian", c.spec.Type)
	}
	return false
}

// checkFormat accepts 1.0 to 3.0. CrowdSec compatible.
func checkFormat(format string) error {
	if format == "" {
		return nil
	}
	parts := strings.Split(strings.TrimPrefix(format, "v"), ".")
	if len(parts) > 3 {
		return fmt.Errorf("invalid format '%s': write a version from 1.0 to 3.0", format)
	}
	var n [3]int
	for i, p := range parts {
		v, err := strconv.Atoi(p)
		if err != nil || v < 0 {
			return fmt.Errorf("invalid format '%s': write a version from 1.0 to 3.0", format)
		}
		n[i] = v
	}
	if n[0] < 1 || n[0] > 3 || n[0] == 3 && (n[1] > 0 || n[2] > 0) {
		return fmt.Errorf("format '%s' is not supported: 1.0 to 3.0 are", format)
	}
	return nil
}

func (c *compiler) texts(s *Scenario, own bool) {
	if s.Name == "" {
		c.fail("name", "name is missing: write author/what-it-detects")
	}
	if s.Description == "" && !own {
		c.fail("description", "description is mandatory")
	}
	switch v, ok := s.Labels["remediation"]; {
	case !ok:
		s.Remediation = own
	default:
		// CrowdSec compatible: the text "true" does not count.
		s.Remediation = v == true
	}
}

func (c *compiler) blamed(key string) bool {
	for _, f := range c.faults {
		if f.key == key {
			return true
		}
	}
	return false
}

func (c *compiler) duration(key, text string) time.Duration {
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		what := strings.TrimPrefix(key+" duration", "duration ")
		c.fail(key, "%s not valid '%s': write a number with ms, s, m or h, such as 90s", what, text)
	case d < 0:
		c.fail(key, "invalid %s '%s': must not be negative", key, text)
	case d > longest:
		c.fail(key, "invalid %s '%s': longer than 100 years", key, text)
	default:
		return d
	}
	return 0
}

// data registers data files. CrowdSec compatible: a missing file is no reason not
// to load the scenario, its helpers then answer as if it were empty.
func (c *compiler) data() {
	for i, d := range c.spec.Data {
		err := errors.New("data file without dest_file is ignored")
		if d.DestFile != "" {
			if err = c.env.AddData(d); err == nil {
				continue
			}
		}
		c.warn(fmt.Sprintf("data.%d", i), "%w", err)
	}
}

func (c *compiler) programs(s *Scenario) {
	if c.spec.Filter == "" {
		c.fail("filter", "missing filter directive")
	}
	s.filter = c.program("filter", c.spec.Filter, expression.OnEvent, expression.Bool)
	s.groupBy = newText(c.program("groupby", c.spec.GroupBy, expression.OnEvent, expression.String))
	s.distinct = newText(c.program("distinct", c.spec.Distinct, expression.OnEvent, expression.Any))
	s.cancelOn = c.program("cancel_on", c.spec.CancelOn, expression.OnEvent, expression.Bool)
	s.overflowFilter = c.program("overflow_filter", c.spec.OverflowFilter, expression.OnOverflow, expression.Bool)
	c.judge(s)
}

func (c *compiler) program(key, src string, on expression.On, kind expression.Kind) *expression.Program {
	if src == "" {
		return nil
	}
	p, err := c.env.Compile(src, on, kind)
	if err != nil {
		c.fail(key, "compiling %s: %w", key, err)
		return nil
	}
	return p
}

func (c *compiler) scope(s *Scenario) {
	text := c.spec.Scope.Expression
	switch s.Scope {
	case "", ScopeIP:
		s.Scope = ScopeIP
		if text != "" {
			c.fail("scope.expression", "filter is not allowed for IP scope: remove scope.expression")
		}
		return
	case ScopeRange:
	default:
		if text == "" {
			c.fail("scope.type", "filter is mandatory for non-IP, non-Range scope: write scope.expression")
		}
	}
	s.scopeValue = c.program("scope.expression", text, expression.OnEvent, expression.Any)
}
