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

// Who may speak for a node. An id is a random number that its node made up, so it proves nothing: it belongs to whoever
// brought it first, and what brought it is known by something that cannot be made up: by the subject of its verified
// certificate, else by its address.
//
// A node has two sides: the one that this node dials, at an address of the list, and the one that dials this node. Each
// is bound by itself, for behind NAT their addresses differ, and some give servers and clients certificates of
// different names. A claim that the other side confirms displaces one that it does not: so who is faster than a node at
// this node's start keeps nothing of it.

// identity is what a connection proves of its other end.
type identity struct {
	// key tells identities apart: the subject of a certificate, or an address.
	key string
	// subject is that of the verified certificate, "" without one, and host the address without the port.
	subject, host string
	// address is that of the list which was dialled, "" on an accepted connection.
	address string
	// proven says that the node's id was made for the certificate's subject: nobody else can bring it.
	proven bool
	// own says that the subject is this node's too: all nodes have one certificate, and the address tells them apart.
	own bool
}

// certain says whether a certificate names the node.
func (id identity) certain() bool { return id.subject != "" && !id.own }

// identify finds what a connection proves.
func (n *Node) identify(link *Link) identity {
	id := identity{
		subject: link.Subject,
		host:    link.Host,
		own:     link.Subject != "" && (*n.subjects.Load())[link.Subject],
	}
	where := link.Host
	if link.Outgoing {
		where, id.address = link.Address, link.Address // nodes behind one address have ports of their own
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

// agrees says whether the two sides of a node prove the same.
func (id identity) agrees(other identity) bool {
	if id.certain() && other.certain() {
		return id.subject == other.subject
	}
	return id.host != "" && id.host == other.host
}

// claim binds a side of a node to what was proven, where it may. other is what is known of the node's other side.
func (bound *identity) claim(proven, other identity) bool {
	switch {
	case bound.key == "" || bound.key == proven.key || proven.proven:
	case bound.proven:
		return false
	case !bound.certain() && proven.certain(): // a certificate is more than an address
	case proven.agrees(other) && !bound.agrees(other):
	default:
		return false
	}
	*bound = proven
	return true
}

const (
	// maxIDs bounds the ids that one certificate brings: each start of a process has another one.
	maxIDs = 16
	// maxIDsOfHost bounds those of one address without certificates: nodes behind one address are many.
	maxIDsOfHost = 256
	// maxOriginsOf bounds the origins of one node: its lives, each with all its zones.
	maxOriginsOf = maxLives
)

// idsOf is how many nodes an identity may bring.
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

// bind binds the side of a peer that a session shows to what it proves, or names whose it is.
func (p *peer) bind(s *Session) (holder string, ok bool) {
	switch {
	case !s.Outgoing:
		holder = p.brought.key
		return holder, p.brought.claim(s.identity, p.reached)
	case p.reached.key != "" && !s.identity.certain() && !p.reached.certain():
		// Another address of the list may be a way to the same node: it is let in, and gets nothing that the first has.
		return "", true
	}
	holder = p.reached.key
	return holder, p.reached.claim(s.identity, p.brought)
}

// expel ends a session that claims another node's ID or origin. Called with Node.mu held.
func (n *Node) expel(s *Session, err error) {
	n.tell(s, Problem, "closing the connection of peer %s: %v", s.Address, err)
	s.sayGoodbye(wire.ReasonError, err.Error())
	s.end(Ending{Reason: wire.ReasonError, Err: err, Quiet: true})
}

// Unlist says that an address is no longer a member: what was reached there may be reached elsewhere.
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

// claimOrigins binds the origins in a session's hello to its peer: what another node brought first, or this one has, is
// refused by name. What a node says where it was dialled displaces what others said that only dialled. Called with the
// session's mu held.
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

// holder is who has an origin; proven says that the origin was made of the peer's id.
type holder struct {
	peer   *peer
	proven bool
}

// IDOf makes a node id of a proof: nobody finds another proof, with a subject of its own, that gives the same.
func IDOf(proof wire.Proof) NodeID {
	h := sha256.New()
	fmt.Fprintf(h, "%016x", proof.Salt) // a hash does not fail
	for _, subject := range proof.Subjects {
		fmt.Fprintf(h, "%08x%s", len(subject), subject)
	}
	return NodeID(binary.LittleEndian.Uint64(h.Sum(nil)) | 1)
}

// originOf names one life of one zone on one node. It is made of what the hello tells, so that nobody finds an
// incarnation with which another's origin is its own.
func originOf(id NodeID, incarnation uint64, name string, zoneIncarnation uint64) zone.Origin {
	sum := sha256.Sum256(fmt.Appendf(nil, "%016x%016x%016x%s", uint64(id), incarnation, zoneIncarnation, name))
	return zone.Origin(binary.LittleEndian.Uint64(sum[:]))
}

// confirmed says how sure it is who a peer is: 2 where it was reached at an address of the list, 0 where it only came.
// Called with Node.mu held.
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

// forget drops a peer with what belongs to it. Called with Node.mu held.
func (n *Node) forget(p *peer) {
	delete(n.peers, p.id)
	maps.DeleteFunc(n.origins, func(_ zone.Origin, held holder) bool { return held.peer == p })
}
