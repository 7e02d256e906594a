package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/decisions"
	"github.com/rampart-edge/rampart/event"
)

// What is read of one item in Redis at most. Redis is not trusted.
const (
	maxEntryBytes    = 2 << 20
	maxDecisionBytes = 16 << 10
	maxAlertBytes    = 1 << 20
	maxAllowBytes    = 16 << 10
	maxScanBytes     = 512 << 20 // and of all items of a kind together
)

var errEntry = errors.New("entry of the log not understood")

// journalKeys are those of the journal, in one slot.
type journalKeys struct {
	c *Client
	// m: epoch, last entry, count; d, a, w: decisions, alerts and allowlist entries by
	// id or key; du, au: when they may go; uuid: alerts by uuid; t: what was deleted;
	// seq: each node's last change; ids: the last ones given; ls: versions of lists.
	m, log, d, du, a, au, uuid, w, t, seq, ids, ls string
}

func newJournalKeys(c *Client) journalKeys {
	k := func(name string) string { return c.key("{j}", name) }
	return journalKeys{
		c: c, m: k("m"), log: k("log"), d: k("d"), du: k("du"), a: k("a"), au: k("au"), uuid: k("uuid"),
		w: k("w"), t: k("t"), seq: k("seq"), ids: k("ids"), ls: k("ls"),
	}
}

func (k *journalKeys) place() []string { return []string{k.m, k.log} }
func (k *journalKeys) join() []string {
	return []string{k.m, k.log, k.d, k.du, k.a, k.au, k.uuid, k.w, k.ids, k.ls}
}
func (k *journalKeys) append() []string {
	return []string{k.m, k.log, k.d, k.du, k.a, k.au, k.uuid, k.w, k.seq, k.t}
}
func (k *journalKeys) prune() []string {
	return []string{k.log, k.d, k.du, k.a, k.au, k.uuid, k.t}
}

// list is where a list is kept, patch the way to it from the version before.
func (k *journalKeys) list(name string) string  { return k.c.key("{j}", "l", name) }
func (k *journalKeys) patch(name string) string { return k.c.key("{j}", "l", name, "p") }

// encodeOp returns the arguments of the append script for op. With seq 0 it brings
// back what a node had.
func encodeOp(op *decisions.Op, seq int64) ([]any, error) {
	rest := *op
	rest.Seq, rest.Alert, rest.Decisions = seq, nil, nil
	text, err := json.Marshal(&rest)
	if err != nil {
		return nil, fmt.Errorf("encoding a change: %w", err)
	}
	var key, num, body, score = "", "0", []byte{}, int64(0)
	ds := make([]any, 0, 3*len(op.Decisions))
	switch op.Kind {
	case decisions.OpAppend:
		for i := range op.Decisions {
			d := op.Decisions[i]
			d.Suppressed = false // for each node to say
			text, err := json.Marshal(&d)
			if err != nil {
				return nil, fmt.Errorf("encoding decision %d: %w", d.ID, err)
			}
			score = max(score, d.Until.UnixMilli())
			ds = append(ds, d.ID, d.Until.UnixMilli(), text)
		}
		if op.Alert != nil {
			key, num, score = op.Alert.UUID, strconv.FormatInt(op.Alert.ID, 10), max(score, alertTime(op.Alert, op.At).UnixMilli())
			body, err = json.Marshal(op.Alert)
		}
	case decisions.OpDelete:
		var ids []byte
		for _, id := range op.IDs {
			ids = strconv.AppendInt(append(ids, ' '), id, 10)
		}
		body = ids
	case decisions.OpAllow:
		key = op.AllowKey()
		body, err = json.Marshal(op.Allow)
	case decisions.OpUnallow:
		key = op.AllowKey()
	default:
		return nil, fmt.Errorf("encoding a change: %s is not one", op.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("encoding a change: %w", err)
	}
	return append([]any{op.Kind.String(), seq, text, key, num, score, body, len(ds) / 3}, ds...), nil
}

// alertTime is when an alert was made, or else.
func alertTime(a *event.Alert, or time.Time) time.Time {
	if t, err := time.Parse(time.RFC3339, a.CreatedAt); err == nil {
		return t
	}
	return or
}

// sizeOf is how many bytes arguments take, about.
func sizeOf(args []any) int {
	n := 0
	for _, a := range args {
		switch a := a.(type) {
		case string:
			n += len(a)
		case []byte:
			n += len(a)
		}
		n += 16
	}
	return n
}

// logEntry is one entry of the log.
type logEntry struct {
	id, prev, node string
	n              int64 // number of the entry
	op             decisions.Op
}

// decodeEntry reads an entry. What the op says is for the Book to check. With an
// error id, prev and n are those that were to be found.
func decodeEntry(m *redis.XMessage) (logEntry, error) {
	field := func(name string) string { s, _ := m.Values[name].(string); return s }
	e := logEntry{id: m.ID, prev: field("p"), node: field("w")}
	e.n, _ = strconv.ParseInt(field("n"), 10, 64)
	size := 0
	for k := range m.Values {
		size += len(k) + len(field(k))
	}
	if size > maxEntryBytes {
		return e, fmt.Errorf("%w: it has %d bytes", errEntry, size)
	}
	head, ok := strings.CutSuffix(field("o"), "}")
	if !ok || len(head) < 2 {
		return e, errEntry
	}
	// Alert and decisions stand apart, because the script left out some of them.
	var text strings.Builder
	text.WriteString(head)
	if a := field("a"); a != "" {
		text.WriteString(`,"alert":` + a)
	}
	if d := field("d"); d != "" && d != "[]" {
		text.WriteString(`,"decisions":` + d)
	}
	text.WriteByte('}')
	if err := json.Unmarshal([]byte(text.String()), &e.op); err != nil {
		return e, fmt.Errorf("%w: %w", errEntry, err)
	}
	return e, nil
}

// lagOf is the time between two entries.
func lagOf(cursor, last string) time.Duration {
	from, ok1 := entryMillis(cursor)
	to, ok2 := entryMillis(last)
	if !ok1 || !ok2 || to < from {
		return 0
	}
	return time.Duration(to-from) * time.Millisecond
}

func entryMillis(id string) (int64, bool) {
	ms, _, ok := strings.Cut(id, "-")
	n, err := strconv.ParseInt(ms, 10, 64)
	return n, ok && err == nil && n > 0
}
