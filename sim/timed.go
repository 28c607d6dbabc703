package sim

import (
	"slices"
	"time"
)

// This file is the ledger of records with expiry times. Whatever happens to clocks, a pair or session exists until its
// writer meant it to expire, and not longer, on each host that has received it; to within timedSlackMS. Only a host
// that restarts from its disk needs its wall clock: an amount by which that was set during the record's life may be
// missing or excess then, on this host.

// timed is one record with an expiry time. Each has a key of its own, so that only its expiry, its deletion or a lost
// host removes it.
type timed struct {
	key, value string
	session    bool
	fromMS     int64 // true time, of the write
	// untilMS is its expiry time, graceMS how much longer it may live: a session an eighth of its timeout.
	untilMS, graceMS int64
	// seen are the runs of hosts in which they had it, by index.
	seen map[int]uint64
	// low and high are the least and greatest skew of each host's clock since the write.
	low, high map[int]int64
	// slackMS is what a restart may cost it, on a host that restarted and on those that got it from there.
	slackMS map[int]int64
	// restored are the lives of hosts that read it from their disks, by index. Such a host believes what another one
	// says of the end, also if that has read it from a disk later (seed 75372).
	restored map[int]uint64
	// lost means that it may be missing: it was deleted, or only hosts that crashed had it.
	lost bool
	// deleted are the runs of hosts that know of its deletion, by index; nil if none was acknowledged, or only hosts
	// that crashed knew.
	deleted map[int]uint64
}

const (
	// timedSlackMS is by how much a record may expire too early or too late.
	timedSlackMS = 2000
	// timedEveryMS is how often all of them are checked.
	timedEveryMS = 50
)

// setTimed writes an expiring pair, or binds a session, and enters it.
func (h *Host) setTimed(t timed, lifeMS int64) (err error) {
	w := h.world
	t.fromMS, t.untilMS = w.nowMS, w.nowMS+lifeMS
	t.seen, t.low, t.high = map[int]uint64{h.index: h.life}, map[int]int64{}, map[int]int64{}
	t.slackMS, t.restored = map[int]int64{}, map[int]uint64{}
	if t.session {
		t.graceMS = lifeMS / 8
		err = h.session.Bind([]byte(t.key), []byte(t.value), h.clusterNow())
	} else {
		err = h.keyval.Set([]byte(t.key), []byte(t.value), lifeMS, h.clusterNow())
		if err == nil && w.ledger != nil {
			w.did("host%d sets %s to %s for %d ms", h.index, t.key, t.value, lifeMS)
		}
	}
	if err != nil {
		return err
	}
	for _, other := range w.Hosts {
		t.low[other.index], t.high[other.index] = other.skewMS, other.skewMS
	}
	w.timed = append(w.timed, &t)
	return nil
}

// removeTimed deletes a pair at a host that has it.
func (h *Host) removeTimed(t *timed) {
	if h.keyval.Delete([]byte(t.key), h.clusterNow()) == nil {
		h.world.did("host%d deletes %s", h.index, t.key)
		t.lost = true
		t.deleted = map[int]uint64{h.index: h.life}
	}
}

func (h *Host) hasTimed(t *timed) bool {
	if t.session {
		server, _ := h.session.Lookup([]byte(t.key), h.clusterNow())
		return server == t.value
	}
	return h.get(t.key) == t.value
}

// setClock sets a host's clock.
func (h *Host) setClock(skewMS int64) {
	h.world.did("host%d's clock is set by %v", h.index, time.Duration(skewMS-h.skewMS)*time.Millisecond)
	h.skewMS = skewMS
	for _, t := range h.world.timed {
		t.low[h.index], t.high[h.index] = min(t.low[h.index], skewMS), max(t.high[h.index], skewMS)
	}
}

// checkTimed checks all expiring records. Each is forgotten when it has been gone for long enough.
func (w *World) checkTimed() {
	if w.nowMS%timedEveryMS != 0 {
		w.noteExpired()
		return
	}
	for _, h := range w.Hosts {
		if !h.runs() || h.left {
			continue
		}
		for _, t := range w.timed {
			w.checkTimedAt(h, t)
		}
	}
	w.timed = slices.DeleteFunc(
		w.timed,
		func(t *timed) bool { return w.nowMS > t.untilMS+t.graceMS+t.most()+4*timedSlackMS },
	)
}

// noteExpired notes in each step which records have expired that a host read from its disk. Repair can bring such a
// record back from that host before the next check, to a host that had it until its end (seed 93102).
func (w *World) noteExpired() {
	for _, t := range w.timed {
		if len(t.restored) == 0 {
			continue
		}
		for _, h := range w.Hosts {
			seen := h.runs() && !h.left && t.seen[h.index] == h.life
			if seen && w.nowMS >= t.untilMS-t.slackOn(h)-timedSlackMS && !h.hasTimed(t) {
				w.checkTimedAt(h, t)
			}
		}
	}
}

func (w *World) checkTimedAt(h *Host, t *timed) {
	has, seen := h.hasTimed(t), t.seen[h.index] == h.life
	mayHaveEnded := w.nowMS >= t.untilMS-t.slackOn(h)-timedSlackMS // then nothing tells that it knows of the deletion
	if t.deleted != nil && seen && !has && !mayHaveEnded {
		t.deleted[h.index] = h.life
	}
	switch {
	case has && w.nowMS > t.untilMS+t.graceMS+t.slackOn(h)+timedSlackMS:
		w.failf("host %d still has %s of %d ms, which was to end at %d ms", h.index, t.key, t.fromMS, t.untilMS)
		t.slackMS[h.index] += 60_000 // once is enough
	case has:
		t.slackMS[h.index], t.seen[h.index] = t.slackOn(h), h.life
	case seen && !t.lost && !mayHaveEnded:
		w.failf("host %d has %s of %d ms no more, which was to end at %d ms", h.index, t.key, t.fromMS, t.untilMS)
		t.lost = true
	case seen:
		// it has expired; if it comes back, then from a host that has read it from its disk since
		delete(t.seen, h.index)
	}
}

// mustHaveTimed fails for records that a host lacks, and for deleted ones that are back.
func (w *World) mustHaveTimed(h *Host) {
	for _, t := range w.timed {
		if t.deleted != nil && h.hasTimed(t) {
			w.failf("host %d has %s of %d ms, which was deleted", h.index, t.key, t.fromMS)
		}
		if !h.hasTimed(t) && !t.lost && w.nowMS < t.untilMS-t.slackOn(h)-timedSlackMS {
			w.failf("host %d lacks %s of %d ms, which is to end at %d ms", h.index, t.key, t.fromMS, t.untilMS)
		}
	}
}

// loseTimed notes the records that only a crashing host had.
func (w *World) loseTimed(crashed *Host) {
	for _, t := range w.timed {
		t.lost = t.lost || !w.keeps(t.session, t.seen, crashed)
		if t.deleted != nil && !w.keeps(t.session, t.deleted, crashed) {
			t.deleted = nil
		}
	}
}

// keeps reports whether a host is left in one of the given runs, or its disk.
func (w *World) keeps(session bool, lives map[int]uint64, crashed *Host) bool {
	for _, h := range w.Hosts {
		onDisk := h.keepsState && !session && (h.down || h == crashed)
		if lives[h.index] == h.life && !h.left && (onDisk || !h.down && h != crashed) {
			return true
		}
	}
	return false
}

// most is the most that a restart may cost it.
func (t *timed) most() (ms int64) {
	for _, of := range t.slackMS {
		ms = max(ms, of)
	}
	return ms
}

// slackOn is what a restart may cost it on a host. A host that has had it all the time knows when it expires; another
// may have got it from a host that read it back.
func (t *timed) slackOn(h *Host) int64 {
	if t.seen[h.index] == h.life && t.restored[h.index] != h.life {
		return t.slackMS[h.index]
	}
	return t.most()
}

// restoreTimed allows for clock steps during the life of records that a host reads back from its disk.
func (w *World) restoreTimed(h *Host) {
	for _, t := range w.timed {
		if !t.session {
			t.slackMS[h.index] = max(t.slackMS[h.index], t.high[h.index]-t.low[h.index])
			t.restored[h.index] = h.life
			if t.deleted != nil && t.deleted[h.index] == h.life-1 {
				t.deleted[h.index] = h.life
			}
		}
	}
}
