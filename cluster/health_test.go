package cluster

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/captcha"
	"github.com/rampart-edge/rampart/internal/testkit/redistest"
	"github.com/redis/go-redis/v9"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// TestHealth breaks Redis in every way there is: the reason is the right one, each
// change is logged once, and all is well again afterwards.
func TestHealth(t *testing.T) {
	type server struct {
		*redistest.Server
		proxy *redistest.Proxy
	}
	tests := []struct {
		name          string
		options       redistest.Options
		ruin, mend    func(server)
		reason        string
		mendsByItself bool
	}{
		{name: "stalled", reason: "does not answer in time",
			ruin: func(s server) { s.proxy.Stall() }, mend: func(s server) { s.proxy.Heal() }},
		{name: "paused", reason: "does not answer in time",
			ruin: func(s server) { s.Pause() }, mend: func(s server) { s.Resume() }},
		{name: "slow", reason: "does not answer in time",
			ruin: func(s server) { s.proxy.Delay(700 * time.Millisecond) }, mend: func(s server) { s.proxy.Heal() }},
		{name: "cut", reason: "connection refused",
			ruin: func(s server) { s.proxy.Cut() }, mend: func(s server) { s.proxy.Heal() }},
		{name: "reset", reason: "connection refused",
			ruin: func(s server) { s.proxy.Reset() }, mend: func(s server) { s.proxy.Heal() }},
		{name: "killed and empty", reason: "connection was lost",
			ruin: func(s server) { s.Kill() }, mend: func(s server) { s.Restart(true) }},
		{name: "killed and back", reason: "connection was lost", options: redistest.Options{AOF: true},
			ruin: func(s server) { s.Kill() }, mend: func(s server) { s.Restart(false) }},
		{name: "replica", reason: "read-only replica",
			ruin: func(s server) { s.Do("REPLICAOF", "127.0.0.1", "1") }, mend: func(s server) { s.Do("REPLICAOF", "NO", "ONE") }},
		{name: "out of memory", reason: "maxmemory",
			ruin: func(s server) { s.Do("CONFIG", "SET", "maxmemory", "1") }, mend: func(s server) { s.Do("CONFIG", "SET", "maxmemory", "0") }},
		{name: "busy", reason: "does not answer in time", mendsByItself: true,
			ruin: func(s server) {
				go func() { _, _ = s.Try("DEBUG", "SLEEP", "4") }()
			}, options: redistest.Options{Args: []string{"--enable-debug-command", "yes"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, tt.options)
			both := server{s, redistest.NewProxy(t, s.Addr())}
			c, logs := open(t, 1, at(both.proxy.Addr()))
			within(t, "redis is up", c.Up)
			ear, stop := c.changed()
			defer stop()
			tt.ruin(both)
			within(t, "the node notices", func() bool { return !c.Up() })
			<-ear
			checkReason(t, c, tt.reason, logs)
			if !tt.mendsByItself {
				time.Sleep(500 * time.Millisecond) // further failures must not be logged
				tt.mend(both)
			}
			within(t, "redis is up again", c.Up)
			<-ear
			if h := c.Health(); h.Reason != "" || h.State != StateUp {
				t.Errorf("health %+v", h)
			}
			checkLog(t, logs, "in use", "out of use", "in use")
		})
	}
}

// checkReason looks for the reason in the log or, as the newest one, in the health.
func checkReason(t *testing.T, c *Client, reason string, logs *observer.ObservedLogs) {
	t.Helper()
	h := c.Health()
	text := h.Reason
	for _, e := range logs.FilterMessageSnippet("out of use").All() {
		text += "\n" + fmt.Sprint(e.ContextMap()["reason"])
	}
	if h.State != StateDegraded || h.Since.IsZero() || !strings.Contains(text, reason) {
		t.Errorf("state %q since %v, reasons %q, want %q", h.State, h.Since, text, reason)
	}
}

// checkLog wants exactly one line for each change.
func checkLog(t *testing.T, logs *observer.ObservedLogs, want ...string) {
	t.Helper()
	var got []string
	for _, e := range logs.All() {
		got = append(got, fmt.Sprint(e.Message, " ", e.ContextMap()))
	}
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
		return
	}
	for i := range want {
		if !strings.Contains(got[i], want[i]) {
			t.Errorf("line %d is %q, want %q", i, got[i], want[i])
		}
	}
}

// TestHealthFromTheStart: what is wrong when the node starts is told at once.
func TestHealthFromTheStart(t *testing.T) {
	const password = "open-sesame-42"
	plain := redistest.Start(t, redistest.Options{})
	locked := redistest.Start(t, redistest.Options{Password: password, ACL: []string{
		"user weak on >" + password + " ~rampart:* &rampart:* +get +hello",
		"user off off >" + password + " ~* &* +@all",
	}})
	secured := redistest.Start(t, redistest.Options{TLS: true})
	other := redistest.Start(t, redistest.Options{TLS: true})
	name := secured.Trust()
	name.ServerName = "redis.example.com"
	tests := []struct {
		name   string
		config Config
		reason string
	}{
		{"nobody there", at("127.0.0.1:1"), "connection refused by 127.0.0.1:1"},
		{"no password", at(locked.Addr()), "wants a password"},
		{"wrong password", Config{Addresses: []string{locked.Addr()}, Password: password + "x"}, "does not accept username and password"},
		{"wrong user", Config{Addresses: []string{locked.Addr()}, Username: "nobody", Password: password}, "does not accept username and password"},
		{"user switched off", Config{Addresses: []string{locked.Addr()}, Username: "off", Password: password}, "does not accept username and password"},
		{"rights missing", Config{Addresses: []string{locked.Addr()}, Username: "weak", Password: password}, "may not do what is needed"},
		{"no such database", Config{Addresses: []string{plain.Addr()}, DB: 99}, "check db"},
		{"other authority", Config{Addresses: []string{secured.Addr()}, TLS: other.Trust()}, "not signed by an authority"},
		{"other name", Config{Addresses: []string{secured.Addr()}, TLS: name}, "for another name"},
		{"TLS where none is", Config{Addresses: []string{plain.Addr()}, TLS: secured.Trust()}, "does it speak TLS"},
		{"none where TLS is", at(secured.Addr()), "does Redis want TLS"},
		{"no Sentinel there", Config{Sentinels: []string{"127.0.0.1:1"}, Master: "fleet"}, "no Sentinel can be reached"},
		{"no Cluster there", Config{Cluster: []string{"127.0.0.1:1"}}, "refused"},
		{"not a Cluster", Config{Cluster: []string{plain.Addr()}}, "not a Redis Cluster"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			c, logs := open(t, 1, tt.config)
			if took := time.Since(begin); took > time.Second {
				t.Errorf("Open took %v", took)
			}
			within(t, "the node notices", func() bool { return c.Health().State == StateDegraded })
			time.Sleep(time.Second) // further failures must not be logged
			h := c.Health()
			if !strings.Contains(h.Reason, tt.reason) || h.Reason == "" {
				t.Errorf("reason %q, want %q", h.Reason, tt.reason)
			}
			t.Log(h.Reason)
			checkLog(t, logs, "out of use")
			for _, e := range logs.All() {
				if text := fmt.Sprint(e.Message, e.ContextMap(), h); strings.Contains(text, password) {
					t.Errorf("the password is told: %s", text)
				}
			}
		})
	}
}

// TestHealthPassword: the password is changed under way, and back.
func TestHealthPassword(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	p := redistest.NewProxy(t, s.Addr())
	s.Do("CONFIG", "SET", "requirepass", "one")
	c, logs := open(t, 1, Config{Addresses: []string{p.Addr()}, Password: "one"})
	within(t, "redis is up", c.Up)
	as := func(password string, args ...string) {
		if _, err := s.TryAs("", password, args...); err != nil {
			t.Fatal(err)
		}
	}
	as("one", "CONFIG", "SET", "requirepass", "two")
	p.Cut()
	within(t, "the node notices", func() bool { return !c.Up() })
	p.Heal()
	within(t, "the reason is known", func() bool { return strings.Contains(c.Health().Reason, "does not accept") })
	time.Sleep(500 * time.Millisecond)
	as("two", "CONFIG", "SET", "requirepass", "one")
	within(t, "redis is up again", c.Up)
	checkLog(t, logs, "in use", "out of use", "for another reason", "in use")
}

// TestHealthLoading: a server that has started again and does not have its data yet is
// known as such.
func TestHealthLoading(t *testing.T) {
	const keys, delay = 150, "20000" // µs for each key: three seconds
	s := redistest.Start(t, redistest.Options{RDB: true, Args: []string{"--key-load-delay", delay, "--loading-process-events-interval-bytes", "1024",
		"--rdbcompression", "no"}})
	for i := range keys {
		s.Do("SET", strconv.Itoa(i), strings.Repeat("x", 500))
	}
	c, logs := open(t, 1, at(s.Addr()))
	within(t, "redis is up", c.Up)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Restart(false)
	}()
	within(t, "it is known to be loading", func() bool { return strings.Contains(c.Health().Reason, "loading its data") })
	<-done
	within(t, "redis is up again", c.Up)
	checkLog(t, logs, "in use", "out of use", "in use")
}

// TestHealthFlaps: one connection that breaks, or one slow call, is no outage.
func TestHealthFlaps(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c, logs := open(t, 1, at(s.Addr()))
	within(t, "redis is up", c.Up)
	for range 5 {
		s.Do("CLIENT", "KILL", "TYPE", "normal")
		time.Sleep(100 * time.Millisecond)
		within(t, "a call succeeds", func() bool { return c.rdb().Ping(t.Context()).Err() == nil })
		c.health.outcome(c.elapsed(), errSlow{})
		within(t, "a call succeeds", func() bool { return c.rdb().Ping(t.Context()).Err() == nil })
	}
	begun := c.elapsed()
	for range 5 {
		c.health.outcome(begun, errSlow{}) // five that were under way together
	}
	within(t, "a call succeeds", func() bool { return c.rdb().Ping(t.Context()).Err() == nil })
	time.Sleep(1500 * time.Millisecond)
	checkLog(t, logs, "in use")
	c.health.outcome(c.elapsed(), errSlow{})
	c.health.outcome(c.elapsed(), errSlow{})
	if c.Up() {
		t.Error("two calls in a row timed out, and all is well")
	}
	within(t, "redis is up again", c.Up)
	checkLog(t, logs, "in use", "out of use", "in use")
}

// TestKeysOfOtherTypes: what a key stops that holds something else than it should is
// told once, with the name of the key, and goes on when the key is gone.
func TestKeysOfOtherTypes(t *testing.T) {
	s := redistest.Start(t, redistest.Options{})
	c, logs := open(t, 1, at(s.Addr()))
	b := NewBurns(c, captcha.NewMemory(nil))
	defer b.Close()
	within(t, "a heartbeat", func() bool { return len(c.Nodes()) == 1 })
	tests := []struct {
		key    string
		script *script
		lines  int
	}{
		{c.nodesKey(), c.presence.beat, 1},
		{c.numbersKey(), c.presence.beat, 0}, // of the same kind
		{b.spentKey(), b.script, 1},
	}
	for i, tt := range tests {
		errs, told := tt.script.errs.Load(), logs.FilterLevelExact(zapcore.WarnLevel).Len()
		s.Do("DEL", tt.key)
		s.Do("SET", tt.key, "neither a hash nor a set")
		b.mustBurn(t, token(i), time.Now().Add(time.Hour))
		within(t, "it fails again and again", func() bool { return tt.script.errs.Load() >= errs+3 })
		lines := logs.FilterLevelExact(zapcore.WarnLevel).All()[told:]
		if len(lines) != tt.lines || len(lines) > 0 && !strings.Contains(fmt.Sprint(lines[0].ContextMap()["error"]), tt.key) {
			t.Errorf("%s: %v", tt.key, lines)
		}
		s.Do("DEL", tt.key)
		calls := tt.script.calls.Load() - tt.script.errs.Load()
		within(t, "it goes on", func() bool { return tt.script.calls.Load()-tt.script.errs.Load() > calls })
	}
	if !c.Up() {
		t.Error("a key takes Redis out of use")
	}
}

// errSlow is a call that timed out.
type errSlow struct{}

func (errSlow) Error() string   { return "i/o timeout" }
func (errSlow) Timeout() bool   { return true }
func (errSlow) Temporary() bool { return true }

// redisSaid is an error that a server sent.
type redisSaid string

func (e redisSaid) Error() string { return string(e) }
func (redisSaid) RedisError()     {}

func TestJudge(t *testing.T) {
	tests := []struct {
		err  error
		code string
		sure bool
	}{
		{nil, "", false},
		{redis.Nil, "", false},
		{redis.ErrClosed, "", false},
		{redisSaid("WRONGTYPE Operation against a key"), "", false},
		{redisSaid("NOSCRIPT No matching script."), "", false},
		{redisSaid("TRYAGAIN Multiple keys request during rehashing of slot"), "", false},
		{redisSaid("LOADING Redis is loading the dataset in memory"), "LOADING", true},
		{redisSaid("READONLY You can't write against a read only replica."), "READONLY", true},
		{redisSaid("CLUSTERDOWN The cluster is down"), "CLUSTERDOWN", true},
		{redisSaid("MASTERDOWN Link with MASTER is down"), "MASTERDOWN", true},
		{redisSaid("NOPERM this user has no permissions to run the 'xadd' command"), "NOPERM", true},
		{redisSaid("ERR The user executing the script can't run this command or subcommand script: 1, on @user_script:1."), "NOPERM", true},
		{redisSaid("ERR ACL failure in script: User app has no permissions to run the 'mget' command"), "NOPERM", true},
		{redisSaid("OOM command not allowed when used memory > 'maxmemory'."), "OOM", true},
		{fmt.Errorf("failed to authenticate: %w", redisSaid("WRONGPASS invalid")), "WRONGPASS", true},
		{fmt.Errorf("x: %w", io.EOF), "lost", false},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, "lost", false},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, "refused", true},
		{&net.OpError{Op: "dial", Err: errSlow{}}, "dial", true},
		{&net.OpError{Op: "read", Err: errSlow{}}, "slow", false},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Name: "redis.example.com"}}, "dns", true},
		{redis.ErrPoolTimeout, "slow", false},
		{errors.New("odd"), "other", false},
	}
	for _, tt := range tests {
		f := judge(tt.err)
		if f == nil {
			f = &failure{}
		}
		if f.code != tt.code || f.sure != tt.sure {
			t.Errorf("%v: %+v, want %q, sure %v", tt.err, f, tt.code, tt.sure)
		}
	}
}
