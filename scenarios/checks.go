package scenarios

import (
	"fmt"
	"time"

	"github.com/rampart-edge/rampart/expression"
)

// numbers checks what each type asks of its numbers.
func (c *compiler) numbers(s *Scenario) {
	s.Blackhole = c.duration("blackhole", c.spec.Blackhole)
	s.LeakSpeed = c.duration("leakspeed", c.spec.LeakSpeed)
	s.Duration = c.duration("duration", c.spec.Duration)
	if c.spec.CacheSize < 0 {
		c.fail("cache_size", "invalid cache_size '%d': must be >= 0", c.spec.CacheSize)
	}
	switch s.Type {
	case Trigger:
		// CrowdSec compatible: a trigger overflows before either would matter.
		s.Duration = 0
		if s.Capacity != 0 {
			c.fail("capacity", "invalid capacity '%d': must be 0", s.Capacity)
		}
	case Counter:
		c.unbounded(s)
		if s.Duration == 0 && !c.blamed("duration") {
			c.fail("duration", "duration is required")
		}
	case Leaky:
		if s.Capacity <= 0 {
			c.fail("capacity", "invalid capacity '%d': must be > 0", s.Capacity)
		}
		c.leakspeed(s)
	case Conditional:
		switch {
		case s.Capacity < -1:
			c.fail("capacity", "invalid capacity '%d': must be -1", s.Capacity)
		case s.Capacity != -1:
			c.warn("capacity", "capacity '%d' bounds what the condition sees to %d events: write -1 for all", s.Capacity, s.Capacity+1)
		}
		c.leakspeed(s)
	case Bayesian:
		c.unbounded(s)
		// CrowdSec loads one without a leakspeed and ends at its first event.
		c.leakspeed(s)
	}
}

func (c *compiler) unbounded(s *Scenario) {
	switch {
	case s.Capacity == -1:
	case s.Type == Bayesian:
		c.fail("capacity", "capacity must be -1")
	default:
		c.fail("capacity", "invalid capacity '%d': must be -1", s.Capacity)
	}
}

func (c *compiler) leakspeed(s *Scenario) {
	switch {
	case c.spec.LeakSpeed == "":
		c.fail("leakspeed", "leakspeed is required")
	case s.LeakSpeed == 0 && !c.blamed("leakspeed"):
		c.fail("leakspeed", "invalid leakspeed '%s': must be > 0", c.spec.LeakSpeed)
	case s.LeakSpeed > 0 && s.LeakSpeed < time.Microsecond:
		c.fail("leakspeed", "invalid leakspeed '%s': must be at least 1us", c.spec.LeakSpeed)
	case s.Capacity > 0 && s.LeakSpeed > 0 && float64(s.LeakSpeed)*float64(s.Capacity+1) > float64(longest):
		c.fail("capacity", "capacity × leakspeed is longer than 100 years: lower one of them")
	}
}

// judge compiles condition and bayesian_…, which may stand on any type but have no
// effect on a trigger. CrowdSec compatible: a threshold makes any type bayesian.
func (c *compiler) judge(s *Scenario) {
	j := &judge{}
	if s.Type == Conditional && c.spec.Condition == "" {
		c.fail("condition", "a condition is required")
	}
	if c.spec.Condition != "" {
		j.condition = c.condition("condition", c.spec.Condition)
	}
	if s.Type == Bayesian {
		c.probabilities()
	}
	if s.Type == Bayesian || c.spec.BayesianThreshold != 0 {
		j.bayes = c.bayes()
	}
	if s.Type != Trigger && (j.condition != nil || j.bayes != nil) {
		s.judge = j
	}
}

func (c *compiler) probabilities() {
	if len(c.spec.BayesianConditions) == 0 {
		c.fail("bayesian_conditions", "bayesian conditions are required")
	}
	// Written so that a number that is none fails.
	if p := c.spec.BayesianPrior; !(p > 0 && p <= 1) {
		c.fail("bayesian_prior", "invalid prior: must be > 0 and <= 1")
	}
	if t := c.spec.BayesianThreshold; t == 0 || !(t <= 1) {
		c.fail("bayesian_threshold", "invalid threshold: must be > 0 and <= 1")
	}
}

func (c *compiler) bayes() *bayes {
	b := &bayes{prior: c.spec.BayesianPrior, threshold: c.spec.BayesianThreshold}
	if n := len(c.spec.BayesianConditions); n > mostBeliefs {
		c.fail("bayesian_conditions", "%d bayesian conditions: at most %d are possible", n, mostBeliefs)
		return b
	}
	for i, spec := range c.spec.BayesianConditions {
		key := fmt.Sprintf("bayesian_conditions.%d", i)
		if spec.Condition == "" {
			c.fail(key, "a condition is required")
			continue
		}
		b.beliefs = append(b.beliefs, belief{
			condition: c.condition(key, spec.Condition),
			evil:      spec.ProbGivenEvil, benign: spec.ProbGivenBenign, guillotine: spec.Guillotine,
		})
	}
	return b
}

func (c *compiler) condition(key, src string) *expression.Condition {
	p, err := c.env.CompileCondition(src)
	if err != nil {
		c.fail(key, "compiling condition: %w", err)
		return nil
	}
	return p
}

func (c *compiler) warn(key, format string, args ...any) {
	c.faults = append(c.faults, fault{key: key, warn: true, err: fmt.Errorf(format, args...)})
}
