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
	want := gateKey{c, s.config.Contact}
	if st.gate != nil && st.gateFor == want {
		return st.gate
	}
	g, err := captcha.New(captcha.Options{Secret: st.secret, Digits: c.Digits, TTL: time.Duration(c.TTL),
		Grace: time.Duration(c.Grace), MinSolve: time.Duration(c.MinSolve), Contact: s.config.Contact,
		Store: st.spent, Result: st.challenged, Now: time.Now})
	if err != nil {
		// The options were checked when the settings were compiled.
		s.log.Error("making the challenge; the one before stays", zap.Error(err))
		return st.gate
	}
	st.gate, st.gateFor = g, want
	return g
}

// gateKey is what a gate depends on.
type gateKey struct {
	config  CaptchaConfig
	contact string
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
