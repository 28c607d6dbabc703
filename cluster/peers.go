package cluster

import (
	"starling/lib/clock"
	"starling/zone"
)

// peer is the state of another node, kept across its connections. Guarded by Node.mu.
type peer struct {
	id NodeID
	// reached and brought are what is known of its two sides, the one that this node dialled and the one that dialled;
	// metBy is the identity that the first connection proved. origins belong to it, the oldest first.
	reached, brought identity
	metBy            string
	origins          []zone.Origin
	// out and in are the established sessions: to the peer, and from each of its runs.
	out *Session
	in  map[uint64]*Session // by incarnation
	// waiting are those that may take over from in; the latest one of each.
	waiting map[uint64]*Session

	outAddress, inAddress string
	rttMS                 int64
	offsetMS              int64
	clockRefused          bool // it is too far from cluster time
	version               uint64
	sibling               bool              // another process of this node
	steady                map[uint64]steady // by incarnation
	// slowMS is when a connection was last reopened because its greeting was slow; monotonic.
	slowMS       int64
	lastError    string
	losses       int64           // of connections that stood
	lastSeenMS   int64           // monotonic
	seen         map[string]seen // by zone, when the connection to it was lost
	mismatches   []string
	mismatchedMS map[unshared]int64     // monotonic, since when there is each
	differentMS  map[unshared]int64     // the same of settings that do not prevent sharing
	compared     map[string]*comparison // by zone
	view         *toldView              // nil until it tells one
	lags         map[string]lag         // by zone; of those in which it fell behind and was not found equal since
	leaving      leaving                // of its last outgoing session
	// told are the logged texts about the peer, so that a reconnect does not repeat them.
	told map[uint64]bool // by the hash of the text, which a peer can make long
}

const (
	// maxPeers bounds the peers kept; only nodes with the cluster's name get this far.
	maxPeers = 1024
	// maxLives bounds the runs of one peer that push at the same time: an upgrade of the binary has two.
	maxLives = 8
	// maxTold bounds the warnings kept of one peer.
	maxTold = 256
	// forgetPeerMS is how long a disconnected peer stays in the status: long enough for questions about it.
	forgetPeerMS = 3600 * 1000
)

// pushes reports whether a session from the peer is established. Called with Node.mu held.
func (p *peer) pushes() bool {
	for _, s := range p.in {
		if s.Established() {
			return true
		}
	}
	return false
}

// isMet reports whether sessions are established in both directions, none about to end, and the peer has offered its
// zones since those of this node changed. Called with Node.mu held.
func (p *peer) isMet() bool {
	met := false
	for _, s := range p.in {
		if s.Established() && s.Ended() == nil {
			if met = s.hasAnswered(); !met {
				return false
			}
		}
	}
	return met && p.out != nil && p.out.Ended() == nil
}

// forgetLongestGone makes room for another peer, of one identity or, if that is "", of any: an id belongs to one start
// of a process, so one that restarts repeatedly would fill the memory, and lock out later peers. It fails if no peer is
// gone. Called with Node.mu held.
func (n *Node) forgetLongestGone(who string, now clock.Reading) bool {
	var longest *peer
	for _, p := range n.peers {
		if (who == "" || p.metBy == who) && n.gone(p, now) && (longest == nil || p.lastSeenMS < longest.lastSeenMS) {
			longest = p
		}
	}
	if longest == nil {
		return false
	}
	n.forget(longest)
	return true
}

// gone reports that no connection with a peer is established or between hello and established. Called with Node.mu
// held.
func (n *Node) gone(p *peer, now clock.Reading) bool {
	return !p.stands() && after(now, p.lastSeenMS, n.settings.Load().ConnectTimeoutMS)
}

// stands reports whether there is a session in either direction. Called with Node.mu held.
func (p *peer) stands() bool { return p.out != nil || len(p.in) > 0 }

// forgetPeers drops peers that have been gone for long, and those whose address another node has: the operator should
// see that one member was lost and came back, not a lost peer for each of its starts.
func (n *Node) forgetPeers(now clock.Reading) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		if p.stands() {
			p.lastSeenMS = now.MonoMS
		} else if n.gone(p, now) {
			heir := n.connectedAt(p.outAddress)
			if heir != nil {
				heir.inherit(p)
			}
			if heir != nil || after(now, p.lastSeenMS, forgetPeerMS) {
				n.forget(p)
			}
		}
	}
}

// connectedAt finds the peer to which the connection to an address leads, nil for none. Called with Node.mu held.
func (n *Node) connectedAt(address string) *peer {
	for _, p := range n.peers {
		if address != "" && p.out != nil && p.outAddress == address {
			return p
		}
	}
	return nil
}

// inherit continues the figures of the node that had the address before. Called with Node.mu held.
func (p *peer) inherit(before *peer) {
	if p.losses += before.losses; p.lastError == "" {
		p.lastError = before.lastError
	}
}

// once reports an event about a session's peer unless the same one was reported before.
func (n *Node) once(s *Session, kind EventKind, text string) {
	p := s.peer
	n.mu.Lock()
	hash := zone.KeyHash([]byte(text))
	known := p.told[hash]
	if !known && len(p.told) < maxTold {
		p.told[hash] = true
	}
	n.mu.Unlock()
	if !known {
		n.tellOf(s, text, kind, "peer %s: %s", s.name(), text)
	}
}
