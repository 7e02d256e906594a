package appliance

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/localapi"
)

// listen brings the listener in line with a configuration. One that is open as it is
// wanted stays as it is. The new one is opened before the old one is closed, unless the
// two want one address; then the old one comes back if the new one cannot be opened.
// After an error all is as before.
func (p *api) listen(s *Settings) error {
	var want localapi.ListenConfig
	if s.api.listens() {
		want = s.api.listen
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.turn(want, s.log); err != nil {
		return err
	}
	p.wanted, p.problem = want, nil
	return nil
}

// turn is listen. p.mu is held.
func (p *api) turn(want localapi.ListenConfig, log *zap.Logger) error {
	if want == p.open {
		return nil
	}
	old, was := p.listener, p.open
	if want == (localapi.ListenConfig{}) {
		p.listener, p.open = nil, want
		p.closeLater(old, log)
		return nil
	}
	shared := old != nil && (want.Address != "" && want.Address == was.Address || want.Socket != "" && want.Socket == was.Socket)
	if shared {
		p.yield(old, log)
		p.listener, p.open = nil, localapi.ListenConfig{}
	}
	l, err := localapi.Listen(want, p.own(), log.Named("api"))
	if err == nil {
		p.listener, p.open = l, want
		if old != nil && !shared {
			p.closeLater(old, log)
		}
		for _, addr := range l.Addrs() {
			log.Info("the Local API listens", zap.Stringer("address", addr))
		}
		return nil
	}
	if shared {
		if p.listener, p.problem = p.reopen(was, log); p.listener != nil {
			p.open = was
		}
	}
	return err
}

// yield closes a listener whose address another one waits for.
func (p *api) yield(l *localapi.Listener, log *zap.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), apiYield)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		log.Warn("calls of the Local API were cut off, since its configuration changed", zap.Error(err))
	}
}

func (p *api) reopen(was localapi.ListenConfig, log *zap.Logger) (*localapi.Listener, error) {
	l, err := localapi.Listen(was, p.own(), log.Named("api"))
	if err != nil {
		p.since, p.tried = time.Now(), time.Now()
		log.Error("the Local API could not be opened again and is tried from time to time", zap.Error(err))
		return nil, err
	}
	return l, nil
}

// follow puts what s says of callers in force, and listens as it wants: what fails,
// for settings that came back in force, is tried again by look.
func (p *api) follow(s *Settings) {
	var serve localapi.Config
	if s.api != nil {
		serve = s.api.serve
	}
	p.server.Use(serve)
	err := p.listen(s)
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wanted, p.problem, p.since, p.tried = s.api.listen, err, time.Now(), time.Now()
	s.log.Error("the Local API cannot be opened and is tried from time to time", zap.Error(err))
}

// look tries again what could not be opened.
func (p *api) look(now time.Time, log *zap.Logger) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.problem == nil || now.Sub(p.tried) < apiRetry {
		return
	}
	p.tried = now
	if p.problem = p.turn(p.wanted, log); p.problem == nil {
		log.Info("the Local API is open again")
	}
}
