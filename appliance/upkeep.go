package appliance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"
)

// These tell what is for starts.
const (
	limitsNote  = "limits were changed; they take effect when the node starts the next time"
	storageNote = "storage was changed; it takes effect when the node starts the next time"
)

// stateDir is where the node keeps its state; empty without a data directory.
func (c Config) stateDir() string {
	if c.DataDir == "" {
		return ""
	}
	return filepath.Join(c.DataDir, c.Node)
}

// accepts refuses settings that a node cannot change to while it runs.
func (st *state) accepts(s *Settings) error {
	if dir := s.config.stateDir(); dir != st.dir {
		return fmt.Errorf("data_dir of node %s cannot change from %q to %q while it runs; restart the process, or give the node another name",
			s.config.Node, st.dir, dir)
	}
	return nil
}

// unheeded tells what of s waits for the next start.
func (st *state) unheeded(s *Settings) (notes []string) {
	if s.config.Limits != st.limits {
		notes = append(notes, limitsNote)
	}
	if !s.config.Storage.same(st.storage) {
		notes = append(notes, storageNote)
	}
	return notes
}

// marksKeeper makes log positions survive a power cut, when there are new ones.
type marksKeeper struct {
	st    *state
	lines int64 // read when they were last synced
	ill   bool
}

// sync does so; always asks for it even if no line was read.
func (k *marksKeeper) sync(always bool) {
	lines := k.st.owner.counters.engine.Lines.Load()
	if lines == k.lines && !always && !k.ill {
		return
	}
	err := k.st.marks.Sync()
	if err != nil && !k.ill {
		k.st.owner.logger().Error("writing log positions, trying again every second", zap.Error(err))
	}
	k.lines, k.ill = lines, err != nil
}

// syncDir makes a rename in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
