package cluster

import (
	"starling/lib/clock"
)

// Tombstones are forgotten as soon as no node can bring back what they deleted; zone/DESIGN.md has the rule. This file
// is the cluster's part of which deletions all members know; lag.go has what a member may lack.

const (
	// inFlightMS is how long, besides the timeout of a silent connection, records that a member sent or wrote to its
	// disk may be in flight.
	inFlightMS = 10_000
	// noticedMS is by how much members differ in when they notice a disconnect: until then a member may get records
	// from those that have not.
	noticedMS = 10_000
)

// forgetting is its next step in a zone. Guarded by Node.mu.
type forgetting struct {
	throughMS int64  // cluster time; all members hold the same from until then
	sinceMS   int64  // monotonic, of when they agreed on it; 0 for never
	changes   uint64 // of the connections, when they did
}

// changed notes that a connection was made or lost. Called with Node.mu held.
func (n *Node) changed(now clock.Reading) { n.changes, n.changedMS = n.changes+1, now.MonoMS }

// calmSlackMS is by how much a heartbeat may be late.
const calmSlackMS = 500

// watchCalm notes that a peer sent nothing for longer than a heartbeat interval: the connection is established, but
// frames of both sides have not arrived.
func (n *Node) watchCalm(heardMS, beatMS int64, now clock.Reading) {
	if !after(now, heardMS, beatMS+calmSlackMS) {
		return
	}
	n.mu.Lock()
	n.changedMS = now.MonoMS
	n.mu.Unlock()
}

// knownToAll is the time through which all members know the deletions, while no older record is in flight to one of
// them, or nothingGone. After all held the same, no member still has a record that another deleted. Frames that a
// member sent before arrive within the timeout or end a connection, and the next one does not carry frames that old
// (oldestForLate). sinceMS is when they did, by the monotonic clock. Called with Node.mu held.
func (n *Node) knownToAll(z *zoneState, now clock.Reading) (throughMS, sinceMS int64) {
	lineages, agreedMS := n.allAgree(z, now)
	if len(lineages) == 0 {
		return nothingGone, 0
	}
	f := &z.forgetting
	if f.sinceMS == 0 || f.changes != n.changes {
		*f = forgetting{throughMS: agreedMS, sinceMS: now.MonoMS, changes: n.changes}
		return nothingGone, 0
	}
	if !after(now, f.sinceMS, n.settings.Load().TimeoutMS+inFlightMS) {
		return nothingGone, 0
	}
	throughMS, sinceMS = f.throughMS, f.sinceMS
	f.throughMS, f.sinceMS = agreedMS, now.MonoMS
	return throughMS, sinceMS
}
