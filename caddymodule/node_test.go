package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/rampart-edge/rampart/appliance"
)

// TestAwait: requests wait for the first start of a node, whatever comes of it, and
// never again.
func TestAwait(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name, dir string
		want      error
	}{{"starts", t.TempDir(), nil}, {"fails to start", file, errStarting}} {
		t.Run(tc.name, func(t *testing.T) {
			n, err := borrowNode(nodeNameOf(t), zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = returnNode(nodeNameOf(t)) })
			s, err := appliance.Compile(appliance.Config{DataDir: tc.dir}, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			gone, leave := context.WithCancel(context.Background())
			leave()
			if err := n.await(gone); !errors.Is(err, errStarting) {
				t.Errorf("before the start a request that is given up got %v", err)
			}
			got := make(chan error, 1)
			go func() { got <- n.await(context.Background()) }()
			select {
			case err := <-got:
				t.Fatalf("before the start: %v", err)
			case <-time.After(50 * time.Millisecond):
			}
			if release, err := n.use(s); err == nil {
				defer release()
			}
			if err := <-got; !errors.Is(err, tc.want) {
				t.Errorf("got %v, want %v", err, tc.want)
			}
			if err := n.await(gone); !errors.Is(err, tc.want) {
				t.Errorf("later: got %v, want %v", err, tc.want)
			}
		})
	}
}

// TestNoGapAtStart: whichever of its apps Caddy starts first, a banned client gets
// nothing from the site while the node starts.
func TestNoGapAtStart(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	text := withGlobals(t, fmt.Sprintf("rampart {\nnode %s\ndata_dir %s\n}", nodeNameOf(t), dir)+trustLoopback,
		fmt.Sprintf("http://localhost:%d {\nbind 127.0.0.1\nrampart\nrespond \"the site\"\n}", port))
	load(t, text)
	decide(t, "ban", "203.0.113.1")
	stop, done := make(chan struct{}), sync.WaitGroup{}
	for range 4 {
		done.Go(func() {
			c := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://localhost:%d/", port), nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header.Set("X-Forwarded-For", "203.0.113.1")
				resp, err := c.Do(r)
				if err != nil {
					continue // nobody listens
				}
				body, _ := io.ReadAll(resp.Body) // what there is of it
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK || strings.Contains(string(body), "the site") {
					t.Errorf("the banned client got %d %s", resp.StatusCode, body)
				}
			}
		})
	}
	for range 12 { // the order is chance
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Load(mustAdapt(t, text), true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	close(stop)
	done.Wait()
}
