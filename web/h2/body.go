package h2

import "starling/web/h1"

// bodyQueue holds body bytes until they are read. The window bounds it.
type bodyQueue struct {
	slab *h1.Slab
	r, w int
	held []*h1.Slab // of which parts were returned by take
	lent bool       // so is a part of slab
}

func (q *bodyQueue) len() int { return q.w - q.r }

func (q *bodyQueue) put(p []byte) {
	if q.slab == nil {
		q.slab = h1.TakeSlab(len(p))
	}
	if len(p) > len(q.slab.Mem)-q.w {
		q.makeRoom(len(p))
	}
	q.w += copy(q.slab.Mem[q.w:], p)
}

func (q *bodyQueue) makeRoom(n int) {
	unread := q.slab.Mem[q.r:q.w]
	if !q.lent && len(unread)+n <= len(q.slab.Mem)/2 {
		q.r, q.w = 0, copy(q.slab.Mem, unread)
		return
	}
	next := h1.TakeSlab(2 * (len(unread) + n))
	q.r, q.w = 0, copy(next.Mem, unread)
	if q.lent {
		q.held = append(q.held, q.slab)
	} else {
		q.slab.GiveBack()
	}
	q.slab, q.lent = next, false
}

func (q *bodyQueue) get(p []byte) int {
	n := copy(p, q.slab.Mem[q.r:q.w])
	if q.r += n; q.r == q.w && !q.lent {
		q.r, q.w = 0, 0
	}
	return n
}

// take returns all in place.
func (q *bodyQueue) take() []byte {
	if q.len() == 0 {
		return nil
	}
	b := q.slab.Mem[q.r:q.w:q.w]
	q.r, q.lent = q.w, true
	return b
}

func (q *bodyQueue) release() {
	for _, b := range q.held {
		b.GiveBack()
	}
	if q.slab != nil {
		q.slab.GiveBack()
	}
	*q = bodyQueue{}
}
