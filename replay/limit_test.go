package replay_test

import (
	"context"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/logsources/file"
)

// combined is a line of a web server as a parser of nothing else reads it, without an
// event and its maps.
type combined struct {
	from                                 netip.Addr
	at                                   time.Time
	verb, request, http, referer, client string
	status, bytes                        int

	minute string // what at was read of last, up to the minute
	start  time.Time
}

// read is written for speed alone: it is what a line costs at the very least.
func (c *combined) read(line string) bool {
	from, rest, ok := strings.Cut(line, " - - [")
	if !ok || len(rest) < 28 {
		return false
	}
	var err error
	if c.from, err = netip.ParseAddr(from); err != nil {
		return false
	}
	if rest[:17] != c.minute {
		if c.start, err = time.Parse("02/Jan/2006:15:04:05 -0700", rest[:17]+":00"+rest[20:26]); err != nil {
			return false
		}
		c.minute = rest[:17]
	}
	second, err := strconv.Atoi(rest[18:20])
	if err != nil {
		return false
	}
	c.at = c.start.Add(time.Duration(second) * time.Second)
	var status, bytes string
	rest = rest[27:]
	for _, part := range [...]struct {
		into *string
		end  string
	}{{nil, `"`}, {&c.verb, " "}, {&c.request, " HTTP/"}, {&c.http, `" `}, {&status, " "}, {&bytes, ` "`}, {&c.referer, `" "`}, {&c.client, `"`}} {
		text, after, ok := strings.Cut(rest, part.end)
		if !ok {
			return false
		}
		if rest = after; part.into != nil {
			*part.into = text
		}
	}
	c.status, err = strconv.Atoi(status)
	size, sizeErr := strconv.Atoi(bytes)
	c.bytes = size
	return err == nil && sizeErr == nil
}

// BenchmarkLimit is what no engine can go below on the workload of BenchmarkReplay:
// reading its lines, and reading them with a parser written by hand, which detects
// nothing. Most of these lines it understands.
func BenchmarkLimit(b *testing.B) {
	w := testkit.MakeWorkload(b, "nginx", 100_000)
	var parser combined
	for name, each := range map[string]func(line string) bool{
		"lines":  func(string) bool { return true },
		"parser": parser.read,
	} {
		b.Run(name, func(b *testing.B) {
			known := 0
			var spent time.Duration
			b.ReportAllocs()
			for b.Loop() {
				known = 0
				before := testkit.Spent(b)
				if err := file.Read(context.Background(), w.Log, nil, 0, func(l event.Line) error {
					if each(l.Raw) {
						known++
					}
					return nil
				}); err != nil {
					b.Fatal(err)
				}
				spent += testkit.Spent(b) - before
			}
			if known < w.Lines*9/10 {
				b.Fatalf("%d of %d lines are understood", known, w.Lines)
			}
			b.ReportMetric(float64(w.Lines)*float64(b.N)/spent.Seconds(), "lines/cpu-s")
		})
	}
}
