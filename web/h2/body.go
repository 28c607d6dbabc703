package h2

import "starling/web/h1"

// bodyQueue holds body bytes until they are read. The window bounds it.
type bodyQueue struct {
	block *h1.Block
	r, w  int
	held  []*h1.Block // of which parts were handed out by take
	lent  bool        // so is a part of block
}

func (q *bodyQueue) len() int { return q.w - q.r }

func (q *bodyQueue) put(p []byte) {
	if q.block == nil {
		q.block = h1.TakeBlock(len(p))
	}
	if len(p) > len(q.block.Mem)-q.w {
		q.makeRoom(len(p))
	}
	q.w += copy(q.block.Mem[q.w:], p)
}

func (q *bodyQueue) makeRoom(n int) {
	unread := q.block.Mem[q.r:q.w]
	if !q.lent && len(unread)+n <= len(q.block.Mem)/2 {
		q.r, q.w = 0, copy(q.block.Mem, unread)
		return
	}
	next := h1.TakeBlock(2 * (len(unread) + n))
	q.r, q.w = 0, copy(next.Mem, unread)
	if q.lent {
		q.held = append(q.held, q.block)
	} else {
		q.block.GiveBack()
	}
	q.block, q.lent = next, false
}

func (q *bodyQueue) get(p []byte) int {
	n := copy(p, q.block.Mem[q.r:q.w])
	if q.r += n; q.r == q.w && !q.lent {
		q.r, q.w = 0, 0
	}
	return n
}

// take hands all out in place.
func (q *bodyQueue) take() []byte {
	if q.len() == 0 {
		return nil
	}
	b := q.block.Mem[q.r:q.w:q.w]
	q.r, q.lent = q.w, true
	return b
}

func (q *bodyQueue) release() {
	for _, b := range q.held {
		b.GiveBack()
	}
	if q.block != nil {
		q.block.GiveBack()
	}
	*q = bodyQueue{}
}
