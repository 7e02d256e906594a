package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/rampart-edge/rampart/event"
)

// double is a sender that a test steers. It runs on a bubble's clock.
type double struct {
	mu     sync.Mutex
	texts  []string
	at     []time.Time
	closed int
	answer func(ctx context.Context, n int) error // of the n-th try, from 0
	tries  int
}

func (d *double) send(ctx context.Context, text string) error {
	d.mu.Lock()
	n := d.tries
	d.tries++
	d.mu.Unlock()
	if d.answer != nil {
		if err := d.answer(ctx, n); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.texts, d.at = append(d.texts, text), append(d.at, time.Now())
	return nil
}

func (d *double) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed++
}

func (d *double) got() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]string(nil), d.texts...)
}

// doubles makes receivers of the type file, whose texts go to doubles instead.
func doubles(t *testing.T, yaml string) (*Receivers, map[string]*double) {
	t.Helper()
	rs, out := read(t, yaml), map[string]*double{}
	for name, r := range rs.byName {
		out[name] = &double{}
		r.sender = out[name]
	}
	return rs, out
}

// one is a receiver's YAML: name, its format the scenarios, and more keys.
func one(name string, keys ...string) string {
	return "type: file\nlog_path: /nowhere/x\nname: " + name + "\nformat: '{{range .}}{{.Scenario}} {{end}}'\n" + strings.Join(keys, "\n") + "\n---\n"
}

func scenario(name string) *event.Alert { return &event.Alert{Scenario: name} }

func figuresOf(t *testing.T, n *Notifier, name string) Stats {
	t.Helper()
	for _, s := range n.Stats() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no figures of %s", name)
	return Stats{}
}

// closeNow wants nothing lost.
func closeNow(t *testing.T, n *Notifier) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := n.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestNotify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, to := doubles(t, one("a")+one("b", "group_wait: 10s", "group_threshold: 3"))
		n := New(Options{})
		n.Use(rs)
		n.Notify(scenario("one"), []string{"a", "b", "a", "nobody"})
		n.Notify(scenario("two"), []string{"b"})
		n.Notify(scenario("three"), nil)
		synctest.Wait()
		if diff := cmp.Diff([]string{"one "}, to["a"].got()); diff != "" {
			t.Error(diff)
		}
		if got := to["b"].got(); len(got) > 0 {
			t.Errorf("before its time: %q", got)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"one two "}, to["b"].got()); diff != "" {
			t.Error(diff)
		}
		closeNow(t, n)
		if to["a"].closed != 1 || to["b"].closed != 1 {
			t.Error("a sender was not closed")
		}
	})
}

// TestFlood: ten thousand overflows a minute make as many messages as the rate
// allows, and every one of them is told of.
func TestFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, to := doubles(t, "type: file\nlog_path: /x\nname: chat\nrate: 5/1m\nformat: '{{range .}}alert {{end}}'\ndigest: 'digest {{.Total}} {{len .Scenarios}}'")
		n := New(Options{})
		n.Use(rs)
		begun := time.Now()
		for i := range 10_000 {
			n.Notify(scenario(fmt.Sprintf("s%d", i%7)), []string{"chat"})
			time.Sleep(6 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		got := to["chat"].got()
		if len(got) > 10 {
			t.Fatalf("%d messages in two minutes", len(got))
		}
		alerts := 0
		for i, text := range got {
			if i >= 5 && to["chat"].at[i].Sub(to["chat"].at[i-5]) < time.Minute {
				t.Errorf("message %d is the sixth within %s", i, to["chat"].at[i].Sub(to["chat"].at[i-5]))
			}
			var total, scenarios int
			if _, err := fmt.Sscanf(text, "digest %d %d", &total, &scenarios); err == nil {
				if scenarios != topNames {
					t.Errorf("%q: want %d scenarios", text, topNames)
				}
				alerts += total
				continue
			}
			alerts += strings.Count(text, "alert ")
		}
		s := figuresOf(t, n, "chat")
		if alerts+s.Untold != 10_000 || s.Dropped != 0 || int(s.Sent) != len(got) {
			t.Errorf("%d alerts told, figures %+v", alerts, s)
		}
		t.Logf("%d messages until %s: %q", len(got), time.Since(begun), got)
		closeNow(t, n)
	})
}

// TestHanging: one that hangs holds up neither the other nor who calls.
func TestHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, to := doubles(t, one("hangs", "max_retry: 1", "timeout: 1m")+one("works"))
		to["hangs"].answer = func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
		core, logs := observer.New(zapcore.InfoLevel)
		n := New(Options{Logger: zap.New(core)})
		n.Use(rs)
		before := time.Now()
		for range maxWaiting + 500 {
			n.Notify(scenario("x"), []string{"hangs", "works"})
			synctest.Wait()
		}
		if time.Since(before) != 0 {
			t.Errorf("Notify took %s", time.Since(before))
		}
		if got := len(to["works"].got()); got != maxWaiting+500 {
			t.Errorf("%d messages at the one that works", got)
		}
		s := figuresOf(t, n, "hangs")
		if s.Waiting != maxWaiting || s.Dropped != 500 || s.Untold != 500 {
			t.Errorf("figures %+v", s)
		}
		if full := logs.FilterMessageSnippet("the queue is full").Len(); full != 1 {
			t.Errorf("%d times told that the queue is full", full)
		}
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		if s := figuresOf(t, n, "hangs"); s.Failed != 1 || s.Retried < 1 || s.LastError != context.DeadlineExceeded.Error() || s.LastErrorAt.IsZero() {
			t.Errorf("figures %+v", s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := n.Close(ctx); err == nil || !strings.Contains(err.Error(), "alerts were not sent") {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestRetries(t *testing.T) {
	failing := errors.New("away")
	for _, c := range []struct {
		name     string
		keys     string
		answer   func(n int) error
		tries    int
		min, max time.Duration // from the first try to the last
		failed   uint64
	}{
		{"until it works", "", func(n int) error { return map[bool]error{true: failing}[n < 3] }, 4, 4900 * time.Millisecond, 9100 * time.Millisecond, 0},
		{"a limit", "max_retry: 2", func(int) error { return failing }, 3, 2100 * time.Millisecond, 3900 * time.Millisecond, 1},
		{"five minutes", "", func(int) error { return failing }, 0, 4 * time.Minute, 5 * time.Minute, 1},
		{"for good", "", func(int) error { return permanentError{failing} }, 1, 0, 0, 1},
		{"when the server says", "max_retry: 1", func(int) error { return laterError{failing, time.Minute} }, 2, time.Minute, time.Minute, 1},
		{"a server that says never", "max_retry: 1", func(int) error { return laterError{failing, time.Hour} }, 2, maxRetryAfter, maxRetryAfter, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rs, to := doubles(t, one("a", c.keys))
				var at []time.Time
				to["a"].answer = func(_ context.Context, n int) error { at = append(at, time.Now()); return c.answer(n) }
				n := New(Options{})
				n.Use(rs)
				n.Notify(scenario("x"), []string{"a"})
				time.Sleep(maxTrying + time.Second)
				synctest.Wait()
				s := figuresOf(t, n, "a")
				n.Use(nil)
				synctest.Wait()
				if c.failed > 0 && c.tries > 0 {
					at = at[:min(len(at), c.tries)] // a digest of what failed is tried later
				}
				if took := at[len(at)-1].Sub(at[0]); c.tries > 0 && (took < c.min || took > c.max || len(at) != c.tries) {
					t.Errorf("%d tries in %s, want %d in %s to %s", len(at), took, c.tries, c.min, c.max)
				}
				for i := 1; i < len(at); i++ {
					if gap := at[i].Sub(at[i-1]); c.tries == 0 && gap > 40*time.Second {
						t.Errorf("a pause of %s", gap)
					}
				}
				if s.Failed < c.failed || c.failed == 0 && s.Failed > 0 {
					t.Errorf("figures %+v", s)
				}
			})
		})
	}
}

// TestBadTemplate: a message that cannot be rendered fails alone.
func TestBadTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, to := doubles(t, "type: file\nlog_path: /x\nname: a\nformat: '{{range .}}{{if eq .Scenario \"bad\"}}{{.Nothing}}{{else if eq .Scenario \"good\"}}{{.Scenario}}{{end}}{{end}}'")
		n := New(Options{})
		n.Use(rs)
		for _, s := range []string{"good", "bad", "empty", "good"} {
			n.Notify(scenario(s), []string{"a"})
		}
		synctest.Wait()
		if diff := cmp.Diff([]string{"good", "good"}, to["a"].got()); diff != "" {
			t.Error(diff)
		}
		s := figuresOf(t, n, "a")
		if s.Sent != 2 || s.Failed != 1 || s.Empty != 1 || s.Retried != 0 || !strings.Contains(s.LastError, "can't evaluate field Nothing") {
			t.Errorf("figures %+v", s)
		}
		n.Use(nil)
	})
}

func TestUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		text := one("stays", "group_wait: 1m") + one("changes", "group_wait: 1m") + one("goes", "group_wait: 1m")
		rs, first := doubles(t, text)
		n := New(Options{})
		n.Use(rs)
		n.Notify(scenario("x"), []string{"stays", "changes", "goes"})
		synctest.Wait()
		again, second := doubles(t, one("stays", "group_wait: 1m")+one("changes", "group_wait: 30s")+one("comes"))
		n.Use(again)
		synctest.Wait()
		if first["stays"].closed != 0 || first["changes"].closed != 1 || first["goes"].closed != 1 {
			t.Errorf("closed: stays %d, changes %d, goes %d", first["stays"].closed, first["changes"].closed, first["goes"].closed)
		}
		n.Notify(scenario("y"), []string{"comes", "goes"})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"x "}, second["changes"].got()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"x "}, first["stays"].got()); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{"y "}, second["comes"].got()); diff != "" {
			t.Error(diff)
		}
		if got := append(first["goes"].got(), second["stays"].got()...); len(got) > 0 {
			t.Errorf("receivers not in use got %q", got)
		}
		closeNow(t, n)
		n.Use(rs)
		n.Notify(scenario("z"), []string{"stays"})
		if s := figuresOf(t, n, "stays"); s.Dropped != 1 {
			t.Errorf("after Close: %+v", s)
		}
	})
}

// TestUseMends: a message that is being tried goes to what its receiver is now.
func TestUseMends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, broken := doubles(t, one("a"))
		broken["a"].answer = func(context.Context, int) error { return errors.New("away") }
		n := New(Options{})
		n.Use(rs)
		n.Notify(scenario("x"), []string{"a"})
		time.Sleep(5 * time.Second)
		rs, works := doubles(t, one("a", "timeout: 7s"))
		n.Use(rs)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if diff := cmp.Diff([]string{"x "}, works["a"].got()); diff != "" {
			t.Error(diff)
		}
		closeNow(t, n)
	})
}

// TestCloseDrains: what waits goes out at once.
func TestCloseDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, to := doubles(t, one("a", "group_wait: 1h", "group_threshold: 50"))
		n := New(Options{})
		n.Use(rs)
		n.Notify(scenario("x"), []string{"a"})
		n.Notify(scenario("y"), []string{"a"})
		before := time.Now()
		closeNow(t, n)
		if diff := cmp.Diff([]string{"x y "}, to["a"].got()); diff != "" || time.Since(before) != 0 {
			t.Errorf("after %s: %s", time.Since(before), diff)
		}
		closeNow(t, n)
	})
}

func TestSample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, to := doubles(t, one("a", "group_wait: 1h")+"type: file\nlog_path: /x\nname: b\nformat: ' '\n---\ntype: file\nlog_path: /x\nname: c\nformat: '{{index . 5}}'")
		n := New(Options{})
		if err := n.Test(t.Context(), "a"); err == nil || !strings.Contains(err.Error(), "there are none") {
			t.Errorf("without receivers: %v", err)
		}
		n.Use(rs)
		if err := n.Test(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff([]string{"rampart/test "}, to["a"].got()); diff != "" {
			t.Error(diff)
		}
		for name, want := range map[string]string{"b": "empty text", "c": "out of range", "d": `no receiver is named "d": there are a, b, c`} {
			if err := n.Test(t.Context(), name); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		to["a"].answer = func(context.Context, int) error { return errors.New("away") }
		if err := n.Test(t.Context(), "a"); err == nil || err.Error() != `testing receiver "a": away` {
			t.Errorf("one that fails: %v", err)
		}
		if s := figuresOf(t, n, "a"); s.Sent != 1 || s.Failed != 1 || s.Retried != 0 || s.LastError != "away" || s.LastSent.IsZero() {
			t.Errorf("figures %+v", s)
		}
		closeNow(t, n)
	})
}

// TestLogLevel: a receiver may be quieter than the process, never louder.
func TestLogLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rs, to := doubles(t, one("quiet", "log_level: error", "max_retry: 1")+one("loud", "log_level: debug", "max_retry: 1"))
		for _, d := range to {
			d.answer = func(context.Context, int) error { return permanentError{errors.New("no")} }
		}
		core, logs := observer.New(zapcore.InfoLevel)
		n := New(Options{Logger: zap.New(core)})
		n.Use(rs)
		n.Notify(scenario("x"), []string{"quiet", "loud"})
		synctest.Wait()
		var who []string
		for _, e := range logs.FilterMessage("notification failed").All() {
			who = append(who, e.ContextMap()["receiver"].(string))
		}
		if diff := cmp.Diff([]string{"loud"}, who); diff != "" {
			t.Error(diff)
		}
		n.Use(nil)
	})
}
