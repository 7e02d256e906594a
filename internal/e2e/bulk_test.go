package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// bulk sends a GET of path for each client, a few connections side by side, and
// returns how often each status came.
func (n *node) bulk(path string, clients []string) map[int]int {
	n.t.Helper()
	const connections, window = 4, 50
	var mu sync.Mutex
	statuses := map[int]int{}
	var wg sync.WaitGroup
	for part := range slices.Chunk(clients, max(1, (len(clients)+connections-1)/connections)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			c, err := net.Dial("tcp", "127.0.0.1:"+n.port)
			if err != nil {
				n.t.Error(err)
				return
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(2 * patience))
			in := bufio.NewReader(c)
			for some := range slices.Chunk(part, window) {
				out := bufio.NewWriter(c)
				for _, from := range some {
					fmt.Fprintf(out, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: %s\r\n\r\n", path, from)
				}
				if err := out.Flush(); err != nil {
					n.t.Error(err)
					return
				}
				for range some {
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						n.t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					mu.Lock()
					statuses[resp.StatusCode]++
					mu.Unlock()
				}
			}
		}()
	}
	wg.Wait()
	return statuses
}

// clientsOf makes n addresses below a /8.
func clientsOf(net8, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf("%d.%d.%d.%d", net8, i>>16&255, i>>8&255, i&255)
	}
	return out
}

// appender writes numbered lines to a log, one after the other, until stopped.
type appender struct {
	node  *node
	file  string
	every time.Duration
	stop  chan struct{}
	done  sync.WaitGroup
	lines int // valid after halt
}

// appendLines begins to write lines of an access log, each for a path of its own:
// /line/0, /line/1 and so on.
func (n *node) appendLines(file string, every time.Duration) *appender {
	a := &appender{node: n, file: file, every: every, stop: make(chan struct{})}
	n.add(file) // an empty line: the file exists before it is followed
	a.done.Add(1)
	go func() {
		defer a.done.Done()
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-a.stop:
				return
			case <-tick.C:
				a.node.add(a.file, writerLine(a.lines))
				a.lines++
			}
		}
	}()
	return a
}

func (a *appender) halt() int {
	close(a.stop)
	a.done.Wait()
	return a.lines
}

func writerLine(i int) string {
	return fmt.Sprintf(`192.0.2.%d - - [%s] "GET /line/%d HTTP/1.1" 200 512 "-" "writer"`, i%250,
		time.Now().Format("02/Jan/2006:15:04:05 -0700"), i)
}

// lineScenario reports every line of an appender by its path.
const lineScenario = `---
name: line
type: trigger
filter: evt.Line.Module == 'file' && evt.Meta.http_path startsWith '/line/'
scope:
  type: Line
  expression: evt.Meta.http_path
labels:
  remediation: false
`

// linesSeen counts the alerts of lineScenario by path.
func (n *node) linesSeen() map[string]int {
	n.t.Helper()
	seen := map[string]int{}
	for _, a := range n.alerts("scenario=line&limit=10000") {
		seen[a.Source.Value]++
	}
	return seen
}
