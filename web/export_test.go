package web

// LooksAfter tells whether somebody looks whether the client of the site's only connection leaves.
func LooksAfter(s *Site) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		return c.presence.id != 0
	}
	return false
}
