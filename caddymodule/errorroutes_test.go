package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// TestErrorRoutes: the site's error routes answer as without us, wherever the
// directive stands.
func TestErrorRoutes(t *testing.T) {
	const styled = "\nhandle_errors {\nrespond styled 451\n}"
	for _, tc := range []struct {
		name, site string
		status     int
		body       string
	}{
		{"site", "rampart\nerror 418" + styled, 451, "styled"},
		{"twice", "rampart\nroute {\nrampart\nerror 418\n}" + styled, 451, "styled"},
		{"both", "rampart\nerror 418\nhandle_errors {\nrampart\nrespond styled 451\n}", 451, "styled"},
		{"only in error routes", "error 418\nhandle_errors {\nrampart\nrespond styled 451\n}", 451, "styled"},
		{"none fits", "rampart\nerror 418\nhandle_errors 404 {\nrespond styled 451\n}", 418, ""},
		{"they fail", "rampart\nerror 418\nhandle_errors {\nerror 503\n}", 418, ""},
		{"not ours", "@other path /other\nrampart @other\nerror 418" + styled, 451, "styled"},
		{"named route", "invoke named" + styled, 451, "styled"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			port := freePort(t)
			load(t, withGlobals(t, rampartBlock(t, ""), fmt.Sprintf(
				"&(named) {\nroute {\nrampart\nerror 418\n}\n}\nhttp://localhost:%d {\nbind 127.0.0.1\n%s\n}", port, tc.site)))
			resp, body := ask(t, client(t, nil), fmt.Sprintf("http://localhost:%d/", port), "")
			if resp.StatusCode != tc.status || body != tc.body {
				t.Errorf("got %d %q", resp.StatusCode, body)
			}
		})
	}
}

// TestFailure: a visit that failed ends once, as the error routes answer, or with
// the request if they never run.
func TestFailure(t *testing.T) {
	begin := func(t *testing.T) (*http.Request, *visit, *failure, context.CancelFunc) {
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		r := httptest.NewRequest("GET", "/", nil).WithContext(ctx)
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, nil)
		v := &visit{ended: make(chan struct{})}
		rec := newRecorder(httptest.NewRecorder(), "GET", v)
		rec.fail(r.Context(), caddyhttp.Error(http.StatusTeapot, errors.New("fault")))
		return r, v, rec.failed, cancel
	}
	answer := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusUnavailableForLegalReasons)
		return nil
	})
	t.Run("answered", func(t *testing.T) {
		r, v, f, cancel := begin(t)
		if err := f.answer(httptest.NewRecorder(), r, answer); err != nil {
			t.Fatal(err)
		}
		cancel()
		if status, _ := v.wait(t); status != http.StatusUnavailableForLegalReasons || v.calls != 1 {
			t.Errorf("ended %d times, with %d", v.calls, status)
		}
	})
	t.Run("never answered", func(t *testing.T) {
		r, v, f, cancel := begin(t)
		cancel()
		if status, _ := v.wait(t); status != http.StatusTeapot {
			t.Errorf("ended with %d", status)
		}
		if err := f.answer(httptest.NewRecorder(), r, answer); err != nil || v.calls != 1 {
			t.Errorf("ended %d times (%v)", v.calls, err)
		}
	})
}
