package redistest_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit/redistest"
)

// echo is a server that sends back every line, and keeps the test honest about the
// proxy without Redis.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for r := bufio.NewReader(c); ; {
					line, err := r.ReadString('\n')
					if err != nil {
						return
					}
					_, _ = fmt.Fprint(c, line)
				}
			}()
		}
	}()
	return l.Addr().String()
}

// say sends a line and waits for it to come back.
func say(c net.Conn, timeout time.Duration) error {
	_ = c.SetDeadline(time.Now().Add(timeout))
	if _, err := fmt.Fprintln(c, "hello"); err != nil {
		return err
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err == nil && line != "hello\n" {
		return fmt.Errorf("got %q", line)
	}
	return err
}

func connect(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestProxy(t *testing.T) {
	p := redistest.NewProxy(t, echo(t))
	addr := p.Addr()
	c := connect(t, addr)
	if err := say(c, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if sent, received := p.Bytes(); sent != 6 || received != 6 {
		t.Errorf("%d bytes sent, %d received", sent, received)
	}

	p.Delay(100 * time.Millisecond)
	begin := time.Now()
	if err := say(c, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("a delay of 100 ms each way took %v", took)
	}

	p.Heal()
	p.Stall()
	var timeout net.Error
	if err := say(c, 200*time.Millisecond); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("stalled: %v", err)
	}
	p.Heal()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if line, err := bufio.NewReader(c).ReadString('\n'); line != "hello\n" {
		t.Errorf("after the stall %q, %v", line, err)
	}

	p.Cut()
	if err := say(c, 10*time.Second); err == nil {
		t.Error("a cut connection works")
	}
	if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("connecting after a cut: %v", err)
	}
	p.Heal()
	c = connect(t, addr)
	if err := say(c, 10*time.Second); err != nil {
		t.Errorf("healed: %v", err)
	}

	p.Break()
	if err := say(c, 10*time.Second); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("reset: %v", err)
	}
	if err := say(connect(t, addr), 10*time.Second); err != nil {
		t.Errorf("after a break: %v", err)
	}
}

// TestProxyLeavesNothing counts goroutines, those of the stalled and delayed too.
func TestProxyLeavesNothing(t *testing.T) {
	target := echo(t)
	before := runtime.NumGoroutine()
	t.Run("inner", func(t *testing.T) {
		p := redistest.NewProxy(t, target)
		for range 5 {
			if err := say(connect(t, p.Addr()), 10*time.Second); err != nil {
				t.Error(err)
			}
		}
		p.Stall()
		for range 5 {
			_, _ = fmt.Fprintln(connect(t, p.Addr()), "held back")
		}
	})
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	stacks := string(buf[:runtime.Stack(buf, true)])
	t.Errorf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, strings.TrimSpace(stacks))
}
