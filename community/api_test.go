package community

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/capitest"
)

func (d *desk) expectRequests(prefix string, want int) {
	d.t.Helper()
	if got := len(d.server.Requests(prefix)); got != want {
		d.t.Errorf("%d requests for %s, want %d", got, prefix, want)
	}
}

// TestToken: it serves until a minute before its end, also after a restart, and is
// replaced when the server does not take it any more.
func TestToken(t *testing.T) {
	d := newDesk(t)
	must(t, d.client.Check(t.Context()))
	if got := d.server.Scenarios(testLogin); !slices.Equal(got, []string{"crowdsecurity/ssh-bf", "custom/x"}) {
		t.Errorf("scenarios %q", got)
	}
	d.clock.Advance(58 * time.Minute)
	d.restart()
	must(t, d.client.Pull(t.Context()))
	d.expectRequests("/v3/watchers/login", 1)
	d.clock.Advance(time.Minute)
	must(t, d.client.Pull(t.Context()))
	d.expectRequests("/v3/watchers/login", 2)

	d.server.Revoke()
	must(t, d.client.Pull(t.Context()))
	d.expectRequests("/v3/watchers/login", 3)
	for _, fault := range []capitest.Fault{capitest.Unauthorized, capitest.Forbidden} {
		before := len(d.server.Requests("/v3/decisions"))
		d.server.FailNext("/v3/decisions", fault, fault)
		must(t, d.client.Pull(t.Context()))
		d.server.FailNext("/v3/decisions", fault, fault, fault)
		err := d.client.Pull(t.Context())
		var status *StatusError
		if !errors.As(err, &status) {
			t.Errorf("three times %s: %v", fault, err)
		}
		d.expectRequests("/v3/decisions", before+6)
	}
}

// TestTokenOfOthers: a token of other credentials is not shown to the server.
func TestTokenOfOthers(t *testing.T) {
	d := newDesk(t)
	must(t, d.client.Check(t.Context()))
	a, err := newAPI(&d.client.o, Credentials{URL: d.server.URL, Login: "someone else", Password: "p"})
	must(t, err)
	if a.token.Text != "" {
		t.Error("the token of another login")
	}
}

func TestClaims(t *testing.T) {
	d := newDesk(t)
	d.server.SetTokens(time.Hour, map[string]any{"organization_id": "org-1", "subscription_type": "COMMUNITY"})
	must(t, d.client.Check(t.Context()))
	if s := d.client.Status(); s.Organisation != "org-1" || s.Subscription != "COMMUNITY" {
		t.Errorf("got %+v", s)
	}
	for _, bad := range []string{"", "a b", strings.Repeat("x", maxToken+1)} {
		if _, err := newToken(&Credentials{}, bad, testStart); err == nil {
			t.Errorf("token %.20q is taken", bad)
		}
	}
	if _, err := newToken(&Credentials{}, "a.b.c", time.Time{}); err == nil {
		t.Error("a token without an end is taken")
	}
	if tok, err := newToken(&Credentials{}, "opaque", testStart); err != nil || !tok.Until.Equal(testStart) {
		t.Errorf("an end in the answer alone: %v, %v", tok, err)
	}
}

func TestUserAgent(t *testing.T) {
	for version, want := range map[string]string{"1.2": "crowdsec/rampart-1.2-linux", "": "crowdsec/rampart-linux", "a/b c\n": "crowdsec/rampart-a-b-c--linux"} {
		o := Options{Version: version}
		if got := o.userAgent(); !strings.HasPrefix(got, strings.TrimSuffix(want, "linux")) || strings.Count(got, "/") != 1 {
			t.Errorf("version %q: %q", version, got)
		}
	}
}

// TestBackoff: lengths double to a limit, with chance in them, and what the server asks
// for is kept.
func TestBackoff(t *testing.T) {
	var s schedule
	at := testStart
	for i, want := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 900, 900} {
		s.failed(at, errors.New("x"))
		if got := s.due.Sub(at); got < want*time.Second*7/10 || got > want*time.Second*13/10 {
			t.Errorf("after %d failures: %s", i+1, got)
		}
	}
	s = schedule{}
	s.failed(at, &StatusError{RetryAfter: 10 * time.Minute})
	if got := s.due.Sub(at); got < 10*time.Minute || got > 12*time.Minute {
		t.Errorf("asked for ten minutes: %s", got)
	}
	for text, want := range map[string]time.Duration{"7": 7 * time.Second, "-1": 0, "999999999": time.Hour, "x": 0, "": 0,
		at.Add(time.Minute).Format(http.TimeFormat): time.Minute, at.Add(-time.Minute).Format(http.TimeFormat): 0} {
		if got := retryAfter(text, at); got != want {
			t.Errorf("Retry-After %q: %s, want %s", text, got, want)
		}
	}
}

// TestHanging: a server that does not answer is given up.
func TestHanging(t *testing.T) {
	d := newDesk(t)
	must(t, d.client.Check(t.Context()))
	d.server.FailNext("/v3/decisions", capitest.Hang)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := d.client.Pull(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	api, err := d.client.server()
	must(t, err)
	d.server.FailNext("/v3/signals", capitest.Hang)
	err = api.call(t.Context(), request{method: http.MethodPost, path: "signals", body: []int{}, timeout: 200 * time.Millisecond}, nil)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestLargeAnswer(t *testing.T) {
	r := newBounded(bytes.NewReader(make([]byte, 11)), 10)
	if err := decodeAnswer(r, new(int)); err == nil {
		t.Error("taken")
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(newBounded(bytes.NewReader(make([]byte, 10)), 10)); err != nil || got.Len() != 10 {
		t.Errorf("all that fits: %d, %v", got.Len(), err)
	}
	if _, err := got.ReadFrom(newBounded(bytes.NewReader(make([]byte, 11)), 10)); err == nil {
		t.Error("one more is no error")
	}
}
