package cluster

import (
	"fmt"

	"starling/lib/clock"
)

// peer is what is remembered of another node, across its connections. Guarded by Node.mu.
type peer struct {
	id NodeID
	// out and in are the standing sessions: to the peer, and from each of its lives.
	out *Session
	in  map[uint64]*Session // by incarnation

	outAddress, inAddress string
	rttMS                 int64
	offsetMS              int64
	version               uint64
	lastError             string
	losses                int64 // of connections that stood
	lastSeenMS            int64 // monotonic
	mismatches            []string
	compared              map[string]*comparison // by zone
	// told holds what has been logged of the peer, so that a reconnect does not repeat it.
	told map[string]bool
}

const (
	// maxPeers bounds what is remembered; only nodes of the cluster's name get this far.
	maxPeers = 1024
	// maxLives bounds the lives of one peer that push at the same time: an upgrade of the binary has two.
	maxLives = 8
	// maxTold bounds the warnings remembered of one peer.
	maxTold = 256
	// forgetPeerMS is how long a peer that is gone stays in the status: long enough to be asked about.
	forgetPeerMS = 3600 * 1000
)

// meet finds or makes the memory of a peer.
func (n *Node) meet(id NodeID, now clock.Reading) (*peer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[id]
	if p == nil {
		if len(n.peers) >= maxPeers {
			return nil, fmt.Errorf("this node remembers %d peers already", maxPeers)
		}
		p = &peer{id: id, in: make(map[uint64]*Session), told: make(map[string]bool)}
		n.peers[id] = p
	}
	p.lastSeenMS = now.MonoMS
	return p, nil
}

// pushes says whether a session from the peer stands. Called with Node.mu held.
func (p *peer) pushes() bool {
	for _, s := range p.in {
		if s.Established() {
			return true
		}
	}
	return false
}

// forgetPeers drops peers that have been gone for long.
func (n *Node) forgetPeers(now clock.Reading) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, p := range n.peers {
		if p.out != nil || len(p.in) > 0 {
			p.lastSeenMS = now.MonoMS
		} else if after(now, p.lastSeenMS, forgetPeerMS) {
			delete(n.peers, id)
		}
	}
}

// once reports an event about a peer unless the very same was reported before.
func (n *Node) once(p *peer, kind EventKind, text string) {
	n.mu.Lock()
	known := p.told[text]
	if !known && len(p.told) < maxTold {
		p.told[text] = true
	}
	n.mu.Unlock()
	if !known {
		n.event(kind, "peer %s: %s", p.id, text)
	}
}
