package notify

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func contents(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestFile: texts are appended, also where another program moves the file away, and
// after close.
func TestFile(t *testing.T) {
	for _, rotate := range []string{"", "rotate: {enabled: true, max_size: 5}\n"} {
		path := filepath.Join(t.TempDir(), "a.log")
		if err := os.WriteFile(path, []byte("before\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		r := read(t, "type: file\nname: x\nlog_path: "+path+"\n"+rotate).byName["x"]
		send := func(text string) {
			t.Helper()
			if err := r.send(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		send("one")
		send("two\n")
		if got := contents(t, path); got != "before\none\ntwo\n" {
			t.Errorf("%q: %q", rotate, got)
		}
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		send("three")
		r.sender.close()
		send("four")
		if got := contents(t, path); got != "three\nfour\n" {
			t.Errorf("%q: after it was moved: %q", rotate, got)
		}
	}
}

func TestFileRotates(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.log")
	r := read(t, "type: file\nname: x\nlog_path: "+path+"\nrotate: {enabled: true, max_size: 1, max_files: 2, max_age: 5, compress: true}").byName["x"]
	line := strings.Repeat("x", 300<<10)
	for range 16 {
		if err := r.send(t.Context(), line); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Millisecond) // names of old files have milliseconds
	}
	r.sender.close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	packed := 0
	for _, e := range entries {
		data := []byte(contents(t, filepath.Join(dir, e.Name())))
		if strings.HasSuffix(e.Name(), ".gz") {
			packed++
			zr, err := gzip.NewReader(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if data, err = io.ReadAll(zr); err != nil {
				t.Fatal(err)
			}
		}
		if len(data) > 1<<20 || len(data)%(len(line)+1) != 0 {
			t.Errorf("%s has %d bytes", e.Name(), len(data))
		}
	}
	if len(entries) > 4 || packed == 0 {
		t.Errorf("%d files, %d packed", len(entries), packed)
	}
}

func TestFileFaults(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, filepath.Join(dir, "none", "a.log")} {
		if err := sendTo(t, "type: file\nname: x\nlog_path: "+path, "text"); err == nil {
			t.Errorf("%s: no error", path)
		}
	}
}
