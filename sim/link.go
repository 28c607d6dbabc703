package sim

import (
	"cmp"
	"errors"
	"fmt"

	"starling/cluster"
)

// link is one connection. End 0 dialled. Each end continues until it has read all that reaches it, so the two notice a
// cut at different times, and a host may have its next connection while the peer still reads from the previous one.
type link struct {
	world    *World
	from, to int
	ends     [2]*end
	// vainMS is when an answer to a client waited in vain for the acceptor, 0 if that has done something since.
	vainMS int64
	// spokeMS is when the dialer could last answer a question, vainAskMS when one to it was in vain and nothing was on
	// its way. blamedMS is when one may have been in vain, vainAsks how many since it was last timely for long, timely
	// how many answers in a row came in time since then, and excusedMS until when it need not be asked.
	spokeMS, vainAskMS, blamedMS, excusedMS int64
	vainAsks, timely                        int
	answered                                uint64 // the last question, by a liar
}

type end struct {
	host    *Host
	life    uint64 // of the host, as of the connection
	session *cluster.Session
	inbox   []piece
	queued  int  // bytes of inbox
	eof     bool // nothing will come after inbox
	closed  bool
	woken   bool
	keeps   bool  // the peer waits for the disk
	wakeMS  int64 // when acknowledgements are due; 0 not before the next Wake
}

// piece is bytes in flight.
type piece struct {
	dueMS int64
	bytes []byte
}

const (
	// windowBytes is how much may be in flight in one direction: a TCP window.
	windowBytes = 256 << 10
	// outboxBytes is how much carrier requests from a session at a time.
	outboxBytes = 64 << 10
)

var errCut = errors.New("connection reset by peer")

// dial connects two hosts; both must run or be frozen.
func (w *World) dial(from, to *Host) {
	l := &link{world: w, from: from.index, to: to.index}
	for i, h := range [2]*Host{from, to} {
		other := [2]*Host{to, from}[i]
		e := &end{host: h, life: h.life, woken: true}
		session, err := h.node.Connected(cluster.Connection{
			Outgoing: i == 0, Address: other.address(), Host: other.address(), Subject: w.subject(other.address()),
			Tag: e,
		}, h.now())
		if err != nil {
			return
		}
		e.session = session
		l.ends[i] = e
	}
	w.links = append(w.links, l)
	w.dials++
	w.dialled[[2]int{from.index, to.index}] = l
}

func (l *link) over() bool { return l.ends[0].closed && l.ends[1].closed }

// standing reports whether the dialer still has the connection.
func (l *link) standing() bool { return !l.ends[0].closed }

// undisturbed returns what has disturbed the cluster since the start of the story: a connection that is missing, was
// lost or was reopened, or a log line of the level error.
func (w *World) undisturbed() error {
	want, standing := len(w.Hosts)*(len(w.Hosts)-1), 0
	for _, l := range w.links {
		if !l.ends[0].closed && !l.ends[1].closed {
			standing++
		}
	}
	if standing != want || w.dials != want {
		return fmt.Errorf("of %d connections %d stand, after %d dials", want, standing, w.dials)
	}
	if w.problems > 0 {
		return fmt.Errorf("hosts logged %d errors", w.problems)
	}
	return nil
}

// cut loses a random part of the bytes in flight, in both directions.
func (l *link) cut() {
	for _, e := range l.ends {
		keep := 0
		if e.queued > 0 {
			keep = l.world.rand.IntN(e.queued)
		}
		for i := range e.inbox {
			p := &e.inbox[i]
			p.bytes = p.bytes[:min(len(p.bytes), keep)]
			keep -= len(p.bytes)
		}
		e.eof = true
	}
}

// move carries bytes for a millisecond.
func (l *link) move() {
	w := l.world
	for i, e := range l.ends {
		if e.closed || !e.alive() {
			continue
		}
		l.send(e, l.ends[1-i])
	}
	if w.blocked[pair(l.from, l.to)] {
		return
	}
	for i, e := range l.ends {
		if !e.closed && e.alive() {
			l.receive(e, l.ends[1-i])
		}
	}
}

// alive reports whether the host is still in the run that has the connection. A crashed host sends nothing; the peer
// gets a reset.
func (e *end) alive() bool {
	if e.host.down || e.host.life != e.life {
		e.closed = true
		return false
	}
	return e.host.runs()
}

func (l *link) send(e, other *end) {
	w := l.world
	if other.closed {
		e.eof = true
	}
	if !e.woken && (e.wakeMS == 0 || w.nowMS < e.wakeMS) {
		return
	}
	if other.queued < cmp.Or(w.options.WindowBytes, windowBytes) {
		e.woken, e.wakeMS = false, 0
		bytes := e.session.Outbox(nil, cmp.Or(w.options.OutboxBytes, outboxBytes), e.host.now())
		if w.asking.isLiar(e.host) {
			bytes = w.asking.liar.relay(l, e, bytes)
		}
		if len(bytes) > 0 {
			e.woken = true
		} else if delay := e.session.SendDelay(e.host.now()); delay >= 0 {
			e.wakeMS = w.nowMS + delay.Milliseconds()
		}
		if len(bytes) > 0 && !other.eof && !other.closed {
			due := w.nowMS + int64(w.rand.IntN(w.latencyMS+1))
			if n := len(other.inbox); n > 0 {
				due = max(due, other.inbox[n-1].dueMS)
			}
			other.inbox = append(other.inbox, piece{due, bytes})
			other.queued += len(bytes)
			w.moved += int64(len(bytes))
		}
	}
	if e.session.Ended() != nil {
		l.close(e, other, nil)
	}
}

// close closes one end; the other one still reads the bytes in flight.
func (l *link) close(e, other *end, err error) {
	e.closed, other.eof = true, true
	why := err
	if ending := e.session.Ended(); ending != nil {
		why = ending.Err
	}
	l.world.did("host%d's connection with host%d ends: %v", e.host.index, other.host.index, why)
	e.inbox = nil
	e.session.Lost(err, e.host.now())
}

func (l *link) receive(e, other *end) {
	w := l.world
	room := 1 << 30
	if limit, ok := w.slow[pair(l.from, l.to)]; ok {
		room = limit
	}
	for len(e.inbox) > 0 && e.inbox[0].dueMS <= w.nowMS && room > 0 {
		p := &e.inbox[0]
		n := min(len(p.bytes), room, 1+w.rand.IntN(8000))
		room -= n
		e.queued -= n
		err := e.session.Receive(p.bytes[:n], e.host.now())
		if e.keeps {
			e.keeps = false
			e.session.Keep()
		}
		if p.bytes = p.bytes[n:]; len(p.bytes) == 0 {
			e.inbox = e.inbox[1:]
		}
		if err != nil || e.session.Ended() != nil {
			e.woken = true
			if l.send(e, other); !e.closed { // its last words
				l.close(e, other, err)
			}
			return
		}
	}
	if e.eof && len(e.inbox) == 0 {
		l.close(e, other, errCut)
	}
}
