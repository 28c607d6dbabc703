package cluster

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// Which node an id belongs to. An id is a random number that its node made up, so it proves nothing: it belongs to the
// first node that claims it, and that node is identified by something that cannot be made up: the subject of its
// verified certificate, else its address.
//
// A node has two sides: the one that this node dials, at an address of the list, and the one that dials this node. Each
// is bound separately, because behind NAT their addresses differ, and some operators give servers and clients
// certificates of different names. A claim that the other side confirms displaces one that it does not: so an impostor
// that is faster than a node at this node's start keeps nothing of it.

// identity is what a connection proves about the peer.
type identity struct {
	// key is the comparable form of an identity: the subject of a certificate, or an address.
	key string
	// subject is that of the verified certificate, "" without one, and host the address without the port.
	subject, host string
	// address is the dialled address of the list, "" on an accepted connection.
	address string
	// proven means that the node's id was made for the certificate's subject: no other node can claim it.
	proven bool
	// sibling means that it is another process of this node: the connection itself proves it.
	sibling bool
	// own means that the subject is this node's too: all nodes have one certificate, and the address identifies them.
	own bool
}

// certain reports whether a certificate names the node.
func (id identity) certain() bool { return id.subject != "" && !id.own }

// identify finds what a connection proves.
func (n *Node) identify(about *Connection) identity {
	id := identity{
		subject: about.Subject,
		host:    about.Host,
		own:     about.Subject != "" && (*n.subjects.Load())[about.Subject],
		sibling: about.Sibling,
	}
	where := about.Host
	if about.Outgoing {
		where, id.address = about.Address, about.Address // nodes behind one address have different ports
	}
	switch {
	case id.own:
		id.key = fmt.Sprintf("%q at %s", id.subject, where)
	case id.subject != "":
		id.key = fmt.Sprintf("%q", id.subject)
	default:
		id.key = where
	}
	return id
}

// agrees reports whether the two sides of a node prove the same.
func (id identity) agrees(other identity) bool {
	if id.certain() && other.certain() {
		return id.subject == other.subject
	}
	return id.host != "" && id.host == other.host
}

// claim binds a side of a node to what was proven, if it may. other is what is known of the node's other side.
func (bound *identity) claim(proven, other identity) bool {
	switch {
	case bound.key == "" || bound.key == proven.key || proven.sibling:
	case bound.sibling:
		return false
	case proven.proven:
	case bound.proven:
		return false
	case !bound.certain() && proven.certain(): // a certificate is stronger than an address
	case proven.agrees(other) && !bound.agrees(other):
	default:
		return false
	}
	*bound = proven
	return true
}

const (
	// maxIDs bounds the ids of one certificate: each start of a process has another one.
	maxIDs = 16
	// maxIDsOfHost bounds those of one address without certificates: many nodes may be behind one address.
	maxIDsOfHost = 256
	// maxOriginsOf bounds the origins of one node: its runs, each with all its zones.
	maxOriginsOf = maxLives
)

// idsOf is how many nodes an identity may have.
func (id identity) idsOf() int {
	if id.certain() {
		return maxIDs
	}
	return maxIDsOfHost
}

// An impostorError is a claim to another node's ID or origin.
type impostorError struct{ text string }

func (e *impostorError) Error() string { return e.text }

func impostor(format string, args ...any) error { return &impostorError{fmt.Sprintf(format, args...)} }

// meet returns or creates the state of a session's peer, unless its ID is another node's. Called with the session's mu
// held.
func (n *Node) meet(s *Session, id NodeID, now clock.Reading) (*peer, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.peers[id]
	if p == nil {
		if err := n.makeRoom(s.identity, now); err != nil {
			return nil, err
		}
		p = &peer{
			id:      id,
			in:      make(map[uint64]*Session),
			waiting: make(map[uint64]*Session),
			told:    make(map[uint64]bool),
			metBy:   s.identity.key,
		}
		n.peers[id] = p
	}
	if holder, ok := p.bind(s); !ok {
		return nil, impostor("node ID %s is already claimed by %s; rejecting %s", id, holder, s.identity.key)
	}
	p.lastSeenMS = now.MonoMS
	if s.Sibling {
		p.becomeSibling()
	}
	if out := p.out; out != nil && out.identity.certain() && p.reached.certain() && out.identity.key != p.reached.key {
		n.expel(out, impostor("node ID %s belongs to %s; rejecting %s", id, p.reached.key, out.identity.key))
	}
	for _, standing := range p.in {
		if standing.identity.key != p.brought.key {
			n.expel(
				standing,
				impostor("node ID %s belongs to %s; rejecting %s", id, p.brought.key, standing.identity.key),
			)
		}
	}
	return p, nil
}

// bind binds the shown side of a peer to what the session proves, or returns the node to which it belongs.
func (p *peer) bind(s *Session) (holder string, ok bool) {
	switch {
	case !s.Outgoing:
		holder = p.brought.key
		return holder, p.brought.claim(s.identity, p.reached)
	case p.reached.key != "" && !s.identity.certain() && !p.reached.certain() && !s.Sibling:
		// Another address of the list may lead to the same node: it is admitted, and takes nothing from the first one.
		return "", true
	}
	holder = p.reached.key
	return holder, p.reached.claim(s.identity, p.brought)
}

// expel ends a session that claims another node's ID or origin. Called with Node.mu held.
func (n *Node) expel(s *Session, err error) {
	if s.Ended() != nil {
		return
	}
	n.tell(s, Problem, "closing the connection of peer %s: %v", s.Address, err)
	s.sayGoodbye(wire.ReasonError, err.Error())
	s.end(Ending{Reason: wire.ReasonError, Err: err, Quiet: true})
}

// Unlist notes that an address is no longer a member: the node reached there may be reached elsewhere.
func (n *Node) Unlist(address string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		if p.reached.address == address {
			p.reached = identity{}
		}
	}
}

// makeRoom forgets a disconnected peer if there is no room for another. Called with Node.mu held.
func (n *Node) makeRoom(who identity, now clock.Reading) error {
	same := 0
	for _, p := range n.peers {
		if p.metBy == who.key {
			same++
		}
	}
	switch most := who.idsOf(); {
	case same >= most && !n.forgetLongestGone(who.key, now):
		return fmt.Errorf("%d nodes of %s are already connected", most, who.key)
	case len(n.peers) >= maxPeers && !n.forgetLongestGone("", now):
		return fmt.Errorf("%d peers are already known and none of them is disconnected", maxPeers)
	}
	return nil
}

// ForgetIdentities unbinds all IDs, after the means of identification changed, such as from addresses to certificates.
func (n *Node) ForgetIdentities() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range n.peers {
		p.reached, p.brought = identity{}, identity{}
	}
	for _, z := range n.table.Load().list {
		z.mu.Lock()
		for _, in := range z.applied {
			in.key = ""
		}
		z.mu.Unlock()
	}
}

// claimOrigins binds the origins in a session's hello to its peer: an origin that another node claimed first, or that
// is this node's, is rejected by name. Claims of a dialled node displace those of nodes that only dialled this one.
// Called with the session's mu held.
func (n *Node) claimOrigins(s *Session) error {
	own := n.table.Load()
	n.mu.Lock()
	defer n.mu.Unlock()
	for i := range s.their.Zones {
		their := &s.their.Zones[i]
		mine := own.byName[their.Name]
		if mine == nil {
			continue // not shared: nothing is counted of it
		}
		if originOfWire(their.Origin) == mine.origin {
			return impostor(
				"zone %q: origin %016x belongs to this node; rejecting %s",
				their.Name,
				their.Origin,
				s.identity.key,
			)
		}
		if err := n.claimOrigin(s, their); err != nil {
			return err
		}
	}
	return nil
}

// claimOrigin binds one origin. Called with Node.mu held.
func (n *Node) claimOrigin(s *Session, their *wire.Zone) error {
	origin, name := originOfWire(their.Origin), their.Name
	held := n.origins[origin]
	before := held.peer
	proven := their.Incarnation != 0
	if proven && originOf(s.peer.id, s.their.Incarnation, name, their.Incarnation) != origin {
		return impostor(
			"zone %q: origin %016x does not belong to node %s; rejecting %s",
			name,
			uint64(origin),
			s.peer.id,
			s.identity.key,
		)
	}
	switch {
	case before == s.peer:
		n.origins[origin] = holder{s.peer, proven || held.proven}
		return nil
	case before != nil && n.peers[before.id] == before:
		if !proven && (held.proven || s.peer.confirmed() <= before.confirmed()) {
			return impostor("zone %q: origin %016x is already claimed by node %s of %s; rejecting %s",
				name, uint64(origin), before.id, before.who(), s.identity.key)
		}
		for _, standing := range before.in {
			n.expel(standing, impostor("zone %q: origin %016x belongs to node %s of %s; rejecting %s",
				name, uint64(origin), s.peer.id, s.identity.key, standing.identity.key))
		}
	}
	if len(s.peer.origins) >= maxOriginsOf*max(len(n.table.Load().list), 1) {
		if oldest := s.peer.origins[0]; n.origins[oldest].peer == s.peer {
			delete(n.origins, oldest)
		}
		s.peer.origins = s.peer.origins[1:]
	}
	n.origins[origin] = holder{s.peer, proven}
	s.peer.origins = append(s.peer.origins, origin)
	return nil
}

// holder is the node that has an origin; proven means that the origin was made from the peer's id.
type holder struct {
	peer   *peer
	proven bool
}

// IDOf derives a node id from a proof: no other proof, with a different subject, can be found that gives the same id.
func IDOf(proof wire.Proof) NodeID {
	h := sha256.New()
	fmt.Fprintf(h, "%016x", proof.Salt) // a hash write does not fail
	for _, subject := range proof.Subjects {
		fmt.Fprintf(h, "%08x%s", len(subject), subject)
	}
	return NodeID(binary.LittleEndian.Uint64(h.Sum(nil)) | 1)
}

// originOf identifies one life of one zone on one node. It is derived from the hello, so that no node can find an
// incarnation that yields another node's origin.
func originOf(id NodeID, incarnation uint64, name string, zoneIncarnation uint64) zone.Origin {
	sum := sha256.Sum256(fmt.Appendf(nil, "%016x%016x%016x%s", uint64(id), incarnation, zoneIncarnation, name))
	return zone.Origin(binary.LittleEndian.Uint64(sum[:]))
}

// confirmed is how certain the identity of a peer is: 2 if it was reached at an address of the list, 0 if it only
// dialled this node. Called with Node.mu held.
func (p *peer) confirmed() int {
	switch {
	case p.reached.key == "":
		return 0
	case p.brought.key != "" && !p.brought.agrees(p.reached):
		return 1
	}
	return 2
}

// who returns the identity of a peer for messages. Called with Node.mu held.
func (p *peer) who() string {
	if p.reached.key != "" {
		return p.reached.key
	}
	return p.brought.key
}

// forget drops a peer with everything that belongs to it. Called with Node.mu held.
func (n *Node) forget(p *peer) {
	delete(n.peers, p.id)
	maps.DeleteFunc(n.origins, func(_ zone.Origin, held holder) bool { return held.peer == p })
}
