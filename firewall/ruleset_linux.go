package firewall

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ruleset is one table as we have built it.
type ruleset struct {
	table   *nftables.Table
	maps    map[width]*nftables.Set
	verdict *nftables.Set // mark → chain
	origins int           // origins that have a counter, a chain and a verdict
	rules   []*nftables.Rule
}

func newRuleset(name string, flags nftables.TableFlags) *ruleset {
	return &ruleset{
		table: &nftables.Table{Family: nftables.TableFamilyINet, Name: name, Flags: flags},
		maps:  make(map[width]*nftables.Set),
	}
}

func (rs *ruleset) chain(name string) *nftables.Chain {
	return &nftables.Chain{Name: name, Table: rs.table}
}

// rule queues a rule at the end of a chain. The library writes its handle into
// it when the transaction is through.
func (rs *ruleset) rule(c *nftables.Conn, chain string, exprs ...expr.Any) {
	rs.rules = append(rs.rules, c.AddRule(&nftables.Rule{Table: rs.table, Chain: rs.chain(chain), Exprs: exprs}))
}

// addFrame queues everything but maps, bans and the base chain.
func (rs *ruleset) addFrame(c *nftables.Conn, p plan) error {
	rs.verdict = &nftables.Set{Table: rs.table, Name: mapOrigins, IsMap: true,
		KeyType: nftables.TypeMark, DataType: nftables.TypeVerdict, KeyByteOrder: binaryutil.NativeEndian}
	if err := c.AddSet(rs.verdict, nil); err != nil {
		return err
	}
	c.AddChain(rs.chain(chainDecide))
	rs.rule(c, chainDecide,
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Lookup{SourceRegister: 1, IsDestRegSet: true, SetName: mapOrigins, SetID: rs.verdict.ID})
	rs.rule(c, chainDecide, &expr.Verdict{Kind: expr.VerdictDrop})
	rs.addOrigins(c, len(p.origins))
	for _, v6 := range []bool{false, true} {
		if err := rs.addAllowSet(c, p.allow, v6); err != nil {
			return err
		}
	}
	return nil
}

// addOrigins queues counter, chain and verdict of the origins up to number n.
func (rs *ruleset) addOrigins(c *nftables.Conn, n int) {
	for ; rs.origins < n; rs.origins++ {
		number := rs.origins + 1
		c.AddObj(&nftables.NamedObj{Table: rs.table, Name: counterName(number),
			Type: nftables.ObjTypeCounter, Obj: &expr.Counter{}})
		c.AddChain(rs.chain(chainName(number)))
		rs.rule(c, chainName(number),
			&expr.Objref{Type: int(nftables.ObjTypeCounter), Name: counterName(number)},
			&expr.Verdict{Kind: expr.VerdictDrop})
		// An error of encoding comes back from the flush.
		_ = c.SetAddElements(rs.verdict, []nftables.SetElement{{
			Key:         binaryutil.NativeEndian.PutUint32(uint32(number)),
			VerdictData: &expr.Verdict{Kind: expr.VerdictGoto, Chain: chainName(number)},
		}})
	}
}

// addAllowSet queues one family's interval set. Each range is a start and the
// address after its end; without the latter the kernel would let everything up
// to the next start through. The last address of all has none after it.
func (rs *ruleset) addAllowSet(c *nftables.Conn, allow []span, v6 bool) error {
	set := &nftables.Set{Table: rs.table, Name: setAllow4, KeyType: nftables.TypeIPAddr, Interval: true}
	if v6 {
		set.Name, set.KeyType = setAllow6, nftables.TypeIP6Addr
	}
	if err := c.AddSet(set, nil); err != nil {
		return err
	}
	var list []nftables.SetElement
	for _, s := range allow {
		if s.from.Is6() != v6 {
			continue
		}
		next := s.to.Next()
		list = append(list, nftables.SetElement{Key: s.from.AsSlice(), IntervalOpen: !next.IsValid()})
		if next.IsValid() {
			list = append(list, nftables.SetElement{Key: next.AsSlice(), IntervalEnd: true})
		}
		if len(list) >= maxPerCall-1 {
			if err := c.SetAddElements(set, list); err != nil {
				return err
			}
			list = nil
		}
	}
	return c.SetAddElements(set, list)
}

// addBaseChain queues the chain that makes the table work.
func (rs *ruleset) addBaseChain(c *nftables.Conn, p plan) {
	policy := nftables.ChainPolicyAccept
	c.AddChain(&nftables.Chain{Name: chainPre, Table: rs.table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRef(hookPriority), Policy: &policy})
	const loopback = 1 // the index of lo in every network namespace
	rs.rule(c, chainPre,
		&expr.Meta{Key: expr.MetaKeyIIF, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(loopback)},
		&expr.Verdict{Kind: expr.VerdictAccept})
	for _, f := range []struct {
		name string
		w    width
	}{{setAllow4, width{false, 32}}, {setAllow6, width{true, 128}}} {
		if hasFamily(p.allow, f.w.v6) {
			rs.rule(c, chainPre, append(source(f.w),
				&expr.Lookup{SourceRegister: 1, SetName: f.name},
				&expr.Verdict{Kind: expr.VerdictAccept})...)
		}
	}
	for _, w := range p.widths {
		rs.addMapRule(c, w)
	}
}

// addMapRule queues the lookup in the map of w. A miss ends the rule; a hit
// leaves the mark of the origin on a packet that will be dropped.
func (rs *ruleset) addMapRule(c *nftables.Conn, w width) {
	rs.rule(c, chainPre, append(source(w),
		&expr.Lookup{SourceRegister: 1, DestRegister: 1, IsDestRegSet: true, SetName: w.mapName()},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: 1},
		&expr.Verdict{Kind: expr.VerdictGoto, Chain: chainDecide})...)
}

// source loads the source address, masked to w, into register 1. A table of
// family inet sees both protocols: the rule ends for the other one.
func source(w width) []expr.Any {
	proto, offset, size := byte(unix.NFPROTO_IPV4), uint32(12), uint32(4)
	if w.v6 {
		proto, offset, size = unix.NFPROTO_IPV6, 8, 16
	}
	exprs := []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size},
	}
	if w.singles() {
		return exprs
	}
	mask := make([]byte, size)
	for i := range int(w.bits) {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return append(exprs, &expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: size, Mask: mask, Xor: make([]byte, size)})
}
