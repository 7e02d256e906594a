package firewall

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// replace builds the whole table under the name that is free and then, in one
// transaction, hangs it into the packet path and deletes the one before, be it
// ours or a dead process's. Until then that one works on.
func (k *kernel) replace(ctx context.Context, p plan) error {
	name, old, err := k.freeName()
	if err != nil {
		return err
	}
	staged := newRuleset(name, k.flags)
	if err := k.stage(ctx, staged, p); err != nil {
		k.writer.DelTable(staged.table)
		// The first error tells more; what is left over is deleted next time.
		_ = k.flush()
		return fmt.Errorf("staging table inet %s: %w", name, err)
	}
	staged.addBaseChain(k.writer, p)
	if old != nil {
		k.writer.DelTable(old)
	}
	k.counters.read()
	if err := k.flush(); err != nil {
		k.writer.DelTable(staged.table)
		_ = k.flush()
		return fmt.Errorf("swapping in table inet %s: %w", name, err)
	}
	k.active = staged
	k.counters.rollover(func() (map[int]Traffic, error) { return k.traffic(name) })
	return nil
}

// stage fills a table that has no base chain yet: no packet sees it.
func (k *kernel) stage(ctx context.Context, rs *ruleset, p plan) error {
	k.writer.AddTable(rs.table)
	if err := k.flush(); err != nil {
		return err
	}
	if err := k.addMaps(rs, p.widths, p.sizes); err != nil {
		return err
	}
	if err := rs.addFrame(k.writer, p); err != nil {
		return errors.Join(err, k.flush())
	}
	if err := k.flush(); err != nil {
		return err
	}
	batch, n := newElements(batchSize), 0
	send := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := batch.send(rs, k.writer.SetAddElements); err != nil {
			return errors.Join(err, k.flush())
		}
		batch, n = newElements(batchSize), 0
		return k.flush()
	}
	now := p.now()
	for key, e := range p.entries {
		left, ok := timeout(e.until, now)
		if !ok {
			continue
		}
		batch.add(key, e.origin, left)
		if n++; n == batchSize {
			if err := send(); err != nil {
				return err
			}
			now = p.now()
		}
	}
	return send()
}

// freeName chooses the name for a new table, deletes a half-built one of that
// name, and returns the table that the new one is to replace, nil if none. A
// table works if it has the base chain.
func (k *kernel) freeName() (string, *nftables.Table, error) {
	ours, err := k.owned()
	if err != nil {
		return "", nil, err
	}
	exists, works := make(map[string]*nftables.Table), make(map[string]bool)
	for _, t := range ours {
		exists[t.Name] = t
		_, err := k.baseChain(t)
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return "", nil, err
		}
		works[t.Name] = err == nil
	}
	names := k.names()
	free, other := names[0], names[1]
	if works[free] || k.active != nil && k.active.table.Name == free && exists[free] != nil {
		free, other = other, free
	}
	if t := exists[free]; t != nil {
		k.writer.DelTable(t)
		if err := k.flush(); err != nil && !errors.Is(err, unix.ENOENT) {
			return "", nil, fmt.Errorf("deleting left-over table inet %s: %w", free, err)
		}
	}
	return free, exists[other], nil
}

func (k *kernel) baseChain(t *nftables.Table) (*nftables.Chain, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	return k.reader.ListChain(t, chainPre)
}

// addMaps creates the maps of these widths, to hold about so many elements, in
// a transaction of its own. It speaks netlink itself, since the library cannot
// set the interval of the garbage collection.
func (k *kernel) addMaps(rs *ruleset, widths []width, sizes map[width]int) error {
	if len(widths) == 0 {
		return nil
	}
	messages := []netlink.Message{batchMessage(unix.NFNL_MSG_BATCH_BEGIN)}
	sets := make([]*nftables.Set, len(widths))
	for i, w := range widths {
		sets[i] = &nftables.Set{Table: rs.table, Name: w.mapName(), IsMap: true, HasTimeout: true,
			KeyType: nftables.TypeIPAddr, DataType: nftables.TypeMark, KeyByteOrder: binaryutil.BigEndian}
		if w.v6 {
			sets[i].KeyType = nftables.TypeIP6Addr
		}
		m, err := mapMessage(sets[i], uint32(i+1), sizes[w] >= gcFrom)
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	messages = append(messages, batchMessage(unix.NFNL_MSG_BATCH_END))
	if _, err := k.writerRaw.SendMessages(messages); err != nil {
		return fmt.Errorf("creating maps: %w", err)
	}
	var failed error
	for acks := 0; acks < len(widths); {
		replies, err := k.writerRaw.Receive()
		if err != nil {
			failed = errors.Join(failed, err)
			acks++
			continue
		}
		acks += len(replies)
	}
	if failed != nil {
		return fmt.Errorf("creating maps: %w", failed)
	}
	for i, w := range widths {
		rs.maps[w] = sets[i]
	}
	return nil
}

// The kernel frees ended elements, which match no more, at intervals of a
// second: with a million that costs 5 % of a core for ever. Large maps get a
// longer interval. Small ones do not, because nft 1.0.6 writes the interval of a
// map but cannot read it: a saved ruleset would not load again.
const (
	gcFrom     = 50_000
	gcInterval = 30_000 // milliseconds
)

// Netlink's names for how nft prints a set: which byte order keys and data have.
const (
	udataKeyOrder  = 0
	udataDataOrder = 1
	orderHost      = 1
	orderBig       = 2
)

// mapMessage encodes the creation of a map; id is its number in the batch.
func mapMessage(s *nftables.Set, id uint32, slowGC bool) (netlink.Message, error) {
	const keyIPv4, keyIPv6, dataMark = 7, 8, 19 // nft's numbers for its types
	keyType, keyLen := uint32(keyIPv4), uint32(4)
	if s.KeyType == nftables.TypeIP6Addr {
		keyType, keyLen = keyIPv6, 16
	}
	e := netlink.NewAttributeEncoder()
	e.ByteOrder = binary.BigEndian
	e.String(unix.NFTA_SET_TABLE, s.Table.Name)
	e.String(unix.NFTA_SET_NAME, s.Name)
	e.Uint32(unix.NFTA_SET_FLAGS, unix.NFT_SET_MAP|unix.NFT_SET_TIMEOUT)
	e.Uint32(unix.NFTA_SET_KEY_TYPE, keyType)
	e.Uint32(unix.NFTA_SET_KEY_LEN, keyLen)
	e.Uint32(unix.NFTA_SET_DATA_TYPE, dataMark)
	e.Uint32(unix.NFTA_SET_DATA_LEN, 4)
	e.Uint32(unix.NFTA_SET_ID, id)
	if slowGC {
		e.Uint32(unix.NFTA_SET_GC_INTERVAL, gcInterval)
	}
	order := []byte{udataKeyOrder, 4}
	order = append(order, binaryutil.NativeEndian.PutUint32(orderBig)...)
	order = append(order, udataDataOrder, 4)
	order = append(order, binaryutil.NativeEndian.PutUint32(orderHost)...)
	e.Bytes(unix.NFTA_SET_USERDATA, order)
	attributes, err := e.Encode()
	if err != nil {
		return netlink.Message{}, fmt.Errorf("encoding map %s: %w", s.Name, err)
	}
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSET),
			Flags: netlink.Request | netlink.Create | netlink.Acknowledge,
		},
		Data: append(familyHeader(unix.NFPROTO_INET, 0), attributes...),
	}, nil
}

func batchMessage(kind uint16) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(kind), Flags: netlink.Request},
		Data:   familyHeader(unix.NFPROTO_UNSPEC, unix.NFNL_SUBSYS_NFTABLES),
	}
}

// familyHeader is the nfgenmsg before the attributes.
func familyHeader(family byte, resource uint16) []byte {
	return append([]byte{family, unix.NFNETLINK_V0}, binaryutil.BigEndian.PutUint16(resource)...)
}
