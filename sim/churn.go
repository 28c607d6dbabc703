package sim

import (
	"errors"
	"fmt"
	"time"

	"starling/zone"
	"starling/zone/kinds"
)

// This file is the work of seeds with deletes: pairs come and go in zones that hold some four hundred, faster than
// their tombstones could be kept. Each pair has a key of its own, so the expected result is plain: all pairs that were
// written and not deleted, and none that was deleted.

// churning are the pairs of a seed with deletes.
type churning struct {
	written int
	live    []string // in the order of creation
	gone    map[string]bool
	// stampedes means that the seed begins with a stampede.
	stampedes bool
}

const (
	// churnPairs is how many pairs come and go in one act.
	churnPairs = 20
	// compactEvery is the number of acts between rewrites of a log.
	compactEvery = 20
	// churnLive is the maximum number of pairs: no write is rejected, unless deletions of other hosts do not reach a
	// host.
	churnLive = 60
)

// churn writes pairs at one host, and deletes existing pairs, old and new ones.
func (s *swarm) churn(h *Host) {
	if h.keepsState && s.rand.IntN(compactEvery) == 0 {
		h.compact()
	}
	for range churnPairs {
		if len(s.churning.live) >= churnLive {
			s.uproot(h)
			continue
		}
		key := fmt.Sprint("churn", s.churning.written)
		s.churning.written++
		switch err := h.keyval.Add([]byte(key), []byte("x"), kinds.NoExpire, h.clusterNow()); {
		case err != nil && h.keyval.Stats().RecordBytes+zone.CostBytes(len(key), 1) > h.keyval.LocalLimit():
			// Correct: it has records for so much. Another host deleted most of them, and cannot reach it (seed 304078:
			// one was slow, then frozen).
			return
		case err != nil:
			s.failf(
				"host %d does not take a pair, %d are there: %v, %+v",
				h.index,
				len(s.churning.live),
				err,
				h.keyval.Stats(),
			)
			return
		default:
			s.churning.live = append(s.churning.live, key)
			s.did("host%d adds %s", h.index, key)
		}
		if s.rand.IntN(3) > 0 {
			s.uproot(h)
		}
	}
}

const (
	// stampedePairs is how many pairs come and go at least while a host is away: twice as many as tombstones have room
	// for, and more than the rings.
	stampedePairs = 4000
	// stampedePerMS is how many of them in a millisecond: in a tenth of a second, less than tombstones have room for.
	stampedePerMS = 2
)

// stampede lets a host freeze, or be cut off, while its connections are still there: nobody has lost it yet. The others
// delete what it has, and then give up all tombstones that nobody needs.
func (s *swarm) stampede() {
	if !s.Within(converge, s.Agree) {
		s.failf("before any harm: %s", s.disagreement())
	}
	for range churnLive {
		s.churn(s.running())
	}
	s.Run(time.Duration(s.rand.IntN(100)) * time.Millisecond)
	away, how := s.Hosts[s.rand.IntN(len(s.Hosts))], s.rand.IntN(4)
	s.did("stampede of kind %d while host%d is away", how, away.index)
	if away.frozen = true; how == 0 {
		for _, h := range s.Hosts {
			s.Block(away.index, h.index)
		}
		away.frozen = false
	}
	for pairs := 0; pairs < stampedePairs; {
		h := s.Hosts[s.rand.IntN(len(s.Hosts))]
		if h == away {
			continue
		}
		if pairs == 0 {
			for range churnLive {
				s.uproot(h)
			}
		}
		s.churn(h)
		pairs += churnPairs
		s.Run(churnPairs / stampedePerMS * time.Millisecond)
	}
	if how == 1 {
		for _, h := range s.Hosts {
			s.Cut(away.index, h.index)
		}
	} else if s.rand.IntN(2) == 0 {
		s.Run(5 * time.Second) // past zone_sync_timeout
	}
	clear(s.blocked)
	away.thaw(how == 2)
}

// uproot deletes a pair that the host has: one of the last few, or any.
func (s *swarm) uproot(h *Host) {
	live := s.churning.live
	if len(live) == 0 {
		return
	}
	i := len(live) - 1 - s.rand.IntN(min(len(live), 3))
	if len(live) >= churnLive || s.rand.IntN(3) == 0 {
		i = s.rand.IntN(len(live))
	}
	key := live[i]
	err := h.keyval.Delete([]byte(key), h.clusterNow())
	if errors.Is(err, kinds.ErrNotFound) {
		return // it has not received it yet
	}
	if err != nil {
		s.failf("host %d does not delete %s: %v", h.index, key, err)
		return
	}
	s.did("host%d deletes %s", h.index, key)
	s.churning.live = append(live[:i], live[i+1:]...)
	s.churning.gone[key] = true
}

// checkChurn: no deleted pair is there, and all others are.
func (s *swarm) checkChurn() {
	for _, h := range s.Hosts {
		for pair := range h.keyval.All(h.clusterNow()) {
			if s.churning.gone[string(pair.Key)] {
				s.failf("%s was deleted and is back at host %d", pair.Key, h.index)
				return
			}
		}
		for _, key := range s.churning.live {
			if h.get(key) != "x" {
				s.failf("%s is missing at host %d", key, h.index)
				return
			}
		}
	}
}
