package strict

import "math/bits"

// Request is the cost of one request in the unit of all amounts here: 1/1,000,000,000 request. Rates are amounts per
// second. With these units, a rate of 16/1000 request per second can still be divided among many nodes, and a drain
// over microseconds is exact.
const Request int64 = 1_000_000_000

// Piece is a part of a key's bucket: its Capacity, the Rate at which it drains, and its Level. The pieces of all
// nodes, of the owner's pool, and of messages under way add up to at most one bucket.
type Piece struct {
	Capacity, Rate, Level int64
}

// plus returns two pieces as one.
func (p Piece) plus(q Piece) Piece {
	return Piece{p.Capacity + q.Capacity, p.Rate + q.Rate, p.Level + q.Level}
}

// free is the amount that a piece can still take.
func (p Piece) free() int64 { return p.Capacity - p.Level }

// held is a piece that drains: one that a node has, not one in a message.
type held struct {
	Piece
	atUS int64
	rest uint64 // drained, but less than one unit: in 1/1,000,000 unit
}

const microsecondsPerSecond = 1_000_000

// drainTo drains the piece until now. Time that goes back counts as none.
func (h *held) drainTo(nowUS int64) {
	passedUS := nowUS - h.atUS
	if passedUS <= 0 {
		return
	}
	h.atUS = nowUS
	high, low := bits.Mul64(uint64(h.Rate), uint64(passedUS))
	low, carry := bits.Add64(low, h.rest, 0)
	high += carry
	if high >= microsecondsPerSecond { // the quotient does not fit: far more than any level
		h.Level, h.rest = 0, 0
		return
	}
	drained, rest := bits.Div64(high, low, microsecondsPerSecond)
	if drained >= uint64(h.Level) {
		h.Level, h.rest = 0, 0
		return
	}
	h.Level, h.rest = h.Level-int64(drained), rest
}

// admit charges one request if there is room.
func (h *held) admit(nowUS int64) bool {
	h.drainTo(nowUS)
	if h.Level+Request > h.Capacity {
		return false
	}
	h.Level += Request
	return true
}

// split takes a part out of a drained piece: so much capacity, its share of the rate, and so much of the level. What
// remains rounds its rate down, so pieces never drain faster than their share.
func (h *held) split(capacity, level int64) Piece {
	capacity = min(capacity, h.Capacity)
	return h.cut(capacity, h.Rate-share(h.Rate, h.Capacity-capacity, h.Capacity), level)
}

// cut takes a part out of a drained piece. It has at least so much of the level that the rest fits into what remains.
func (h *held) cut(capacity, rate, level int64) Piece {
	if capacity = min(capacity, h.Capacity); capacity <= 0 {
		return Piece{}
	}
	level = min(max(level, h.Level-(h.Capacity-capacity)), capacity, h.Level)
	part := Piece{Capacity: capacity, Rate: min(rate, h.Rate), Level: level}
	h.Capacity -= part.Capacity
	h.Rate -= part.Rate
	h.Level -= part.Level
	return part
}

// take adds a piece that arrived.
func (h *held) take(p Piece, nowUS int64) {
	h.drainTo(nowUS)
	h.Piece = h.Piece.plus(p)
}

// share is amount * part / whole, rounded down; part is at most whole.
func share(amount, part, whole int64) int64 {
	if whole <= 0 {
		return 0
	}
	high, low := bits.Mul64(uint64(amount), uint64(part))
	quotient, _ := bits.Div64(high, low, uint64(whole))
	return int64(quotient)
}

// whenFreeUS is the time until a drained piece has room for one more request; never is returned if it never has.
func (h *held) whenFreeUS(never int64) int64 {
	over := h.Level + Request - h.Capacity
	switch {
	case over <= 0:
		return 0
	case h.Capacity < Request || h.Rate <= 0:
		return never
	}
	high, low := bits.Mul64(uint64(over), microsecondsPerSecond)
	if high >= uint64(h.Rate) {
		return never
	}
	wait, _ := bits.Div64(high, low, uint64(h.Rate))
	return int64(min(wait+1, uint64(never)))
}
