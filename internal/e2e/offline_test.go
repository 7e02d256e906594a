package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rampart-edge/rampart/internal/testkit"
)

// offline runs one of the commands that need no node and returns its standard
// output, that with the standard error behind it, and its status.
func offline(t *testing.T, dir string, args ...string) (out, all string, status int) {
	t.Helper()
	b, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(b, args...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return stdout.String(), stdout.String() + stderr.String(), cmd.ProcessState.ExitCode()
}

// TestHubtestCommand: all tests of the Hub pass, the fast way and the slow way, the
// last line says so, and so does the status; a changed assertion fails.
func TestHubtestCommand(t *testing.T) {
	hub, data := testkit.Shared(t, "hub"), testkit.Shared(t, "hub-data")
	for _, more := range [][]string{nil, {"--slow"}, {"-o", "json"}} {
		args := append([]string{"hubtest", "run", "--all", "--hub", hub, "--data", data}, more...)
		out, all, status := offline(t, "", args...)
		lines := strings.Split(strings.TrimSpace(all), "\n")
		if last := lines[len(lines)-1]; status != 0 || !strings.HasSuffix(last, " passed, 0 failed") || strings.HasPrefix(last, "0 ") {
			t.Errorf("%v: status %d, the last line is %q", more, status, last)
		}
		if len(more) > 1 && !json.Valid([]byte(out)) {
			t.Errorf("the standard output is no JSON: %s", tail(out, 300))
		}
	}
	n := newNode(t)
	for _, f := range []string{"config.yaml", "scenario.assert", "ssh-bf.log"} {
		n.write("tests/mine/"+f, readFile(t, filepath.Join(hub, ".tests", "ssh-bf", f)))
	}
	n.write("tests/mine/scenario.assert", strings.Replace(n.read("tests/mine/scenario.assert"), "len(results) == ", "len(results) == 1", 1))
	_, all, status := offline(t, n.dir, "hubtest", "run", "mine", "--hub", hub, "--data", data, "--tests", "tests", "--dump", "dumps")
	if status != 1 || !strings.HasSuffix(all, "\n0 passed, 1 failed\n") || !strings.Contains(all, "scenario.assert:1: len(results)") {
		t.Errorf("status %d: %s", status, all)
	}
	for _, f := range []string{"parser-dump.yaml", "bucket-dump.yaml", "bucketpour-dump.yaml"} {
		if !strings.Contains(n.read("dumps/mine/"+f), "crowdsecurity/ssh") {
			t.Errorf("%s does not tell of the test", f)
		}
	}
}

// TestReplayManyLogs: types by where they stand, two logs at once in the order of
// time, gzip, dumps, and the status that CI asks for.
func TestReplayManyLogs(t *testing.T) {
	auth, access := testkit.Shared(t, "logs", "auth.log"), testkit.Shared(t, "logs", "apache_access_10k.log")
	n := newNode(t)
	zipped, err := exec.Command("gzip", "-c", auth).Output()
	if err != nil {
		t.Skipf("needs gzip: %v", err)
	}
	n.write("auth.log.1.gz", string(zipped))
	want, _, _ := offline(t, n.dir, "replay", "--type", "syslog", auth, "-o", "json")
	out, all, status := offline(t, n.dir, "replay", "--type", "apache2", access, "--type", "syslog", "auth.log.1.gz", "-o", "json", "--fail-on-alert")
	if status != 1 || !strings.Contains(all, "--fail-on-alert allows none") {
		t.Errorf("status %d: %s", status, tail(all, 300))
	}
	alerts := func(text string) (ssh, other []string) {
		for line := range strings.Lines(text) {
			var a replayedAlert
			if err := json.Unmarshal([]byte(line), &a); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			one := a.StopAt + " " + a.Scenario + " " + a.Source.Value
			if strings.HasPrefix(a.Scenario, "rampart/ssh") {
				ssh = append(ssh, one)
			} else {
				other = append(other, one)
			}
		}
		return ssh, other
	}
	alone, _ := alerts(want)
	together, web := alerts(out)
	if len(alone) < 20 || strings.Join(alone, "\n") != strings.Join(together, "\n") {
		t.Errorf("alone:\n%s\ntogether:\n%s", strings.Join(alone, "\n"), strings.Join(together, "\n"))
	}
	webAlone, _, _ := offline(t, n.dir, "replay", "apache2="+access, "-o", "json")
	if _, w := alerts(webAlone); strings.Join(w, "\n") != strings.Join(web, "\n") {
		t.Errorf("alone:\n%s\ntogether:\n%s", strings.Join(w, "\n"), strings.Join(web, "\n"))
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
