package upstream

import (
	"sync/atomic"
	"time"

	"starling/lib/histogram"
	"starling/lib/statuscount"
	"starling/lib/stripes"
	"starling/ssl"
)

// Stats are a server's counters. Its methods are safe to use from any goroutine.
//
// A request counts without a lock of its own and without a cache line that other cores write to at the same time: what
// it knows when it picks or frees the server is counted under the group's lock, which it holds then anyway; the rest in
// one of several copies (lib/stripes).
type Stats struct {
	traffic stripes.Stripes[traffic]

	checks, failedChecks, unhealthy atomic.Uint64 // of health checks; unhealthy is how often the server became so
	last                            atomic.Int32  // the outcome of the last one
	takenVerdicts, contradicted     atomic.Uint64 // of other nodes
	isShared                        atomic.Bool   // the nodes take turns

	// Attempts write to them under the group's lock, so that cores do not meet there.
	connect, header, response meter // connect is of stream only

	latency *histogram.Histogram // nil: not counted

	tls atomic.Pointer[ssl.Handshakes] // made at the first handshake: most servers use no TLS

	// Guarded by the group's lock.
	requests   uint64 // sent to the server (connections, in stream)
	fails      uint64 // unsuccessful attempts
	unavail    uint64 // how often those made the server unavailable
	selectedMS int64  // wall clock of the last selection, 0 is never
	downFromMS int64  // wall clock since when it is unavailable, 0 if it is available
	downMS     int64  // milliseconds unavailable, without the current period
}

// traffic is one copy of the counters of responses and bytes.
type traffic struct {
	responses      statuscount.Counter
	sent, received atomic.Uint64 // bytes to and from the server
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

func (m *meter) milliseconds() int64 {
	us := m.microseconds.Load()
	if us == 0 {
		return 0
	}
	return max(us/1000, 1)
}

// Times are those of an attempt on a server; negative ones are unknown.
type Times struct {
	Connect  time.Duration // until the connection was established; of stream only
	Header   time.Duration // until the first byte of the response
	Response time.Duration // until the last byte
}

// NoTimes are all unknown.
var NoTimes = Times{-1, -1, -1}

// Measure adds times to the averages.
func (s *Stats) Measure(t Times) {
	if t.Connect >= 0 {
		s.connect.add(t.Connect)
	}
	if t.Header >= 0 {
		s.header.add(t.Header)
	}
	if t.Response >= 0 {
		s.response.add(t.Response)
	}
}

// Moved counts bytes to and from the server.
func (s *Stats) Moved(by *stripes.Pick, sent, received int64) {
	c := s.traffic.At(by)
	by.Add(&c.sent, uint64(sent))
	c.received.Add(uint64(received))
}

// CountResponse counts one response by its status.
func (s *Stats) CountResponse(by *stripes.Pick, status int) { s.traffic.At(by).responses.Count(status) }

// Took counts the time of a response, or of a session, in the histogram.
func (s *Stats) Took(by *stripes.Pick, response time.Duration) { s.latency.Count(by, response) }

// sums adds up the copies.
func (s *Stats) sums() (responses statuscount.Figures, sent, received uint64) {
	var counters []*statuscount.Counter
	for c := range s.traffic.All() {
		counters = append(counters, &c.responses)
		sent += c.sent.Load()
		received += c.received.Load()
	}
	return statuscount.Sum(counters...), sent, received
}

// reset sets every counter to zero; current state (downtime, the last selection) stays. Under the group's lock.
func (s *Stats) reset() {
	for c := range s.traffic.All() {
		c.responses.Reset()
		c.sent.Store(0)
		c.received.Store(0)
	}
	for _, c := range []*atomic.Uint64{&s.checks, &s.failedChecks, &s.unhealthy, &s.takenVerdicts, &s.contradicted} {
		c.Store(0)
	}
	s.last.Store(outcomeNone)
	s.requests, s.fails, s.unavail, s.downMS = 0, 0, 0, 0
	for _, m := range []*meter{&s.connect, &s.header, &s.response} {
		m.microseconds.Store(0)
	}
	if h := s.tls.Load(); h != nil {
		h.Reset()
	}
	if s.latency != nil {
		s.latency.Reset()
	}
}

// goneOut notes since when a server is out of service; under the group's lock.
func (s *Stats) goneOut(wallMS int64) {
	if s.downFromMS == 0 {
		s.downFromMS = max(wallMS, 1)
	}
}

// backIn notes when it is available again; under the group's lock.
func (s *Stats) backIn(wallMS int64) {
	if from := s.downFromMS; from != 0 {
		s.downFromMS = 0
		s.downMS += max(wallMS-from, 0)
	}
}
