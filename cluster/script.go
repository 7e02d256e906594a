package cluster

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// scripts are those that run through a client.
type scripts struct {
	mu   sync.Mutex
	list []*script
}

// script is a Lua script that runs in Redis, and what it has cost.
type script struct {
	c      *Client
	name   string
	source string
	hash   string
	calls  atomic.Int64
	errs   atomic.Int64
	micros atomic.Int64
	spread histogram
}

// call is one run of a script.
type call struct {
	keys []string
	args []any
}

// reply is what a call gave.
type reply struct {
	value any
	err   error
}

// script returns the script with that name and source, the same for the same.
func (c *Client) script(name, source string) *script {
	c.scripts.mu.Lock()
	defer c.scripts.mu.Unlock()
	sum := sha1.Sum([]byte(source))
	hash := hex.EncodeToString(sum[:])
	for _, s := range c.scripts.list {
		if s.hash == hash && s.name == name {
			return s
		}
	}
	s := &script{c: c, name: name, source: source, hash: hash}
	c.scripts.list = append(c.scripts.list, s)
	return s
}

// once is a command that the library must not send again by itself: it cannot know
// whether the first has had its effect.
type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

func (s *script) command(ctx context.Context, how, what string, one call) once {
	args := make([]any, 0, 3+len(one.keys)+len(one.args))
	args = append(args, how, what, len(one.keys))
	for _, k := range one.keys {
		args = append(args, k)
	}
	cmd := redis.NewCmd(ctx, append(args, one.args...)...)
	cmd.SetFirstKeyPos(3)
	return once{cmd}
}

// Run runs it once. keys must have one tag in a Redis Cluster; args are strings,
// []byte and whole numbers. The value is a string, an int64, nil or a []any of such.
func (s *script) Run(ctx context.Context, keys []string, args ...any) (any, error) {
	one := call{keys, args}
	begin := time.Now()
	cmd := s.command(ctx, "evalsha", s.hash, one)
	err := s.c.redis.Process(ctx, cmd)
	if missing(err) {
		cmd = s.command(ctx, "eval", s.source, one)
		err = s.c.redis.Process(ctx, cmd)
	}
	if errors.Is(err, redis.Nil) {
		err = nil // Lua's false, an answer as any other
	}
	s.note(time.Since(begin), err)
	if err != nil {
		return nil, err
	}
	return cmd.Val(), nil
}

// RunAll runs all calls in one pipeline; those in one server run in their order. A
// reply stands where its call stood.
func (s *script) RunAll(ctx context.Context, calls []call) []reply {
	out := make([]reply, len(calls))
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	begin := time.Now()
	if again := s.pipeline(ctx, "evalsha", s.hash, calls, todo, out); len(again) > 0 {
		s.pipeline(ctx, "eval", s.source, calls, again, out)
	}
	took := time.Since(begin)
	for i := range out {
		s.note(took, out[i].err)
	}
	return out
}

// pipeline sends the calls numbered in todo and returns the numbers of those for
// which the server does not have the script.
func (s *script) pipeline(ctx context.Context, how, what string, calls []call, todo []int, out []reply) (again []int) {
	pipe := s.c.redis.Pipeline()
	cmds := make([]once, len(todo))
	for i, n := range todo {
		cmds[i] = s.command(ctx, how, what, calls[n])
		_ = pipe.Process(ctx, cmds[i]) // only queues it
	}
	_, _ = pipe.Exec(ctx) // each has its own error
	for i, n := range todo {
		err := cmds[i].Err()
		switch {
		case missing(err):
			again = append(again, n)
			out[n] = reply{err: err}
		case err != nil && !errors.Is(err, redis.Nil):
			out[n] = reply{err: err}
		default:
			out[n] = reply{value: cmds[i].Val()}
		}
	}
	return again
}

func missing(err error) bool { return redis.HasErrorPrefix(err, "NOSCRIPT") }

func (s *script) note(took time.Duration, err error) {
	s.calls.Add(1)
	if err != nil {
		s.errs.Add(1)
	}
	micros := took.Microseconds()
	s.micros.Add(micros)
	s.spread.add(micros)
}

// ScriptStats are what the calls of a script have cost, as this node saw it: the
// network and the wait for a connection included. Times are in µs.
type ScriptStats struct {
	Name   string  `json:"name"`
	Calls  int64   `json:"calls"`
	Errors int64   `json:"errors"`
	Mean   float64 `json:"mean_us"`
	P99    int64   `json:"p99_us"`
}

func (s *script) stats() ScriptStats {
	out := ScriptStats{Name: s.name, Calls: s.calls.Load(), Errors: s.errs.Load(), P99: s.spread.quantile(0.99)}
	if out.Calls > 0 {
		out.Mean = float64(s.micros.Load()) / float64(out.Calls)
	}
	return out
}

// Scripts tells what each script has cost so far.
func (c *Client) Scripts() []ScriptStats {
	c.scripts.mu.Lock()
	list := slices.Clone(c.scripts.list)
	c.scripts.mu.Unlock()
	out := make([]ScriptStats, len(list))
	for i, s := range list {
		out[i] = s.stats()
	}
	return out
}

// histogram counts times in classes that are a quarter of an octave wide.
type histogram [160]atomic.Int64

func (h *histogram) add(micros int64) { h[class(micros)].Add(1) }

// class of a time: below 8 µs each has its own.
func class(micros int64) int {
	if micros < 8 {
		return int(max(micros, 0))
	}
	octave := bits.Len64(uint64(micros)) // 4 or more
	quarter := int(micros>>(octave-3)) & 3
	return min(8+(octave-4)*4+quarter, len(histogram{})-1)
}

// edge is the greatest time in a class.
func edge(class int) int64 {
	if class < 8 {
		return int64(class)
	}
	octave, quarter := (class-8)/4+4, int64((class-8)%4)
	return (5+quarter)<<(octave-3) - 1
}

// quantile is the time that the share q of all did not exceed, up to a quarter too
// much; 0 if there were none.
func (h *histogram) quantile(q float64) int64 {
	total := int64(0)
	for i := range h {
		total += h[i].Load()
	}
	rest := int64(q * float64(total))
	for i := range h {
		if rest -= h[i].Load(); rest < 0 {
			return edge(i)
		}
	}
	return 0
}
