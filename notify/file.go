package notify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/DeRuina/timberjack"
)

// fileSpec is a file that texts are appended to.
type fileSpec struct {
	LogPath string     `yaml:"log_path"`
	Rotate  rotateSpec `yaml:"rotate"`
}

// rotateSpec says how the file is replaced before it grows too long; sizes in MB,
// ages in days.
type rotateSpec struct {
	Enabled  bool `yaml:"enabled"`
	MaxSize  int  `yaml:"max_size"`
	MaxFiles int  `yaml:"max_files"`
	MaxAge   int  `yaml:"max_age"`
	Compress bool `yaml:"compress"`
}

const fileMode = 0o640

func (s *fileSpec) patience() time.Duration        { return 0 }
func (s *fileSpec) plain(d *Digest) (string, bool) { return d.String(), true }

func (s *fileSpec) dial() (sender, error) {
	r := s.Rotate
	switch {
	case !filepath.IsAbs(s.LogPath):
		return nil, fmt.Errorf("log_path: %q, expected an absolute path", s.LogPath)
	case r.MaxSize < 0 || r.MaxFiles < 0 || r.MaxAge < 0:
		return nil, fmt.Errorf("rotate: sizes and ages below zero")
	}
	return &appender{spec: s}, nil
}

// appender writes each text at the end of the file. It opens the file for each,
// unless it rotates it: then another program that moves the file away is noticed
// by looking at the path.
type appender struct {
	spec *fileSpec

	mu     sync.Mutex
	rotate *timberjack.Logger
	mine   fs.FileInfo // of the file that rotate has open
	closed bool        // then nothing stays open
}

func (a *appender) send(_ context.Context, text string) error {
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if info, err := os.Stat(a.spec.LogPath); err == nil && (info.Mode()&fs.ModeNamedPipe != 0 || info.IsDir()) {
		return fmt.Errorf("writing %s: it is no file", a.spec.LogPath) // a pipe could hold us for ever
	}
	if a.spec.Rotate.Enabled {
		return a.rotating(text)
	}
	f, err := os.OpenFile(a.spec.LogPath, os.O_APPEND|os.O_CREATE|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func (a *appender) rotating(text string) error {
	info, err := os.Stat(a.spec.LogPath)
	if a.rotate != nil && (err != nil || !os.SameFile(info, a.mine)) {
		a.shut()
	}
	if a.rotate == nil {
		r := a.spec.Rotate
		a.rotate = &timberjack.Logger{Filename: a.spec.LogPath, FileMode: fileMode,
			MaxSize: r.MaxSize, MaxBackups: r.MaxFiles, MaxAge: r.MaxAge, Compression: compression(r.Compress)}
	}
	if _, err := a.rotate.Write([]byte(text)); err != nil {
		return fmt.Errorf("writing %s: %w", a.spec.LogPath, err)
	}
	a.mine, err = os.Stat(a.spec.LogPath)
	if err != nil || a.closed {
		a.shut()
	}
	return nil
}

func compression(on bool) string {
	if on {
		return "gzip"
	}
	return "none"
}

func (a *appender) shut() {
	if a.rotate != nil {
		a.rotate.Close() // an error here concerns what has been written and reported
		a.rotate = nil
	}
}

func (a *appender) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	a.shut()
}
