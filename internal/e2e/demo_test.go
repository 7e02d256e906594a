package e2e

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestDemo runs what `make demo` runs, as a user without rights where the test has
// them to give away, and reads what it shows.
func TestDemo(t *testing.T) {
	n := newNode(t)
	if err := os.Chmod(n.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", n.path("demo"), "./demo")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the demo: %v\n%s", err, out)
	}
	copyFile(t, n.binary, n.path("rampart"))
	if err := os.Mkdir(n.path("tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(n.path("tmp"), 0o777); err != nil { // whatever the umask
		t.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, n.path("demo"), n.path("rampart"))
	if os.Geteuid() == 0 {
		if _, err := exec.LookPath("setpriv"); err != nil {
			t.Log("there is no setpriv: the demo runs as root here")
		} else {
			cmd = exec.CommandContext(ctx, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
				"--bounding-set=-all", "--inh-caps=-all", n.path("demo"), n.path("rampart"))
		}
	}
	cmd.Dir = "/"
	cmd.Env = []string{"TMPDIR=" + n.path("tmp"), "PATH=" + os.Getenv("PATH"), "HOME=/nonexistent"}
	cmd.WaitDelay = 5 * time.Second
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("the demo: %v (within a minute: %v)\n%s\n%s", err, ctx.Err() == nil, out.String(), errs.String())
	}

	show := out.String()
	at := 0
	for _, want := range []string{
		`198\.51\.100\.10`, `GET /about +200 OK, from the site`,
		`3 × GET /\.env … +404 Not Found, from the site`,
		`403 Forbidden, from Rampart: captcha`, `One quick check`, `Incident\n.*[0-9A-Z]{26}`,
		`403 Forbidden, from Rampart: ban`,
		`\$ rampart why [0-9A-Z]{26}\n.*203\.0\.113\.7: ban until .* for rampart/captcha-ignored`,
		`Incident [0-9A-Z]{26} of .*\n.* 203\.0\.113\.7 .*\(ban`, `rampart/http-sensitive-files`, `GET .*/\.env`,
		`Failed password for invalid user admin from 192\.0\.2\.66`,
		`403 Forbidden, from Rampart: ban`,
		`\$ rampart why 192\.0\.2\.66\n.*192\.0\.2\.66: ban until .* for rampart/ssh-bruteforce`, `ssh_failed-auth`,
		`\$ rampart decisions list`, `\$ rampart status`, `problems +none`,
	} {
		found := regexp.MustCompile(want).FindStringIndex(show[at:])
		if found == nil {
			t.Fatalf("the demo does not show %s, or not in its place:\n%s", want, show)
		}
		at += found[1]
	}
	if lines := strings.Count(show, "\n"); lines > 200 {
		t.Errorf("the demo shows %d lines; nobody reads that", lines)
	}
	if strings.Contains(show, "\x1b") {
		t.Error("the demo writes control sequences to what is no terminal")
	}
	if left, err := filepath.Glob(n.path("tmp/*")); err != nil || len(left) > 0 {
		t.Errorf("the demo leaves behind %q", left)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if cerr := out.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
}
