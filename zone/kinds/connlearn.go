package kinds

import (
	"starling/lib/clock"
	"starling/zone"
)

// This file merges taught shards. For each origin, the later state of a shard wins: a piece tells all of its counts
// through a frame, so a count that the piece does not have is 0, unless a later frame told it.

// word is what a piece says of one origin.
type word struct {
	teller   *teller // nil if it does not count
	sequence uint64
	isOwn    bool // of the teacher
}

// Learn merges a taught shard. The teacher's word about itself replaces what is here. Its word about others counts only
// while the shard is held, before they could speak for themselves.
func (c *Conn) Learn(payload []byte, now clock.Reading) (applied zone.Applied, err error) {
	c.told.Lock()
	defer c.told.Unlock()
	r := zone.Read(payload)
	shard, from := readTaughtHead(&r, connTaughtFormat, maxLives+1)
	if r.Failed() {
		return applied, c.malformed()
	}
	words := make([]word, 0, len(from))
	for i, told := range from {
		words = append(words, c.weigh(shard, told.origin, told.sequence, i == 0, now))
	}
	sh := c.store.ShardNumber(shard)
	sh.Lock()
	defer sh.Unlock()
	for r.Len() > 0 && !r.Failed() {
		c.learnKey(sh, words, &r, now, &applied)
	}
	if r.Failed() {
		c.store.Count(applied)
		return applied, c.malformed()
	}
	c.endPiece(sh, words, now)
	c.store.Count(applied)
	return applied, nil
}

// weigh decides whether what a piece says of an origin counts.
func (c *Conn) weigh(shard int, name zone.Origin, sequence uint64, isOwn bool, now clock.Reading) word {
	w := word{sequence: sequence, isOwn: isOwn}
	if uint64(name) == c.self.Load() || !isOwn && !hasShard(&c.tellers.held, shard) {
		return w
	}
	t := c.teller(name, isOwn, now)
	switch {
	case t == nil:
	case !isOwn && sequence == 0:
		if t.taught == nil || t.taught[shard] == 0 {
			addShard(&t.lacks, shard) // it is asked itself
		}
	case isOwn && sequence < t.completed: // of an earlier connection
	case !isOwn && t.hasTaught(shard, sequence):
	default:
		w.teller = t
	}
	if isOwn && w.teller != nil {
		dropShard(&t.refused, shard)
	}
	return w
}

// learnKey takes over the counts of one key.
func (c *Conn) learnKey(sh *zone.Shard, words []word, r *zone.Reader, now clock.Reading, applied *zone.Applied) {
	key, n, more := readBucket(r, uint64(len(words)))
	if !more || zone.ShardOf(zone.KeyHash(key)) != sh.Number() {
		r.Fail()
		return
	}
	for range n {
		place, count := r.Uvarint(), r.Uvarint()
		if r.Failed() || place >= uint64(len(words)) || count > maxConns {
			r.Fail()
			return
		}
		w := &words[place]
		applied.Records++
		if w.teller == nil || !w.isOwn && c.toldLater(sh, w, key) {
			applied.Lost++
			continue
		}
		e := entry{count: uint16(count), sequence: w.sequence}
		w.teller.countOutcome(c.tell(sh, w.teller, key, e, false, now.MonoMS), sh.Number(), applied)
	}
}

// toldLater reports whether an origin itself has told a count of a key in a later frame.
func (c *Conn) toldLater(sh *zone.Shard, w *word, key []byte) bool {
	_, r := sh.Find(key)
	if r == nil {
		return false
	}
	value := sh.Value(r)
	at := findEntry(value, w.teller.number)
	return at >= 0 && readEntry(value[at:]).sequence >= w.sequence
}

// endPiece removes the counts that a piece did not have, and notes what the shard has now.
func (c *Conn) endPiece(sh *zone.Shard, words []word, now clock.Reading) {
	shard := sh.Number()
	of := map[uint16]*word{}
	for i := range words {
		if t := words[i].teller; t != nil {
			of[t.number] = &words[i]
		}
	}
	if len(of) == 0 {
		return
	}
	c.forgetEntries(sh, now.MonoMS, func(e entry) bool {
		w := of[e.teller]
		return w != nil && (e.sequence < w.sequence || w.isOwn && e.sequence > w.sequence)
	})
	for _, w := range of {
		t := w.teller
		t.noteTaught(shard, w.sequence)
		if w.isOwn {
			addShard(&t.itself, shard)
			dropShard(&t.lacks, shard)
		}
	}
}
