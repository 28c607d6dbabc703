package h2

import (
	"time"

	"starling/web/h1"
)

// Settings are what a connection is told.
type Settings struct {
	// MaxStreams is how many requests may be in progress at once, those that the client gave up included until their
	// handlers return.
	MaxStreams int
	// PrereadBytes is what a stream takes of a body before anybody reads it.
	PrereadBytes int
	// ReadBytes is the size of the memory that reads start with.
	ReadBytes int
	// Limits bounds heads, as in HTTP/1.1.
	Limits *h1.Limits

	HeaderTimeout time.Duration // for a head that was begun, and for the first one
	IdleTimeout   time.Duration // without streams
	SendTimeout   time.Duration // for what was written to be taken
}

// Handler handles the requests of a connection.
type Handler interface {
	// Serve answers one request, in a goroutine of its own. The stream is over when it returns.
	Serve(s *Stream)
	// Last tells whether the stream that is about to begin, the n-th, is to be the connection's last. Only the reader
	// asks.
	Last(n int) bool
	// Idle tells that the connection has no stream any more, or has one again. It must not block.
	Idle(idle bool)
	// Linger is called when all was sent; it shows the client the end and reads what may still come. Then the socket is
	// closed.
	Linger()
	// Logf writes a line about the connection to the error log, at level info.
	Logf(format string, args ...any)
}

// Bounds of what a client can make a connection hold or do, beside http2_max_concurrent_streams and
// large_client_header_buffers.
const (
	// readWindowBytes is how far the client may run ahead of a handler that reads its body: 5 MB/s at a round trip of
	// 50 ms.
	readWindowBytes = 256 << 10
	// queuedBytes is how much output waits before writers, and the answering of PING and SETTINGS, wait for the client:
	// four TLS records.
	queuedBytes = 64 << 10
	// maxContinuations bounds the frames of one header block; real clients fill them.
	maxContinuations = 32
	// minRefusals is how many refused streams are tolerated at least, as in nginx.
	minRefusals = 100
	// floodSlackBytes is how many bytes may come that are no requests, beyond eight for each that is (nginx).
	floodSlackBytes = 1 << 20
	// takenFrameBytes is the longest frame that is taken: no longer than the window of a stream is at first, by
	// default.
	takenFrameBytes = 64 << 10
	// rememberedStreams is of how many streams that the client has ended a connection knows that nothing may follow.
	rememberedStreams = 32
	// maxSettingsBytes bounds one SETTINGS frame.
	maxSettingsBytes = defaultFrameBytes
)
