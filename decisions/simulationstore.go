package decisions

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rampart-edge/rampart/store"
)

const (
	simulationBucket = "simulation"
	maxChoices       = 1024
)

// SimulationChoice is what an operator said about one selector while the node ran.
type SimulationChoice struct {
	Selector string    `json:"selector"`
	On       bool      `json:"on"`
	By       string    `json:"by,omitempty"`
	At       time.Time `json:"at"`
}

// SimulationStore keeps what operators chose over what files and configuration say.
// It is this node's own: the fleet does not hear of it. Safe for concurrent use; Over
// takes no lock.
type SimulationStore struct {
	db     *store.DB
	now    func() time.Time
	mu     sync.Mutex // of writers
	chosen atomic.Pointer[map[string]SimulationChoice]
}

// OpenSimulation reads what was chosen before. Records that make no sense are left
// alone and named in damaged.
func OpenSimulation(db *store.DB, now func() time.Time) (s *SimulationStore, damaged []error, err error) {
	s = &SimulationStore{db: db, now: now}
	chosen := map[string]SimulationChoice{}
	err = db.Each(simulationBucket, "", func(key string, value []byte) error {
		c, err := readChoice(key, value)
		switch {
		case err != nil:
			damaged = append(damaged, fmt.Errorf("simulation of %.80q: %w", key, err))
		case len(chosen) < maxChoices:
			chosen[key] = c
		}
		return nil
	})
	s.chosen.Store(&chosen)
	return s, damaged, err
}

func readChoice(key string, value []byte) (SimulationChoice, error) {
	var c SimulationChoice
	if err := json.Unmarshal(value, &c); err != nil {
		return c, err
	}
	sel, err := ParseSelector(key)
	if err == nil && (sel != key || c.Selector != key) {
		err = fmt.Errorf("it is of %.80q", c.Selector)
	}
	c.By = tidyText(c.By, maxText)
	return c, err
}

// Set says that what a selector is about simulates, or does not, until Clear. It is
// on disk when Set returns. CrowdSec compatible: to choose for all scenarios (*) takes
// back what was chosen, and what files say, of single ones.
func (s *SimulationStore) Set(selector string, on bool, by string) error {
	sel, err := ParseSelector(selector)
	if err != nil {
		return fmt.Errorf("simulating: %w", err)
	}
	c := SimulationChoice{Selector: sel, On: on, By: tidyText(by, maxText), At: wholeMillis(s.now())}
	value, err := json.Marshal(&c)
	if err != nil {
		return fmt.Errorf("simulating %s: %w", sel, err)
	}
	return s.edit(func(next map[string]SimulationChoice) ([]op, error) {
		ops := []op{{bucket: simulationBucket, key: sel, value: value}}
		for key := range next {
			if sel == SelectAll && key != sel && isScenario(key) {
				delete(next, key)
				ops = append(ops, op{bucket: simulationBucket, key: key})
			}
		}
		if _, had := next[sel]; !had && len(next) >= maxChoices {
			return nil, fmt.Errorf("simulating %s: %d choices were made, no more fit", sel, len(next))
		}
		next[sel] = c
		return ops, nil
	})
}

// Clear takes a choice back, so that files and configuration say again; one that
// was not made is no error.
func (s *SimulationStore) Clear(selector string) error {
	sel, err := ParseSelector(selector)
	if err != nil {
		return fmt.Errorf("simulating: %w", err)
	}
	return s.edit(func(next map[string]SimulationChoice) ([]op, error) {
		delete(next, sel)
		return []op{{bucket: simulationBucket, key: sel}}, nil
	})
}

func (s *SimulationStore) edit(fn func(next map[string]SimulationChoice) ([]op, error)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(*s.chosen.Load())
	ops, err := fn(next)
	if err == nil {
		err = write(s.db, ops...)
	}
	if err == nil {
		s.chosen.Store(&next)
	}
	return err
}

// Choices returns what was chosen, by selector.
func (s *SimulationStore) Choices() []SimulationChoice {
	return slices.SortedFunc(maps.Values(*s.chosen.Load()), func(x, y SimulationChoice) int {
		return strings.Compare(x.Selector, y.Selector)
	})
}

// Over returns what holds: the choices, and where none was made, base.
func (s *SimulationStore) Over(base *Simulation) Simulating {
	return Simulating{base: base, chosen: *s.chosen.Load()}
}
