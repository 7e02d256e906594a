package localapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	jsonType = "application/json; charset=utf-8"
	// maxMessage bounds what is told of an error, in bytes: it may quote what was sent.
	maxMessage = 8 << 10
)

// audience is who may use a route.
type audience int

const (
	open    audience = iota // everybody
	bouncer                 // an API key or a bouncer's certificate
	machine                 // a token
	either                  // one of both
)

// route is one method of one pattern, whose segments that begin with a colon match
// any one segment. body is the most bytes of a request's body after decompression,
// 0 for none.
type route struct {
	method, pattern string
	who             audience
	body            int64
	serve           func(*call) error
}

// call is one request that may be made: bouncer or machine is who makes it. Both are
// copies of the row as it was when the call began.
type call struct {
	s       *Server
	w       http.ResponseWriter
	r       *http.Request
	peer    peer
	bouncer *Bouncer
	machine *Machine
	now     time.Time
	config  *Config // in force when the call began

	route  *route
	params []string // of the pattern, unescaped, in order
	taken  int64    // bytes of the server's budget for bodies
}

// param is the segment of the path that stands where the pattern has :name, "" if it
// has none.
func (c *call) param(name string) string {
	i := 0
	for part := range strings.SplitSeq(c.route.pattern, "/") {
		if !strings.HasPrefix(part, ":") {
			continue
		}
		if part[1:] == name && i < len(c.params) {
			return c.params[i]
		}
		i++
	}
	return ""
}

// query reads the query of the request. One that cannot be read is refused: without the
// part in question it would select more than was meant.
func (c *call) query() (url.Values, error) {
	v, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, fail(http.StatusBadRequest, "query: %v", err)
	}
	return v, nil
}

// json answers with v, without a line break at the end.
func (c *call) json(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return c.raw(status, b)
}

// raw answers with JSON that is ready.
func (c *call) raw(status int, b []byte) error {
	c.w.Header().Set("Content-Type", jsonType)
	c.w.WriteHeader(status)
	_, _ = c.w.Write(b) // who hung up hears nothing
	return nil
}

// empty answers with a status alone.
func (c *call) empty(status int) error {
	c.w.WriteHeader(status)
	return nil
}

// head answers a HEAD request as CrowdSec does: no body, and text/plain.
func (c *call) head(status int) error {
	c.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	return c.empty(status)
}

// failure is an error that the client is to see.
type failure struct {
	status int
	coded  bool // says the status in the body too, as answers about tokens do
	text   string
	wait   time.Duration // after which it is worth to try again, 0: not said
}

func (f *failure) Error() string { return f.text }

// fail is answered as {"message": …} with the status. Other errors that a route
// returns are answered 500, with their text.
func fail(status int, format string, args ...any) error {
	return &failure{status: status, text: fmt.Sprintf(format, args...)}
}

// answerError tells the client of err, and returns the status it did so with.
func (c *call) answerError(err error) int {
	var f *failure
	if !errors.As(err, &f) {
		f = &failure{status: http.StatusInternalServerError, text: err.Error()}
	}
	h := c.w.Header()
	if f.status == http.StatusUnauthorized {
		h.Set("Www-Authenticate", "JWT realm=Crowdsec API local")
	}
	if f.wait > 0 {
		h.Set("Retry-After", fmt.Sprint(max(1, int(f.wait.Round(time.Second).Seconds()))))
	}
	body := struct {
		Code    int    `json:"code,omitempty"`
		Message string `json:"message"`
	}{Message: cut(f.text, maxMessage)}
	if f.coded {
		body.Code = f.status
	}
	_ = c.json(f.status, body)
	return f.status
}
