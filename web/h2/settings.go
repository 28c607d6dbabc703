package h2

import (
	"time"

	"starling/web/h1"
)

// Settings are the settings of a connection.
type Settings struct {
	// MaxStreams is how many requests can be in progress at once, including those that the client reset until their
	// handlers return.
	MaxStreams int
	// PrereadBytes is how much of a body a stream accepts before a handler reads it.
	PrereadBytes int
	// ReadBytes is the size of the memory that reads start with.
	ReadBytes int
	// Limits bounds heads, as in HTTP/1.1.
	Limits *h1.Limits

	HeaderTimeout time.Duration // for a started head, and for the first one
	IdleTimeout   time.Duration // without streams
	SendTimeout   time.Duration // for the client to accept what was written
}

// Handler handles the requests of a connection.
type Handler interface {
	// Serve serves one request in a goroutine of its own. The stream ends when it returns.
	Serve(s *Stream)
	// Last reports whether the n-th stream, which is about to start, must be the connection's last. Only the reader
	// calls it.
	Last(n int) bool
	// Idle reports that the connection has no stream any more, or has one again. It must not block.
	Idle(idle bool)
	// Linger is called after everything was sent; it closes the write side and reads what may still arrive. Then the
	// socket is closed.
	Linger()
	// Logf writes a line about the connection to the error log, at level info.
	Logf(format string, args ...any)
}

// Bounds of what a client can make a connection hold or do, besides http2_max_concurrent_streams and
// large_client_header_buffers.
const (
	// readWindowBytes is how far the client can run ahead of a handler that reads its body: 5 MB/s at a round trip of
	// 50 ms.
	readWindowBytes = 256 << 10
	// queuedBytes is how much output can wait before writers, and replies to PING and SETTINGS, wait for the client:
	// four TLS records.
	queuedBytes = 64 << 10
	// maxContinuations bounds the frames of one header block; real clients fill them.
	maxContinuations = 32
	// minRefusals is how many refused streams are tolerated at least, as in nginx.
	minRefusals = 100
	// floodSlackBytes is how many bytes of other frames can arrive beyond eight for each byte of a request (nginx).
	floodSlackBytes = 1 << 20
	// takenFrameBytes is the longest accepted frame. Only DATA can be long, and it is not read as a whole: windows
	// bound it. Smaller frames would suffice, but some clients (those of nginx's tests) send longer ones.
	takenFrameBytes = 1 << 20
	// rememberedStreams is the number of client-ended streams that a connection remembers, after which nothing may
	// follow.
	rememberedStreams = 32
	// maxSettingsBytes bounds one SETTINGS frame.
	maxSettingsBytes = defaultFrameBytes
)
