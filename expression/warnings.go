package expression

import (
	"sync"

	"go.uber.org/zap"
)

// warnings remembers what has been said, so that a fault of the configuration
// shows once and not at every event. It is bounded: what does not fit is not said.
type warnings struct {
	mu   sync.Mutex
	said map[string]bool
}

const maxWarnings = 256

func (e *Env) warnOnce(message, subject string, fields ...zap.Field) {
	w := &e.warned
	key := message + "\x00" + subject
	w.mu.Lock()
	known := w.said[key] || len(w.said) >= maxWarnings
	if !known {
		if w.said == nil {
			w.said = map[string]bool{}
		}
		w.said[key] = true
	}
	w.mu.Unlock()
	if !known {
		e.log.Warn(message, append(fields, zap.String("subject", subject))...)
	}
}
