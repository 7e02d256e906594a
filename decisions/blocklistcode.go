package decisions

import (
	"bufio"
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"
)

// The coded forms of a list and of a patch: a magic word, hashes of what the lists
// hold, and the rest compressed. Numbers are varints; of sorted addresses, what is
// between one and the next. Of IPv4 addresses the lowest bytes of that come first,
// which nothing compresses, then the rest, which is alike.
const (
	listMagic  = "rbl1"
	patchMagic = "rbp1"
	// maxListBytes bounds a coded list or patch, before and after it is unpacked: all
	// IPv6 that fits, and the head.
	maxListBytes = 20*maxListEntries + 4096
)

// errListCode is in the chain of errors about bytes that are no list or patch.
var errListCode = errors.New("not a coded list, or a damaged one")

// Encode returns the list as bytes: of a million random IPv4 addresses some 1.8 MB.
func (l *Blocklist) Encode() []byte {
	plain := l.plainBytes()
	sum := sha256.Sum256(plain)
	return pack(append([]byte(listMagic), sum[:]...), plain)
}

// Hash stands for all that the list says, apart from Base, which one node may have
// and another not.
func (l *Blocklist) Hash() [sha256.Size]byte { return l.based(0).sum() }

// sum is that of all of the list.
func (l *Blocklist) sum() [sha256.Size]byte { return sha256.Sum256(l.plainBytes()) }

// DecodeBlocklist reads what Encode wrote. It checks everything that NewBlocklist
// does, and is safe with bytes from anywhere: what it allocates is bounded, by
// 4,194,304 entries.
func DecodeBlocklist(data []byte) (*Blocklist, error) {
	l, err := decodeBlocklist(data)
	if err != nil {
		return nil, fmt.Errorf("decoding a list: %w", err)
	}
	return l, nil
}

func decodeBlocklist(data []byte) (*Blocklist, error) {
	rest, ok := bytes.CutPrefix(data, []byte(listMagic))
	if !ok || len(rest) < sha256.Size {
		return nil, errListCode
	}
	r, err := unpack(rest[sha256.Size:])
	if err != nil {
		return nil, err
	}
	head := r.head()
	l := r.entries(head)
	if err := r.close(); err != nil {
		return nil, err
	}
	if l.sum() != [sha256.Size]byte(rest) {
		return nil, fmt.Errorf("%w: the hash is another one", errListCode)
	}
	return l, nil
}

// plainBytes is the list, uncompressed: equal lists have equal bytes.
func (l *Blocklist) plainBytes() []byte {
	return appendEntries(appendHead(make([]byte, 0, 128+3*l.Len()), &l.ListHead), l)
}

func appendHead(b []byte, h *ListHead) []byte {
	texts := []string{h.Name, h.Type, h.Scenario}
	if h.From != "" {
		texts = slices.Insert(texts, 0, "", h.From) // no name is empty
	}
	for _, s := range texts {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	for _, n := range []int64{h.Created.UnixMilli(), h.Until.UnixMilli(), h.Version, h.Base} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return b
}

// appendEntries appends the entries, each kind behind its number.
func appendEntries(b []byte, l *Blocklist) []byte {
	b = binary.AppendUvarint(b, uint64(len(l.v4.keys)))
	last := uint32(0)
	for _, key := range l.v4.keys {
		b = append(b, uint8(key-last))
		last = key
	}
	last = 0
	for _, key := range l.v4.keys {
		b = binary.AppendUvarint(b, uint64((key-last)>>8))
		last = key
	}
	b = binary.AppendUvarint(b, uint64(len(l.nets.keys)))
	last = 0
	for i, key := range l.nets.keys {
		b = append(binary.AppendUvarint(b, uint64(key-last)), l.bits[i])
		last = key
	}
	b = binary.AppendUvarint(b, uint64(len(l.v6)))
	var before prefix6
	for _, p := range l.v6 {
		b = binary.AppendUvarint(append(b, p.bits), p.hi-before.hi)
		if p.hi != before.hi {
			before.lo = 0
		}
		b = binary.AppendUvarint(b, p.lo-before.lo)
		before = p
	}
	return b
}

// pack appends plain to b, compressed.
func pack(b, plain []byte) []byte {
	out := bytes.NewBuffer(b)
	// The level is one that there is, and a buffer takes everything.
	w, _ := flate.NewWriter(out, flate.BestSpeed)
	_, _ = w.Write(plain)
	_ = w.Close()
	return out.Bytes()
}

// listReader reads numbers and texts. It keeps the first error; what it reads after
// one is zero.
type listReader struct {
	r    *bufio.Reader
	left *io.LimitedReader
	err  error
}

// unpack reads what pack compressed.
func unpack(data []byte) (*listReader, error) {
	if len(data) > maxListBytes {
		return nil, fmt.Errorf("%w: %d bytes", errListCode, len(data))
	}
	left := &io.LimitedReader{R: flate.NewReader(bytes.NewReader(data)), N: maxListBytes}
	return &listReader{r: bufio.NewReader(left), left: left}, nil
}

func (r *listReader) fail(err error) {
	if r.err == nil && err != nil {
		r.err = fmt.Errorf("%w: %w", errListCode, err)
	}
}

func (r *listReader) number(limit uint64) uint64 {
	if r.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(r.r)
	if err == nil && n > limit {
		err = fmt.Errorf("a number above %d", limit)
	}
	if r.fail(err); r.err != nil {
		return 0
	}
	return n
}

func (r *listReader) byte() uint8 {
	if r.err != nil {
		return 0
	}
	c, err := r.r.ReadByte()
	r.fail(err)
	return c
}

func (r *listReader) bytes(n uint64) []byte {
	b := make([]byte, n)
	if r.err == nil {
		_, err := io.ReadFull(r.r, b)
		r.fail(err)
	}
	return b
}

func (r *listReader) text() string { return string(r.bytes(r.number(maxText))) }

// head reads a head; one that is not in normal form is an error.
func (r *listReader) head() ListHead {
	h := ListHead{Name: r.text()}
	if h.Name == "" && r.err == nil {
		if h.From = r.text(); h.From == "" {
			r.fail(errors.New("an origin that says nothing"))
		}
		h.Name = r.text()
	}
	h.Type, h.Scenario = r.text(), r.text()
	h.Created, h.Until = time.UnixMilli(int64(r.number(maxMillis))).UTC(), time.UnixMilli(int64(r.number(maxMillis))).UTC()
	h.Version, h.Base = int64(r.number(math.MaxInt64)), int64(r.number(maxDecision))
	normal := h
	if err := normal.normalise(); err != nil {
		r.fail(err)
	} else if normal != h {
		r.fail(errors.New("the head is not in normal form"))
	}
	return h
}

// entries reads entries; unless all are such as a list has, that is an error.
func (r *listReader) entries(h ListHead) *Blocklist {
	var b listBuilder
	key := uint64(0)
	low := r.bytes(r.number(maxListEntries))
	for i := 0; i < len(low) && r.err == nil; i++ {
		key += r.number(math.MaxUint32>>8)<<8 | uint64(low[i])
		r.take4(&b, key, 32)
	}
	key = 0
	n := r.number(maxListEntries)
	for i := uint64(0); i < n && r.err == nil; i++ {
		key += r.number(math.MaxUint32)
		r.take4(&b, key, r.byte())
	}
	var p prefix6
	n6 := r.number(maxListEntries)
	for i := uint64(0); i < n6 && r.err == nil; i++ {
		p.bits = r.byte()
		if hi := r.number(math.MaxUint64); hi != 0 {
			p.hi, p.lo = p.hi+hi, 0
		}
		p.lo += r.number(math.MaxUint64)
		r.take6(&b, p)
	}
	l := b.finish(h)
	if b.report.Duplicates+b.report.Covered > 0 {
		r.fail(errors.New("entries that overlap"))
	}
	return l
}

func (r *listReader) take4(b *listBuilder, key uint64, bits uint8) {
	if key > math.MaxUint32 || bits > 32 {
		r.fail(errors.New("an address out of range"))
	}
	if r.err == nil {
		r.fail(b.add(prefix4(uint32(key), bits)))
	}
}

func (r *listReader) take6(b *listBuilder, p prefix6) {
	if p.bits > 128 {
		r.fail(errors.New("an address out of range"))
	}
	if r.err == nil {
		r.fail(b.add(p.prefix()))
	}
}

// close returns the first error; that something is left is one.
func (r *listReader) close() error {
	if r.err != nil {
		return r.err
	}
	if _, err := r.r.ReadByte(); !errors.Is(err, io.EOF) || r.left.N <= 0 {
		return fmt.Errorf("%w: more than a list", errListCode)
	}
	return nil
}
