package cycle

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
)

// pulse has the state of the accept loops, for the watchdog.
type pulse struct {
	listeners atomic.Pointer[[]*listener] // those of the running configuration
	mu        sync.Mutex
	seen      map[*listener]uint64 // turns at the last check
}

// Stalled checks whether connections wait that are not accepted: it names a socket with connections in its queue whose
// accept loop has not moved since the previous call. Any goroutine can call it.
func (h *Host) Stalled() error {
	listeners := h.pulse.listeners.Load()
	if listeners == nil {
		return nil
	}
	h.pulse.mu.Lock()
	defer h.pulse.mu.Unlock()
	seen := make(map[*listener]uint64, len(*listeners))
	var stalled error
	for _, l := range *listeners {
		if l.paused.is() {
			continue // another process accepts them
		}
		turns := l.turns.Load()
		// Before its first turn, the loop waits on purpose: Hold, BeforeClients.
		if before, known := h.pulse.seen[l]; known && turns > 0 && before == turns && l.waiting() > 0 {
			stalled = fmt.Errorf("clients wait for %s, and none was accepted since the last check", l.key.addr)
		}
		seen[l] = turns
	}
	h.pulse.seen = seen
	return stalled
}

// waiting is the number of connections in the queue of a TCP socket; 0 if the system does not report it.
func (l *listener) waiting() (n int) {
	socket, ok := l.socket.(*net.TCPListener)
	if !ok {
		return 0
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0
	}
	if err := raw.Control(func(fd uintptr) { n = acceptQueue(int(fd)) }); err != nil {
		return 0 // closed meanwhile
	}
	return n
}
