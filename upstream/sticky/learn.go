package sticky

import (
	"crypto/md5"
	"time"

	"starling/lib/clock"
)

// DefaultTimeout is how long a learned session lives after its last use (timeout=).
const DefaultTimeout = 10 * time.Minute

// Sessions is the zone that learned sessions live in. Keys are 16 bytes.
type Sessions interface {
	// AppendServer appends the server id of a session to dst; false if there is none. It does not prolong the session.
	AppendServer(dst, key []byte, now clock.Reading) ([]byte, bool)
	// Learn creates the session or moves it to another server, and prolongs it.
	Learn(key, server []byte, now clock.Reading)
	// Update is Learn for a session that exists; it creates none.
	Update(key, server []byte, now clock.Reading)
}

// Learn is `sticky learn`: sessions are learned from what servers send (create) and found by what clients send (lookup).
type Learn struct{ Sessions Sessions }

// Key is the zone's key of a session id: its md5, as in nginx, so that long cookies cost no more than short ones.
func Key(id []byte) [md5.Size]byte { return md5.Sum(id) }

// AppendServer appends the id of the server that the client's session is bound to; false if there is none. looked is the
// first non-empty lookup value.
func (l *Learn) AppendServer(dst, looked []byte, now clock.Reading) ([]byte, bool) {
	if len(looked) == 0 {
		return dst, false
	}
	key := Key(looked)
	return l.Sessions.AppendServer(dst, key[:], now)
}

// Answered binds the session to the server that answered: with `header` when the response header was accepted, else when the
// attempt ended well. created and looked are the first non-empty values. A created id is learned; without one
// a session that the client named goes on, but none is made.
func (l *Learn) Answered(created, looked, server []byte, now clock.Reading) {
	switch {
	case len(created) > 0:
		key := Key(created)
		l.Sessions.Learn(key[:], server, now)
	case len(looked) > 0:
		key := Key(looked)
		l.Sessions.Update(key[:], server, now)
	}
}
