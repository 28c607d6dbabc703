package h2client

import "time"

// Bounds of what a server can make a connection hold or do, besides PREFIX_buffer_size for a head.
const (
	// windowBytes is how far a server can run ahead of the client of a response: 10 MB/s at a round trip of 25 ms.
	windowBytes = 256 << 10
	// frameBytes is the longest frame that is accepted (the default of HTTP/2), and the longest that is sent.
	frameBytes = 16 << 10
	// maxContinuations bounds the frames of one header block. Servers fill them, so a few carry any head.
	maxContinuations = 128
	// maxInterim bounds the 1xx heads that wait for the request's goroutine.
	maxInterim = 64
	// maxAcks bounds the SETTINGS frames, and the PING frames, of one response (nginx). Each needs a reply.
	maxAcks = 1000
	// maxFields bounds the fields of one head; PREFIX_buffer_size bounds their bytes.
	maxFields = 1000
	// maxStreamID is the last stream of a connection: far below the end of the numbers, and more than any
	// keepalive_requests in use.
	maxStreamID = 1 << 30
	// replyTimeout is how long a server has to accept replies and window updates. It reads them all the time, unless it
	// has failed: they do not depend on any window.
	replyTimeout = 10 * time.Second
)
