package redistest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy forwards TCP connections to a server, worse and worse as it is told.
type Proxy struct {
	tb      testing.TB
	target  string
	addr    string
	delay   atomic.Int64 // each way, in ns
	up, dn  atomic.Int64
	stalled atomic.Pointer[chan struct{}] // closed when the stall is over

	mu       sync.Mutex
	listener net.Listener
	pairs    map[*pair]struct{}
	closed   bool
	work     sync.WaitGroup
}

// pair is a connection of a client and the one to the server.
type pair struct{ client, server net.Conn }

// NewProxy starts a proxy for target, a host:port, that ends with the test.
func NewProxy(tb testing.TB, target string) *Proxy {
	tb.Helper()
	p := &Proxy{tb: tb, target: target, addr: "127.0.0.1:0", pairs: map[*pair]struct{}{}}
	p.listen()
	tb.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		p.unstall()
		p.Cut()
		p.work.Wait()
	})
	return p
}

// Addr is host:port. It stays the same through Cut and Heal.
func (p *Proxy) Addr() string { return p.addr }

// Delay holds back what comes by d, each way; 0 ends it.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Bytes tells how many bytes clients have sent and have received.
func (p *Proxy) Bytes() (sent, received int64) { return p.up.Load(), p.dn.Load() }

// Stall swallows nothing but forwards nothing either: connections are accepted and
// kept, no byte gets through until Heal.
func (p *Proxy) Stall() {
	gate := make(chan struct{})
	p.stalled.CompareAndSwap(nil, &gate)
}

// Cut closes every connection and accepts no more: connecting is refused.
func (p *Proxy) Cut() { p.drop(false) }

// Reset closes every connection with a RST and accepts no more.
func (p *Proxy) Reset() { p.drop(true) }

// Break closes every connection with a RST and goes on accepting.
func (p *Proxy) Break() { p.breakAll(true) }

// Heal ends Delay, Stall, Cut and Reset. Connections that were stalled go on.
func (p *Proxy) Heal() {
	p.tb.Helper()
	p.delay.Store(0)
	p.unstall()
	p.mu.Lock()
	cut := p.listener == nil && !p.closed
	p.mu.Unlock()
	if cut {
		p.listen()
	}
}

func (p *Proxy) unstall() {
	if gate := p.stalled.Swap(nil); gate != nil {
		close(*gate)
	}
}

func (p *Proxy) listen() {
	p.tb.Helper()
	l, err := net.Listen("tcp", p.addr)
	if err != nil {
		p.tb.Fatal(err)
	}
	p.addr = l.Addr().String()
	p.mu.Lock()
	p.listener = l
	p.mu.Unlock()
	p.work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.work.Go(func() { p.serve(l, c) })
		}
	})
}

func (p *Proxy) drop(reset bool) {
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close() // only tells that it is closed already
		p.listener = nil
	}
	p.mu.Unlock()
	p.breakAll(reset)
}

func (p *Proxy) breakAll(reset bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pr := range p.pairs {
		if t, ok := pr.client.(*net.TCPConn); ok && reset {
			_ = t.SetLinger(0)
		}
		_ = pr.client.Close()
		_ = pr.server.Close()
	}
}

func (p *Proxy) serve(l net.Listener, client net.Conn) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	pr := &pair{client, server}
	p.mu.Lock()
	if p.listener != l { // cut meanwhile
		p.mu.Unlock()
		return
	}
	p.pairs[pr] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.forward(server, client, &p.up) })
	both.Go(func() { p.forward(client, server, &p.dn) })
	both.Wait()
	p.mu.Lock()
	delete(p.pairs, pr)
	p.mu.Unlock()
}

// chunk is what was read at one time.
type chunk struct {
	data []byte
	due  time.Time
}

// forward copies, each chunk when its delay is over: a long delay does not make the
// line a narrow one.
func (p *Proxy) forward(to, from net.Conn, count *atomic.Int64) {
	line := make(chan chunk, 1024)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer to.Close()
		for c := range line {
			time.Sleep(time.Until(c.due))
			if gate := p.stalled.Load(); gate != nil {
				<-*gate
			}
			if _, err := to.Write(c.data); err != nil {
				_ = from.Close() // the reader ends and closes the line
			} else {
				count.Add(int64(len(c.data)))
			}
		}
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			line <- chunk{append([]byte(nil), buf[:n]...), time.Now().Add(time.Duration(p.delay.Load()))}
		}
		if err != nil {
			break
		}
	}
	close(line)
	writer.Wait()
}
