package cluster

import (
	"errors"

	"starling/cluster/strict"
	"starling/cluster/wire"
)

// Strict takes the messages of limits that are never exceeded (cluster/strict), which a driver runs. Its methods are
// called with locks held, as those of Driver. The address is that at which this node has dialled the peer: messages of
// peers that it has not reached yet are dropped, since nothing says which member sent them.
type Strict interface {
	// StrictMessage passes a message of one zone. Its From and To are set; the peer may forward it for another member.
	StrictMessage(address string, list, zone uint64, m strict.Message)
	// StrictLetter passes a message of the register. The letter is valid during the call only.
	StrictLetter(address string, m wire.Register)
}

// strictQueueMost bounds the strict messages that wait for a peer that reads slowly. What does not fit is dropped: the
// streams of pieces notice that, and a lease ends in time.
const strictQueueMost = 2 * wire.MaxStrictBytes

// strictFrame handles a frame of a dialer. Called with mu held.
func (s *Session) strictFrame(f wire.Frame) error {
	sink := s.node.strict
	if sink == nil || s.their.Features&wire.FeatureStrict == 0 {
		return nil
	}
	if f.Type == wire.TypeRegister {
		m, err := wire.ParseRegister(f.Body)
		if address := s.dialledAt(); err == nil && address != "" {
			sink.StrictLetter(address, m)
		}
		return err
	}
	m, err := wire.ParseStrict(f.Body)
	if err != nil {
		return err
	}
	whole := m.Part
	if len(s.intake.strictPart) > 0 || m.More {
		if len(s.intake.strictPart)+len(m.Part) > wire.MaxStrictBytes {
			return errors.New("strict message is longer than allowed")
		}
		s.intake.strictPart = append(s.intake.strictPart, m.Part...)
		if m.More {
			return nil
		}
		whole, s.intake.strictPart = s.intake.strictPart, nil
	}
	message, err := wire.ParseStrictMessage(whole)
	if err != nil {
		return err
	}
	message.From, message.To = strict.Seat(m.From), strict.Seat(m.To)
	if address := s.dialledAt(); address != "" {
		sink.StrictMessage(address, m.List, m.Zone, message)
	}
	return nil
}

// dialledAt is the address at which this node has reached the peer of a session, "" if it has not. Called with mu held.
func (s *Session) dialledAt() string {
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	if s.peer.out == nil {
		return ""
	}
	return s.peer.outAddress
}

// SendStrict sends frames of strict messages to the member at an address, and reports whether it is connected and takes
// them.
func (n *Node) SendStrict(address string, frames []byte) bool {
	s := n.dialled(address)
	if s == nil || s.their.Features&n.features&wire.FeatureStrict == 0 {
		return false
	}
	s.queueMu.Lock()
	fits := s.ending == nil && len(s.strict)+len(frames) <= strictQueueMost
	if fits {
		s.strict = append(s.strict, frames...)
	}
	s.queueMu.Unlock()
	n.driver.Wake(s)
	return fits
}

// KeepsStrict reports whether the member at an address is connected, and whether its release keeps strict limits.
func (n *Node) KeepsStrict(address string) (connected, keeps bool) {
	s := n.dialled(address)
	return s != nil, s != nil && s.their.Features&wire.FeatureStrict != 0
}

// dialled is the established session to the member at an address, nil without one. What its hello says does not change
// any more.
func (n *Node) dialled(address string) *Session {
	n.mu.Lock()
	defer n.mu.Unlock()
	if p := n.connectedAt(address); p != nil && p.out.Established() {
		return p.out
	}
	return nil
}
