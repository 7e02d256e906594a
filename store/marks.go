package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"sync"
)

const (
	marksMagic   = "rampart-marks 1 "
	maxMarksFile = 16 << 20
)

// ErrMarksDamaged is in the chain of OpenMarks' error when the file could not be
// understood; the Marks returned with it are empty and usable.
var ErrMarksDamaged = errors.New("source positions are damaged")

// Marks are positions in log sources by source, in a small file that is replaced
// as a whole. When Save returns, the position survives the death of the process;
// a power cut may take back what was saved since the last Sync. The data
// directory's DB guards against a second process; Marks themselves do not.
type Marks struct {
	mu     sync.Mutex
	path   string
	all    map[string][]byte
	closed bool
}

// OpenMarks reads the file at path; a missing one is empty. A damaged one is
// moved aside (path + ".damaged", replacing an earlier one), and both usable
// Marks and an error wrapping ErrMarksDamaged are returned. With any other error
// the Marks are nil.
func OpenMarks(path string) (*Marks, error) {
	m := &Marks{path: path, all: map[string][]byte{}}
	data, err := readLimited(path, maxMarksFile)
	if errors.Is(err, os.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading source positions: %w", err)
	}
	all, err := decodeMarks(data)
	if err == nil {
		m.all = all
		return m, nil
	}
	aside := path + ".damaged"
	if rerr := os.Rename(path, aside); rerr != nil {
		return nil, fmt.Errorf("moving damaged source positions aside: %w", rerr)
	}
	return m, fmt.Errorf("reading %s: %w (%w); moved to %s, sources start as if they were new",
		path, ErrMarksDamaged, err, aside)
}

// Load returns a copy of what was saved for key.
func (m *Marks) Load(key string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.all[key]
	return bytes.Clone(v), ok
}

// Save keeps value for key.
func (m *Marks) Save(key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.all[key]; ok && bytes.Equal(old, value) {
		return nil
	}
	next := maps.Clone(m.all)
	next[key] = append([]byte{}, value...)
	return m.replace(next, false)
}

// Forget drops key.
func (m *Marks) Forget(key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.all[key]; !ok {
		return nil
	}
	next := maps.Clone(m.all)
	delete(next, key)
	return m.replace(next, false)
}

// Keys returns the keys in no order, for finding positions of sources long gone.
func (m *Marks) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]string, 0, len(m.all))
	for k := range m.all {
		out = append(out, k)
	}
	return out
}

// Sync makes everything saved so far survive a power cut.
func (m *Marks) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.replace(m.all, true)
}

// Close is a last Sync; Saves after it fail. Closing twice is fine.
func (m *Marks) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	err := m.replace(m.all, true)
	m.closed = true
	return err
}

// replace writes next and, only when that worked, makes it what Load sees.
func (m *Marks) replace(next map[string][]byte, sync bool) error {
	if m.closed {
		return fmt.Errorf("saving source positions: %w", os.ErrClosed)
	}
	data, err := encodeMarks(next)
	if err == nil && len(data) > maxMarksFile {
		err = fmt.Errorf("%d bytes, at most %d fit", len(data), maxMarksFile)
	}
	if err == nil {
		err = replaceFile(m.path, data, sync)
	}
	if err != nil {
		return fmt.Errorf("saving source positions: %w", err)
	}
	m.all = next
	return nil
}

// encodeMarks writes one line with the checksum of the rest, then JSON.
func encodeMarks(all map[string][]byte) ([]byte, error) {
	body, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("%s%08x\n", marksMagic, crc32.ChecksumIEEE(body))
	return append([]byte(head), body...), nil
}

func decodeMarks(data []byte) (map[string][]byte, error) {
	head, body, ok := bytes.Cut(data, []byte("\n"))
	if !ok || !bytes.HasPrefix(head, []byte(marksMagic)) {
		return nil, errors.New("not a file of source positions")
	}
	if want := fmt.Sprintf("%s%08x", marksMagic, crc32.ChecksumIEEE(body)); string(head) != want {
		return nil, errors.New("checksum does not match")
	}
	var all map[string][]byte
	if err := json.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	if all == nil {
		return nil, errors.New("no positions in it")
	}
	return all, nil
}

func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		// Too long to be ours: decoding what was read says so.
		return data[:limit], nil
	}
	return data, err
}
