package firewall

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// childEnv makes the test binary hold a table instead of running tests, until
// it is killed.
const childEnv = "RAMPART_FIREWALL_CHILD"

func TestMain(m *testing.M) {
	if mode := os.Getenv(childEnv); mode != "" {
		os.Exit(holdTable(mode))
	}
	os.Exit(m.Run())
}

// holdTable starts a table whose bans end tomorrow, the tests' client among them.
func holdTable(mode string) int {
	bans := append(manyBans(20_000),
		Ban{netip.MustParsePrefix("10.77.0.2/32"), time.Now().Add(24 * time.Hour), "crowdsec"},
		Ban{netip.MustParsePrefix("10.77.3.0/24"), time.Now().Add(24 * time.Hour), "crowdsec"})
	table := New(Options{Owner: mode == "owner"})
	if err := table.Start(context.Background(), BansOf(bans...), nil); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("ready")
	// The end of the input is the end of the tests, however they ended.
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// startChild runs holdTable in ns and returns when the table is in place.
func startChild(t *testing.T, ns *testkit.Namespace, mode string) *exec.Cmd {
	t.Helper()
	cmd := ns.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+mode)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // open until the child has gone
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if strings.TrimSpace(line) != "ready" {
		t.Fatalf("child says %q, %v", line, err)
	}
	return cmd
}

// kill ends a child as a crash would.
func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // tells that it was killed
}

func needNft(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("skipped: the nft command is not installed")
	}
}

// echo answers datagrams and TCP bytes at port 7000 of the server.
func echo(t *testing.T, server *testkit.Namespace) {
	t.Helper()
	for _, addr := range []string{"0.0.0.0:7000", "[::]:7000"} {
		network := "4"
		if addr[0] == '[' {
			network = "6"
		}
		packets, err := server.ListenPacket("udp"+network, addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { packets.Close() })
		go func() {
			b := make([]byte, 64)
			for {
				n, from, err := packets.ReadFrom(b)
				if err != nil {
					return
				}
				packets.WriteTo(b[:n], from)
			}
		}()
	}
	l, err := server.Listen("tcp4", "0.0.0.0:7000")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 64)
				for {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					c.Write(b[:n])
				}
			}()
		}
	}()
}

// answers reports whether the server answers a datagram from source within the
// given time. It sends one every 50 ms.
func answers(t *testing.T, server, client *testkit.Namespace, source string, within time.Duration) bool {
	t.Helper()
	local := netip.MustParseAddr(source)
	remote := server.IPv4
	if local.Is6() {
		remote = server.IPv6
	}
	d := &net.Dialer{LocalAddr: net.UDPAddrFromAddrPort(netip.AddrPortFrom(local, 0))}
	c, err := client.Dial(d, "udp", netip.AddrPortFrom(remote, 7000).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 64)
	for end := time.Now().Add(within); time.Now().Before(end); {
		if _, err := c.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if _, err := c.Read(b); err == nil {
			return true
		}
	}
	return false
}

// expect checks who of the client's addresses is dropped.
func expect(t *testing.T, server, client *testkit.Namespace, when string, dropped map[string]bool) {
	t.Helper()
	for source, drop := range dropped {
		within := 10 * time.Second // until an answer comes
		if drop {
			within = 200 * time.Millisecond
		}
		if got := answers(t, server, client, source, within); got == drop {
			t.Errorf("%s: %s: answered %t, want %t", when, source, got, !drop)
		}
	}
}

// kernelElement is an element as nft lists it.
type kernelElement struct {
	left   time.Duration
	origin int
}

// listElements reads all maps of bans with the nft command.
func listElements(t *testing.T, ns *testkit.Namespace) map[netip.Prefix]kernelElement {
	t.Helper()
	found := make(map[netip.Prefix]kernelElement)
	header := regexp.MustCompile(`map (ban4|ban6|n[46]_(\d+)) \{`)
	element := regexp.MustCompile(`([0-9a-f.:]+)(?: timeout (\S+))?(?: expires (\S+))? : 0x([0-9a-f]{8})`)
	bits := -1
	for line := range strings.Lines(ns.Run(t, "nft", "-n", "list", "ruleset")) {
		if m := header.FindStringSubmatch(line); m != nil {
			bits = 128
			if m[1] == "ban4" {
				bits = 32
			}
			fmt.Sscan(m[2], &bits)
		} else if strings.TrimSpace(line) == "}" {
			bits = -1
		}
		if bits < 0 {
			continue
		}
		for _, m := range element.FindAllStringSubmatch(line, -1) {
			if m[2] == "" || m[3] == "" {
				t.Errorf("element without an end: %s", m[0])
				continue
			}
			var e kernelElement
			e.left = nftDuration(t, m[3])
			if _, err := fmt.Sscanf(m[4], "%x", &e.origin); err != nil {
				t.Fatal(err)
			}
			found[netip.PrefixFrom(netip.MustParseAddr(m[1]), bits)] = e
		}
	}
	return found
}

// nftDuration reads nft's durations, which know days.
func nftDuration(t *testing.T, s string) time.Duration {
	t.Helper()
	var days int
	if head, rest, ok := strings.Cut(s, "d"); ok {
		if _, err := fmt.Sscan(head, &days); err != nil {
			t.Fatalf("duration %q: %v", s, err)
		}
		s = rest
	}
	if s == "" {
		s = "0s"
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d + time.Duration(days)*24*time.Hour
}

// eventually waits for a condition that others bring about.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

func mustAdd(t *testing.T, table *Table, bans ...Ban) {
	t.Helper()
	if err := table.Add(bans...); err != nil {
		t.Fatal(err)
	}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
