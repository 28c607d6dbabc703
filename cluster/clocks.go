package cluster

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"starling/lib/clock"
)

// clockNoiseMS is the offset below which clocks count as equal: the time a hello travels is part of the
// measure, and NTP keeps machines closer than this.
const clockNoiseMS = 50

// refusedOffsetMS is how far from the local clock cluster time may be on the word of less than most of the members.
// Stamps further ahead are refused anyway, and an honest clock is off by less wherever NTP runs.
const refusedOffsetMS = 60_000

// clocks derives cluster time: the median of the wall clocks of all members, this one included. Of an even number the
// lower median is taken, so that of two nodes the one ahead yields.
//
// Only members have a voice, those that this node dials and reaches, and each certificate or address has one: ids are
// made up. A median that is further off than refusedOffsetMS is followed only where most of the members agree on it,
// for then the local clock is the wrong one.
//
// What peers' clocks say is kept against the monotonic clock. Against the local wall clock it would move with it: a
// clock an hour ahead that is set right would be an hour behind the cluster until the next heartbeats.
type clocks struct {
	// others are the peers' origins, sorted.
	others atomic.Pointer[[]int64]

	// own is this node's clock, nil before the first look; see ownclock.go.
	own atomic.Pointer[ownClock]

	mu     sync.Mutex
	voices map[string]*voice // by identity
	met    bool              // a voice was heard
}

// voice is what one member says of the time.
type voice struct {
	session  *Session // nil when it has ended, at lostMS
	lostMS   int64
	originMS int64 // wall clock of the peer less the local monotonic clock
	setMS    int64 // by how much the peer's clock was set without being followed
}

// heard notes how far a member's clock is ahead of the local one now. Where another connection to the same identity
// stands, that has the voice.
func (c *clocks) heard(who string, s *Session, aheadMS int64, now clock.Reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.voices == nil {
		c.voices = make(map[string]*voice)
	}
	v := c.voices[who]
	if v == nil {
		v = &voice{session: s}
		c.voices[who] = v
	}
	if v.session == nil {
		v.session = s
	}
	if v.session != s {
		return
	}
	v.originMS, v.setMS = now.WallMS+aheadMS-now.MonoMS, s.theirSetMS
	c.publish()
	c.met = true
	if own := c.own.Load(); own != nil && own.heldMS != 0 {
		c.hold(*own)
	}
}

// voiceForMS is how long a member that is gone keeps its voice, unless all members are there: what it said of the time
// stays as true as the monotonic clock is. Else a node whose clock is wrong would fall back to it whenever it is cut
// off.
const voiceForMS = 3_600_000

// expire drops the voices of members that have been gone for long, or whose place others have taken.
func (c *clocks) expire(members int, now clock.Reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	live := 0
	for _, v := range c.voices {
		if v.session != nil {
			live++
		}
	}
	if live == len(c.voices) {
		return
	}
	for who, v := range c.voices {
		if v.session == nil && (members >= 0 && live >= members || after(now, v.lostMS, voiceForMS)) {
			delete(c.voices, who)
		}
	}
	c.publish()
}

// left notes that a session has ended.
func (c *clocks) left(s *Session, now clock.Reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.voices {
		if v.session == s {
			v.session, v.lostMS = nil, now.MonoMS
		}
	}
}

func (c *clocks) publish() {
	all := make([]int64, 0, len(c.voices))
	for _, v := range c.voices {
		all = append(all, v.originMS)
	}
	slices.Sort(all)
	c.others.Store(&all)
}

// offsetMS is how far cluster time is ahead of the local clock that this node goes by.
func (c *clocks) offsetMS(now clock.Reading) int64 {
	others := c.others.Load()
	if others == nil {
		return 0
	}
	now = c.local(now)
	own := now.WallMS - now.MonoMS
	offset := median(*others, own) - own
	if far(offset, refusedOffsetMS) {
		if within(*others, own+offset) <= (len(*others)+1)/2 {
			first, past := span(*others, own)
			offset = median((*others)[first:past], own) - own
		}
	}
	if offset > -clockNoiseMS && offset < clockNoiseMS {
		return 0
	}
	return offset
}

// median is the lower median of sorted origins and the local one.
func median(others []int64, own int64) int64 {
	low, high := int64(math.MinInt64), int64(math.MaxInt64)
	middle := len(others) / 2
	if middle > 0 {
		low = others[middle-1]
	}
	if middle < len(others) {
		high = others[middle]
	}
	return min(max(own, low), high)
}

// span is the part of sorted origins that are within refusedOffsetMS of one; within says how many these are.
func span(others []int64, of int64) (first, past int) {
	first, _ = slices.BinarySearch(others, of-refusedOffsetMS)
	past, _ = slices.BinarySearch(others, of+refusedOffsetMS+1)
	return first, past
}

func within(others []int64, of int64) int {
	first, past := span(others, of)
	return past - first
}

// clusterTime moves the wall clock of a local reading to cluster time.
func (c *clocks) clusterTime(now clock.Reading) clock.Reading {
	offset := c.offsetMS(now)
	now = c.local(now)
	now.WallMS += offset
	return now
}

// earliest is the earliest time by which a member may stamp what it writes now: that of the clock that is furthest
// behind, for a member that reaches too few others goes by its own.
func (c *clocks) earliest(now clock.Reading) int64 {
	at := c.clusterTime(now).WallMS
	if others := c.others.Load(); others != nil && len(*others) > 0 {
		at = min(at, now.MonoMS+(*others)[0])
	}
	return at
}

// heardClock notes how far a peer's clock is ahead. Half the round trip is on the way. A clock that is far from cluster
// time is told of and shown. Called with mu held.
func (s *Session) heardClock(wallMS uint64, rttMS int64, now clock.Reading) {
	n := s.node
	local := n.clocks.local(now)
	ahead := int64(min(wallMS, maxClockMS)) + rttMS/2 - local.WallMS
	if s.Outgoing && s.stage == established {
		n.clocks.heard(s.identity.key, s, ahead, local)
	}
	offset := n.clocks.offsetMS(now)
	n.mu.Lock()
	p := s.peer
	p.offsetMS, p.rttMS = ahead, rttMS
	refused, wrong := far(ahead-offset, refusedOffsetMS), far(offset, refusedOffsetMS)
	peerNews, ownNews := refused && !p.clockRefused, wrong && !n.clockWrong
	p.clockRefused, n.clockWrong = refused, wrong
	n.mu.Unlock()
	if peerNews {
		n.tell(
			s,
			Problem,
			"clock of peer %s is %s cluster time; ignoring it and rejecting updates stamped more than %v ahead; "+
				"correct that clock",
			s.name(),
			apart(ahead-offset),
			ms(maxAheadMS),
		)
	}
	if ownNews {
		n.tell(
			s,
			Problem,
			"this node's clock is %s the clocks of most members (such as %s); using cluster time; correct this clock",
			apart(-offset),
			s.name(),
		)
	}
}

// far says whether an offset is beyond a limit in either direction.
func far(offsetMS, limitMS int64) bool { return offsetMS < -limitMS || offsetMS > limitMS }

// apart says how far one clock is from another.
func apart(aheadMS int64) string {
	if aheadMS < 0 {
		return fmt.Sprintf("%v behind", ms(-aheadMS))
	}
	return fmt.Sprintf("%v ahead of", ms(aheadMS))
}

// maxClockMS is past all honest clocks, in the year 10889; beyond it sums would overflow.
const maxClockMS = 1 << 48
