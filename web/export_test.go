package web

import "os"

// SpooledBytes is what temporary files of request bodies have reserved.
func SpooledBytes(s *Site) int64 { return s.spool.bytes.Load() }

// OpenBodyFiles has temporary files opened by another function.
func OpenBodyFiles(s *Site, open func(name string, flag int, mode os.FileMode) (*os.File, error)) {
	s.spool.open = open
}

// LooksAfter tells whether somebody looks whether the client of the site's only connection leaves.
func LooksAfter(s *Site) bool {
	looks := false
	s.gate.Inside(func(c *Conn) { looks = c.presence.id != 0 })
	return looks
}
