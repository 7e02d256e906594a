package localapi

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// Limits of a request's body, in bytes after decompression.
// CrowdSec compatible: 2 MiB where anybody may call, else 50 MiB.
const (
	maxOpenBody  = 2 << 20
	maxBody      = 50 << 20
	maxUsageBody = maxBody
	// maxBodiesInFlight bounds what all calls together have read, and maxOpenInFlight
	// those that need to prove nothing, which must not keep out the others. Of these the
	// small ones have as much for themselves: logins, beside large bodies that come slowly.
	maxBodiesInFlight = 256 << 20
	maxOpenInFlight   = 64 << 20
	bodyStep          = 4 << 10
	smallBody         = 64 << 10
	// maxValues bounds how many values the JSON of a body has. A short text, even more a
	// compressed one, may otherwise become gigabytes: two bytes are an object.
	maxValues = 1 << 21
	valueSize = 80 // bytes that a value takes once it is decoded, about
)

// budget is how many bytes of bodies are in memory.
type budget struct {
	limit int64
	used  atomic.Int64
}

// room is the budget of a call's audience.
func (c *call) room() *budget {
	switch {
	case c.route.who != open:
		return &c.s.bodies
	case c.r.ContentLength >= 0 && c.r.ContentLength <= smallBody && c.r.Header.Get("Content-Encoding") == "":
		return &c.s.smallBodies
	}
	return &c.s.openBodies
}

// take adds n bytes to those of a call, if there is room.
func (b *budget) take(c *call, n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	c.taken += n
	return true
}

func (b *budget) release(c *call) {
	b.used.Add(-c.taken)
	c.taken = 0
}

// body reads the request's body, decompressed, up to the route's limit. What it
// returns lives until the call ends.
func (c *call) body() ([]byte, error) {
	in := io.Reader(http.MaxBytesReader(nil, c.r.Body, c.route.body)) // compressed is never longer, for what we take
	switch encoding := strings.ToLower(strings.TrimSpace(c.r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, fail(http.StatusBadRequest, "body: %v", err)
		}
		in = z
	default:
		return nil, fail(http.StatusUnsupportedMediaType, "content encoding %.40q is not known, gzip is", encoding)
	}
	b, err := c.readAll(in)
	if err != nil {
		return nil, err
	}
	return b, c.weigh(b)
}

// weigh takes what the values of a body will need of the budget.
func (c *call) weigh(b []byte) error {
	n := countValues(b)
	if n > maxValues {
		return fail(http.StatusRequestEntityTooLarge, "body has more than %d values", maxValues)
	}
	if !c.room().take(c, int64(n)*valueSize) {
		return tooMuch()
	}
	return nil
}

func tooMuch() error {
	return &failure{status: http.StatusServiceUnavailable, text: "too many large bodies at once", wait: 5 * time.Second}
}

// countValues counts what begins or separates values of JSON outside of texts.
func countValues(b []byte) (n int) {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[', ',':
			n++
		case '"':
			for i++; i < len(b) && b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
		}
	}
	return n
}

// readAll grows with what comes, and the server's budget with it.
func (c *call) readAll(in io.Reader) ([]byte, error) {
	var b []byte
	for {
		if len(b) == cap(b) {
			step := int64(max(bodyStep, cap(b)))
			if !c.room().take(c, step) {
				return nil, tooMuch()
			}
			b = append(make([]byte, 0, int64(cap(b))+step), b...)
		}
		n, err := in.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		var large *http.MaxBytesError
		switch {
		case int64(len(b)) > c.route.body || errors.As(err, &large):
			return nil, fail(http.StatusRequestEntityTooLarge, "body is longer than %d bytes", c.route.body)
		case errors.Is(err, io.EOF):
			return b, nil
		case err != nil:
			return nil, fail(http.StatusBadRequest, "body: %v", err)
		}
	}
}

// decode reads the body as one JSON value. Unknown fields are ignored.
func (c *call) decode(v any) error {
	b, err := c.body()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fail(http.StatusBadRequest, "%v", jsonError(err))
	}
	return nil
}

// jsonError says of an empty body what clients know it as.
func jsonError(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) && syntax.Offset == 0 {
		return io.EOF
	}
	return err
}

// violations are what a body lacks, as CrowdSec words it: scripts look for the words.
type violations []string

// maxViolations is how many are told.
const maxViolations = 100

// need notes a field, unless it is there.
func (v *violations) need(is bool, field string, args ...any) {
	if !is && len(*v) < maxViolations {
		*v = append(*v, fmt.Sprintf(field, args...)+" in body is required")
	}
}

func (v violations) err() error {
	if len(v) == 0 {
		return nil
	}
	return fmt.Errorf("validation failure list:\n%s", strings.Join(v, "\n"))
}
