package community

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// gzipAbove is the size of a body from which on it is packed. CrowdSec compatible.
	gzipAbove = 5 << 10
	// authTries is how often a call is made again with a fresh token. CrowdSec compatible.
	authTries     = 2
	callTimeout   = 30 * time.Second
	maxAnswer     = 1 << 20
	maxMessage    = 200
	maxRetryAfter = time.Hour
)

// StatusError is an answer that is no success.
type StatusError struct {
	Method, Path string
	Status       int
	Message      string        // of the server, shortened
	RetryAfter   time.Duration // 0: the server did not say
}

func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s %s: status %d", e.Method, e.Path, e.Status)
	if e.Message != "" {
		text += fmt.Sprintf(" (%q)", e.Message)
	}
	return text
}

// api speaks to one Central API with one login.
type api struct {
	o    *Options
	http *http.Client
	cred Credentials

	mu    sync.Mutex // also held during a login: others wait for its token
	token token
}

func newAPI(o *Options, cred Credentials) (*api, error) {
	a := &api{o: o, cred: cred, http: &http.Client{Transport: o.Transport, CheckRedirect: noRedirect}}
	return a, a.token.load(o.DB, &cred)
}

// noRedirect: one would carry a token or a body to somebody else.
func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// request is one call: body nil is none, limit bounds the answer, 0 is a mebibyte.
type request struct {
	method, path string
	body         any
	limit        int64
	timeout      time.Duration // 0: 30 s
}

// call makes a request and decodes the answer into out, which may be nil. A token that
// the server no longer takes is replaced, twice at most.
func (a *api) call(ctx context.Context, r request, out any) error {
	body, err := r.encode()
	if err != nil {
		return err
	}
	for try := 0; ; try++ {
		bearer, err := a.bearer(ctx)
		if err != nil {
			return err
		}
		err = a.send(ctx, r, body, bearer, out)
		var status *StatusError
		if !errors.As(err, &status) || status.Status != http.StatusUnauthorized && status.Status != http.StatusForbidden || try == authTries {
			return err
		}
		a.distrust(bearer)
	}
}

func (r *request) encode() ([]byte, error) {
	if r.body == nil {
		return nil, nil
	}
	body, err := json.Marshal(r.body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: encoding: %w", r.method, r.path, err)
	}
	return body, nil
}

// send makes one request, with no token if bearer is "".
func (a *api) send(ctx context.Context, r request, body []byte, bearer string, out any) error {
	if r.timeout == 0 {
		r.timeout = callTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	req, err := a.request(ctx, r, body, bearer)
	if err != nil {
		return err
	}
	res, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", r.method, r.path, withoutURL(err))
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return a.refused(r, res)
	}
	if r.limit == 0 {
		r.limit = maxAnswer
	}
	text, err := content(res)
	if err == nil {
		err = decodeAnswer(newBounded(text, r.limit), out)
	}
	if err != nil {
		return fmt.Errorf("%s %s: reading the answer: %w", r.method, r.path, err)
	}
	return nil
}

func (a *api) request(ctx context.Context, r request, body []byte, bearer string) (*http.Request, error) {
	packed := len(body) > gzipAbove
	if packed {
		body = gzipped(body)
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, a.cred.URL+"v3/"+r.path, reader)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	req.Header.Set("User-Agent", a.o.userAgent())
	req.Header.Set("Accept-Encoding", "gzip")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if packed {
		req.Header.Set("Content-Encoding", "gzip")
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	return req, nil
}

// decodeAnswer reads one JSON value. Where nobody wants it the status has said all, and
// that the text is cut off is no reason to send something twice.
func decodeAnswer(r io.Reader, out any) error {
	if out == nil {
		return nil
	}
	return json.NewDecoder(r).Decode(out)
}

// refused is the error of an answer.
func (a *api) refused(r request, res *http.Response) error {
	e := &StatusError{Method: r.method, Path: r.path, Status: res.StatusCode, RetryAfter: retryAfter(res.Header.Get("Retry-After"), a.o.Now())}
	var said struct{ Message string }
	if text, err := content(res); err == nil && json.NewDecoder(io.LimitReader(text, 64<<10)).Decode(&said) == nil {
		e.Message = said.Message[:min(len(said.Message), maxMessage)]
	}
	return e
}

// retryAfter reads the header: seconds, or a date. An hour is the most we believe.
func retryAfter(s string, now time.Time) time.Duration {
	var d time.Duration
	if n, err := strconv.Atoi(s); err == nil {
		d = time.Duration(min(max(n, 0), int(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(s); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// bearer returns a token that is good for a minute at least, logging in for it if need
// be.
func (a *api) bearer(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token.good(a.o.Now()) {
		return a.token.Text, nil
	}
	var answer struct {
		Token  string
		Expire time.Time
	}
	scenarios := sortedNames(a.o.Roster().Scenarios)
	r := request{method: http.MethodPost, path: "watchers/login", body: map[string]any{
		"machine_id": a.cred.Login, "password": a.cred.Password, "scenarios": scenarios}}
	body, err := r.encode()
	if err == nil {
		err = a.send(ctx, r, body, "", &answer)
	}
	if err != nil {
		return "", fmt.Errorf("logging in: %w", err)
	}
	t, err := newToken(&a.cred, answer.Token, answer.Expire)
	if err != nil {
		return "", fmt.Errorf("logging in: %w", err)
	}
	a.token = t
	if err := t.save(a.o.DB); err != nil {
		return "", fmt.Errorf("logging in: %w", err)
	}
	return t.Text, nil
}

// distrust forgets a token that the server refused, unless another is there already.
func (a *api) distrust(bearer string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.token.Text == bearer {
		a.token = token{}
	}
}

// claims are those of the token as it is now.
func (a *api) claims() claims {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.token.claims()
}
