package zone

import "starling/lib/clock"

// Flush drains the dirty lists into frames of the journal. A frame is built under flushMu, shard by shard, so that
// Cut never meets changes that left their shard but are in no frame yet.
func (s *Store) Flush(now clock.Reading) int {
	total := 0
	for shard := 0; shard < Shards; {
		var moved int
		s.flushMu.Lock()
		shard, moved = s.flushFrame(shard, Shards, now)
		s.flushMu.Unlock()
		total += moved
	}
	// A change in a shard that this pass had already visited met a non-empty list, so it woke no flusher.
	if s.pending.Load() > 0 {
		s.Wake(false)
	}
	return total
}

// Cut flushes the dirty list of one shard into the journal and returns with the shard locked, and with the sequence of
// the last frame: all changes of the shard so far are in frames up to it, all later ones will be in later frames.
func (s *Store) Cut(shard int, now clock.Reading) (sh *Shard, sequence uint64) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	sh = &s.shards[shard]
	for {
		s.flushFrames(shard, now)
		sh.Lock()
		if len(sh.dirty) == 0 && !sh.clearDirty {
			return sh, s.journal.Head() - 1
		}
		sh.Unlock()
	}
}

// BetweenFrames runs f while no change is in transit from a shard to the journal.
func (s *Store) BetweenFrames(f func()) {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	f()
}

// flushFrames flushes one shard. flushMu is held.
func (s *Store) flushFrames(shard int, now clock.Reading) {
	for at := shard; at <= shard; {
		at, _ = s.flushFrame(at, shard+1, now)
	}
}

// flushFrame fills at most one frame from shards [shard, end) and returns where to continue. flushMu is held.
func (s *Store) flushFrame(shard, end int, now clock.Reading) (next, records int) {
	if s.encoder == nil {
		s.encoder = s.keeper.NewEncoder()
	}
	started, head := false, 0
	full := false
	sequence := s.journal.Head() // of this frame, if it gets any records
	for ; shard < end && !full; shard++ {
		bit := uint64(1) << (shard % 64)
		word := &s.dirtyShards[shard/64]
		if word.Load()&bit == 0 {
			continue
		}
		if !started {
			s.frameBuf = s.encoder.Begin(s.frameBuf[:0], now)
			started, head = true, len(s.frameBuf)
		}
		var moved int
		sh := &s.shards[shard]
		sh.Lock()
		moved, full = sh.drain(s, records == 0)
		if moved > 0 {
			sh.lastFrame = sequence
		}
		if !full {
			word.And(^bit)
		}
		sh.Unlock()
		records += moved
		if full {
			break
		}
	}
	s.pending.Add(-int64(records))
	if len(s.frameBuf) > head && records > 0 {
		payload := append(make([]byte, 0, len(s.frameBuf)), s.frameBuf...)
		s.journal.append(payload, records, now.MonoMS)
		s.keeper.Framed(sequence, payload, now)
	}
	if cap(s.frameBuf) > 4*s.frameBytes {
		s.frameBuf = nil // do not keep the memory of one large record
	}
	return shard, records
}

// drain appends the shard's changes to the frame until it is full. empty means that the frame has no record yet: then
// the first one is added whatever its size, and is sent alone.
func (sh *Shard) drain(s *Store, empty bool) (records int, full bool) {
	buf := s.frameBuf
	room := func(n int) bool { return empty || len(buf)+n <= s.frameBytes }
	if !room(2 + MaxHeadBytes) {
		return 0, true
	}
	start := len(buf)
	buf = append(buf, byte(sh.number))
	if sh.clearDirty {
		sh.clearDirty, empty = false, false
		buf = s.encoder.AppendClear(buf, sh.clear)
		records++
	}
	drained, nothing := 0, len(buf)
	for _, slot := range sh.dirty {
		r := sh.at(slot)
		key, value := sh.Key(r), sh.Value(r)
		if !room(len(key) + len(value) + MaxHeadBytes) {
			full = true
			break
		}
		empty = false
		r.state &^= stateDirty
		buf = s.encoder.AppendChange(buf, r, key, value)
		drained++
	}
	sh.dirty = sh.dirty[:copy(sh.dirty, sh.dirty[drained:])]
	if len(sh.dirty) == 0 && cap(sh.dirty) > 64 {
		sh.dirty = nil // do not keep the memory of a burst in every shard
	}
	records += drained
	if records == 0 || len(buf) == nothing && drained == records { // the changes may have cancelled each other
		s.frameBuf = buf[:start]
		return records, full
	}
	s.frameBuf = append(buf, GroupEnd)
	return records, full
}
