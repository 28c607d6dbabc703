package h2client

import (
	"crypto/tls"
	"net"
	"time"
)

// socket is the connection as the kit sees it. Its deadlines are those of the request, not of the socket: the reader of
// the wire reads the socket all the time, and its replies have a time of their own.
type socket struct {
	net.Conn
	w *Wire
}

// NetConn is the socket under TLS, or the socket.
func (s *socket) NetConn() net.Conn { return s.w.raw }

func (s *socket) SetDeadline(t time.Time) error {
	s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

// SetReadDeadline limits the waits for the response.
func (s *socket) SetReadDeadline(t time.Time) error {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads.until = t
	w.reads.signal()
	return nil
}

// SetWriteDeadline limits the sending of the request, including the waits for the server's window.
func (s *socket) SetWriteDeadline(t time.Time) error {
	w := s.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writes.until = t
	w.writes.signal()
	if w.sending {
		return w.conn.SetWriteDeadline(t)
	}
	return nil
}

// rawOf is the socket under TLS, or the socket.
func rawOf(conn net.Conn) net.Conn {
	if sealed, ok := conn.(*tls.Conn); ok {
		return sealed.NetConn()
	}
	return conn
}
