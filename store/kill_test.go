package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rampart-edge/rampart/store"
)

// childEnv makes the test binary a writer that never ends by itself.
const childEnv = "RAMPART_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		fmt.Fprintln(os.Stderr, "writer ended:", writeForever(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForever saves i in both stores and only then says "i" on stdout.
func writeForever(dir string) error {
	db, err := store.Open(dir, store.Options{})
	if err != nil {
		return err
	}
	m, err := store.OpenMarks(filepath.Join(dir, "marks"))
	if err != nil {
		return err
	}
	filler := strings.Repeat("x", 2000)
	for i := 1; ; i++ {
		if err := db.Put("b", fmt.Sprintf("%08d", i), []byte(filler)); err != nil {
			return err
		}
		if err := m.Save("position", fmt.Append(nil, i)); err != nil {
			return err
		}
		if _, err := fmt.Println(i); err != nil {
			return err
		}
	}
}

func TestKilledWriterLosesNothingItReported(t *testing.T) {
	dir := t.TempDir()
	last := 0
	for round := range 4 {
		said := runAndKill(t, dir, 5+round*7)
		m, err := store.OpenMarks(filepath.Join(dir, "marks"))
		must(t, err)
		v, _ := m.Load("position")
		pos, err := strconv.Atoi(string(v))
		must(t, err)
		if pos < said {
			t.Fatalf("round %d: position %d, the writer had reported %d", round, pos, said)
		}
		db := open(t, dir)
		n := 0
		must(t, db.Each("b", "", func(_ string, v []byte) error {
			n++
			if len(v) != 2000 {
				return errors.New("a torn value")
			}
			return nil
		}))
		if n < said || n < last {
			t.Fatalf("round %d: %d keys, the writer had reported %d", round, n, said)
		}
		last = n
		must(t, db.Close())
	}
}

// runAndKill starts a writer, waits for n reports, kills it and returns the
// highest number it reported.
func runAndKill(t *testing.T, dir string, n int) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	sc := bufio.NewScanner(out)
	said, lines := 0, 0
	for sc.Scan() {
		said, err = strconv.Atoi(sc.Text())
		must(t, err)
		if lines == 0 {
			expectLockedBy(t, dir, cmd.Process.Pid)
		}
		if lines++; lines == n {
			must(t, cmd.Process.Kill())
		}
	}
	_ = cmd.Wait()
	if lines < n {
		t.Fatalf("the writer ended after %d reports", lines)
	}
	return said
}

func expectLockedBy(t *testing.T, dir string, pid int) {
	t.Helper()
	_, err := store.Open(dir, store.Options{Timeout: 10 * time.Millisecond})
	if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d (", pid)) {
		t.Errorf("opening beside the writer: %v, want process %d named", err, pid)
	}
}
