package appliance

import (
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// openSimulation reads what operators chose to simulate in earlier runs.
func (st *state) openSimulation(log *zap.Logger) error {
	s, damaged, err := decisions.OpenSimulation(st.db, time.Now)
	if err != nil {
		return fmt.Errorf("reading what is simulated: %w", err)
	}
	st.simulation = s
	if err := errors.Join(damaged...); err != nil {
		log.Warn("what was chosen to simulate is damaged in part", zap.Error(err))
	}
	return nil
}

// simulated is what the engine asks about alerts under s.
func (st *state) simulated(s *Settings) func(*event.Alert) bool {
	return func(a *event.Alert) bool { return st.simulation.Over(s.simulation).Alert(a) }
}

// simulateLists brings the lists in line with what is chosen and s. It is called
// whenever one of the two changed.
func (st *state) simulateLists(s *Settings) {
	if err := st.book.SimulateLists(st.simulation.Over(s.simulation).List); err != nil && !errors.Is(err, decisions.ErrClosed) {
		s.log.Error("simulating lists", zap.Error(err))
	}
}
