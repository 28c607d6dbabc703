package zone

// A turn orders records by their last use: a time in ms, and below it a rank among the keys that arrived within that
// millisecond. There may be thousands, and among all records used in one millisecond, an active client must not look
// like the oldest.
const (
	turnRankBits = 8
	turnBits     = 32 + turnRankBits // what a record keeps; it wraps after 49 days
	turnMask     = 1<<turnBits - 1

	// The first exactRanks keys of a millisecond have one rank each, then coarseRank keys share one.
	exactRanks = 128
	coarseRank = 64
	// maxArrivals is the number of keys in one millisecond after which the turn advances by itself, ahead of the clock.
	maxArrivals = exactRanks + (1<<turnRankBits-exactRanks)*coarseRank

	arrivalBits = 16
)

// turn is that of a use now.
func (s *Store) turn(monoMS int64) uint64 {
	last := s.arrivals.Load()
	if ms := last >> arrivalBits; uint64(monoMS) <= ms {
		return ms<<turnRankBits | rank(last&(1<<arrivalBits-1))
	}
	return uint64(monoMS) << turnRankBits
}

func rank(arrivals uint64) uint64 {
	if arrivals < exactRanks {
		return arrivals
	}
	return exactRanks + (arrivals-exactRanks)/coarseRank
}

// arrived counts a new key: only arrivals can evict something.
func (s *Store) arrived(monoMS int64) {
	for {
		last := s.arrivals.Load()
		next := last + 1
		switch ms := last >> arrivalBits; {
		case uint64(monoMS) > ms:
			next = uint64(monoMS) << arrivalBits
		case next&(1<<arrivalBits-1) == maxArrivals:
			next = (ms + 1) << arrivalBits
		}
		if s.arrivals.CompareAndSwap(last, next) {
			return
		}
	}
}

func (r *Record) turn() uint64 { return uint64(r.usedMS)<<turnRankBits | uint64(r.usedRank) }

func (r *Record) setTurn(turn uint64) {
	r.usedMS, r.usedRank = uint32(turn>>turnRankBits), uint8(turn)
}
