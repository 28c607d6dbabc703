package stream

import (
	"errors"
	"net"
	"sync"

	"starling/nginx/sockaddr"
	"starling/plan"
	"starling/side"
)

// maxPasses bounds how often one connection is passed on, as in nginx: more are a loop of servers that pass to each
// other.
const maxPasses = 10

// ErrNobodyListens means that the configuration does not listen on the address.
var ErrNobodyListens = errors.New("no listener on that address")

// handoff finds the server of an address of the configuration, in http and stream.
type handoff struct {
	find   func(sockaddr.Addr) side.ConnHandler
	mu     sync.Mutex
	passes map[net.Conn]int
}

// SetHandoff sets the function that finds the server of an address; find returns nil if there is none. The cycle sets
// it.
func SetHandoff(p *plan.Plan, find func(sockaddr.Addr) side.ConnHandler) {
	h := plan.Part[handoff](p)
	h.find, h.passes = find, map[net.Conn]int{}
}

// Pass passes the connection to the server that listens on an address, as if the client had connected there. The server
// of that address logs the session, this one does not. Only a connection of which nothing was read can be passed. It
// returns when the session is over.
func (s *Session) Pass(to sockaddr.Addr) error {
	h := plan.Part[handoff](s.Plan())
	if s.port.UDP {
		return errors.New("cannot pass udp connection")
	}
	if len(s.ahead) > 0 {
		return errors.New("cannot pass connection with preread data")
	}
	if h.find == nil {
		return ErrNobodyListens
	}
	conn, base := s.raw, s.raw
	if s.TLS != nil {
		conn = s.TLS
	}
	for {
		inner, ok := base.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		base = inner.NetConn()
	}
	h.mu.Lock()
	outermost := h.passes[base] == 0
	h.passes[base]++
	tooMany := h.passes[base] > maxPasses
	h.mu.Unlock()
	if outermost {
		defer func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			delete(h.passes, base)
		}()
	}
	if tooMany {
		return errors.New("stream pass cycle")
	}
	server := h.find(to)
	if server == nil {
		return ErrNobodyListens
	}
	s.passed = true
	server.ServeWithin(s.fence, conn)
	return nil
}
