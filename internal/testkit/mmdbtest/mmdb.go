// Package mmdbtest writes small databases in the MaxMind format, for tests of what
// reads them.
//
//	networks with records ─► tree, data section, metadata ─► the bytes of a file
//
// Concurrency: functions without state.
package mmdbtest

import (
	"encoding/binary"
	"maps"
	"math"
	"net/netip"
	"slices"
	"testing"
)

// Database is what Bytes writes. Records are map[string]any, []any, string, bool,
// float64, uint16, uint32, uint64 and int32.
type Database struct {
	Type       string // "GeoLite2-City"
	IPVersion  int    // 4 or 6
	RecordSize int    // 24, 28 or 32 bits
	Networks   map[netip.Prefix]any
}

// node is one of the tree. A record is a child, a leaf, or nothing.
type node struct {
	child [2]*node
	leaf  [2]any // a record of the data section
	index int
}

// Bytes returns the file. A network that is inside another one, and a type that it
// does not know, end the test.
func (d Database) Bytes(tb testing.TB) []byte {
	tb.Helper()
	root := &node{}
	for _, p := range slices.SortedFunc(maps.Keys(d.Networks), func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }) {
		d.insert(tb, root, p, d.Networks[p])
	}
	nodes := number(root, nil)
	var data []byte
	offsets := map[string]int{} // encoded record → where it is: equal records are shared
	var tree []byte
	for _, n := range nodes {
		var records [2]uint32
		for side := range 2 {
			records[side] = uint32(len(nodes))
			switch {
			case n.child[side] != nil:
				records[side] = uint32(n.child[side].index)
			case n.leaf[side] != nil:
				encoded := encode(tb, nil, n.leaf[side])
				at, ok := offsets[string(encoded)]
				if !ok {
					at = len(data)
					offsets[string(encoded)] = at
					data = append(data, encoded...)
				}
				records[side] = uint32(len(nodes) + 16 + at)
			}
		}
		tree = appendNode(tb, tree, records, d.RecordSize)
	}
	out := append(tree, make([]byte, 16)...)
	out = append(out, data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return encode(tb, out, map[string]any{
		"binary_format_major_version": uint16(2), "binary_format_minor_version": uint16(0), "build_epoch": uint64(1700000000),
		"database_type": d.Type, "description": map[string]any{"en": "test"}, "ip_version": uint16(d.IPVersion), "languages": []any{"en"},
		"node_count": uint32(len(nodes)), "record_size": uint16(d.RecordSize),
	})
}

// insert walks down the bits of p. IPv4 is below ::/96 in a database of IPv6.
func (d Database) insert(tb testing.TB, root *node, p netip.Prefix, record any) {
	bits, n := p.Addr().AsSlice(), p.Bits()
	if p.Addr().Is4() && d.IPVersion == 6 {
		bits, n = append(make([]byte, 12), bits...), n+96
	}
	at := root
	for i := range n {
		side := bits[i/8] >> (7 - i%8) & 1
		if at.leaf[side] != nil {
			tb.Fatalf("%s is inside another network", p)
		}
		if i == n-1 {
			at.leaf[side] = record
			return
		}
		if at.child[side] == nil {
			at.child[side] = &node{}
		}
		at = at.child[side]
	}
}

func number(n *node, list []*node) []*node {
	n.index = len(list)
	list = append(list, n)
	for _, c := range n.child {
		if c != nil {
			list = number(c, list)
		}
	}
	return list
}

func appendNode(tb testing.TB, out []byte, r [2]uint32, size int) []byte {
	switch size {
	case 24:
		return append(out, byte(r[0]>>16), byte(r[0]>>8), byte(r[0]), byte(r[1]>>16), byte(r[1]>>8), byte(r[1]))
	case 28:
		middle := byte(r[0]>>24)<<4 | byte(r[1]>>24)
		return append(out, byte(r[0]>>16), byte(r[0]>>8), byte(r[0]), middle, byte(r[1]>>16), byte(r[1]>>8), byte(r[1]))
	case 32:
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(out, r[0]), r[1])
	}
	tb.Fatalf("records of %d bits", size)
	return nil
}

// encode appends a value of the data section.
func encode(tb testing.TB, out []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return append(control(out, 2, len(v)), v...)
	case float64:
		return binary.BigEndian.AppendUint64(control(out, 3, 8), math.Float64bits(v))
	case uint16:
		return binary.BigEndian.AppendUint16(control(out, 5, 2), v)
	case uint32:
		return binary.BigEndian.AppendUint32(control(out, 6, 4), v)
	case map[string]any:
		out = control(out, 7, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			out = encode(tb, encode(tb, out, k), v[k])
		}
		return out
	case int32:
		return binary.BigEndian.AppendUint32(control(out, 8, 4), uint32(v))
	case uint64:
		return binary.BigEndian.AppendUint64(control(out, 9, 8), v)
	case []any:
		out = control(out, 11, len(v))
		for _, e := range v {
			out = encode(tb, out, e)
		}
		return out
	case bool:
		size := 0
		if v {
			size = 1
		}
		return control(out, 14, size)
	}
	tb.Fatalf("a value of type %T", v)
	return nil
}

// control appends the bytes that say type and size; kinds above 7 are extended.
func control(out []byte, kind, size int) []byte {
	short, rest := size, []byte(nil)
	switch {
	case size >= 285:
		short, rest = 30, binary.BigEndian.AppendUint16(nil, uint16(size-285))
	case size >= 29:
		short, rest = 29, []byte{byte(size - 29)}
	}
	if kind <= 7 {
		return append(append(out, byte(kind<<5|short)), rest...)
	}
	return append(append(out, byte(short), byte(kind-7)), rest...)
}
