package appliance

import (
	"cmp"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/event"
)

// challengeLog is the log_type of events that tell how a challenge went.
const challengeLog = "rampart_captcha"

// useGate returns the gate that s asks for: the one there is, unless its options
// changed. What is remembered of spent tokens outlives the gates.
func (st *state) useGate(s *Settings) *captcha.Gate {
	c := s.config.Captcha
	want := gateKey{c, s.config.Contact, string(st.secret)}
	if st.gate != nil && st.gateFor == want {
		return st.gate
	}
	o := c.options()
	o.Secret, o.Contact, o.Store, o.Result = st.secret, s.config.Contact, st.challenges(), st.challenged
	g, err := captcha.New(o)
	if err != nil {
		// The options were checked when the settings were compiled.
		s.log.Error("making the challenge; the one before stays", zap.Error(err))
		return st.gate
	}
	if st.gate != nil {
		st.passed = challenges(st.gate, st.passed)
	}
	st.gate, st.gateFor = g, want
	return g
}

// challenges keep spent tokens and rates: with the fleet, if the node is in one.
func (st *state) challenges() captcha.Store {
	if st.fleet != nil {
		return challengeStore{st.fleet.burns, st.spent}
	}
	return st.spent
}

// options are what a gate takes of the configuration.
func (c CaptchaConfig) options() captcha.Options {
	return captcha.Options{Digits: c.Digits, TTL: time.Duration(c.TTL), Grace: time.Duration(c.Grace),
		MinSolve: time.Duration(c.MinSolve), Now: time.Now}
}

// check says what a gate would not take.
func (c CaptchaConfig) check() error {
	o := c.options()
	o.Secret = make([]byte, 32)
	_, err := captcha.New(o)
	return err
}

// challenges are the figures of a gate on top of those of the gates before it;
// those of the spent tokens are of now, and common to all.
func challenges(g *captcha.Gate, before map[string]int64) map[string]int64 {
	all := g.Stats()
	for name, n := range before {
		if !ofSpent(name) {
			all[name] += n
		}
	}
	return all
}

func ofSpent(name string) bool {
	switch name {
	case "burnt_held", "burnt_full", "rates_evicted":
		return true
	}
	return false
}

// gateKey is what a gate depends on.
type gateKey struct {
	config  CaptchaConfig
	contact string
	secret  string
}

// challenged makes an event of the outcome of a challenge, so that scenarios see
// who hammers the challenge instead of solving it.
func (st *state) challenged(r captcha.Result) {
	l := st.owner.live.Load()
	if l == nil {
		return
	}
	ev := l.engine.Event()
	now := time.Now()
	ev.Line.Module, ev.Line.Src, ev.Process, ev.Time = "http", "rampart", true, now
	ev.From = event.Provenance{Inline: true, At: now, Site: cmp.Or(r.Host, nameless), Direct: r.Direct, Width64: l.settings.config.IPv6Prefix == 64}
	ev.SetMeta("log_type", challengeLog)
	ev.SetMeta("service", "http")
	ev.SetMeta("source_ip", r.Client.String())
	ev.SetMeta("captcha_result", r.Kind)
	put(&ev.Meta, "captcha_method", r.Method)
	put(&ev.Meta, "target_fqdn", validText(r.Host))
	if r.Solve > 0 {
		ev.SetMeta("solve_ms", strconv.FormatInt(r.Solve.Milliseconds(), 10))
	}
	st.queue.offer(finished{live: l, event: ev, whole: true})
}
