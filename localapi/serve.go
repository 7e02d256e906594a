package localapi

import (
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"
)

// routes are all that the server answers.
func routes() []route {
	return slices.Concat(ownRoutes(), endpointRoutes())
}

// ownRoutes are those of callers themselves.
func ownRoutes() []route {
	return []route{
		{http.MethodGet, healthPattern, open, 0, health},
		{http.MethodHead, healthPattern, open, 0, health},
		{http.MethodPost, "/v1/watchers", open, maxOpenBody, register},
		{http.MethodPost, "/v1/watchers/login", open, maxOpenBody, login},
		{http.MethodDelete, "/v1/watchers/self", machine, 0, unregister},
		{http.MethodGet, "/v1/refresh_token", machine, 0, refresh},
		{http.MethodGet, "/v1/heartbeat", machine, 0, heartbeat},
		{http.MethodPost, "/v1/usage-metrics", either, maxUsageBody, usageMetrics},
	}
}

// serve answers one request.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, p peer) {
	a := &reply{ResponseWriter: w}
	c := &call{s: s, w: a, r: r, peer: p, now: s.o.Now(), config: s.config.Load()}
	if !s.enter() {
		c.answerError(fail(http.StatusServiceUnavailable, "the server is about to stop"))
		return
	}
	defer s.gate.RUnlock()
	if c.route, c.params = s.mux.find(a, r); c.route == nil {
		s.stats.missed(r.Method)
		return
	}
	began, returned := time.Now(), false // durations are measured, whatever clock a test gives
	defer func() {
		c.room().release(c)
		s.stats.ended(c.route, time.Since(began))
		if returned {
			return
		}
		var what any // stays unknown where the panic goes on
		if !a.begun {
			what = recover()
			c.answerError(fail(http.StatusInternalServerError, "internal error"))
		}
		s.failed(c.route, what)
	}()
	err := c.admit()
	if err == nil {
		s.stats.called(c)
		err = c.route.serve(c)
	}
	switch {
	case err == nil:
	case a.begun:
		s.o.Logger.Debug("an answer of the Local API broke off", zap.String("route", c.route.pattern), zap.Error(err))
	default:
		s.stats.failed(c.answerError(err))
	}
	returned = true
}

// enter begins a call, unless the server is closed; then it must not be ended.
func (s *Server) enter() bool {
	select {
	case <-s.closed:
		return false // not to wait for those that Close waits for
	default:
	}
	s.gate.RLock()
	select {
	case <-s.closed:
		s.gate.RUnlock()
		return false
	default:
		return true
	}
}

// failed counts a panic, and logs the first of a route. Where the answer has begun
// it is left to net/http, which cuts the connection, so that nobody takes half an
// answer for a whole one.
func (s *Server) failed(r *route, what any) {
	if s.stats.panicked(r) {
		s.o.Logger.Error("a handler of the Local API failed; more of its failures are only counted",
			zap.String("method", r.method), zap.String("route", r.pattern), zap.Any("panic", what), zap.Stack("stack"))
	}
}

// reply notes whether an answer has begun.
type reply struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader implements http.ResponseWriter.
func (a *reply) WriteHeader(status int) {
	if status >= http.StatusOK {
		a.begun = true
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (a *reply) Write(b []byte) (int, error) {
	a.begun = true
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *reply) Unwrap() http.ResponseWriter { return a.ResponseWriter }
