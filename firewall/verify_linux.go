package firewall

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// sampleSize is how many elements a check looks for, in place of a dump, whose
// cost grows faster than the set.
const sampleSize = 16

// verify compares the kernel's table with what was written: flags, base chain,
// the handles of all rules, and a sample of elements. Sets cannot go while
// rules name them. The monitor tells of changes to elements.
func (k *kernel) verify(p plan) (drift, error) {
	noticed := k.monitor.take()
	if noticed.what != "" {
		return noticed, nil
	}
	k.reading.Lock()
	defer k.reading.Unlock()
	rs := k.active
	t, err := k.reader.ListTableOfFamily(rs.table.Name, nftables.TableFamilyINet)
	if errors.Is(err, unix.ENOENT) {
		return drift{what: fmt.Sprintf("table inet %s is gone", rs.table.Name)}, nil
	}
	if err != nil {
		return drift{}, err
	}
	if t.Flags != rs.table.Flags {
		return drift{what: fmt.Sprintf("table inet %s has other flags: %#x", t.Name, t.Flags)}, nil
	}
	c, err := k.reader.ListChain(t, chainPre)
	if errors.Is(err, unix.ENOENT) {
		return drift{what: fmt.Sprintf("chain %s is gone", chainPre)}, nil
	}
	if err != nil {
		return drift{}, err
	}
	if c.Hooknum == nil || c.Priority == nil || *c.Priority != hookPriority ||
		c.Policy == nil || *c.Policy != nftables.ChainPolicyAccept {
		return drift{what: fmt.Sprintf("chain %s has another hook or policy", chainPre)}, nil
	}
	if what, err := k.checkRules(rs); what != "" || err != nil {
		return drift{what: what}, err
	}
	return drift{what: k.sample(rs, p)}, nil
}

// checkRules compares handles: a rule that was replaced has a new one.
func (k *kernel) checkRules(rs *ruleset) (string, error) {
	found, err := k.handles(rs.table)
	for range 3 {
		if errors.Is(err, errInterrupted) {
			found, err = k.handles(rs.table)
		}
	}
	if err != nil {
		return "", err
	}
	for _, r := range rs.rules {
		if !found[r.Handle] {
			return fmt.Sprintf("a rule of chain %s is gone", r.Chain.Name), nil
		}
	}
	if len(found) != len(rs.rules) {
		return fmt.Sprintf("%d rules instead of %d", len(found), len(rs.rules)), nil
	}
	return "", nil
}

// errInterrupted says that somebody changed nftables during a dump.
var errInterrupted = errors.New("listing rules: interrupted by a change")

// handles returns the handles of all rules of a table; the library can only
// ask for one chain. The caller holds reading.
func (k *kernel) handles(t *nftables.Table) (map[uint64]bool, error) {
	e := netlink.NewAttributeEncoder()
	e.String(unix.NFTA_RULE_TABLE, t.Name)
	attributes, err := e.Encode()
	if err != nil {
		return nil, err
	}
	replies, err := k.readerRaw.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE),
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append(familyHeader(unix.NFPROTO_INET, 0), attributes...),
	})
	if err != nil {
		return nil, fmt.Errorf("listing rules: %w", err)
	}
	handles := make(map[uint64]bool, len(replies))
	for _, m := range replies {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			return nil, errInterrupted
		}
		if len(m.Data) < 4 {
			continue
		}
		d, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return nil, fmt.Errorf("decoding rules: %w", err)
		}
		d.ByteOrder = binary.BigEndian
		for d.Next() {
			if d.Type() == unix.NFTA_RULE_HANDLE {
				handles[d.Uint64()] = true
			}
		}
		if err := d.Err(); err != nil {
			return nil, fmt.Errorf("decoding rules: %w", err)
		}
	}
	return handles, nil
}

// sample looks for a few entries that must be in the kernel, those at which the
// iteration of a map happens to begin.
func (k *kernel) sample(rs *ruleset, p plan) string {
	tried := 0
	sure := p.now().Add(grace).UnixNano()
	for key, e := range p.entries {
		if tried == sampleSize {
			break
		}
		if e.until <= sure {
			continue
		}
		tried++
		set, ok := rs.maps[key.width]
		if !ok {
			return fmt.Sprintf("map %s is missing", key.width.mapName())
		}
		_, err := k.reader.FindSetElements(set, []nftables.SetElement{{Key: key.append(nil)}})
		if errors.Is(err, unix.ENOENT) {
			return fmt.Sprintf("element %s of %s is gone", key.prefix(), set.Name)
		}
		if err != nil {
			return fmt.Sprintf("looking for %s in %s: %v", key.prefix(), set.Name, err)
		}
	}
	return ""
}

// traffic reads the counters of a table by the number of the origin.
func (k *kernel) traffic(table string) (map[int]Traffic, error) {
	k.reading.Lock()
	defer k.reading.Unlock()
	objects, err := k.reader.GetNamedObjects(&nftables.Table{Family: nftables.TableFamilyINet, Name: table})
	if err != nil {
		return nil, fmt.Errorf("reading counters: %w", err)
	}
	sums := make(map[int]Traffic, len(objects))
	for _, o := range objects {
		named, ok := o.(*nftables.NamedObj)
		if !ok {
			continue
		}
		c, ok := named.Obj.(*expr.Counter)
		var number int
		if _, err := fmt.Sscanf(named.Name, "o_%d", &number); err != nil || !ok {
			continue
		}
		sums[number] = Traffic{Packets: c.Packets, Bytes: c.Bytes}
	}
	return sums, nil
}
