package cluster

import (
	"errors"
	"strings"
	"unicode"

	"starling/cluster/wire"
	"starling/lib/clock"
)

// This file is the end of a session: by an error, by either side's goodbye, or with its connection.

// Ending is why a session ended.
type Ending struct {
	Reason wire.Reason
	Err    error
	// Theirs means that the other side ended it.
	Theirs bool
	// Silent means that the other side sent nothing for too long.
	Silent bool
	// Broken means that the other side broke the protocol.
	Broken bool
	// Quiet means that nothing is wrong: the operator need not read of it.
	Quiet bool
}

func (s *Session) goodbye(body []byte) error {
	g, err := wire.ParseGoodbye(body)
	if err != nil {
		return err
	}
	quiet := g.Reason == wire.ReasonReload || g.Reason == wire.ReasonAlias || g.Reason == wire.ReasonSelf
	err = errors.New("peer said goodbye: " + printable(g.Text))
	s.end(Ending{Reason: g.Reason, Err: err, Theirs: true, Quiet: quiet})
	return nil
}

// printable prevents a peer's text from forging log lines.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// end marks the session as over: queued frames are still sent, then the driver closes it.
func (s *Session) end(e Ending) {
	s.queueMu.Lock()
	first := s.ending == nil
	if first {
		s.ending = &e
	}
	s.queueMu.Unlock()
	if first {
		s.node.driver.End(s)
	}
}

// fail ends the session for an error and tells the other side, unless that does not speak the protocol.
func (s *Session) fail(err error) error {
	if _, foreign := errors.AsType[*wire.ForeignError](err); !foreign {
		s.sayGoodbye(wire.ReasonError, err.Error())
	}
	s.end(Ending{Reason: wire.ReasonError, Err: err, Broken: true})
	return err
}

// leave ends the session for a reason of this node's own.
func (s *Session) leave(reason wire.Reason, text string) {
	s.sayGoodbye(reason, text)
	quiet := reason == wire.ReasonReload || reason == wire.ReasonAlias || reason == wire.ReasonSelf
	s.end(Ending{Reason: reason, Err: errors.New(text), Quiet: quiet})
}

// Leave ends a session with a node that is no longer a member.
func (s *Session) Leave() { s.leave(wire.ReasonLeft, "peer was removed from the membership") }

// Redirect ends a session whose peer is to dial again at once: another process answers at this node's address now.
func (s *Session) Redirect() { s.leave(wire.ReasonReload, "another process takes over") }

func (s *Session) sayGoodbye(reason wire.Reason, text string) {
	s.queueMu.Lock()
	opened := s.Outgoing || len(s.control) > 0 || s.replied()
	s.queueMu.Unlock()
	if opened {
		s.send(wire.TypeGoodbye, wire.Goodbye{Reason: reason, Text: text}.Append(nil))
	}
}

// Ended returns why the session ended, nil while it has not.
func (s *Session) Ended() *Ending {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	return s.ending
}

// Lost reports a lost connection, with the reason if the driver knows it. The session's reader must have ended: frames
// of another connection of the same peer are applied from here on.
func (s *Session) Lost(err error, now clock.Reading) {
	if err == nil {
		err = errors.New("connection closed")
	}
	s.queueMu.Lock()
	if s.ending == nil {
		s.ending = &Ending{Reason: wire.ReasonError, Err: err}
	}
	ending := *s.ending
	s.queueMu.Unlock()

	s.mu.Lock()
	before := s.stage
	s.stage = over
	s.stands.Store(false)
	s.left, s.reached = s.seenByPeer(), s.reachedBy(now)
	p := s.peer
	if before == established && s.Outgoing && s.answersAwait() {
		s.node.delivered.able.Add(-1)
	}
	s.mu.Unlock()
	s.node.deliverWithout(s)
	s.forgetQuestions(now)

	next := s.node.remove(s, p, &ending, before == established, now)
	if !s.Outgoing {
		for _, z := range s.intake.list() {
			if z != nil {
				z.state.dropSource(s, now)
			}
		}
	}
	if next != nil {
		next.takeOver(now)
	}
}

// remove removes a session from the node's tables and returns the session that waited for its end.
func (n *Node) remove(s *Session, p *peer, ending *Ending, was bool, now clock.Reading) (next *Session) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.sessions, s)
	if p == nil {
		return nil
	}
	if p.out == s {
		p.out, p.seen, p.leaving = nil, s.left, s.leaving
	}
	if standing := p.in[s.their.Incarnation]; standing != nil && standing.successor == s {
		standing.successor = nil
	}
	if p.waiting[s.their.Incarnation] == s {
		delete(p.waiting, s.their.Incarnation)
	}
	if p.in[s.their.Incarnation] == s {
		delete(p.in, s.their.Incarnation)
		if next = s.successor; next != nil {
			p.in[s.their.Incarnation] = next
		}
	}
	n.changed(now)
	n.lostMS = n.clocks.clusterTime(now).WallMS
	n.heardMS = max(n.heardMS, n.lostMS-(now.MonoMS-s.lastReadMS.Load()))
	for _, c := range p.compared {
		c.sinceMS = 0
	}
	if was {
		n.leftBehind(s, p, now)
	}
	if was && !ending.Quiet {
		p.lastError = ending.Err.Error()
		p.losses++
	}
	if s.Outgoing {
		n.clocks.left(s, now)
	}
	return next
}
