package capitest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// maxBody is the most that the double reads of a request.
const maxBody = 16 << 20

// Server is the double. URL ends in a slash.
type Server struct {
	URL string

	tb   testing.TB
	http *httptest.Server
	now  func() time.Time
	done chan struct{} // closed when the test ends: whatever hangs goes on

	mu       sync.Mutex
	machines map[string]*machine
	tokens   map[string]string // machine by token
	serial   int
	lifetime time.Duration
	claims   map[string]any
	faults   faults
	requests []Request
	stream   stream
	files    files
	signals  map[string]int
	metrics  []json.RawMessage
	usage    []json.RawMessage
	enrolled []json.RawMessage
}

// machine is one that registered.
type machine struct {
	password  string
	scenarios []string
	cursor    int // into the stream
}

// Request is one that came, as it was answered.
type Request struct {
	Method, URI string
	Header      http.Header
	Body        []byte // unpacked
	Fault       Fault  // that it met, "" for none
	Taken       bool   // the endpoint has seen it, whatever the client heard of that
	Status      int    // of the answer; 0: the client got none
}

// Path is the URI without its query.
func (r *Request) Path() string {
	path, _, _ := strings.Cut(r.URI, "?")
	return path
}

// Start starts a double, whose time is that of now (nil: the real one).
func Start(tb testing.TB, now func() time.Time) *Server {
	tb.Helper()
	if now == nil {
		now = time.Now
	}
	s := &Server{tb: tb, now: now, done: make(chan struct{}), machines: map[string]*machine{}, tokens: map[string]string{},
		lifetime: time.Hour, signals: map[string]int{}}
	s.files.init()
	s.http = httptest.NewServer(http.HandlerFunc(s.serve))
	s.URL = s.http.URL + "/"
	tb.Cleanup(func() {
		close(s.done)
		s.http.CloseClientConnections()
		s.http.Close()
	})
	return s
}

// serve lets a request meet its fault, answers it, and writes both down.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(r)
	rec := &answer{tb: s.tb, header: http.Header{}}
	entry := Request{Method: r.Method, URI: r.RequestURI, Header: r.Header.Clone(), Body: body}
	entry.Fault = s.fault(r.URL.Path)
	switch {
	case err != nil:
		rec.fail(http.StatusBadRequest, err.Error())
	case entry.Fault.before():
		entry.Fault.answer(rec)
	default:
		entry.Taken = true
		s.mu.Lock()
		s.route(rec, r, body)
		s.mu.Unlock()
	}
	if entry.Status = rec.status; entry.Fault == Hang || entry.Fault == Reset || entry.Fault == Lost || entry.Fault == Cut {
		entry.Status = 0
	}
	s.mu.Lock()
	s.requests = append(s.requests, entry)
	s.mu.Unlock()
	s.send(w, r, rec, entry.Fault)
}

// send gives the answer, or what the fault leaves of it.
func (s *Server) send(w http.ResponseWriter, r *http.Request, a *answer, f Fault) {
	if f == Hang {
		select {
		case <-r.Context().Done():
		case <-s.done:
		}
	}
	if f == Hang || f == Reset || f == Lost {
		panic(http.ErrAbortHandler) // the connection is closed without an answer
	}
	for k, vs := range a.header {
		w.Header()[k] = vs
	}
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	body := a.body.Bytes()
	if a.status != http.StatusNotModified {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	}
	w.WriteHeader(a.status)
	if f == Cut {
		_, _ = w.Write(body[:len(body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(body)
}

func readBody(r *http.Request) ([]byte, error) {
	var in io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			return nil, err
		}
		in = z
	}
	return io.ReadAll(io.LimitReader(in, maxBody))
}

// answer is what an endpoint says.
type answer struct {
	tb     testing.TB
	status int
	header http.Header
	body   bytes.Buffer
}

func (a *answer) json(status int, v any) {
	a.status = status
	a.header.Set("Content-Type", "application/json")
	text, err := json.Marshal(v)
	if err != nil { // of a value that the test has given
		a.tb.Errorf("double of the Central API: encoding an answer: %v", err)
	}
	a.body.Write(text)
}

func (a *answer) fail(status int, message string) {
	a.json(status, map[string]string{"message": message})
}

func (a *answer) ok() { a.json(http.StatusOK, map[string]string{"message": "OK"}) }

// issue makes a token. Its signature is nobody's: no client verifies it.
func (s *Server) issue(machine string) (token string, until time.Time) {
	s.serial++
	until = s.now().Add(s.lifetime).Truncate(time.Second)
	claims := map[string]any{"exp": until.Unix(), "id": machine, "serial": s.serial}
	for k, v := range s.claims {
		claims[k] = v
	}
	text, err := json.Marshal(claims)
	if err != nil {
		s.tb.Errorf("double of the Central API: encoding claims: %v", err)
	}
	part := base64.RawURLEncoding.EncodeToString
	token = part([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + part(text) + "." + part([]byte(fmt.Sprint("signed", s.serial)))
	s.tokens[token] = machine
	return token, until
}
