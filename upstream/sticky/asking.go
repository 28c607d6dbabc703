package sticky

import (
	"net/netip"
	"sync"
)

// Asking bounds how many requests of each client wait for the peers: those whose session this node does not know.
type Asking struct {
	mu     sync.Mutex
	counts map[netip.Addr]int // of clients whose sessions are asked for now
}

const (
	// MaxIDBytes is the longest id that is asked for: one of 4 KB is longer than the cookies of browsers.
	MaxIDBytes = 4096
	// MaxAsksPerClient is how many requests of one address wait for the peers at a time. Several users may share it.
	MaxAsksPerClient = 16
)

// Asks reports whether an id can be that of a session: printable ASCII without spaces, as cookies and URLs have it.
func Asks(id []byte) bool {
	if len(id) == 0 || len(id) > MaxIDBytes {
		return false
	}
	for _, b := range id {
		if b <= ' ' || b > '~' {
			return false
		}
	}
	return true
}

// Begin counts a request of a client that waits for the peers; false if too many do. Done ends it. Clients without an
// address (unix sockets) are on this machine.
func (a *Asking) Begin(client netip.Addr) bool {
	if !client.IsValid() {
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts[client] >= MaxAsksPerClient {
		return false
	}
	if a.counts == nil {
		a.counts = make(map[netip.Addr]int)
	}
	a.counts[client]++
	return true
}

// Done ends what Begin began.
func (a *Asking) Done(client netip.Addr) {
	if !client.IsValid() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.counts[client]--; a.counts[client] <= 0 {
		delete(a.counts, client)
	}
}
