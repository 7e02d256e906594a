package localapi

import (
	"crypto/hmac"
	"strings"
	"time"

	"go.uber.org/zap"
)

// wasRight tells whether a password was found right for this state of the row.
func (r *Registry) wasRight(m *Machine, mark []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	row := r.machines[m.Name]
	return row != nil && row.verified != nil && row.PasswordHash == m.PasswordHash && hmac.Equal(row.verified, mark)
}

// setRight remembers a password that was found right, as long as the row is the same.
func (r *Registry) setRight(m *Machine, mark []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if row := r.machines[m.Name]; row != nil && row.PasswordHash == m.PasswordHash {
		row.verified = mark
	}
}

// expire removes the rows that were idle for too long.
func (r *Registry) expire() {
	r.mu.Lock()
	idle := r.idle
	r.mu.Unlock()
	now := r.now()
	over := func(last time.Time, after time.Duration) bool { return after > 0 && now.Sub(last) > after }
	gone := r.pruneBouncers(func(b *bouncerRow) bool {
		if b.Auth == AuthTLS {
			return over(b.lastUsed(), idle.BouncerCert)
		}
		return over(b.lastUsed(), idle.BouncerKey)
	})
	if len(gone) > 0 {
		r.logger.Info("bouncers that were idle for too long are removed", zap.String("bouncers", some(gone)))
	}
	gone = r.pruneMachines(func(m *machineRow) bool {
		switch {
		case !m.Validated:
			return over(m.lastUsed(), idle.Unvalidated)
		case m.Auth == AuthTLS:
			return over(m.lastUsed(), idle.MachineCert)
		default:
			return over(m.lastUsed(), idle.MachinePassword)
		}
	})
	if len(gone) > 0 {
		r.logger.Info("machines that were idle for too long are removed", zap.String("machines", some(gone)))
	}
}

// some is enough of a list for a log line.
func some(names []string) string {
	const most = 20
	if len(names) > most {
		return strings.Join(names[:most], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
