package cluster

import "starling/lib/clock"

// When digests are exchanged. An idle cluster compares from time to time. After missed records came late, a node
// compares with all its peers as soon as no more come, so that operators see at once that the cluster has healed.

const (
	// digestEveryMS is how often peers compare digests.
	digestEveryMS = 2000
	// digestsWithBeatMS is how old the last digests are if the next ones go out with a heartbeat, which costs less than
	// sending them on their own.
	digestsWithBeatMS = 1500
	// quietMS without another late record counts as the end of a repair.
	quietMS = 100
	// lateMS is the age from which a frame counts as late: it waited in the journal while the peers were disconnected.
	lateMS = 500
)

// cameLate notes that so many records were changed by something other than the live journals.
func (n *Node) cameLate(records int, now clock.Reading) {
	if records > 0 {
		n.cameLateMS.Store(now.MonoMS)
	}
}

// digestsTurn reports whether digests must be sent now. If every comparison finds more to repair, as over a broken
// link, the gap doubles each time up to the usual one: haste must not become the pace. Called with mu held.
func (s *Session) digestsTurn(now clock.Reading) bool {
	cameLate := s.node.cameLateMS.Load()
	late := cameLate >= s.push.digestsMS
	every := int64(digestEveryMS)
	if s.sentMS == now.MonoMS {
		every = digestsWithBeatMS
	}
	switch {
	case after(now, s.push.digestsMS, every):
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
