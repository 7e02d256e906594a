package appliance

import (
	"bytes"
	"slices"
	"sync/atomic"
	"time"

	"github.com/rampart-edge/rampart/decisions"
)

// maxMinters bounds how many secrets incident ids are opened with: each of them
// takes one made-up id in 65,536 for its own.
const maxMinters = 4

// minters make incident ids with the secret in force, and open those that were made
// with secrets of before as well: a visitor may ask days later. One goroutine at a
// time may call use; all else is safe for concurrent use.
type minters struct {
	secrets [][]byte // newest first
	made    atomic.Pointer[[]*decisions.Minter]
}

// use makes secret the one in force.
func (m *minters) use(secret []byte) {
	m.secrets = slices.DeleteFunc(m.secrets, func(s []byte) bool { return bytes.Equal(s, secret) })
	m.secrets = slices.Insert(m.secrets, 0, secret)
	m.secrets = m.secrets[:min(len(m.secrets), maxMinters)]
	made := make([]*decisions.Minter, len(m.secrets))
	for i, s := range m.secrets {
		made[i] = decisions.NewMinter(s)
	}
	m.made.Store(&made)
}

// Mint makes an id for a refusal because of a decision, 0: of none.
func (m *minters) Mint(now time.Time, decision int64) string {
	return (*m.made.Load())[0].Mint(now, decision)
}

// Open reads an id; ok is false for what was made with none of the secrets.
func (m *minters) Open(text string) (at time.Time, decision int64, ok bool) {
	for _, one := range *m.made.Load() {
		if at, decision, ok = one.Open(text); ok {
			break
		}
	}
	return at, decision, ok
}
