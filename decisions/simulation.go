package decisions

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"gopkg.in/yaml.v3"
)

const maxSimulation = 1 << 20 // bytes of a file

// Simulation says what only simulates: alerts and decisions are recorded and
// announced, and enforced by nobody. The zero value simulates nothing.
// Safe for concurrent use as long as nobody changes it.
type Simulation struct {
	On bool // all scenarios but the excluded ones simulate
	// Exclusions are names of scenarios that do the opposite. Beside them, and ours,
	// list:NAME and host:NAME are lists and sites that simulate, whatever On is.
	Exclusions []string
}

// Simulated reports whether a scenario only simulates.
//
// CrowdSec compatible: being excluded turns the general setting around, whichever
// that is.
func (s *Simulation) Simulated(scenario string) bool {
	return s.On != slices.Contains(s.Exclusions, scenario)
}

// simulationSpec is simulation.yaml as it is written. What is absent says nothing.
type simulationSpec struct {
	Simulation *bool     `yaml:"simulation"` // CrowdSec compatible: on, off, yes and no are good words
	Exclusions []located `yaml:"exclusions"`
}

// ReadSimulation reads simulation.yaml at path, and path.local over it where that
// is: what it has replaces the other's, a list as a whole. CrowdSec compatible: keys
// and files. Errors name file and line.
func ReadSimulation(path string) (*Simulation, error) {
	s := &Simulation{}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading simulation: %w", err)
	}
	err = s.merge(path, data)
	local, lerr := os.ReadFile(path + localSuffix)
	switch {
	case lerr == nil:
		err = errors.Join(err, s.merge(path+localSuffix, local))
	case !errors.Is(lerr, fs.ErrNotExist):
		err = errors.Join(err, fmt.Errorf("reading simulation: %w", lerr))
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// merge puts a file over what is known.
func (s *Simulation) merge(path string, data []byte) error {
	if len(data) > maxSimulation {
		return fmt.Errorf("%s: %d bytes, at most %d fit", path, len(data), maxSimulation)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	var spec simulationSpec
	err := dec.Decode(&spec)
	if errors.Is(err, io.EOF) {
		return nil
	}
	in := place{path: path, document: 1}
	var errs []error
	if err != nil {
		errs, _ = yamlFaults(err)
	}
	for _, e := range spec.Exclusions {
		if err := checkText("name of a scenario", e.text, maxText); err != nil {
			errs = append(errs, at(e.line, "exclusions: %w", err))
		}
	}
	if len(errs) == 0 && !errors.Is(dec.Decode(new(yaml.Node)), io.EOF) {
		in.document++
		errs = append(errs, errors.New("one document is expected, found more"))
	}
	if len(errs) > 0 {
		for i := range errs {
			errs[i] = in.fault(errs[i])
		}
		return errors.Join(errs...)
	}
	if spec.Simulation != nil {
		s.On = *spec.Simulation
	}
	if spec.Exclusions != nil {
		s.Exclusions = nil
		for _, e := range spec.Exclusions {
			s.Exclusions = append(s.Exclusions, e.text)
		}
	}
	return nil
}
