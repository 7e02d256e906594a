package command

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ownFile is a new file for its owner alone. It is opened before what goes into it is
// made, for that may be shown once.
type ownFile struct {
	path string
	f    *os.File // at path, or beside what it takes the place of; nil: written
}

// newOwnFile opens the file. One that is there is replaced with force only; instead says
// what else to do.
func newOwnFile(path string, force bool, instead string) (*ownFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist) && force:
		f, err = os.CreateTemp(filepath.Dir(path), ".rampart-*") // of mode 0600
	case errors.Is(err, fs.ErrExist):
		return nil, fmt.Errorf("%s is there already; %s", path, instead)
	}
	if err != nil {
		return nil, fmt.Errorf("writing a file: %w", err)
	}
	return &ownFile{path, f}, nil
}

// write puts all of the text into the file.
func (w *ownFile) write(text []byte) error {
	_, err := w.f.Write(text)
	err = errors.Join(err, w.f.Sync(), w.f.Close())
	if err == nil && w.f.Name() != w.path {
		err = os.Rename(w.f.Name(), w.path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", w.path, err)
	}
	w.f = nil
	return nil
}

// close takes away what was not written.
func (w *ownFile) close() {
	if w.f != nil {
		_ = w.f.Close() // may be closed
		_ = os.Remove(w.f.Name())
	}
}
