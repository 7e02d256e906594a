package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// BenchmarkHandler is what a request costs that passes, in Caddy's terms: all of
// Rampart's part of it, with a node that runs and 10,000 decisions.
func BenchmarkHandler(b *testing.B) {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	app := new(App)
	app.Node, app.DataDir = "bench", b.TempDir()
	if err := app.Provision(ctx); err != nil {
		b.Fatal(err)
	}
	if err := app.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = app.Stop(); _ = app.Cleanup() })
	for i := range 10_000 {
		r := httptest.NewRequest("POST", "/rampart/decisions", strings.NewReader(fmt.Sprintf(`{"value":"100.64.%d.%d"}`, i/256, i%256)))
		if w := httptest.NewRecorder(); i == 0 || i == 9_999 {
			if app.node.ServeAdmin(w, r); w.Code != 200 {
				b.Fatal(w.Body)
			}
		} else {
			app.node.ServeAdmin(w, r)
		}
	}
	page, err := newRefusalPage()
	if err != nil {
		b.Fatal(err)
	}
	h := &Handler{node: app.node, page: page, now: time.Now}
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		return nil
	})
	w := &discard{header: http.Header{}}
	for _, with := range []struct {
		name string
		h    caddyhttp.MiddlewareHandler
	}{{"without", nil}, {"with", h}} {
		b.Run(with.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := httptest.NewRequest("GET", "/index.html", nil)
				r.RemoteAddr = fmt.Sprintf("198.18.%d.%d:999", i>>8&255, i&255)
				r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
				var err error
				if with.h == nil {
					err = next.ServeHTTP(w, r)
				} else {
					err = with.h.ServeHTTP(w, r, next)
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
