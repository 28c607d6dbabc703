package sim

import (
	"fmt"

	"starling/cluster"
	"starling/cluster/wire"
)

// rogue is a program with a certificate, or an address in the list, that speaks the protocol and follows no other rule.
// It is allowed to write shared records, so it does not: its other actions must have no effect.
type rogue struct {
	world *World
	// listed means that hosts dial it, as a member.
	listed bool
	conns  []*rogueConn
	// heard are what hosts said of themselves; it takes ids, runs and origins from there.
	heard []wire.Hello
}

// rogueConn is a connection of it with a host.
type rogueConn struct {
	*end
	out      bool // the host dialled
	said     wire.Hello
	sequence uint64
}

const (
	rogueName = "rogue"
	// rogueIDs is how many ids of its own it makes up.
	rogueIDs = 3
	// tenYearsMS is by how much it lies about the time.
	tenYearsMS = 315_360_000_000
	// rogueConns is how many connections it keeps.
	rogueConns = 12
)

// act does one thing to a host.
func (r *rogue) act(h *Host) {
	r.collect()
	switch n := r.world.rand.IntN(100); {
	case n < 25 || len(r.conns) == 0:
		r.meet(h, r.listed && n%2 == 0)
	case n < 30 || len(r.conns) > rogueConns:
		if !r.conns[0].host.frozen { // otherwise it would not notice
			r.close(0)
		}
	default:
		c := r.conns[r.world.rand.IntN(len(r.conns))]
		if c.alive() {
			r.say(c)
		}
	}
	r.collect()
}

// meet connects to a host, or is dialled by it, and says hello.
func (r *rogue) meet(h *Host, out bool) {
	w := r.world
	e := &end{host: h, life: h.life}
	session, err := h.node.Connected(
		cluster.Connection{Outgoing: out, Address: rogueName, Host: rogueName, Subject: w.subject(rogueName), Tag: e},
		h.now(),
	)
	if err != nil {
		return
	}
	e.session = session
	c := &rogueConn{end: e, out: out, said: r.hello()}
	r.conns = append(r.conns, c)
	w.did("rogue meets host%d, dialled %v, as %x with life %d", h.index, out, c.said.NodeID, c.said.Incarnation)
	first := wire.AppendFrame([]byte(wire.Preamble), wire.TypeHello, c.said.Append(nil), nil)
	if out {
		reply := wire.Reply{Status: wire.StatusAccepted, Hello: c.said}
		for i := range c.said.Zones {
			reply.Resumes = append(reply.Resumes, wire.Resume{Zone: uint64(i), Sequence: r.sequence(1)})
		}
		first = wire.AppendFrame([]byte(wire.Preamble), wire.TypeReply, reply.Append(nil), nil)
	}
	session.Receive(first, h.now()) // an error ends the session, which collect notices
}

// hello makes up an identity: its own, or parts of a host's.
func (r *rogue) hello() wire.Hello {
	w := r.world
	h := wire.Hello{
		MinVersion: 1, Version: 1, Features: wire.FeatureS2 | wire.FeatureRepair, TimeoutMS: 5000,
		NodeID: 0xe1 + uint64(w.rand.IntN(rogueIDs)), Incarnation: 1 + uint64(w.rand.IntN(2)), WallMS: r.wall(),
		Zones: []wire.Zone{
			{Name: "kv", Kind: 2, Expression: "$arg_k", Bytes: 1 << 20, Origin: 0xe10},
			{Name: "lim", Kind: 3, Expression: "$remote_addr", Bytes: 1 << 20, RateMilli: rateMilli, Origin: 0xe20},
		},
	}
	if len(r.heard) == 0 || w.rand.IntN(3) == 0 {
		return h
	}
	other := r.heard[w.rand.IntN(len(r.heard))]
	if w.rand.IntN(2) == 0 {
		h.NodeID = other.NodeID
		if w.rand.IntN(2) == 0 {
			h.Proof = other.Proof
		}
	}
	if w.rand.IntN(2) == 0 {
		h.Incarnation = other.Incarnation
	}
	for i := range h.Zones {
		for _, theirs := range other.Zones {
			if theirs.Name == h.Zones[i].Name && w.rand.IntN(2) == 0 {
				h.Zones[i].Origin, h.Zones[i].Lineage, h.Zones[i].Covered = theirs.Origin, theirs.Lineage, w.rand.IntN(
					2,
				) == 0
				if w.rand.IntN(2) == 0 {
					h.Zones[i].Incarnation = theirs.Incarnation
				}
			}
		}
	}
	return h
}

func (r *rogue) wall() uint64 {
	now := startWallMS + r.world.nowMS
	return uint64([]int64{now, now - tenYearsMS, now + tenYearsMS, now + 55_000, 1 << 62}[r.world.rand.IntN(5)])
}

// sequence is one near another, or far from it.
func (r *rogue) sequence(near uint64) uint64 {
	return []uint64{near, near + 2, near + 60_000, 1 << 40, 1 << 62, 0}[r.world.rand.IntN(6)]
}

// say sends one frame.
func (r *rogue) say(c *rogueConn) {
	w := r.world
	zone := uint64(w.rand.IntN(3))
	origins := []wire.Applied{{Origin: 0xe10, Sequence: r.sequence(1)}}
	for _, h := range r.heard {
		for _, z := range h.Zones {
			origins = append(origins, wire.Applied{Origin: z.Origin, Sequence: r.sequence(1) % (1 << 48)})
		}
	}
	elements := []wire.Element{{Key: w.rand.Uint64(), Version: w.rand.Uint64()}}
	nothing := [][]byte{{1, 0, 0}, {2}, {}}[zone] // records of no key, of pairs and of limits
	t, body := wire.Type(w.rand.IntN(34)), []byte(nil)
	switch t {
	case wire.TypeHeartbeat:
		body = wire.Heartbeat{WallMS: r.wall(), Token: w.rand.Uint64(), Echo: w.rand.Uint64() >> 20}.Append(nil)
	case wire.TypeData:
		c.sequence = r.sequence(c.sequence + 1)
		body = append(wire.AppendDataHead(nil, zone, c.sequence, r.wall()), nothing...)
	case wire.TypeAck:
		body = wire.AppendAck(nil, wire.Ack{Zone: zone, Sequence: r.sequence(0)})
	case wire.TypeKept:
		body = wire.AppendAck(nil, wire.Ack{Zone: zone, Sequence: r.sequence(0)})
	case wire.TypeAsk:
		body = wire.Ask{Number: w.rand.Uint64() % 9, Zone: zone, Key: []byte("login1")}.Append(nil)
	case wire.TypeAnswer:
		body = append(wire.AppendAnswerHead(nil, w.rand.Uint64()%9, zone), nothing...)
	case wire.TypeAwait:
		body = wire.Await{Kept: []uint64{zone}}.Append(nil)
	case wire.TypeTeachRequest:
		body = wire.TeachRequest{Zone: zone, Shards: wire.All, Merge: true, Both: w.rand.IntN(2) == 0}.Append(nil)
	case wire.TypeTeachBegin:
		body = (&wire.TeachBegin{Zone: zone, LostTo: r.sequence(c.sequence), Frontier: origins}).Append(nil)
	case wire.TypeTeach:
		body = wire.AppendTeachHead(nil, zone, uint8(w.rand.IntN(256)), w.rand.IntN(2) == 0)
	case wire.TypeDigests:
		body = wire.Digests{Zone: zone, Shards: &[256]uint64{w.rand.Uint64()}}.Append(nil)
	case wire.TypeSums:
		body = wire.AppendSums(nil, []wire.Sum{{Zone: zone, Sum: w.rand.Uint64()}})
	case wire.TypeDigestRequest:
		body = wire.DigestRequest{Zones: []uint64{zone, zone}}.Append(nil)
	case wire.TypeReport:
		body = wire.Report{Zone: zone, Records: w.rand.Uint64(), AheadMS: tenYearsMS}.Append(nil)
	case wire.TypeSketch:
		body = wire.Sketch{Zone: zone, Last: uint8(w.rand.IntN(256)), Cells: make([]byte, 64*20)}.Append(nil)
	case wire.TypeRepair:
		body = append(wire.AppendRepairHead(nil, zone), nothing...)
	case wire.TypeRepairEnd:
		body = wire.RepairEnd{Zone: zone, Last: 255, TooMany: w.rand.IntN(2) == 0, Sent: 1}.Append(nil)
	case wire.TypeWants, wire.TypeBury:
		body = wire.Wants{Zone: zone, Elements: elements}.Append(nil)
	case wire.TypeAgreed:
		body = wire.Agreed{Zone: zone, Left: w.rand.Uint64()}.Append(nil)
	case wire.TypeGoodbye:
		body = wire.Goodbye{Reason: wire.Reason(w.rand.IntN(8)), Text: "\nforged"}.Append(nil)
	default: // a block that claims 16 MiB, of a type that may be unknown
		t, body = t|0x80, []byte{0x80, 0x80, 0x80, 8, 0xfe, 1, 0}
	}
	w.did("rogue says %d to host%d", t, c.host.index)
	// an error ends the session, which collect notices
	c.session.Receive(wire.AppendFrame(nil, t, body, nil), c.host.now())
}

// collect reads what hosts send, and closes what they have ended.
func (r *rogue) collect() {
	for i := len(r.conns) - 1; i >= 0; i-- {
		c := r.conns[i]
		if !c.alive() {
			if c.closed {
				r.conns = append(r.conns[:i], r.conns[i+1:]...)
			}
			continue
		}
		r.listen(c.session.Outbox(nil, outboxBytes, c.host.now()))
		if c.session.Ended() != nil {
			r.close(i)
		}
	}
}

// listen remembers what a host says of itself.
func (r *rogue) listen(stream []byte) {
	d := wire.NewDecoder()
	d.Trust()
	d.Filled(copy(d.Space(len(stream)), stream))
	for range 2 {
		f, ok, err := d.Next()
		if err != nil || !ok {
			return // it continues in the middle of a frame
		}
		hello, err := wire.ParseHello(f.Body)
		if f.Type == wire.TypeReply {
			reply, parseErr := wire.ParseReply(f.Body)
			hello, err = reply.Hello, parseErr
		} else if f.Type != wire.TypeHello {
			continue
		}
		if err == nil {
			r.heard = append(r.heard, hello)
			r.heard = r.heard[max(len(r.heard)-20, 0):]
		}
	}
}

func (r *rogue) close(i int) {
	c := r.conns[i]
	if c.alive() {
		c.session.Lost(errCut, c.host.now())
	}
	r.conns = append(r.conns[:i], r.conns[i+1:]...)
}

// leave ends everything that it does.
func (r *rogue) leave() {
	r.listed = false
	for len(r.conns) > 0 {
		c := r.conns[0]
		if c.host.frozen {
			c.host.frozen = false
		}
		r.close(0)
	}
}

// mustBeKeptOut fails if the rogue has moved a host's time, or filled its memory.
func (s *swarm) mustBeKeptOut(h *Host) {
	const mostMS = 60_000 // how far one vote moves two hosts that do not reach each other
	if offset := h.clusterNow().WallMS - startWallMS - s.nowMS; offset < -mostMS || offset > mostMS {
		s.failf("cluster time of host %d is %d ms off, all hosts' clocks are right", h.index, offset)
	}
	const most = 2*rogueIDs + 2
	if peers := len(h.node.Status(h.now()).Peers); peers > len(s.Hosts)+most {
		s.failf("host %d remembers %d peers", h.index, peers)
	}
}

// subject is that of a host's certificate, "" if the cluster has none.
func (w *World) subject(address string) string {
	if !w.certified {
		return ""
	}
	return fmt.Sprintf("CN=%s", address)
}
