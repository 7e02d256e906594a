package firewall

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Render returns the table with its elements as nft text, such as nft -f takes.
// It leaves out the owner flag, which would tie the table to the nft process,
// and shows the table under its configured name.
func (t *Table) Render() string {
	t.write.Lock()
	defer t.write.Unlock()
	return render(t.o.Table, t.plan())
}

func render(table string, p plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", table)
	for i, name := range p.origins {
		fmt.Fprintf(&b, "\tcounter %s { packets 0 bytes 0 } # %s\n", counterName(i+1), printable(name))
	}
	renderAllow(&b, p.allow)
	renderMaps(&b, p)
	for i := range p.origins {
		fmt.Fprintf(&b, "\tchain %s {\n\t\tcounter name %q drop\n\t}\n", chainName(i+1), counterName(i+1))
	}
	renderOrigins(&b, len(p.origins))
	fmt.Fprintf(&b, "\tchain %s {\n\t\tmeta mark vmap @%s\n\t\tdrop\n\t}\n", chainDecide, mapOrigins)
	fmt.Fprintf(&b, "\tchain %s {\n\t\ttype filter hook prerouting priority %d; policy accept;\n\t\tiif lo accept\n",
		chainPre, hookPriority)
	if hasFamily(p.allow, false) {
		fmt.Fprintf(&b, "\t\tip saddr @%s accept\n", setAllow4)
	}
	if hasFamily(p.allow, true) {
		fmt.Fprintf(&b, "\t\tip6 saddr @%s accept\n", setAllow6)
	}
	for _, w := range p.widths {
		fmt.Fprintf(&b, "\t\tmeta mark set %s map @%s goto %s\n", matchText(w), w.mapName(), chainDecide)
	}
	b.WriteString("\t}\n}\n")
	return b.String()
}

// renderOrigins writes the map from marks to chains.
func renderOrigins(b *strings.Builder, n int) {
	fmt.Fprintf(b, "\tmap %s {\n\t\ttype mark : verdict\n", mapOrigins)
	for i := 1; i <= n; i++ {
		b.WriteString(elementLead(i == 1))
		fmt.Fprintf(b, "%#x : goto %s", i, chainName(i))
	}
	b.WriteString(elementTail(n == 0))
}

func renderAllow(b *strings.Builder, allow []span) {
	for _, f := range []struct {
		name, kind string
		v6         bool
	}{{setAllow4, "ipv4_addr", false}, {setAllow6, "ipv6_addr", true}} {
		fmt.Fprintf(b, "\tset %s {\n\t\ttype %s\n\t\tflags interval\n", f.name, f.kind)
		first := true
		for _, s := range allow {
			if s.from.Is6() != f.v6 {
				continue
			}
			b.WriteString(elementLead(first))
			first = false
			b.WriteString(s.from.String())
			if s.from != s.to {
				b.WriteString("-" + s.to.String())
			}
		}
		b.WriteString(elementTail(first))
	}
}

// renderMaps writes the maps of bans. Elements are gathered per map first, as
// the mirror has them in no order.
func renderMaps(b *strings.Builder, p plan) {
	now := p.now()
	elements := make(map[width]*strings.Builder, len(p.widths))
	for k, e := range p.entries {
		left, ok := timeout(e.until, now)
		if !ok {
			continue
		}
		m := elements[k.width]
		if m == nil {
			m = new(strings.Builder)
			elements[k.width] = m
		}
		m.WriteString(elementLead(m.Len() == 0))
		fmt.Fprintf(m, "%s timeout %ds : %#x", k.prefix().Addr(), (left+time.Second-1)/time.Second, e.origin)
	}
	for _, w := range p.widths {
		kind := "ipv4_addr"
		if w.v6 {
			kind = "ipv6_addr"
		}
		fmt.Fprintf(b, "\tmap %s {\n\t\ttype %s : mark\n\t\tflags timeout\n", w.mapName(), kind)
		m := elements[w]
		if m != nil {
			b.WriteString(m.String())
		}
		b.WriteString(elementTail(m == nil))
	}
}

// elementLead and elementTail frame a list of elements, which must not be empty.
func elementLead(first bool) string {
	if first {
		return "\t\telements = {\n\t\t\t"
	}
	return ",\n\t\t\t"
}

func elementTail(empty bool) string {
	if empty {
		return "\t}\n"
	}
	return "\n\t\t}\n\t}\n"
}

// matchText is the source address of a packet, masked to w.
func matchText(w width) string {
	family, all := "ip", netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if w.v6 {
		family, all = "ip6", netip.AddrFrom16([16]byte(ones(128)))
	}
	if w.singles() {
		return family + " saddr"
	}
	return fmt.Sprintf("%s saddr & %s", family, netip.PrefixFrom(all, int(w.bits)).Masked().Addr())
}

// ones returns as many set bits, in bytes.
func ones(bits int) []byte {
	b := make([]byte, bits/8)
	for i := range b {
		b[i] = 0xff
	}
	return b
}

func hasFamily(allow []span, v6 bool) bool {
	for _, s := range allow {
		if s.from.Is6() == v6 {
			return true
		}
	}
	return false
}

// printable keeps a name from breaking out of its comment.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r > 0x7e {
			return '?'
		}
		return r
	}, name)
}
