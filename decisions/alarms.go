package decisions

import "container/heap"

// alarm is something to be done about a record at an instant. Whether that is still
// to be done is for whoever set it to find out.
type alarm struct {
	when   int64 // Unix milliseconds
	cursor int64
	slot   int32
}

// alarms have the earliest at their head.
type alarms []alarm

func (h alarms) Len() int           { return len(h) }
func (h alarms) Less(i, j int) bool { return h[i].when < h[j].when }
func (h alarms) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push and Pop are for package heap; add and take, which do not allocate, for others.
func (h *alarms) Push(x any) { *h = append(*h, x.(alarm)) }

// Pop is for package heap.
func (h *alarms) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

func (h *alarms) add(a alarm) {
	*h = append(*h, a)
	heap.Fix(h, len(*h)-1)
}

// take returns the earliest and takes it out.
func (h *alarms) take() alarm {
	first, last := (*h)[0], len(*h)-1
	(*h)[0] = (*h)[last]
	if *h = (*h)[:last]; last > 0 {
		heap.Fix(h, 0)
	}
	return first
}
