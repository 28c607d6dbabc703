package cycle

import (
	"net"
	"sync"
	"time"

	"starling/logs"
)

// pause stops an accept loop without closing its socket: connections stay in the kernel's queue, where another process
// that has the socket too accepts them.
type pause struct {
	mu      sync.Mutex
	resumed chan struct{} // closed at the end; nil: it is not paused
}

// longAgo is a deadline that has passed: it interrupts an accept that waits.
var longAgo = time.Unix(1, 0)

func (p *pause) is() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.resumed != nil
}

// await waits for the end of a pause, or until the listener closes.
func (p *pause) await(closing <-chan struct{}) {
	p.mu.Lock()
	resumed := p.resumed
	p.mu.Unlock()
	if resumed == nil {
		return // it has ended
	}
	select {
	case <-resumed:
	case <-closing:
	}
}

// pausable is a listener of datagrams (*packets.Listener).
type pausable interface {
	Pause() error
	Resume() error
}

// pause stops accepting. It can be called again.
func (l *listener) pause() error {
	l.paused.mu.Lock()
	defer l.paused.mu.Unlock()
	if l.paused.resumed == nil {
		l.paused.resumed = make(chan struct{})
	}
	if datagrams, ok := l.socket.(pausable); ok {
		return datagrams.Pause()
	}
	return l.acceptUntil(longAgo)
}

// resume ends a pause.
func (l *listener) resume() error {
	l.paused.mu.Lock()
	defer l.paused.mu.Unlock()
	if l.paused.resumed == nil {
		return nil
	}
	var err error
	if datagrams, ok := l.socket.(pausable); ok {
		err = datagrams.Resume()
	} else {
		err = l.acceptUntil(time.Time{})
	}
	close(l.paused.resumed)
	l.paused.resumed = nil
	return err
}

func (l *listener) acceptUntil(deadline time.Time) error {
	if socket, ok := l.socket.(interface{ SetDeadline(time.Time) error }); ok {
		return socket.SetDeadline(deadline)
	}
	return nil
}

// own sets whether this process removes the path of a unix socket when it closes it.
func (l *listener) own(mine bool) {
	if socket, ok := l.socket.(*net.UnixListener); ok {
		socket.SetUnlinkOnClose(mine)
	}
}

// Pause stops accepting clients, and lets the requests and sessions of the running configuration end; the process and
// its sockets stay. With all, it also leaves the sockets alone that are kept until the last request has ended: another
// process accepts there.
func (h *Host) Pause(all bool) {
	for _, l := range h.listeners {
		if all || !l.last {
			h.alert(l, "pause", l.pause())
		}
	}
	h.Current().startDraining()
}

// Resume takes Pause back.
func (h *Host) Resume() {
	for _, s := range h.Current().sites {
		s.Resume()
	}
	for _, l := range h.listeners {
		h.alert(l, "resume", l.resume())
	}
}

func (h *Host) alert(l *listener, what string, err error) {
	if err != nil {
		h.Log().Logf(logs.Alert, "cannot %s accepting on %s: %v", what, l.key.addr, err)
	}
}
