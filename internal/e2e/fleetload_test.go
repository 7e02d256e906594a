package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// request asks a node for a page; it ends no test, so that a node may die meanwhile.
func (n *node) request(from, path string) (int, error) {
	return get(http.DefaultClient, n.url+path, from)
}

func get(c *http.Client, url, from string) (int, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("X-Forwarded-For", from)
	req.Header.Set("User-Agent", "Mozilla/5.0")
	resp, err := c.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// load is a stream of page views of many clients over all nodes in turn.
type load struct {
	begun time.Time
	next  atomic.Int64
	stop  chan struct{}
	work  sync.WaitGroup

	mu       sync.Mutex
	views    []view
	failures []string
}

// view is one request: when it was sent and how long it took.
type view struct {
	at   time.Time
	took time.Duration
}

// loadWorkers are connections to each node.
const loadWorkers = 32

// startLoad sends so many requests a second, or as many as the machine does.
func (f *fleet) startLoad(rate int) *load {
	f.t.Helper()
	l := &load{begun: time.Now(), stop: make(chan struct{})}
	for range loadWorkers {
		l.work.Go(func() { l.run(f, rate) })
	}
	f.t.Cleanup(func() { l.end() })
	return l
}

func (l *load) run(f *fleet, rate int) {
	c := &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer c.CloseIdleConnections()
	for {
		i := l.next.Add(1)
		select {
		case <-l.stop:
			return
		case <-time.After(time.Until(l.begun.Add(time.Duration(i) * time.Second / time.Duration(rate)))):
		}
		client := i % 4000
		sent := time.Now()
		status, err := get(c, f.nodes[i%int64(len(f.nodes))].url+page(i), fmt.Sprintf("100.64.%d.%d", client/250, client%250))
		took := time.Since(sent)
		l.mu.Lock()
		l.views = append(l.views, view{sent, took})
		if err != nil || status != http.StatusOK {
			l.failures = append(l.failures, fmt.Sprintf("request %d, %s after the start: %d %v", i, sent.Sub(l.begun).Round(time.Millisecond), status, err))
		}
		l.mu.Unlock()
	}
}

// end stops the load. It may be called twice.
func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.work.Wait()
}

// check ends the load and reports requests that failed.
func (l *load) check(t *testing.T) {
	t.Helper()
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d requests in %s, %d failed", len(l.views), time.Since(l.begun).Round(time.Millisecond), len(l.failures))
	for _, failure := range l.failures[:min(len(l.failures), 10)] {
		t.Error(failure)
	}
	if len(l.views) == 0 {
		t.Error("nothing was requested")
	}
}

// between logs how the requests of a time fared, and returns the 99th percentile.
func (l *load) between(t *testing.T, what string, from, to time.Time) time.Duration {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	var took []time.Duration
	for _, v := range l.views {
		if !v.at.Before(from) && v.at.Before(to) {
			took = append(took, v.took)
		}
	}
	if len(took) == 0 {
		t.Errorf("%s: no requests", what)
		return 0
	}
	slices.Sort(took)
	p99 := took[len(took)*99/100]
	t.Logf("%-22s %6.0f requests/s, p50 %s, p99 %s, most %s", what, float64(len(took))/to.Sub(from).Seconds(),
		took[len(took)/2].Round(10*time.Microsecond), p99.Round(10*time.Microsecond), took[len(took)-1].Round(10*time.Microsecond))
	return p99
}
