package capitest

import (
	"math/rand/v2"
	"net/http"
	"strings"
)

// Fault is a way in which a request can fail.
type Fault string

// The faults. Of all but Lost and Cut the endpoint never hears.
const (
	Unauthorized Fault = "401"
	Forbidden    Fault = "403"
	TooMany      Fault = "429" // with Retry-After: 2
	Internal     Fault = "500"
	Unavailable  Fault = "503"
	GatewayTime  Fault = "504"
	Hang         Fault = "hang"  // no answer until the client gives up
	Reset        Fault = "reset" // the connection ends before the endpoint hears of it
	Lost         Fault = "lost"  // the endpoint has taken the request; the answer is lost
	Cut          Fault = "cut"   // likewise; half of the answer arrives
)

// faults says which requests fail, and how.
type faults struct {
	share  float64
	kinds  []Fault
	prefix string // of the paths that are concerned
	random *rand.Rand
	once   []Fault // of the next requests, before all that
}

// Fail makes a share of the requests, from 0 to 1, whose paths begin with prefix, fail
// in one of the ways. The seed makes it the same ones again.
func (s *Server) Fail(share float64, seed uint64, prefix string, kinds ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = faults{share: share, kinds: kinds, prefix: prefix, random: rand.New(rand.NewPCG(seed, 1))}
}

// FailNext makes the next requests fail, whose paths begin with prefix, one after the
// other; "" is one that does not.
func (s *Server) FailNext(prefix string, kinds ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults.prefix, s.faults.once = prefix, append(s.faults.once, kinds...)
}

// fault is what the next request meets.
func (s *Server) fault(path string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &s.faults
	if !strings.HasPrefix(path, f.prefix) {
		return ""
	}
	if len(f.once) > 0 {
		next := f.once[0]
		f.once = f.once[1:]
		return next
	}
	if f.random == nil || len(f.kinds) == 0 || f.random.Float64() >= f.share {
		return ""
	}
	return f.kinds[f.random.IntN(len(f.kinds))]
}

// before reports whether the endpoint never hears of the request.
func (f Fault) before() bool { return f != "" && f != Lost && f != Cut }

// answer is what the client gets, if it gets anything.
func (f Fault) answer(a *answer) {
	switch f {
	case Unauthorized:
		a.fail(http.StatusUnauthorized, "expired")
	case Forbidden:
		a.fail(http.StatusForbidden, "access forbidden")
	case TooMany:
		a.header.Set("Retry-After", "2")
		a.fail(http.StatusTooManyRequests, "too many requests")
	case Internal:
		a.fail(http.StatusInternalServerError, "something broke")
	case Unavailable:
		a.fail(http.StatusServiceUnavailable, "back soon")
	case GatewayTime:
		a.fail(http.StatusGatewayTimeout, "upstream")
	}
}
