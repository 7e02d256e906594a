package file

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/rampart-edge/rampart/event"
	"github.com/rampart-edge/rampart/internal/testkit"
	"github.com/rampart-edge/rampart/logsources"
)

// counting is a Sink that counts and stops when it has enough.
type counting struct {
	n, want int
	stop    context.CancelFunc
}

func (c *counting) Accept(_ context.Context, lines []event.Line) error {
	if c.n += len(lines); c.n >= c.want {
		c.stop()
	}
	return nil
}

// bigLog is 100 MB of lines like those of sshd.
func bigLog(b *testing.B) (path string, lines int) {
	var text bytes.Buffer
	for i := 0; text.Len() < 100<<20; i++ {
		fmt.Fprintf(&text, "Jan  2 15:%02d:%02d web1 sshd[%d]: Failed password for invalid user u%d from 203.0.113.%d port %d ssh2\n", i/60%60, i%60, i%32768, i, i%256, 1024+i%60000)
		lines++
	}
	path = filepath.Join(b.TempDir(), "auth.log")
	if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	return path, lines
}

// BenchmarkFollow reads a 100 MB backlog; an operation is a line.
func BenchmarkFollow(b *testing.B) {
	path, lines := bigLog(b)
	spec, err := Spec(Options{Patterns: []string{path}, Labels: map[string]string{"type": "syslog"}, FromStart: true})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(100 << 20 / int64(lines))
	b.ResetTimer()
	defer testkit.CPU(b)()
	for done := 0; done < b.N; {
		ctx, cancel := context.WithCancel(context.Background())
		src, err := spec.New(logsources.Environment{})
		if err != nil {
			b.Fatal(err)
		}
		want := min(lines, b.N-done)
		src.Run(ctx, &counting{want: want, stop: cancel})
		done += want
	}
}

// BenchmarkRead goes once through the same file; an operation is a line.
func BenchmarkRead(b *testing.B) {
	path, lines := bigLog(b)
	b.ReportAllocs()
	b.SetBytes(100 << 20 / int64(lines))
	b.ResetTimer()
	defer testkit.CPU(b)()
	for done := 0; done < b.N; {
		err := Read(context.Background(), path, nil, 0, func(event.Line) error {
			if done++; done >= b.N {
				return context.Canceled
			}
			return nil
		})
		if err != nil && done < b.N {
			b.Fatal(err)
		}
	}
}
