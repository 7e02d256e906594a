package journaltest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rampart-edge/rampart/decisions"
)

func pages(b *bench) {
	var ds []decisions.Decision
	for i := range 10 {
		ds = append(ds, b.ban(fmt.Sprintf("192.0.2.%d", i), "ban", time.Hour))
	}
	_, err := b.Delete(decisions.Filter{ID: ds[3].ID}, "")
	b.must(err)
	b.settle()
	var want, got []string
	for i, d := range ds {
		if i != 3 {
			want = append(want, made(d))
		}
	}
	want = append(want, gone(ds[3]))
	cursor, n := int64(0), 0
	for {
		cs, next := b.Since(cursor, 3)
		for _, c := range cs {
			if c.Cursor <= cursor {
				b.t.Errorf("cursor %d after %d", c.Cursor, cursor)
			}
			got = append(got, change(c))
		}
		if cursor = next; len(cs) == 0 {
			break
		}
		n++
	}
	if diff := cmp.Diff(want, got); diff != "" || n != 4 {
		b.t.Errorf("%d pages: %s", n, diff)
	}
}

func cursors(b *bench) {
	var cursor int64
	b.expect("nothing yet", &cursor)
	one, two := b.ban("192.0.2.1", "ban", time.Hour), b.ban("192.0.2.2", "ban", time.Hour)
	b.expect("two", &cursor, made(one), made(two))
	b.expect("and on", &cursor)
	for _, bad := range []int64{cursor + 1, -1, 1, 1 << 62} {
		cs, next := b.Since(bad, 2)
		if len(cs) != 2 || !cs[0].Reset || next != cs[1].Cursor || change(cs[1]) != made(one) {
			b.t.Errorf("cursor %d: %+v", bad, cs)
			continue
		}
		if cs, _ = b.Since(next, 0); len(cs) != 1 || change(cs[0]) != made(two) {
			b.t.Errorf("going on from %d: %+v", next, cs)
		}
	}
}

func suppresses(b *bench) {
	var cursor int64
	if d := b.ban("127.0.0.1", "ban", time.Hour); !d.Suppressed {
		b.t.Errorf("against loopback: %+v", d)
	}
	b.expect("born suppressed", &cursor)
	d := b.ban("192.0.2.1", "ban", time.Hour)
	b.expect("made", &cursor, made(d))
	b.must(b.Book.Allow().Add(decisions.AllowEntry{Prefix: d.Prefix()}))
	b.expect("allowed", &cursor, gone(d))
	b.must(b.Book.Allow().Remove(d.Prefix()))
	b.expect("no longer allowed", &cursor, made(d))
}

func ends(b *bench) {
	var cursor int64
	short, long := b.ban("192.0.2.1", "ban", time.Minute), b.ban("192.0.2.2", "ban", time.Hour)
	b.expect("two", &cursor, made(short), made(long))
	b.Advance(time.Minute)
	b.Book.Expire(b.Now())
	b.expect("one is over", &cursor, gone(short))
	cursor = 0
	if got := b.changes(&cursor); !slices.Contains(got, made(long)) || slices.Contains(got, made(short)) {
		b.t.Errorf("from the beginning: %v", got)
	}
}
