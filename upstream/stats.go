package upstream

import (
	"sync/atomic"
	"time"

	"starling/lib/histogram"
	"starling/lib/statuscount"
	"starling/lib/stripes"
	"starling/ssl"
)

// Stats are a server's counters, safe to use from any goroutine.
type Stats struct {
	// Requests are those sent to the server (connections, in stream).
	Requests  atomic.Uint64
	responses statuscount.Counter
	// Sent and Received are bytes to and from the server.
	Sent, Received atomic.Uint64
	// Fails are unsuccessful attempts, Unavail is how often those made the server unavailable.
	Fails, Unavail atomic.Uint64

	checks, failedChecks, unhealthy atomic.Uint64 // of health checks; unhealthy is how often the server became so
	lastPassed                      atomic.Bool   // if checks is not 0

	selectedMS atomic.Int64 // wall clock of the last selection, 0 is never
	downFromMS atomic.Int64 // wall clock since when it is unavailable, 0 if it is available
	downMS     atomic.Int64 // milliseconds unavailable, without the current period

	connect, header, response meter // connect is of stream only

	latency *histogram.Histogram // nil: not counted

	tls atomic.Pointer[ssl.Handshakes] // made at the first handshake: most servers use no TLS
}

// handshakes counts the server's TLS handshakes.
func (s *Stats) handshakes() *ssl.Handshakes {
	if h := s.tls.Load(); h != nil {
		return h
	}
	s.tls.CompareAndSwap(nil, ssl.NewHandshakes())
	return s.tls.Load()
}

// meter is a moving average of times, weighted like nginx's least_time: each new one counts a twentieth.
type meter struct{ microseconds atomic.Int64 }

const meterWindow = 20

func (m *meter) add(d time.Duration) {
	us := d.Microseconds()
	for {
		old := m.microseconds.Load()
		next := us
		if old >= 1000 { // as in nginx, which counts in milliseconds, less than one counts as none
			next = (old*(meterWindow-1) + us) / meterWindow
		}
		if m.microseconds.CompareAndSwap(old, max(next, 1)) {
			return
		}
	}
}

// CountResponse counts one response by its status.
func (s *Stats) CountResponse(status int) { s.responses.Count(status) }

// Timed adds the time to the first byte of the header and to the last byte of the response, from the connect on.
func (s *Stats) Timed(header, response time.Duration) {
	s.header.add(header)
	s.response.add(response)
}

// Took counts the time of a response, or of a session, in the histogram.
func (s *Stats) Took(by *stripes.Pick, response time.Duration) { s.latency.Count(by, response) }

// Code returns how many responses had a status.
func (s *Stats) Code(status int) uint64 { return s.responses.Code(status) }

// reset sets every counter to zero; current state (downtime, the last selection) stays.
func (s *Stats) reset() {
	s.Requests.Store(0)
	s.responses.Reset()
	for _, c := range []*atomic.Uint64{&s.Sent, &s.Received, &s.Fails, &s.Unavail,
		&s.checks, &s.failedChecks, &s.unhealthy} {
		c.Store(0)
	}
	s.downMS.Store(0)
	s.connect.microseconds.Store(0)
	s.header.microseconds.Store(0)
	s.response.microseconds.Store(0)
	if h := s.tls.Load(); h != nil {
		h.Reset()
	}
	if s.latency != nil {
		s.latency.Reset()
	}
}

// goneOut notes when a server became unavailable.
func (s *Stats) goneOut(wallMS int64) {
	s.Unavail.Add(1)
	s.downFromMS.CompareAndSwap(0, max(wallMS, 1))
}

// backIn notes when it became available again.
func (s *Stats) backIn(wallMS int64) {
	if from := s.downFromMS.Swap(0); from != 0 {
		s.downMS.Add(max(wallMS-from, 0))
	}
}
