package testkit

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Workload is a generated log of known contents.
type Workload struct {
	Log   string            // path
	Lines int               // in it
	Truth map[string]string // attacking address → what it does
}

// MakeWorkload writes the first lines of a log of a million lines, of the kind
// "nginx" or "sshd", that the shared generator makes of its seed 42.
func MakeWorkload(tb testing.TB, kind string, lines int) Workload {
	tb.Helper()
	dir := tb.TempDir()
	whole, truth := filepath.Join(dir, "whole"), filepath.Join(dir, "truth")
	out, err := exec.Command(Generator(tb), "-kind", kind, "-n", "1000000", "-seed", "42", "-out", whole, "-truth", truth).CombinedOutput()
	if err != nil {
		tb.Fatalf("generating a log: %v\n%s", err, out)
	}
	w := Workload{Log: filepath.Join(dir, kind+".log"), Lines: lines, Truth: readTruth(tb, truth)}
	head(tb, whole, w.Log, lines)
	if err := os.Remove(whole); err != nil {
		tb.Fatal(err)
	}
	return w
}

// Generator builds the shared generator of logs and returns the path of the program.
func Generator(tb testing.TB) string {
	tb.Helper()
	program := filepath.Join(tb.TempDir(), "genlogs")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = Shared(tb, "bench", "genlogs")
	if out, err := build.CombinedOutput(); err != nil {
		tb.Fatalf("building the generator: %v\n%s", err, out)
	}
	return program
}

// readTruth reads lines of address, kind and number of lines.
func readTruth(tb testing.TB, path string) map[string]string {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	truth := map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			tb.Fatalf("%s: odd line %q", path, line)
		}
		if _, err := strconv.Atoi(f[2]); err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		truth[f[0]] = f[1]
	}
	return truth
}

// head copies the first lines of a file.
func head(tb testing.TB, from, to string, lines int) {
	tb.Helper()
	in, err := os.Open(from)
	if err != nil {
		tb.Fatal(err)
	}
	defer in.Close()
	var out bytes.Buffer
	for r := bufio.NewReaderSize(in, 1<<20); lines > 0; lines-- {
		line, err := r.ReadSlice('\n')
		out.Write(line)
		if err == io.EOF {
			tb.Fatalf("%s has %d lines too few", from, lines)
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := os.WriteFile(to, out.Bytes(), 0o600); err != nil {
		tb.Fatal(err)
	}
}
