package cluster

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"
)

const (
	stampBytes = 32 // µs since 1970 and node, 16 hex digits each
	rankBytes  = 2 * stampBytes

	maxTableKey   = 512
	maxTableValue = 256 << 10
)

// Kinds of rows.
const (
	rowLive = 'v'
	rowGone = 'd'
)

// rank orders the versions of a row: when it came into being, then when it was
// written, each with the node that did. So the last write wins, but a deletion wins
// over writes of nodes that had not heard of it: only who knows that a row is gone can
// bring it into being again.
type rank struct{ birth, stamp string }

func (r rank) String() string { return r.birth + r.stamp }

// at is when that version was written.
func (r rank) at() time.Time {
	micros, err := strconv.ParseInt(r.stamp[:min(16, len(r.stamp))], 16, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMicro(micros)
}

// parseRank reads what String wrote.
func parseRank(text string) (rank, error) {
	if len(text) != rankBytes {
		return rank{}, fmt.Errorf("%w: rank of a row", errEntry)
	}
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return rank{}, fmt.Errorf("%w: rank of a row", errEntry)
		}
	}
	// Room is left above both instants for the writes to come.
	if text[0] != '0' || text[stampBytes] != '0' {
		return rank{}, fmt.Errorf("%w: rank of a row", errEntry)
	}
	return rank{text[:stampBytes], text[stampBytes:]}, nil
}

// next is the rank of a write by node, above all that is known of the row: born, it
// stays the same row.
func (r rank) next(now time.Time, node string, born bool) rank {
	micros := now.UnixMicro()
	for _, s := range [...]string{r.birth, r.stamp} {
		if len(s) == stampBytes {
			if before, err := strconv.ParseInt(s[:16], 16, 64); err == nil {
				micros = max(micros, before+1)
			}
		}
	}
	stamp := fmt.Sprintf("%016x%s", micros, node)
	if born {
		return rank{r.birth, stamp}
	}
	return rank{stamp, stamp}
}

// note is what a node keeps of a row beside its value: how it ranks, whether it is
// deleted, whether the fleet is still to be told, and which value that is for.
type note struct {
	rank
	kind    byte
	waiting bool
	sum     string // of the value
}

func sumOf(value []byte) string {
	h := sha256.Sum256(value)
	return hex.EncodeToString(h[:8])
}

func (n *note) encode() []byte {
	waiting := "-"
	if n.waiting {
		waiting = "w"
	}
	return []byte(n.rank.String() + string(n.kind) + waiting + n.sum)
}

// parseNote reads what encode wrote; nil is the note of a row that nothing is known of.
func parseNote(data []byte) (n note, err error) {
	if data == nil {
		return n, nil
	}
	if len(data) < rankBytes+2 {
		return n, fmt.Errorf("%w: note of a row", errEntry)
	}
	text := string(data)
	if n.rank, err = parseRank(text[:rankBytes]); err != nil {
		return n, err
	}
	n.kind, n.waiting, n.sum = text[rankBytes], text[rankBytes+1] == 'w', text[rankBytes+2:]
	return n, nil
}

// live reports whether the row is there.
func (n *note) live() bool { return n.kind == rowLive }

// row is one as it stands in Redis.
type row struct {
	key string
	rank
	kind  byte
	value []byte
}

func (r *row) record() []byte {
	return append([]byte(r.rank.String()+string(r.kind)), r.value...)
}

// parseRow reads a record of Redis, which is not believed.
func parseRow(key, record string) (r row, err error) {
	if len(record) <= rankBytes {
		return r, fmt.Errorf("%w: row of %d bytes", errEntry, len(record))
	}
	r.key, r.kind, r.value = key, record[rankBytes], []byte(record[rankBytes+1:])
	if err := r.check(); err != nil {
		return r, err
	}
	if r.rank, err = parseRank(record[:rankBytes]); err != nil {
		return r, err
	}
	if r.kind != rowLive && r.kind != rowGone {
		return r, fmt.Errorf("%w: kind of a row", errEntry)
	}
	return r, nil
}

// check looks at the bounds of a row.
func (r *row) check() error {
	switch {
	case r.key == "" || len(r.key) > maxTableKey:
		return fmt.Errorf("key of %d bytes, 1 to %d are possible", len(r.key), maxTableKey)
	case len(r.value) > maxTableValue:
		return fmt.Errorf("value of %d bytes, at most %d are possible", len(r.value), maxTableValue)
	}
	return nil
}
