package sticky

import (
	"crypto/md5"
	"errors"
	"fmt"
	"sync"
	"time"

	"starling/lib/clock"
	"starling/zone/kinds"
)

// DefaultTimeout is the default inactivity timeout of a learned session (timeout=).
const DefaultTimeout = 10 * time.Minute

// Learn is `sticky learn`: sessions are learned from values in responses (create) and found by values in requests
// (lookup).
type Learn struct {
	// Zone is the zone's name, for errors.
	Zone     string
	Sessions *kinds.Session // keys are 16 bytes

	keys sync.Pool // of *[md5.Size]byte: the zone can pass a key on, so it would be allocated for each response
}

// Key is the zone's key of a session id: its md5, as in nginx, so that long cookies cost no more than short ones.
func Key(id []byte) [md5.Size]byte { return md5.Sum(id) }

// AppendServer appends the id of the client's session's server; false if there is none. looked is the first non-empty
// lookup value.
func (l *Learn) AppendServer(dst, looked []byte, now clock.Reading) ([]byte, bool) {
	if len(looked) == 0 {
		return dst, false
	}
	key := Key(looked)
	return l.Sessions.AppendServer(dst, key[:], now)
}

// Answered binds the session to the server that responded: with `header` when the response header was accepted,
// otherwise when the attempt ended successfully. created and looked are the first non-empty values. A created id is
// learned; without one, a session named by the client is touched, but none is created. changed means that a session is
// new or moved. An error is a full zone, for the log.
func (l *Learn) Answered(created, looked, server []byte, now clock.Reading) (changed bool, err error) {
	id := FirstNonEmpty(created, looked)
	if len(id) == 0 {
		return false, nil
	}
	key, _ := l.keys.Get().(*[md5.Size]byte)
	if key == nil {
		key = new([md5.Size]byte)
	}
	defer l.keys.Put(key)
	*key = Key(id)
	changed, err = l.Sessions.Assign(key[:], server, len(created) > 0, now)
	if err == nil || len(created) == 0 && errors.Is(err, kinds.ErrNotFound) {
		return changed, nil
	}
	return false, fmt.Errorf("could not allocate node in sticky session zone %q: %w", l.Zone, err)
}
