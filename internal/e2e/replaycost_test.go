package e2e

import (
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// incumbentSet are the arguments for the items with which CrowdSec's figures were
// taken.
func incumbentSet(tb testing.TB) []string {
	args := []string{"--hub", testkit.Shared(tb, "hub"), "--data", testkit.Shared(tb, "hub-data"), "--parser", "crowdsecurity/whitelists"}
	for _, c := range []string{"nginx", "base-http-scenarios", "http-cve", "sshd", "linux", "whitelist-good-actors"} {
		args = append(args, "--collection", "crowdsecurity/"+c)
	}
	return args
}

// used replays so many generated lines with the Hub's items and returns what
// the process used.
func used(tb testing.TB, generator, kind, logType string, lines int) *syscall.Rusage {
	tb.Helper()
	bin, err := binary()
	if err != nil {
		tb.Fatal(err)
	}
	gen := exec.Command(generator, "-kind", kind, "-n", strconv.Itoa(lines), "-out", "/dev/stdout", "-truth", os.DevNull)
	gen.Stderr = os.Stderr
	run := exec.Command(bin, append([]string{"replay", "-q", "-o", "json", "--type", logType, "-"}, incumbentSet(tb)...)...)
	run.Stderr = os.Stderr
	if run.Stdin, err = gen.StdoutPipe(); err != nil {
		tb.Fatal(err)
	}
	if err := gen.Start(); err != nil {
		tb.Fatal(err)
	}
	if err := run.Run(); err != nil {
		tb.Error(err)
	}
	if err := gen.Wait(); err != nil {
		tb.Error(err)
	}
	return run.ProcessState.SysUsage().(*syscall.Rusage)
}

// TestReplayMemory: twenty million lines take no more memory than ten million do, but
// for what a collector leaves to chance. The constant is made of the compiled items,
// 64 MiB of samples, which is a fixed bound, and the buckets whose end is less than
// ten minutes, or a life of theirs, before the log's present; all of it about twice,
// as the collector works.
func TestReplayMemory(t *testing.T) {
	if os.Getenv("RAMPART_SOAK") == "" {
		t.Skip("thirty million lines: make soak")
	}
	generator := testkit.Generator(t)
	ten := used(t, generator, "nginx", "nginx", 10_000_000).Maxrss
	twenty := used(t, generator, "nginx", "nginx", 20_000_000).Maxrss
	t.Logf("peak of ten million lines %d KiB, of twenty million %d KiB", ten, twenty)
	if twenty > ten*11/10 {
		t.Errorf("twenty million lines took %d KiB, ten million %d KiB", twenty, ten)
	}
}

// BenchmarkReplayPeak is the most memory that replaying a million lines takes,
// start-up included.
func BenchmarkReplayPeak(b *testing.B) {
	generator := testkit.Generator(b)
	for _, c := range []struct{ kind, logType string }{{"nginx", "nginx"}, {"sshd", "syslog"}} {
		b.Run(c.kind, func(b *testing.B) {
			var peak int64
			for b.Loop() {
				peak = used(b, generator, c.kind, c.logType, 1_000_000).Maxrss
			}
			b.ReportMetric(float64(peak)/1024, "MiB-peak")
			b.ReportMetric(0, "ns/op")
		})
	}
}
