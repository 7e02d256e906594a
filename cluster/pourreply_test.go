package cluster

import "testing"

func FuzzPourReply(f *testing.F) {
	head := make([]byte, replyHead)
	kept := append(append([]byte{}, head...), 1, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0)
	f.Add(head)
	f.Add(kept)
	f.Add(append(append([]byte{}, kept...), append([]byte{2, 1, 0, 2, 0, 1, 0}, make([]byte, replyOverflow-7)...)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r pourReply
		if decodePourReply(b, 3, &r) != nil {
			return
		}
		size := replyHead
		for _, e := range r.events {
			if e.item > 2 || e.from >= e.to || e.to > mostPours || e.count == 0 {
				t.Fatalf("%+v", e)
			}
			if size += replyKept; e.overflow {
				size += replyOverflow - replyKept
				if !soundInstant(e.first) || !soundInstant(e.at) {
					t.Fatalf("%+v", e)
				}
			}
		}
		if size != len(b) {
			t.Fatalf("%d of %d bytes were read", size, len(b))
		}
	})
}

func TestPourReplyRefuses(t *testing.T) {
	head := make([]byte, replyHead)
	event := func(change func([]byte)) []byte {
		b := append([]byte{2, 1, 0, 2, 0, 1, 0}, make([]byte, replyOverflow-7)...)
		b[27] = 1 // count
		change(b)
		return append(append([]byte{}, head...), b...)
	}
	var r pourReply
	if err := decodePourReply(event(func([]byte) {}), 2, &r); err != nil || len(r.events) != 1 {
		t.Fatal(err, r)
	}
	for name, b := range map[string][]byte{
		"nothing":          nil,
		"half a head":      head[1:],
		"half an event":    event(func([]byte) {})[:replyHead+20],
		"another kind":     event(func(b []byte) { b[0] = 3 }),
		"a foreign item":   event(func(b []byte) { b[1] = 2 }),
		"no pour":          event(func(b []byte) { b[3], b[4] = 1, 0 }),
		"too many pours":   event(func(b []byte) { b[4] = 0xff }),
		"no event":         event(func(b []byte) { b[27] = 0 }),
		"not a number":     event(func(b []byte) { b[17], b[18] = 0xf8, 0x7f }),
		"before 1970":      event(func(b []byte) { b[17], b[18] = 0xf0, 0xbf }),
		"after all events": event(func(b []byte) { b[25], b[26] = 0x70, 0x43 }),
	} {
		if err := decodePourReply(b, 2, &r); err == nil {
			t.Errorf("%s is read as an answer: %+v", name, r.events)
		}
	}
}
