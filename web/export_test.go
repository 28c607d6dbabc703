package web

// Parked tells whether somebody waits for the socket of a client whose request watches.
func Parked(s *Site) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if w := c.watcher; w != nil {
			w.mu.Lock()
			parked := w.parked
			w.mu.Unlock()
			return parked
		}
	}
	return false
}
