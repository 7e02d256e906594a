package store

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	pidFileName = "rampart.pid"
	maxPidFile  = 512
)

// pidFile says who has the lock. It is a label for people, never the lock
// itself: that one the kernel drops with the process, this file may be stale.
type pidFile struct{ path string }

func (p *pidFile) write() error {
	name := filepath.Base(os.Args[0])
	if exe, err := os.Executable(); err == nil {
		name = filepath.Base(exe)
	}
	text := fmt.Sprintf("%d %s\n", os.Getpid(), name)
	if err := replaceFile(p.path, []byte(text), false); err != nil {
		return fmt.Errorf("writing pid file: %w", err)
	}
	return nil
}

// owner describes the process that wrote the file.
func (p *pidFile) owner() string {
	f, err := os.Open(p.path)
	if err != nil {
		return "another process"
	}
	defer f.Close()
	buf := make([]byte, maxPidFile)
	n, _ := f.Read(buf)
	line, _, _ := bytes.Cut(buf[:n], []byte("\n"))
	num, name, _ := strings.Cut(string(line), " ")
	pid, err := strconv.Atoi(num)
	if err != nil || pid <= 0 {
		return "another process"
	}
	if pid == os.Getpid() {
		return fmt.Sprintf("this very process %d (%q)", pid, name)
	}
	return fmt.Sprintf("process %d (%q)", pid, name)
}

func (p *pidFile) remove() { _ = os.Remove(p.path) }
