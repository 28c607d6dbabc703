package sim

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"starling/zone/kinds"
)

// A run of connections opens and closes them on hosts that crash, freeze and are cut off from each other. Each host
// must count what the hosts that it hears have open: exactly when it is quiet, and nothing of the others.

// connFlavour is what a seed may do to a cluster with connections.
type connFlavour struct {
	name string
	// crashes: hosts die with their connections, and come back without.
	crashes bool
	// lossy: rings of a few frames are overrun all the time.
	lossy bool
	// full: the zone is too small for the keys.
	full bool
}

var connFlavours = []connFlavour{
	{name: "network"},
	{name: "crashes", crashes: true},
	{name: "lossy", lossy: true},
	{name: "everything", crashes: true, lossy: true},
	{name: "full", full: true, crashes: true},
}

const (
	connActs = 300
	connKeys = 12
	// manyConnKeys fill a zone of 32k several times over.
	manyConnKeys = 2000
)

type connSwarm struct {
	*World
	flavour connFlavour
}

// Connections runs one seed and returns the failures, and the world for its log.
func Connections(seed uint64, traced bool) (failures []string, w *World) {
	f := connFlavours[seed%uint64(len(connFlavours))]
	options := defaults
	options.ConnBytes = 1 << 20
	if f.full {
		options.ConnBytes = 32 << 10
	}
	if f.lossy {
		options.RingFrames = 16
	}
	s := &connSwarm{World: NewWorld(seed, options), flavour: f}
	s.Traced = traced
	s.certified = seed/uint64(len(connFlavours))%2 == 0
	s.latencyMS = s.rand.IntN(4)
	s.Start(2 + s.rand.IntN(4))
	s.Within(6*time.Second, s.Ready)
	for range connActs {
		s.act()
		s.Run(time.Duration(1+s.rand.IntN(5)) * time.Millisecond)
		s.checkMemory()
		s.checkOwn()
	}
	s.did("all harm ends")
	s.Heal()
	s.mustCount("after all harm", s.standing())
	s.lose()
	s.Heal()
	s.mustCount("after the last one is back", s.standing())
	s.closeAll()
	return s.failures, s.World
}

// act does one random thing: mostly work, sometimes harm.
func (s *connSwarm) act() {
	h := s.Hosts[s.rand.IntN(len(s.Hosts))]
	switch n := s.rand.IntN(100); {
	case n < 80 && h.runs():
		s.work(h)
	case n < 92:
		s.disturb(h, n)
	default:
		s.disturbHost(h, n, s.flavour.crashes)
	}
}

// work opens or closes connections; a request that is over before a flush is one of both.
func (s *connSwarm) work(h *Host) {
	keys := connKeys
	if s.flavour.full {
		keys = manyConnKeys
	}
	for range 1 + s.rand.IntN(8) {
		key := fmt.Sprint("k", s.rand.IntN(keys))
		if s.rand.IntN(2) == 0 {
			h.enter(key, 1<<16-1)
			continue
		}
		h.leaveKey(key)
	}
}

// mustCount waits until each of some hosts, which hear each other and no one else, counts what they have open.
func (s *connSwarm) mustCount(when string, hosts []*Host) {
	wrong := ""
	exact := func() bool {
		wrong = miscounted(hosts)
		return wrong == ""
	}
	if s.flavour.full {
		s.closeMost()
	}
	if !s.Within(converge, func() bool { return s.nowMS%tickEveryMS == 0 && exact() }) {
		s.failf("%s, after %v of quiet: %s", when, converge, wrong)
	}
	s.Run(quiet) // and it stays so
	if !exact() {
		s.failf("%s, later: %s", when, wrong)
	}
}

// miscounted names a key that one of some hosts counts wrongly, or returns "".
func miscounted(hosts []*Host) string {
	open := map[string]int{}
	for _, h := range hosts {
		for key, tickets := range h.open {
			open[key] += len(tickets)
		}
	}
	keys := slices.Sorted(maps.Keys(open))
	for _, h := range hosts {
		sum := 0
		for _, key := range keys {
			all, _ := h.conn.Count([]byte(key))
			if int(all) != open[key] {
				return fmt.Sprintf("host %d counts %d connections of %q, there are %d", h.index, all, key, open[key])
			}
			if all > 0 {
				sum++
			}
		}
		if got := h.conn.Stats().Records; got != int64(sum) {
			return fmt.Sprintf("host %d has %d keys, %d have connections", h.index, got, sum)
		}
	}
	return ""
}

// lose takes a host away from the others, in one of the ways in which that happens: its part comes back to them.
func (s *connSwarm) lose() {
	lost := s.Hosts[s.rand.IntN(len(s.Hosts))]
	var rest []*Host
	for _, h := range s.Hosts {
		if h != lost {
			rest = append(rest, h)
		}
	}
	switch s.rand.IntN(3) {
	case 0:
		lost.crash()
	case 1:
		s.did("host%d freezes", lost.index)
		lost.frozen = true
	default:
		s.did("host%d is cut off", lost.index)
		for _, h := range rest {
			s.Block(lost.index, h.index)
		}
	}
	s.mustCount("without one", rest)
	if lost.runs() {
		s.mustCount("at the one that is cut off", []*Host{lost})
	}
}

// checkOwn: what a host counts of its own is what it has open, at any time.
func (s *connSwarm) checkOwn() {
	for _, h := range s.standing() {
		for key, tickets := range h.open {
			if _, own := h.conn.Count([]byte(key)); int(own) != len(tickets) {
				s.failf("host %d counts %d own connections of %q, it has %d", h.index, own, key, len(tickets))
			}
		}
	}
}

// closeMost leaves as many connections as a zone that is too small has room for.
func (s *connSwarm) closeMost() {
	for _, h := range s.standing() {
		for i, key := range slices.Sorted(maps.Keys(h.open)) {
			for i >= 20 && len(h.open[key]) > 0 {
				h.leaveKey(key)
			}
		}
	}
}

// closeAll: in the end, no zone keeps anything.
func (s *connSwarm) closeAll() {
	for _, h := range s.standing() {
		for _, key := range slices.Sorted(maps.Keys(h.open)) {
			for len(h.open[key]) > 0 {
				h.leaveKey(key)
			}
		}
	}
	empty := func() bool {
		for _, h := range s.standing() {
			if stats := h.conn.Stats(); stats.Bytes+stats.Records+stats.Pending > 0 {
				return false
			}
		}
		return true
	}
	if !s.Within(converge, empty) {
		for _, h := range s.standing() {
			s.failf("all connections are closed; host %d has %+v", h.index, h.conn.Stats())
		}
	}
}

// enter opens a connection, if the limit allows it.
func (h *Host) enter(key string, limit uint32) {
	if ticket, verdict := h.conn.Enter([]byte(key), limit); verdict == kinds.Passed {
		h.open[key] = append(h.open[key], ticket)
	}
}

// leaveKey closes a connection of a key, if one is open.
func (h *Host) leaveKey(key string) {
	tickets := h.open[key]
	if len(tickets) == 0 {
		return
	}
	h.conn.Leave(tickets[0])
	if h.open[key] = tickets[1:]; len(tickets) == 1 {
		delete(h.open, key)
	}
}
