package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/rampart-edge/rampart/decisions"
)

const (
	listChunk    = 512 << 10
	maxListBytes = 96 << 20
	maxListNames = 256
	asideFor     = 10 * time.Minute // what was stored and not put in force goes after it
	listsEvery   = time.Minute
	listRetry    = time.Second
)

// listState is what Redis says of a list that is in force.
type listState struct {
	version, until int64 // until in Unix milliseconds
	hash           string
}

// blobHead is the field "head" of a stored list or patch; the bytes are in fields 0,
// 1, 2… of listChunk bytes each.
type blobHead struct {
	Version int64 `json:"version"`
	From    int64 `json:"from,omitempty"` // version that a patch is for
	Bytes   int   `json:"bytes"`
}

func stateOf(l *decisions.Blocklist) listState {
	h := l.Hash()
	return listState{version: l.Version, until: l.Until.UnixMilli(), hash: hex.EncodeToString(h[:])}
}

func (s listState) String() string { return fmt.Sprintf("%d %d %s", s.version, s.until, s.hash) }

func parseListState(text string) (s listState, err error) {
	parts := strings.Fields(text)
	if len(parts) != 3 || len(parts[2]) != 64 {
		return listState{}, fmt.Errorf("%w: state of a list", errEntry)
	}
	s.hash = parts[2]
	if s.version, err = strconv.ParseInt(parts[0], 10, 64); err == nil {
		s.until, err = strconv.ParseInt(parts[1], 10, 64)
	}
	if err != nil || s.version <= 0 {
		return listState{}, fmt.Errorf("%w: state of a list", errEntry)
	}
	return s, nil
}

// PutList brings a list into force here, and on the other nodes soon: it is stored
// once, with what is different from the version before. The version must be above that
// of before.
func (j *Journal) PutList(l *decisions.Blocklist) error {
	j.listing.Lock()
	defer j.listing.Unlock()
	old := j.listNamed(l.Name)
	if old != nil && old.Version >= l.Version {
		return fmt.Errorf("list %s: version %d is in force, this one is %d: give it a higher one", l.Name, old.Version, l.Version)
	}
	if err := j.book.PutList(l); err != nil {
		return err
	}
	j.former[l.Name] = old
	return j.book.ShareList(l.Name, "")
}

// DropList ends a list, on all nodes.
func (j *Journal) DropList(name string) error {
	j.listing.Lock()
	defer j.listing.Unlock()
	if err := j.book.DropList(name); err != nil {
		return err
	}
	delete(j.former, name)
	return j.book.ShareList(name, "")
}

// listNamed returns a list that is in force here, or nil.
func (j *Journal) listNamed(name string) *decisions.Blocklist {
	for _, l := range j.book.Lists() {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// sendList tells the fleet what became of a list here.
func (j *Journal) sendList(ctx context.Context, op *decisions.Op) error {
	text, err := json.Marshal(op)
	if err != nil {
		return err
	}
	if l := j.listNamed(op.List); l == nil {
		err = j.dropList(ctx, op.List, op.Seq, string(text))
	} else {
		err = j.putList(ctx, l, op.Seq, string(text))
	}
	if err == nil {
		j.book.Sent(op.Seq)
		j.sent.Add(1)
	}
	return err
}

func (j *Journal) listOp(name string) (string, error) {
	text, err := json.Marshal(&decisions.Op{Kind: decisions.OpList, List: name, At: j.now()})
	return string(text), err
}

// putList stores a list aside and puts it in force for the fleet; with seq 0 it
// brings back what this node had.
func (j *Journal) putList(ctx context.Context, l *decisions.Blocklist, seq int64, op string) error {
	if op == "" {
		var err error
		if op, err = j.listOp(l.Name); err != nil {
			return err
		}
	}
	there, err := j.listState(ctx, l.Name)
	if err != nil {
		return err
	}
	if there.version >= l.Version && seq == 0 {
		return nil
	}
	var tag [8]byte
	_, _ = rand.Read(tag[:]) // never fails
	aside := j.keys.list(l.Name) + ":" + hex.EncodeToString(tag[:])
	blob := l.Encode()
	if err := j.storeAside(ctx, aside, blobHead{Version: l.Version, Bytes: len(blob)}, blob); err != nil {
		return err
	}
	keys := j.listKeys(l.Name, aside)
	j.listing.Lock()
	old := j.former[l.Name]
	j.listing.Unlock()
	if old != nil && stateOf(old) == there {
		if patch := decisions.Diff(old, l); len(patch) < len(blob) {
			head := blobHead{Version: l.Version, From: old.Version, Bytes: len(patch)}
			if err := j.storeAside(ctx, aside+"p", head, patch); err != nil {
				return err
			}
			keys = append(keys, aside+"p")
		}
	}
	if err := j.runList(ctx, keys, seq, op, l.Name, l.Version, stateOf(l).String()); err != nil {
		return err
	}
	j.listing.Lock()
	if j.former[l.Name] == old {
		delete(j.former, l.Name)
	}
	j.listing.Unlock()
	return nil
}

func (j *Journal) dropList(ctx context.Context, name string, seq int64, op string) error {
	return j.runList(ctx, j.listKeys(name, j.keys.list(name)+":none"), seq, op, name, 0, "")
}

func (j *Journal) listKeys(name, aside string) []string {
	k := &j.keys
	return []string{k.m, k.log, k.ls, k.list(name), k.patch(name), aside, k.t, k.seq}
}

func (j *Journal) runList(ctx context.Context, keys []string, seq int64, op, name string, version int64, state string) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	p := j.place()
	v, err := j.listScript.Run(ctx, keys, p.epoch, p.cursor, j.c.o.Node, logEntries, seq, op, name, version, state)
	if err != nil {
		return err
	}
	switch v {
	case "ok", "done":
	case "newer":
		poke(j.lists) // ours is not the one
	case "epoch", "back":
		j.left(p.epoch)
		return fmt.Errorf("%w (%s)", errPlace, v)
	default:
		return errors.New("the script gave no answer")
	}
	return nil
}

// storeAside writes bytes under a key that ends by itself.
func (j *Journal) storeAside(ctx context.Context, key string, head blobHead, data []byte) error {
	text, err := json.Marshal(&head)
	if err != nil {
		return err
	}
	put := func(field string, value []byte) error {
		ctx, cancel := context.WithTimeout(ctx, callLimit)
		defer cancel()
		pipe := j.c.rdb().Pipeline()
		pipe.HSet(ctx, key, field, value)
		pipe.Expire(ctx, key, asideFor)
		_, err := pipe.Exec(ctx)
		return err
	}
	if err := put("head", text); err != nil {
		return err
	}
	i := 0
	for chunk := range slices.Chunk(data, listChunk) {
		if err := put(strconv.Itoa(i), chunk); err != nil {
			return err
		}
		i++
	}
	return nil
}

// fetch reads what storeAside wrote; head says what it must be.
func (j *Journal) fetch(ctx context.Context, key string) (blobHead, []byte, error) {
	var head blobHead
	text, err := j.field(ctx, key, "head")
	if err != nil {
		return head, nil, err
	}
	if err := json.Unmarshal(text, &head); err != nil || head.Bytes <= 0 || head.Bytes > maxListBytes {
		return head, nil, fmt.Errorf("%w: head of a stored list", errEntry)
	}
	var data []byte
	for i := 0; len(data) < head.Bytes; i++ {
		chunk, err := j.field(ctx, key, strconv.Itoa(i))
		if err != nil {
			return head, nil, err
		}
		if len(chunk) == 0 || len(chunk) > listChunk || len(data)+len(chunk) > head.Bytes {
			return head, nil, fmt.Errorf("%w: stored list has %d bytes after %d of %d", errEntry, len(chunk), len(data), head.Bytes)
		}
		data = append(data, chunk...)
	}
	return head, data, nil
}

func (j *Journal) field(ctx context.Context, key, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	b, err := j.c.rdb().HGet(ctx, key, name).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("%w: a stored list lacks %s", errEntry, name)
	}
	return b, err
}
