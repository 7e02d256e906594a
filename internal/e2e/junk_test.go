package e2e

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/logsources"
)

// junkNode follows one log.
const junkNode = `{
	admin {admin}
	rampart {
		data_dir {state}
		source file {dir}/auth.log
	}
}
http://127.0.0.1:{port} {
	rampart
	respond "hello"
}
`

func (n *node) source() logsources.Status {
	n.t.Helper()
	for _, s := range n.status().Sources {
		return s
	}
	return logsources.Status{}
}

// TestJunkLog feeds binary junk, a line of a mebibyte and half a line to a source.
// What is no text is counted, what is too long is counted and skipped, and the
// line after each is read.
func TestJunkLog(t *testing.T) {
	n := newNode(t)
	n.write("auth.log", "")
	n.write("Caddyfile", n.expand(junkNode))
	n.start()
	n.followed()
	r := rand.New(rand.NewPCG(1, 2))
	lines, binaryLines := 0, 0
	burst := func(ip string) {
		for range 6 {
			n.add("auth.log", sshFailure(time.Now(), "root", ip))
			lines++
		}
		until(t, ip+" is banned", func() bool { return len(n.decided(ip)) > 0 })
	}
	for range 200 {
		junk := make([]byte, 200+r.IntN(3000))
		for i := range junk {
			junk[i] = byte(r.Uint32())
		}
		junk[7] = 0
		n.add("auth.log", string(bytes.ReplaceAll(junk, []byte{'\n'}, []byte{0})))
		lines++
		binaryLines++
	}
	burst("198.51.100.1")
	head := sshFailure(time.Now(), "root", "203.0.113.9") + " "
	n.add("auth.log", head+strings.Repeat("x", 1<<20))
	burst("198.51.100.2")
	n.add("auth.log", head+strings.Repeat("\x00", 1<<20))
	n.add("auth.log", strings.Repeat("x", 64<<10), strings.Repeat("x", 64<<10+1))
	lines++ // the one of 64 KiB
	burst("198.51.100.3")
	n.add("auth.log", "", "\r", " ")
	lines++ // the blank
	burst("198.51.100.4")
	if s := n.source(); s.TooLong != 3 || s.Binary != int64(binaryLines) || s.Lines != int64(lines) || s.Error != "" {
		t.Errorf("too long %d, want 3; binary %d, want %d; lines %d, want %d; error %q", s.TooLong, s.Binary, binaryLines, s.Lines, lines, s.Error)
	}
	out, err := n.rampart("status")
	if err != nil {
		t.Error(err)
	}
	mentions(t, "status", out, "3 too long and skipped", fmt.Sprintf("%d binary", binaryLines))

	// The same file, offline.
	alerts := replayedAlerts(t, "--type", "syslog", n.path("auth.log"))
	if got := first(alerts, "rampart/ssh-bruteforce"); len(got) != 4 {
		t.Errorf("replayed: %v", got)
	}
	mentions(t, "replay", replayed(t, "--type", "syslog", n.path("auth.log")), "3 too long")
}

// TestJunkReplay: files that are none, and compressed ones that are cut off, are
// errors that name them.
func TestJunkReplay(t *testing.T) {
	n := newNode(t)
	n.write("cut.gz", "\x1f\x8b\x08\x00junk")
	n.write("empty.log", "")
	for name, parts := range map[string][]string{
		"missing.log": {"missing.log", "no such file"},
		"cut.gz":      {"cut.gz"},
		".":           {"directory"},
	} {
		out, err := n.command("replay", "--type", "syslog", name).CombinedOutput()
		if err == nil {
			t.Errorf("replay %s succeeded: %s", name, out)
		}
		mentions(t, "replay "+name, string(out), parts...)
	}
	mentions(t, "replay of nothing", replayed(t, "--type", "syslog", n.path("empty.log")), "0 lines")
	out, err := n.command("replay", n.path("empty.log")).CombinedOutput()
	if err == nil {
		t.Error("replay without a type succeeded")
	}
	mentions(t, "replay without a type", string(out), "--type", "syslog", "nginx")
}
