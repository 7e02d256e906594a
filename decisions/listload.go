package decisions

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// loadTold reads what subscribers were told of lists, those over since included.
func (b *Book) loadTold(known map[string]*Blocklist, j *job) error {
	g := &b.lists
	g.begin(b.log.epoch)
	var err error
	if g.lost, err = b.loadLost(listsLostKey); err != nil {
		return err
	}
	if err = b.loadAllowed(); err != nil {
		return err
	}
	err = b.o.DB.Each(toldBucket, "", func(key string, value []byte) error {
		name, p, err := decodeToldPart(key, value)
		switch l := known[name]; {
		case err != nil:
			b.damagedRecord("part of a list", key, err)
		case l == nil || p.entries != nil && !l.alike(&p.entries.ListHead):
			j.remove(toldBucket, key)
		default:
			if g.told[name] == nil {
				g.told[name] = &toldList{list: l}
				g.told[name].shown.Store(true) // before the restart perhaps
			}
			g.told[name].parts = append(g.told[name].parts, p) // they come by their ends
			g.serial = max(g.serial, p.serial)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = b.o.DB.Each(stepBucket, "", func(key string, value []byte) error {
		s, err := decodeStep(key, value)
		if err != nil {
			b.damagedRecord("step of a list", key, err)
			return nil
		}
		g.append(s)
		g.serial = max(g.serial, s.serial)
		if t := g.told[s.head.Name]; t != nil {
			t.changed = s.at
		}
		return nil
	})
	j.ops = append(j.ops, g.forget(b.o.Now().UnixMilli())...)
	return err
}

// loadAllowed reads what was taken to be allowed when lists were told of last.
func (b *Book) loadAllowed() error {
	text, err := b.o.DB.Get(metaBucket, allowedKey)
	if err != nil {
		return err
	}
	if text == nil {
		b.lists.allowed = b.o.Allow.Ranges()
		return b.o.DB.Put(metaBucket, allowedKey, encodeRanges(b.lists.allowed))
	}
	for line := range strings.Lines(string(text)) {
		p, err := netip.ParsePrefix(strings.TrimSpace(line))
		if err != nil {
			b.damagedRecord("range of the allowlist", line, err)
			continue
		}
		b.lists.allowed = append(b.lists.allowed, p)
	}
	return nil
}

func encodeRanges(ranges []netip.Prefix) []byte {
	out := make([]byte, 0, 20*len(ranges))
	for _, p := range ranges {
		out = append(p.AppendTo(out), '\n')
	}
	return out
}

// overTurns are those to the end of lists that ended while the process was down.
func (b *Book) overTurns() []turn {
	return slices.DeleteFunc(b.turns(b.Lists()), func(t turn) bool { return t.list != nil })
}

// late reports whether what is told of lists differs from those in force, and whether
// something is to be told again.
func (g *listlog) late(lists []*Blocklist, now time.Time) (differ, due bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	n := 0
	for _, l := range lists {
		if l.Simulated {
			continue
		}
		n++
		if t := g.told[l.Name]; t == nil || t.list != l {
			differ = true
		} else if t.due(now) {
			due = true
		}
	}
	return differ || n != len(g.told), due
}

// sweepListed makes what is told of lists what the allowlist says now.
func (b *Book) sweepListed() {
	b.listing.Lock()
	defer b.listing.Unlock()
	g := &b.lists
	next := b.o.Allow.Ranges()
	g.mu.RLock()
	old := g.allowed
	g.mu.RUnlock()
	if slices.Equal(old, next) {
		return
	}
	var steps []listStep
	for _, l := range b.Lists() {
		if l.Simulated {
			continue
		}
		s := listStep{head: l.ListHead, removed: l.some(l.swept(next, old)), added: l.some(l.swept(old, next))}
		if s.removed != nil || s.added != nil {
			steps = append(steps, s)
		}
	}
	b.write.Lock()
	defer b.write.Unlock()
	if b.closed {
		return
	}
	g.mu.Lock()
	g.allowed = next
	writes := []op{{bucket: metaBucket, key: allowedKey, value: encodeRanges(next)}}
	for _, s := range steps {
		if t := g.told[s.head.Name]; t != nil && t.list.alike(&s.head) {
			writes = append(writes, g.tell(s, b.o.Now().UnixMilli())...)
		}
	}
	g.mu.Unlock()
	b.disk.add(writes...)
	if len(steps) > 0 {
		b.watch.wake()
	}
}

// swept are the indexes of the entries inside some ranges and outside others, in order.
func (l *Blocklist) swept(inside, outside []netip.Prefix) (out []int) {
	for _, p := range inside {
		if covers(outside, p) {
			continue
		}
		for _, part := range l.within(p) {
			for i := part.from; i < part.to; i++ {
				if !covers(outside, l.At(i)) {
					out = append(out, i)
				}
			}
		}
	}
	slices.Sort(out)
	return out
}
