package decisions

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/rampart-edge/rampart/expression"
)

const (
	maxProfiles     = 1 << 20 // bytes of a file
	defaultDuration = 4 * time.Hour
)

//go:embed profiles.yaml
var defaultProfiles []byte

// DefaultProfiles returns the file of profiles for those who have none, with
// comments for operators.
func DefaultProfiles() []byte { return bytes.Clone(defaultProfiles) }

// Profiles turn alerts into decisions. Immutable and safe for concurrent use.
type Profiles struct{ list []*profile }

// profile is one compiled document.
type profile struct {
	name         string
	filters      []*expression.Program
	decisions    []measure
	durationExpr *expression.Program
	stop         bool   // on_success: break
	onError      string // see Decide
}

// measure is one entry of decisions.
type measure struct {
	kind, scope, origin, value string
	duration                   time.Duration // 0: none given
	simulated                  bool
}

// LoadProfiles compiles a file of one or more YAML documents, a profile each; path
// is for errors, which name it and the line. One bad profile makes the whole file
// an error, all its faults told at once: half of the profiles could decide
// something else than all of them.
func LoadProfiles(path string, data []byte, env *expression.Env) (*Profiles, error) {
	if len(data) > maxProfiles {
		return nil, fmt.Errorf("%s: %d bytes, at most %d fit", path, len(data), maxProfiles)
	}
	p := &Profiles{}
	var errs []error
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	for {
		var spec *profileSpec
		err := dec.Decode(&spec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			errs = append(errs, err)
			var wrongType *yaml.TypeError
			if errors.As(err, &wrongType) {
				continue
			}
			break // what follows a syntax error cannot be trusted
		}
		if spec == nil {
			continue
		}
		one, faults := spec.compile(env)
		p.list = append(p.list, one)
		errs = append(errs, faults...)
	}
	if len(errs) == 0 && len(p.list) == 0 {
		errs = append(errs, errors.New("no profile in it: nothing would ever be decided"))
	}
	if len(errs) > 0 {
		return nil, explain(path, errs)
	}
	return p, nil
}

// compile makes the profile; it is usable only if there are no faults.
func (s *profileSpec) compile(env *expression.Env) (*profile, []error) {
	errs := s.check()
	p := &profile{name: s.Name.text, stop: s.OnSuccess.text == "break", onError: s.OnError.text}
	for _, f := range s.Filters {
		prog, err := env.Compile(f.text, expression.OnAlert, expression.Bool)
		if err != nil {
			errs = append(errs, at(f.line, "filter of profile %q: %w", p.name, err))
		}
		p.filters = append(p.filters, prog)
	}
	if s.DurationExpr.text != "" {
		prog, err := env.Compile(s.DurationExpr.text, expression.OnAlert, expression.Any)
		if err != nil {
			errs = append(errs, at(s.DurationExpr.line, "duration_expr of profile %q: %w", p.name, err))
		}
		p.durationExpr = prog
	}
	for _, d := range s.Decisions {
		m := measure{kind: d.Type.text, scope: d.Scope, origin: OriginLocal, value: d.Value, simulated: d.Simulated}
		if d.Origin != "" {
			// CrowdSec compatible.
			m.origin += "/" + d.Origin
		}
		m.duration, _ = ParseDuration(d.Duration.text) // checked; zero where there is none
		p.decisions = append(p.decisions, m)
	}
	return p, errs
}

// explain puts path before every fault, "path:line: …" where a line is known.
func explain(path string, errs []error) error {
	out := make([]error, len(errs))
	for i, err := range errs {
		var located *lineError
		if errors.As(err, &located) {
			out[i] = fmt.Errorf("%s:%d: %w", path, located.line, located.err)
			continue
		}
		// The YAML package says "line 3: …", in several lines if there are several.
		text := strings.TrimPrefix(strings.TrimPrefix(err.Error(), "yaml: "), "unmarshal errors:\n  ")
		out[i] = fmt.Errorf("%s: %s", path, strings.ReplaceAll(text, "\n  ", "; "))
	}
	return errors.Join(out...)
}
