package cache

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"time"

	"starling/lib/clock"
	"starling/logs"
)

// A purge is in the zone for sharedLife only, so a node that does not hear the others for longer can miss one. It must
// find that out, without clocks that agree, and whether it was down or cut off. So each node tells now and then for how
// long it has run in all its lives, in which it could take purges. A node that hears a time which is later by nearly
// sharedLife than the last one it heard has missed that much, and purges everything.
//
// A node that was down for a day does not make the others do so, because it ran no longer meanwhile; nor does the life
// of its purges pass, which are in the zone again when it is back (Announce). All that holds for each node that has
// learnt a purge, not only for the one that made it: it does not matter through how many nodes a purge travels.

const (
	// beatEvery is how often a node tells for how long it has run.
	beatEvery = 30 * time.Second
	// missedMargin is how much less than the life of purges a node may miss. Within it, a repair brings the purges
	// that arrive later than the times, and times that a crash has lost do not count.
	missedMargin = 10 * time.Minute
	// maxPeers bounds the nodes whose times are remembered, 100 bytes each. One that was forgotten counts as never
	// heard, which purges more.
	maxPeers = 1000
)

// peers is what a cache knows of the times of the nodes, under the lock of its purges.
type peers struct {
	self    uint64 // this node's number, as long as the folder of the cache exists; 0: not known yet
	ranMS   int64  // for how long it had run at sinceMS
	sinceMS int64  // the start of this process
	beatMS  int64  // its last beat; 0: none
	heard   map[uint64]heard
}

// ran is for how long this node has run in all its lives.
func (p *peers) ran(now clock.Reading) int64 { return p.ranMS + now.MonoMS - p.sinceMS }

// heard are times of another node. What came before the last but one has arrived with its purges: a connection that
// breaks in between is noticed by the next.
type heard struct {
	sureMS, lastMS int64
	atMS           int64 // when this node heard it; 0: in an earlier process
}

// hear compares the time that a node has run with those that it told before.
func (c *Cache) hear(node uint64, ranMS, lifeMS int64, now clock.Reading) {
	p := &c.purges
	p.mu.Lock()
	h := p.heard[node]
	if node == p.self || ranMS <= h.lastMS {
		p.mu.Unlock()
		return
	}
	missedMS := ranMS - h.sureMS
	missed := missedMS > lifeMS-missedMargin.Milliseconds()
	if h.sureMS = h.lastMS; missed {
		h.sureMS = ranMS
	}
	h.lastMS, h.atMS = ranMS, now.MonoMS
	p.hears(node, h)
	p.mu.Unlock()
	if missed {
		p.append(nodeRecord(recordHeard, node, h.sureMS, h.lastMS))
		c.logf(logs.Notice, "cache \"%s\" purges everything: another node ran for %v without this one hearing from "+
			"it, and purges are kept for %v", c.Name(), time.Duration(missedMS)*time.Millisecond,
			time.Duration(lifeMS)*time.Millisecond)
		c.purgeMore(now)
	}
}

// hears stores the times of a node, with the lock held.
func (p *purges) hears(node uint64, h heard) {
	if p.heard[node].lastMS > h.lastMS {
		return // the file was read before, and more was heard since
	}
	if _, known := p.heard[node]; !known && len(p.heard) >= maxPeers {
		var oldest uint64
		for other, one := range p.heard {
			if oldest == 0 || one.atMS < p.heard[oldest].atMS {
				oldest = other
			}
		}
		delete(p.heard, oldest)
	}
	if p.heard == nil {
		p.heard = map[uint64]heard{}
	}
	p.heard[node] = h
}

// beats tells the other nodes how long this one has run, until the context ends.
func (c *Cache) beats(ctx context.Context) {
	for wait := time.Duration(0); sleep(ctx, wait); wait = beatEvery {
		s := c.sharing.Load()
		if s == nil {
			continue
		}
		if err := c.beat(s, c.clock.Now()); err != nil && c.full.due(c.clock.Now().MonoMS) {
			c.logf(logs.Error, "cache \"%s\" cannot tell the other nodes that it runs; purges of this node that they "+
				"miss for %v are lost there: %v", c.Name(), sharedLife, err)
		}
	}
}

// beat writes the time that this node has run to the disk and to the zone. While another process of this node has the
// file of the purges, that one does it.
func (c *Cache) beat(s *shared, now clock.Reading) error {
	p := &c.purges
	p.logMu.Lock()
	owned := p.log != nil
	p.logMu.Unlock()
	if !owned {
		return nil
	}
	p.mu.Lock()
	if p.self == 0 {
		var random [8]byte
		if _, err := rand.Read(random[:]); err != nil {
			p.mu.Unlock()
			return err
		}
		p.self = binary.LittleEndian.Uint64(random[:]) | 1
	}
	ranMS := p.ran(now)
	records := [][]byte{nodeRecord(recordSelf, p.self, ranMS, 0)}
	for node, h := range p.heard {
		if h.atMS >= p.beatMS {
			records = append(records, nodeRecord(recordHeard, node, h.sureMS, h.lastMS))
		}
	}
	p.beatMS = now.MonoMS
	key := binary.BigEndian.AppendUint64([]byte{sharedNode}, p.self)
	p.mu.Unlock()
	if err := p.append(records...)(); err != nil {
		return err
	}
	value := binary.BigEndian.AppendUint64(nil, uint64(ranMS))
	value = binary.BigEndian.AppendUint64(value, uint64(sharedLife.Milliseconds()))
	return s.zone.Set(key, value, sharedLife.Milliseconds(), now)
}

// recalls takes up the times in the file of the purges, with the lock held.
func (p *purges) recalls(kind byte, node uint64, a, b int64) {
	switch {
	case kind == recordHeard:
		p.hears(node, heard{sureMS: a, lastMS: b})
	case p.beatMS == 0: // otherwise this process tells its times already
		// A crash can have lost the last beat.
		p.self, p.ranMS = node, a+2*beatEvery.Milliseconds()
	}
}
