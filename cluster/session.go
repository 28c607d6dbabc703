package cluster

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"starling/cluster/wire"
	"starling/lib/clock"
)

// stage is how far a session has come.
type stage uint8

const (
	greeting    stage = iota // waiting for the hello or its reply
	waiting                  // a duplicate, waiting for the previous session to end
	established              // records flow
	over                     // ended; no stage follows
)

// Session is one connection to a peer. The dialer of a connection pushes, the acceptor acknowledges.
type Session struct {
	node   *Node
	serial uint64
	Connection
	identity identity
	table    *zoneTable // as of the start, for the hello
	decoder  *wire.Decoder

	lastReadMS    atomic.Int64 // monotonic
	peerID        atomic.Uint64
	stands, stood atomic.Bool
	// compareNow means that what this node holds must be described at once; digestsNow, by the digests of all shards,
	// because it is known to differ.
	compareNow, digestsNow atomic.Bool
	offers                 atomic.Pointer[offers]
	// asked counts the zone changes that this node announced to the dialer; answered those that the dialer followed.
	// answered <= asked.
	asked, answered atomic.Uint64

	// queueMu is a leaf: it may be taken with any other lock held.
	queueMu sync.Mutex
	control []byte // whole frames, sent before all others
	// controlMsgs is the number of frames in control.
	controlMsgs int64
	strict      []byte // whole frames of strict messages, sent after control
	ending      *Ending

	// mu guards the fields that follow. It is taken before Node.mu and progress.mu.
	mu      sync.Mutex
	stage   stage
	sentMS  int64 // monotonic, of the last heartbeat sent
	their   wire.Hello
	peer    *peer
	beatMS  int64 // between heartbeats
	counted bool  // a frame of the peer was counted, and the preamble with it
	token   uint64
	tokenMS int64
	push    pusher
	left    map[string]seen // how far the peer had come when the session was lost
	reached map[string]reach
	// sketching bounds the work of comparing.
	sketching sketching
	intake    intake
	steady    steady // of a peer that announced FeatureSteady
	wall      steady // the same of its wall clock: see sawWall
	// theirSetMS is the peer's pending clock step, which it does not follow.
	theirSetMS int64
	// restless is what the peer's last heartbeat said: it may lack deletions of others.
	restless bool
	view     viewing
	leaving  leaving

	// successor waits for this session's end; guarded by Node.mu.
	successor *Session
}

// Connection describes a connection to the core, as far as the driver knows it.
type Connection struct {
	// Outgoing means that this node dialled.
	Outgoing bool
	// Address is the name of the other side in the log, and for an outgoing connection the dialled address of the list.
	Address string
	// Host is the other side's address without the port, "" if that identifies nothing.
	Host string
	// Subject is the subject of the other side's certificate, if that was verified; else it is "".
	Subject string
	// Sibling means that the other side is another process of this node, over a connection that nobody else can make:
	// the ID that it tells is its own, and it belongs to no address.
	Sibling bool
	// StartedMonoMS is when the attempt to connect began; zone_sync_connect_timeout covers it and the hello. 0 is now.
	StartedMonoMS int64
	// Tag is the driver's own; the core returns it unchanged.
	Tag any
}

// Connected starts a session on a new connection. It fails if the node is stopping.
func (n *Node) Connected(about Connection, now clock.Reading) (*Session, error) {
	if about.StartedMonoMS == 0 {
		about.StartedMonoMS = now.MonoMS
	}
	s := &Session{node: n, Connection: about, decoder: wire.NewDecoder(), sentMS: now.MonoMS}
	s.identity = n.identify(&about)
	s.lastReadMS.Store(now.MonoMS)
	if about.Outgoing {
		s.control = append(s.control, wire.Preamble...) // before Tick can see the session
	}
	n.mu.Lock()
	if n.stopping {
		n.mu.Unlock()
		return nil, errors.New("zone_sync: node is shutting down")
	}
	s.table = n.table.Load() // here, so that Reload finds every session that still has the previous table
	s.offers.Store(&offers{list: s.table.list})
	n.serial++
	s.serial = n.serial
	n.sessions[s] = struct{}{}
	n.mu.Unlock()
	if about.Outgoing {
		hello := n.hello(s.table, now)
		s.send(wire.TypeHello, hello.Append(nil))
	}
	return s, nil
}

// bySerial is the order in which sessions began: operations on all of them use it, so that a simulated run can be
// repeated.
func bySerial(a, b *Session) int { return cmp.Compare(a.serial, b.serial) }

// hello is this node's description of itself.
func (n *Node) hello(table *zoneTable, now clock.Reading) wire.Hello {
	h := wire.Hello{
		MinVersion: wire.MinVersion, Version: wire.Version, Features: n.features,
		NodeID: uint64(n.id), Incarnation: n.incarnation, Cluster: *n.cluster.Load(),
		TimeoutMS: uint64(n.settings.Load().TimeoutMS), WallMS: uint64(max(n.clocks.local(now).WallMS, 0)),
	}
	h.Proof, h.Zones = n.proof, table.wire()
	return h
}

// PeerID is the id of the other node, 0 before its hello.
func (s *Session) PeerID() NodeID { return NodeID(s.peerID.Load()) }

// Established reports whether the hello is complete in both directions and the session counts.
func (s *Session) Established() bool { return s.stands.Load() }

// WasEstablished reports whether the session was ever established.
func (s *Session) WasEstablished() bool { return s.stood.Load() }

// name is the name of the other side in the log.
func (s *Session) name() string {
	if s.their.NodeID == 0 {
		return s.Address
	}
	return fmt.Sprintf("%s (node %s)", s.Address, NodeID(s.their.NodeID))
}

// Space returns room to read at least min bytes into; Filled takes them.
func (s *Session) Space(min int) []byte { return s.decoder.Space(min) }

// Missing is how many bytes must be read, at least, before Filled has a frame to handle.
func (s *Session) Missing() int { return s.decoder.Missing() }

// Filled takes n bytes that were read into the room from Space. An error ends the session: see Ended.
func (s *Session) Filled(n int, now clock.Reading) error {
	s.lastReadMS.Store(now.MonoMS)
	s.decoder.Filled(n)
	for {
		if e := s.Ended(); e != nil {
			return e.Err
		}
		frame, ok, err := s.decoder.Next()
		if err != nil {
			return s.fail(err)
		}
		if !ok {
			return nil
		}
		s.mu.Lock()
		err = s.handle(frame, now)
		s.countIn(frame)
		s.mu.Unlock()
		if err != nil {
			return s.fail(err)
		}
	}
}

// countIn counts a frame of a peer, not one of a stranger. Called with mu held.
func (s *Session) countIn(f wire.Frame) {
	if s.PeerID() == 0 {
		return
	}
	bytes := int64(f.WireBytes)
	if !s.counted {
		s.counted, bytes = true, bytes+int64(len(wire.Preamble))
	}
	s.node.traffic.msgsIn.Add(1)
	s.node.traffic.bytesIn.Add(bytes)
}

// Receive is Space and Filled for bytes that are elsewhere.
func (s *Session) Receive(data []byte, now clock.Reading) error {
	return s.Filled(copy(s.Space(len(data)), data), now)
}

// handle handles one frame. Called with mu held.
func (s *Session) handle(f wire.Frame, now clock.Reading) error {
	switch {
	case f.Type == wire.TypeGoodbye:
		return s.goodbye(f.Body)
	case s.stage == over:
		return nil
	case s.stage == greeting && s.Outgoing:
		return s.greetedBack(f, now)
	case s.stage == greeting:
		return s.greeted(f, now)
	case f.Type == wire.TypeHeartbeat:
		return s.heartbeat(f.Body, now)
	case s.stage == waiting:
		return s.handleWaiting(f, now)
	}
	var err error
	if s.Outgoing {
		err = s.handlePush(f, now)
	} else {
		err = s.handleIntake(f, now)
	}
	if errors.Is(err, errRetired) {
		return nil // it was in flight
	}
	return err
}

func (s *Session) heartbeat(body []byte, now clock.Reading) error {
	beat, err := wire.ParseHeartbeat(body)
	if err != nil {
		return err
	}
	first := s.token == 0
	s.token, s.tokenMS = beat.Token, now.MonoMS
	s.restless = beat.Restless
	s.their.WallMS, s.theirSetMS = beat.WallMS, min(max(beat.SetMS, -maxClockMS), maxClockMS)
	rtt := int64(unknownRTT)
	if beat.Echo != 0 {
		rtt = max(now.MonoMS-int64(min(beat.Echo, maxClockMS))-int64(min(beat.HeldMS, maxClockMS)), 0)
	} else if !s.Outgoing && s.intake.repliedMS != 0 {
		rtt = now.MonoMS - s.intake.repliedMS // the dialer's first one, which it sends when it has read the reply
	}
	if !s.Outgoing && s.their.Features&wire.FeatureSteady != 0 {
		if known := s.heardSteady(beat.Token, max(rtt, 0), now); first && !known && s.stage == established {
			s.leave(wire.ReasonReload, "handshake took too long to estimate the peer's clock; connecting again at once")
			return nil
		}
	}
	s.heardClock(beat.WallMS, rtt, now)
	if !s.Outgoing && s.stage == established && after(now, s.sentMS, s.beatMS/2) {
		s.beat(now) // an answer; a peer that sends many gets no more of them
	}
	return nil
}

// send queues a control frame and wakes the driver. It may be called with any lock held.
func (s *Session) send(t wire.Type, body []byte) {
	s.queueMu.Lock()
	if s.ending == nil {
		s.control = wire.AppendFrame(s.control, t, body, nil)
		s.controlMsgs++
	}
	s.queueMu.Unlock()
	s.node.driver.Wake(s)
}

// maxControlBytes bounds control frames for a peer that does not read. Time and the peer's own requests bound what is
// queued: heartbeats, readiness, requests.
const maxControlBytes = 4 << 20

// Outbox appends the bytes to send now to dst, about max bytes at most, and returns it. Nothing appended means nothing
// to send.
func (s *Session) Outbox(dst []byte, max int, now clock.Reading) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage == established && !s.Outgoing {
		s.appendAcks(now)
	}
	start := len(dst)
	s.queueMu.Lock()
	dst = append(dst, s.control...)
	s.control = s.control[:0]
	msgs := s.controlMsgs
	s.controlMsgs = 0
	if cap(s.control) > maxControlBytes/64 {
		s.control = nil
	}
	if s.stage == established {
		dst = append(dst, s.strict...)
		s.strict = s.strict[:0]
		if cap(s.strict) > maxControlBytes/64 {
			s.strict = nil
		}
	}
	ended := s.ending != nil
	s.queueMu.Unlock()
	if s.stage == established && s.Outgoing && !ended {
		dst = s.fill(dst, start+max, now)
	}
	if s.Outgoing || s.PeerID() != 0 { // messages to a stranger are not the cluster's traffic
		s.node.traffic.msgsOut.Add(msgs)
		s.node.traffic.bytesOut.Add(int64(len(dst) - start))
	}
	return dst
}

// SendDelay returns, after an Outbox that had nothing, when acknowledgements will be due; negative means not before the
// next Wake.
func (s *Session) SendDelay(now clock.Reading) time.Duration {
	s.queueMu.Lock()
	queued := len(s.control)+len(s.strict) > 0
	s.queueMu.Unlock()
	if queued {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stage != established || s.Outgoing {
		return -1
	}
	return s.ackDelay(now)
}

// tick sends heartbeats and ends sessions that are silent for too long.
func (s *Session) tick(now clock.Reading) {
	settings := s.node.settings.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queueMu.Lock()
	stuck := len(s.control) > maxControlBytes
	s.queueMu.Unlock()
	switch {
	case s.stage == over || s.Ended() != nil:
	case stuck:
		s.end(Ending{Reason: wire.ReasonError, Err: errors.New("peer stopped reading")})
	case s.stage == greeting && after(now, s.StartedMonoMS, settings.ConnectTimeoutMS):
		err := fmt.Errorf("no hello arrived within %v", ms(settings.ConnectTimeoutMS))
		s.end(Ending{Reason: wire.ReasonError, Silent: true, Err: err})
	case s.stage != greeting && after(now, s.lastReadMS.Load(), settings.TimeoutMS):
		err := fmt.Errorf("read timed out after %v", ms(settings.TimeoutMS))
		s.end(Ending{Reason: wire.ReasonError, Silent: true, Err: err})
	case s.stage != greeting && s.isBeatDue(now):
		s.beat(now)
	}
	if s.stage == established {
		s.tellLasting(now)
		s.node.watchCalm(s.lastReadMS.Load(), s.beatMS, now)
	}
	if s.stage == established && s.Outgoing && !s.push.digestsDue && s.digestsTurn(now) {
		s.push.digestsDue = true
		s.node.driver.Wake(s)
	}
}

// isBeatDue reports whether to send a heartbeat without having received one. A node's outgoing sessions beat together,
// and those of nodes whose clocks are equal in a few slots: waking a process costs more than a message. The acceptor
// answers the dialer's, and sends its own only if that is overdue. Called with mu held.
func (s *Session) isBeatDue(now clock.Reading) bool {
	if !s.Outgoing {
		return after(now, s.sentMS, s.beatMS+s.beatMS/overdueShare)
	}
	phase := int64(uint64(s.node.id)%beatSlots) * s.beatMS / beatSlots
	return (now.MonoMS+phase)/s.beatMS != (s.sentMS+phase)/s.beatMS
}

// beatSlots is over how many moments the heartbeats of a cluster are spread. A node is woken about as often between two
// heartbeats, and one of 64 nodes gets 16 at a time, which is less than a millisecond of work.
const beatSlots = 4

// overdueShare is the part of the time between two heartbeats by which one may be late before the other side sends its
// own: more than a Tick, less than calmSlackMS.
const overdueShare = 8

// beat sends a heartbeat. Called with mu held.
func (s *Session) beat(now clock.Reading) {
	s.sentMS = now.MonoMS
	told := s.node.clocks.local(now).WallMS
	beat := wire.Heartbeat{
		WallMS: uint64(max(told, 0)), Token: uint64(now.MonoMS), Echo: s.token, SetMS: now.WallMS - told,
	}
	s.node.mu.Lock()
	beat.Restless = !s.node.calm(now) || s.node.misses(now)
	s.node.mu.Unlock()
	if s.token != 0 {
		beat.HeldMS = uint64(now.MonoMS - s.tokenMS)
	}
	s.send(wire.TypeHeartbeat, beat.Append(nil))
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
