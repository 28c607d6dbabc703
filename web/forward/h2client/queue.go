package h2client

import "starling/web/h1"

// queue has the body bytes that arrived and were not taken. The window bounds them.
type queue struct {
	slab *h1.Slab
	r, w int
	lent []*h1.Slab // taken in place
}

func (q *queue) len() int { return q.w - q.r }

func (q *queue) put(p []byte) {
	if q.slab == nil {
		q.slab = h1.TakeSlab(len(p))
	}
	if len(p) > len(q.slab.Mem)-q.w {
		unread := q.slab.Mem[q.r:q.w]
		if len(unread)+len(p) <= len(q.slab.Mem) {
			copy(q.slab.Mem, unread)
		} else {
			next := h1.TakeSlab(2 * (len(unread) + len(p)))
			copy(next.Mem, unread)
			q.slab.GiveBack()
			q.slab = next
		}
		q.r, q.w = 0, len(unread)
	}
	q.w += copy(q.slab.Mem[q.w:], p)
}

func (q *queue) get(p []byte) int {
	n := copy(p, q.slab.Mem[q.r:q.w])
	if q.r += n; q.r == q.w {
		q.r, q.w = 0, 0
	}
	return n
}

// take returns all in place; the bytes are valid until release.
func (q *queue) take() []byte {
	if q.len() == 0 {
		return nil
	}
	b := q.slab.Mem[q.r:q.w:q.w]
	q.lent, q.slab, q.r, q.w = append(q.lent, q.slab), nil, 0, 0
	return b
}

func (q *queue) release() {
	for _, slab := range q.lent {
		slab.GiveBack()
	}
	if q.slab != nil {
		q.slab.GiveBack()
	}
	*q = queue{}
}
