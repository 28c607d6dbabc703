package proxy

import "sync"

// pump is one direction of a UDP session. It has a goroutine only while there are datagrams to move, because thousands
// of sessions wait.
type pump struct {
	state pumpState
	move  func() // created once, so that starting allocates nothing
}

type pumpState uint8

const (
	resting pumpState = iota
	moving
	woken // while it moved: it checks once more before it rests
)

// pumps are the two of a session. Its lock is the innermost: it is held for a few instructions only.
type pumps struct {
	mu       sync.Mutex
	up, down pump
	stopped  bool
	settled  bool
}

// wake lets a pump move the waiting datagrams.
func (s *pumps) wake(p *pump) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopped:
	case p.state == resting:
		p.state = moving
		go p.move()
	default:
		p.state = woken
	}
}

// rest ends a pump's goroutine, unless there may be more to move.
func (s *pumps) rest(p *pump) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.state == woken && !s.stopped {
		p.state = moving
		return false
	}
	p.state = resting
	return true
}

// stop keeps the pumps from starting again.
func (s *pumps) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
}

// settle reports, once, that both pumps were stopped and rest.
func (s *pumps) settle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.stopped || s.settled || s.up.state != resting || s.down.state != resting {
		return false
	}
	s.settled = true
	return true
}
