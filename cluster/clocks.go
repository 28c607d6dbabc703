package cluster

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"starling/lib/clock"
)

// clockNoiseMS is the offset below which clocks count as equal: the measurement includes the transit of a hello, and
// NTP keeps machines closer than this.
const clockNoiseMS = 50

// refusedOffsetMS is how far from the local clock cluster time may be without a majority of the members. Stamps further
// ahead are rejected anyway, and with NTP an honest clock is off by less.
const refusedOffsetMS = 60_000

// clocks derives cluster time: the median of the wall clocks of all members, including this one. For an even number it
// takes the lower median, so that of two nodes the one ahead yields.
//
// Only members have a vote, those that this node dials and reaches, and each certificate or address has one: ids are
// made up. A median that is further off than refusedOffsetMS is followed only if a majority of the members agrees on
// it, because then the local clock is wrong.
//
// Peers' clocks are stored as offsets from the monotonic clock. Offsets from the local wall clock would move with it: a
// clock an hour ahead that is corrected would be an hour behind the cluster until the next heartbeats.
type clocks struct {
	// others are the peers' origins, sorted.
	others atomic.Pointer[[]int64]

	// own is this node's clock, nil before the first reading; see ownclock.go.
	own atomic.Pointer[ownClock]

	mu     sync.Mutex
	voices map[string]*voice // by identity
	met    bool              // a voice was heard
}

// voice is one member's vote on the time.
type voice struct {
	session  *Session // nil after it has ended, at lostMS
	lostMS   int64
	originMS int64 // wall clock of the peer less the local monotonic clock
	setMS    int64 // by how much the peer's clock was set without being followed
}

// heard notes how far a member's clock is ahead of the local one now. If another connection to the same identity is
// established, that one has the vote.
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

// voiceForMS is how long a disconnected member keeps its vote, unless all members are connected: its time stays as
// accurate as the monotonic clock. Otherwise a node whose clock is wrong would fall back to it whenever it is
// disconnected.
const voiceForMS = 3_600_000

// expire drops the votes of members that have been disconnected for long, or were replaced by others.
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

// offsetMS is how far cluster time is ahead of this node's effective clock.
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

// span is the part of sorted origins within refusedOffsetMS of one; within is their number.
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

// earliest is the earliest time with which a member may stamp its present writes: that of the slowest clock, because a
// member that reaches too few others uses its own.
func (c *clocks) earliest(now clock.Reading) int64 {
	at := c.clusterTime(now).WallMS
	if others := c.others.Load(); others != nil && len(*others) > 0 {
		at = min(at, now.MonoMS+(*others)[0])
	}
	return at
}

const (
	// unknownRTT is the round trip of a greeting, whose transit nobody has measured.
	unknownRTT = -1
	// poorRTTMS is the longest round trip of which half is taken for the transit. A longer one is that of a busy
	// machine, which can have held up either direction.
	poorRTTMS = 500
)

// sawWall takes a reading of the peer's wall clock that arrives now, and returns the best one of late: that of the
// quickest round trip, as NTP selects it. Each reading is wrong by half of its round trip at most. If two are further
// apart than that, the clock was set, and the new one counts at once. Called with mu held.
func (s *Session) sawWall(wallMS uint64, rttMS int64, now clock.Reading) beatOf {
	if rttMS == unknownRTT {
		if best := s.wall.quickest(); best.known {
			return best
		}
		return beatOf{known: true, apartMS: now.MonoMS - int64(min(wallMS, maxClockMS))}
	}
	before := s.wall.quickest()
	s.wall.heard(wallMS, rttMS, now)
	apartMS := now.MonoMS - int64(min(wallMS, maxClockMS)) - rttMS/2
	if before.known && far(apartMS-before.apartMS, (rttMS+before.rttMS)/2+clockNoiseMS) {
		s.wall = steady{}
		s.wall.heard(wallMS, rttMS, now)
	}
	return s.wall.quickest()
}

// aheadOf is how far a peer's clock is ahead of a reading of the local one. After a poor round trip, clocks that can be
// equal count as equal.
func (b beatOf) aheadOf(local clock.Reading) int64 {
	ahead := local.MonoMS - b.apartMS - local.WallMS
	if b.rttMS <= poorRTTMS {
		return ahead
	}
	return ahead - min(max(ahead, -b.rttMS/2), b.rttMS/2)
}

// heardClock notes how far a peer's clock is ahead. It logs and shows a clock that is far from cluster time. Called
// with mu held.
func (s *Session) heardClock(wallMS uint64, rttMS int64, now clock.Reading) {
	n := s.node
	local := n.clocks.local(now)
	ahead := s.sawWall(wallMS, rttMS, now).aheadOf(local)
	if s.Outgoing && s.stage == established {
		n.clocks.heard(s.identity.key, s, ahead, local)
	}
	offset := n.clocks.offsetMS(now)
	n.mu.Lock()
	p := s.peer
	if p.offsetMS = ahead; rttMS != unknownRTT {
		p.rttMS = rttMS
	}
	refused, wrong := far(ahead-offset, refusedOffsetMS), far(offset, refusedOffsetMS)
	peerNews, ownNews := refused && !p.clockRefused, wrong && !n.clockWrong
	p.clockRefused, n.clockWrong = refused, wrong
	n.mu.Unlock()
	if peerNews {
		n.tell(s, Problem,
			"clock of peer %s is %s cluster time; ignoring it and rejecting updates stamped more than %v ahead; "+
				"correct that clock", s.name(), apart(ahead-offset), ms(maxAheadMS))
	}
	if ownNews {
		n.tell(s, Problem,
			"this node's clock is %s the clocks of most members (such as %s); using cluster time; correct this clock",
			apart(-offset), s.name())
	}
}

// far reports whether an offset is beyond a limit in either direction.
func far(offsetMS, limitMS int64) bool { return offsetMS < -limitMS || offsetMS > limitMS }

// apart is the distance between two clocks.
func apart(aheadMS int64) string {
	if aheadMS < 0 {
		return fmt.Sprintf("%v behind", ms(-aheadMS))
	}
	return fmt.Sprintf("%v ahead of", ms(aheadMS))
}

// maxClockMS is past all honest clocks, in the year 10889; beyond it sums would overflow.
const maxClockMS = 1 << 48
