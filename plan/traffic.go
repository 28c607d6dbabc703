package plan

import "sync/atomic"

// Traffic counts requests and TLS handshakes of the http side for as long as the process runs.
type Traffic struct {
	Requests atomic.Uint64 // begun
	Current  atomic.Int64  // in progress
	Reading  atomic.Int64  // of those in progress: the ones with a partly received head

	Handshakes, HandshakesFailed, SessionReuses atomic.Uint64
}
