package h2client

// update is what a server may send more: bytes of the connection's and of the stream's window.
type update struct {
	conn, stream int64
	id           uint32
}

// credit gives bytes of the windows back that were taken from the queue, once they are half a window. Must be called
// with the lock held.
func (w *Wire) credit(n int) (u update) {
	s := &w.stream
	w.taken += int64(n)
	s.taken += int64(n)
	if w.taken >= windowBytes/2 {
		u.conn, w.taken = w.taken, 0
	}
	if s.taken >= windowBytes/2 && !s.ended && s.failure == nil {
		u.stream, u.id = s.taken, s.id
		s.recvWindow += s.taken
		s.taken = 0
	}
	return u
}

// widen tells the server. A failure shows in the next read or write.
func (w *Wire) widen(u update) {
	if u.conn == 0 && u.stream == 0 {
		return
	}
	w.writing.Lock()
	defer w.writing.Unlock()
	w.out.Reset()
	w.writeUpdate(u)
	w.flush(true)
}

func (w *Wire) writeUpdate(u update) {
	if u.conn > 0 {
		w.framer.WriteWindowUpdate(0, uint32(u.conn))
	}
	if u.stream > 0 {
		w.framer.WriteWindowUpdate(u.id, uint32(u.stream))
	}
}
