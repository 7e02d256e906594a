package cluster

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// infoEvery is how often the server is asked about itself.
const infoEvery = 10 * time.Second

// maxInfo bounds what is read of an answer to INFO.
const maxInfo = 1 << 20

// server is what Redis tells about itself. In a Redis Cluster version, role and
// policy are those of one primary, evictions and costs those of all.
type server struct {
	mu     sync.Mutex
	next   time.Time
	facts  facts
	warned string
}

type facts struct {
	version, role, policy string
	maxMemory, evicted    int64
	evalCalls, evalMicros int64
}

func (s *server) fill(h *Health) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.facts
	h.Server, h.Role, h.Policy = f.version, f.role, f.policy
	h.MaxMemory, h.Evictions, h.Warning = f.maxMemory, f.evicted, f.warning()
	if f.evalCalls > 0 {
		h.EvalMicros = float64(f.evalMicros) / float64(f.evalCalls)
	}
}

// refresh asks when it is time. What it cannot learn it leaves: an ACL may forbid
// INFO, and whether Redis can be used is not its business.
func (s *server) refresh(c *Client) {
	now := c.now()
	s.mu.Lock()
	due := !now.Before(s.next)
	if due {
		s.next = now.Add(infoEvery)
	}
	s.mu.Unlock()
	if !due {
		return
	}
	f, err := ask(c)
	if err != nil {
		s.mu.Lock()
		s.next = now.Add(probeEvery)
		s.mu.Unlock()
		return
	}
	s.mu.Lock()
	s.facts = f
	warning := f.warning()
	fresh := warning != "" && s.warned == ""
	if fresh {
		s.warned = warning
	}
	s.mu.Unlock()
	if fresh {
		c.log.Warn("redis may lose shared state", zap.String("reason", warning))
	}
}

func (f facts) warning() string {
	switch {
	case f.evicted > 0 && f.policy != "":
		return "Redis has thrown out " + strconv.FormatInt(f.evicted, 10) + " keys for want of memory, buckets among them: raise maxmemory"
	case f.maxMemory > 0 && f.policy != "volatile-ttl":
		return "maxmemory-policy is " + f.policy + ": set volatile-ttl, so that decisions stay when memory is short"
	}
	return ""
}

func ask(c *Client) (facts, error) {
	ctx := context.WithValue(c.ctx, unwatched{}, true)
	var sum facts
	var mu sync.Mutex
	one := func(ctx context.Context, r redis.Cmdable) error {
		text, err := r.Info(ctx, "everything").Result()
		if err != nil {
			return err
		}
		f := parseInfo(text)
		mu.Lock()
		defer mu.Unlock()
		f.evicted += sum.evicted
		f.evalCalls += sum.evalCalls
		f.evalMicros += sum.evalMicros
		sum = f
		return nil
	}
	if cluster, ok := c.redis.(*redis.ClusterClient); ok {
		err := cluster.ForEachMaster(ctx, func(ctx context.Context, r *redis.Client) error { return one(ctx, r) })
		return sum, err
	}
	err := one(ctx, c.redis)
	return sum, err
}

// parseInfo reads what INFO answers; what is missing or odd stays zero.
func parseInfo(text string) facts {
	var f facts
	if len(text) > maxInfo {
		text = text[:maxInfo]
	}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		switch name {
		case "redis_version":
			f.version = value[:min(len(value), 32)]
		case "role":
			f.role = value[:min(len(value), 16)]
		case "maxmemory_policy":
			f.policy = value[:min(len(value), 32)]
		case "maxmemory":
			f.maxMemory = number(value)
		case "evicted_keys":
			f.evicted = number(value)
		case "cmdstat_evalsha", "cmdstat_eval":
			for field := range strings.SplitSeq(value, ",") {
				k, v, _ := strings.Cut(field, "=")
				switch k {
				case "calls":
					f.evalCalls += number(v)
				case "usec":
					f.evalMicros += number(v)
				}
			}
		}
	}
	return f
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
