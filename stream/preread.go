package stream

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"starling/logs"
)

// Preread is what the client has sent so far, for handlers of the phase Preread, which do not consume it. It is empty
// until a handler has requested more.
func (s *Session) Preread() []byte {
	if s.peek != nil {
		return s.peek
	}
	return s.ahead
}

// prereadMore waits for more bytes from the client. A status other than 0 ends the session, as in nginx: 200 if the
// client disconnected or was silent for too long.
func (s *Session) prereadMore() (status int) {
	core := s.Server.settings
	if s.deadline.IsZero() {
		s.deadline = time.Now().Add(core.PrereadTimeout)
		if err := s.raw.SetReadDeadline(s.deadline); err != nil {
			return StatusOK
		}
	}
	if len(s.Preread()) >= int(core.PrereadBytes) {
		s.Logf(logs.Error, "preread buffer full while prereading client data")
		return StatusBadRequest
	}
	err := s.fill(int(core.PrereadBytes))
	switch {
	case err == nil:
		return 0
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
		return StatusOK
	}
	s.Logf(logs.Info, "recv() failed (%v) while prereading client data", err)
	return StatusOK
}

// fill gets more bytes, without reading them if possible, so that the connection can still be passed to another server.
func (s *Session) fill(most int) error {
	if s.TLS == nil && len(s.ahead) == 0 {
		if s.peek == nil {
			s.peek = make([]byte, 0, most)
		}
		n, can, err := peek(s.raw, s.peek[:cap(s.peek)], len(s.peek))
		if can {
			s.peek = s.peek[:max(n, len(s.peek))]
			return err
		}
		s.peek = nil
	}
	buf := make([]byte, most)
	n := copy(buf, s.ahead)
	conn := net.Conn(s.raw)
	if s.TLS != nil {
		conn = s.TLS
	}
	read, err := conn.Read(buf[n:])
	s.counters.received.Add(int64(read))
	if s.ahead = buf[:n+read]; read > 0 {
		return nil
	}
	return err
}

// prereadEnds restores the connection for its next reader.
func (s *Session) prereadEnds() {
	if s.deadline.IsZero() {
		return
	}
	s.deadline, s.peek = time.Time{}, nil
	s.raw.SetReadDeadline(time.Time{}) // fails only on a closed connection, which the next read reports
}
