package web

import (
	"errors"
	"sync"
)

// maxHeldPartBytes is how much of a part's body is kept until it is its turn; then its maker waits.
const maxHeldPartBytes = 32 << 10

// errNoTurn ends a part whose parent has failed before its turn.
var errNoTurn = errors.New("the response of the parent has ended before its part")

// turn keeps the body of a part that is made in parallel to its parent out of the response until the parent has come
// there (Join). One goroutine at a time writes to the response: the parent before Join, then the part's, which the
// parent waits for.
type turn struct {
	root  *Request // the client's request
	outer *turn    // of the part that this one is in; nil in the page itself

	mu      sync.Mutex
	changed sync.Cond
	state   turnState
	held    []byte

	waits     chan struct{} // closed when the part first waits for something, or has ended
	waitsOnce sync.Once
}

type turnState int

const (
	turnAhead turnState = iota
	turnNow
	turnLost // the parent has failed
)

func newTurn(root *Request, outer *turn) *turn {
	t := &turn{root: root, outer: outer, waits: make(chan struct{})}
	t.changed.L = &t.mu
	return t
}

// write keeps a piece, or sends it if it is the part's turn.
func (t *turn) write(p []byte) error {
	t.mu.Lock()
	for t.state == turnAhead {
		if len(t.held)+len(p) <= maxHeldPartBytes {
			t.held = append(t.held, p...)
			t.mu.Unlock()
			return nil
		}
		t.nowWaits()
		t.changed.Wait()
	}
	lost := t.state == turnLost
	t.mu.Unlock()
	if lost {
		return errNoTurn
	}
	return t.send(p)
}

func (t *turn) send(p []byte) error {
	if t.outer != nil {
		return t.outer.write(p)
	}
	return Next{t.root, t.root.joint}.Write(p, false)
}

// flush sends what was written, if it is the part's turn.
func (t *turn) flush() error {
	t.mu.Lock()
	now := t.state == turnNow
	t.mu.Unlock()
	switch {
	case !now:
		return nil
	case t.outer != nil:
		return t.outer.flush()
	}
	return Next{t.root, t.root.joint}.Flush()
}

// begin is the part's turn: what was kept is sent.
func (t *turn) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.held) > 0 {
		t.send(t.held) // the part, or the rest of the page, meets the failure again
	}
	t.held, t.state = nil, turnNow
	t.changed.Broadcast()
}

// lose ends a part that never gets its turn.
func (t *turn) lose() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.state == turnAhead {
		t.held, t.state = nil, turnLost
		t.changed.Broadcast()
	}
}

func (t *turn) nowWaits() { t.waitsOnce.Do(func() { close(t.waits) }) }

// Waits says that the request is going to wait for something else: parts that need not do so are made one after the
// other, so that what one sets is there for the next, and only those that wait are made at once.
func (r *Request) Waits() {
	if t := r.sub.memory.turn; t != nil {
		t.nowWaits()
	}
}

// Join lets a part that was started into the response, behind all that its parent has written, and waits for its end.
func (s *Sub) Join() *Request {
	if s.memory.partOf != nil && s.done != nil {
		s.memory.turn.begin()
		s.request.parent.Waits() // at least it may
	}
	ended := s.Wait()
	if s.breaks {
		ended.parent.Break()
		ended.parent.breakParents()
	}
	return ended
}
