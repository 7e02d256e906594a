package captcha

import (
	"context"
	"time"
)

// What black-box tests cannot reach otherwise.
var (
	SafeReturn   = safeReturn
	Normalise    = normalise
	ParseForm    = parseForm
	HostOnly     = hostOnly
	CounterNames = counterNames
)

// LimitBurnt makes m full at n spent tokens.
func (m *Memory) LimitBurnt(n int64) { m.limit = n }

// Rates returns how many rate counters m holds.
func (m *Memory) Rates() (n int) {
	for i := range m.rates {
		n += len(m.rates[i].young) + len(m.rates[i].old)
	}
	return n
}

// Draw draws one picture.
func (g *Gate) Draw(digits string) []byte {
	g.painter.meter.full = 0
	png, _, _ := g.painter.draw(context.Background(), newID(), digits)
	return png
}

// Sealer seals and opens challenge tokens.
type Sealer struct{ k *keys }

func NewSealer(secret []byte) (Sealer, error) {
	k, err := newKeys(secret)
	return Sealer{k}, err
}

func (s Sealer) Seal(host string, c *Sealed) string { return s.k.seal(purposeChallenge, host, c) }

func (s Sealer) Open(host, token string, now time.Time) (Sealed, error) {
	return s.k.open(purposeChallenge, host, token, now)
}
