package cluster

import "starling/lib/clock"

// When digests are exchanged. An idle cluster compares now and then; what was missed and came late makes a node compare
// with all its peers as soon as no more comes, so that operators are shown that the cluster has healed when it has.

const (
	// digestEveryMS is how often peers compare digests.
	digestEveryMS = 2000
	// quietMS without another late record counts as the end of a repair.
	quietMS = 100
	// lateMS is the age from which a frame counts as late: it stood in the journal while the peers had lost each other.
	lateMS = 500
)

// cameLate notes that so many records were changed by something else than the journals of the moment.
func (n *Node) cameLate(records int, now clock.Reading) {
	if records > 0 {
		n.cameLateMS.Store(now.MonoMS)
	}
}

// digestsTurn says whether digests are to be sent. Where every comparison finds more to repair, as across a broken
// link, the gap doubles each time until it is the usual one: haste must not become the pace. Called with mu held.
func (s *Session) digestsTurn(now clock.Reading) bool {
	cameLate := s.node.cameLateMS.Load()
	late := cameLate >= s.push.digestsMS
	switch {
	case after(now, s.push.digestsMS, digestEveryMS):
		if !late {
			s.push.hasteMS = quietMS
		}
		return true
	case late && after(now, cameLate, quietMS) && after(now, s.push.digestsMS, s.push.hasteMS):
		s.push.hasteMS = min(2*s.push.hasteMS, digestEveryMS)
		return true
	}
	return false
}
