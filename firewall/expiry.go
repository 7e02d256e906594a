package firewall

// due is an entry and when it ends.
type due struct {
	until int64
	key   key
}

// expiry is a heap of entries, the first to end on top. It may hold items whose
// entry has gone or ends at another time; who pops one must look.
type expiry []due

func (q *expiry) push(d due) {
	*q = append(*q, d)
	h := *q
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if h[parent].until <= h[i].until {
			return
		}
		h[parent], h[i] = h[i], h[parent]
		i = parent
	}
}

func (q *expiry) pop() due {
	h := *q
	top := h[0]
	last := len(h) - 1
	h[0] = h[last]
	*q = h[:last]
	(*q).down(0)
	return top
}

// down restores the order below i.
func (q expiry) down(i int) {
	for {
		child := 2*i + 1
		if child >= len(q) {
			return
		}
		if right := child + 1; right < len(q) && q[right].until < q[child].until {
			child = right
		}
		if q[i].until <= q[child].until {
			return
		}
		q[i], q[child] = q[child], q[i]
		i = child
	}
}

// order makes a heap of any sequence.
func (q expiry) order() {
	for i := len(q)/2 - 1; i >= 0; i-- {
		q.down(i)
	}
}
