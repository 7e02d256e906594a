//go:build linux

package testkit

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Namespace is a network namespace with a loopback and one Ethernet interface.
type Namespace struct {
	// Name is known to ip netns.
	Name string
	// Device is the interface to the peer.
	Device string
	// IPv4 and IPv6 are the first addresses of Device.
	IPv4, IPv6 netip.Addr
	file       *os.File
}

// Namespaces returns two namespaces joined by a veth pair: the server with
// 10.77.0.1/16 and fd77::1/32, the client with 10.77.0.2/16 and fd77::2/32, so
// that a test can give the client more addresses, of other /24 and /64
// networks, with AddAddress. Both go with the test. It skips the test unless it
// runs as root on a system that lets it make namespaces.
func Namespaces(tb testing.TB) (server, client *Namespace) {
	tb.Helper()
	server, client = newNamespace(tb, "server"), newNamespace(tb, "client")
	mustRun(tb, "ip", "link", "add", server.Device, "netns", server.Name,
		"type", "veth", "peer", "name", client.Device, "netns", client.Name)
	for i, n := range []*Namespace{server, client} {
		n.IPv4 = netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)})
		n.IPv6 = netip.MustParseAddr(fmt.Sprintf("fd77::%d", i+1))
		n.AddAddress(tb, netip.PrefixFrom(n.IPv4, 16))
		n.AddAddress(tb, netip.PrefixFrom(n.IPv6, 32))
		mustRun(tb, "ip", "-n", n.Name, "link", "set", n.Device, "up")
	}
	return server, client
}

// SingleNamespace returns a namespace that has a loopback and nothing else.
func SingleNamespace(tb testing.TB) *Namespace {
	tb.Helper()
	return newNamespace(tb, "alone")
}

func newNamespace(tb testing.TB, role string) *Namespace {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Skip("skipped: network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		tb.Skip("skipped: network namespaces need the ip command (iproute2)")
	}
	n := &Namespace{
		Name:   fmt.Sprintf("rampart-%s-%s", strings.ToLower(rand.Text()[:10]), role),
		Device: role + "0",
	}
	if out, err := exec.Command("ip", "netns", "add", n.Name).CombinedOutput(); err != nil {
		tb.Skipf("skipped: network namespaces are not allowed here: %v: %s", err, out)
	}
	tb.Cleanup(func() {
		if n.file != nil {
			n.file.Close()
		}
		if out, err := exec.Command("ip", "netns", "delete", n.Name).CombinedOutput(); err != nil {
			tb.Errorf("deleting network namespace %s: %v: %s", n.Name, err, out)
		}
	})
	file, err := os.Open(filepath.Join("/run/netns", n.Name))
	if err != nil {
		tb.Fatal(err)
	}
	n.file = file
	mustRun(tb, "ip", "-n", n.Name, "link", "set", "lo", "up")
	return n
}

// AddAddress gives the interface one more address, usable at once.
func (n *Namespace) AddAddress(tb testing.TB, p netip.Prefix) {
	tb.Helper()
	args := []string{"-n", n.Name, "address", "add", p.String(), "dev", n.Device}
	if p.Addr().Is6() {
		args = append(args, "nodad")
	}
	mustRun(tb, "ip", args...)
}

// Do runs fn in the namespace, on a thread of its own, and returns when fn does.
// Sockets that fn opens stay in the namespace; goroutines that it starts run
// outside, and so does what they open.
func (n *Namespace) Do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread, being in the wrong namespace, ends here.
		runtime.LockOSThread()
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("entering network namespace %s: %w", n.Name, err)
			return
		}
		done <- fn()
	}()
	return <-done
}

// Listen is net.Listen in the namespace.
func (n *Namespace) Listen(network, address string) (l net.Listener, err error) {
	err = n.Do(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// ListenPacket is net.ListenPacket in the namespace.
func (n *Namespace) ListenPacket(network, address string) (c net.PacketConn, err error) {
	err = n.Do(func() error {
		c, err = net.ListenPacket(network, address)
		return err
	})
	return c, err
}

// Dial is the dialer's Dial in the namespace. The address must not need a name
// server.
func (n *Namespace) Dial(d *net.Dialer, network, address string) (c net.Conn, err error) {
	err = n.Do(func() error {
		c, err = d.Dial(network, address)
		return err
	})
	return c, err
}

// Command returns a command that runs in the namespace. The process it starts
// becomes the named program, so that signals reach it.
func (n *Namespace) Command(name string, args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", n.Name, name}, args...)...)
}

// Run runs a command in the namespace and returns what it prints to its
// standard output. It fails the test if the command fails.
func (n *Namespace) Run(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	cmd := n.Command(name, args...)
	var errText strings.Builder
	cmd.Stderr = &errText
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("%s %s in %s: %v\n%s", name, strings.Join(args, " "), n.Name, err, errText.String())
	}
	return string(out)
}

func mustRun(tb testing.TB, name string, args ...string) {
	tb.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		tb.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
