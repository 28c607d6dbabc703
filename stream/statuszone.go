package stream

import (
	"iter"
	"sync/atomic"
	"time"

	"starling/lib/histogram"
	"starling/lib/stripes"
	"starling/plan"
	"starling/side"
	"starling/ssl"
)

// StatusZone counts the sessions of the servers that share it. A reload carries it over. Sessions pick different copies
// of the counters, so that cores do not share cache lines; see stripes.
type StatusZone struct {
	counters   stripes.Stripes[zoneCounters]
	handshakes *ssl.Handshakes
	latency    atomic.Pointer[histogram.Histogram] // a reload can replace it
}

type zoneCounters struct {
	processing atomic.Int64
	// connections are all sessions, without those that left for another zone; discarded ended without a status.
	connections atomic.Int64
	discarded   atomic.Uint64
	// succeeded, refused and failed are sessions by their status: 2xx, 4xx, 5xx.
	succeeded, refused, failed atomic.Uint64
	// received and sent are bytes from and to the clients.
	received, sent atomic.Uint64
}

func newStatusZone(latency histogram.Bounds) *StatusZone {
	z := &StatusZone{counters: stripes.New[zoneCounters](), handshakes: ssl.NewHandshakes()}
	z.latency.Store(histogram.New(latency))
	return z
}

// ZoneFigures are the counts of a zone as the API shows them.
type ZoneFigures struct {
	Processing  int64          `json:"processing"`
	Connections int64          `json:"connections"`
	Sessions    SessionFigures `json:"sessions"`
	Discarded   uint64         `json:"discarded"`
	Received    uint64         `json:"received"`
	Sent        uint64         `json:"sent"`
}

// SessionFigures are sessions by class of their status.
type SessionFigures struct {
	Succeeded uint64 `json:"2xx"`
	Refused   uint64 `json:"4xx"`
	Failed    uint64 `json:"5xx"`
	Total     uint64 `json:"total"`
}

// Figures sums up the counters.
func (z *StatusZone) Figures() (f ZoneFigures) {
	s := &f.Sessions
	for c := range z.counters.All() {
		f.Processing += c.processing.Load()
		f.Connections += c.connections.Load()
		s.Succeeded += c.succeeded.Load()
		s.Refused += c.refused.Load()
		s.Failed += c.failed.Load()
		f.Discarded += c.discarded.Load()
		f.Received += c.received.Load()
		f.Sent += c.sent.Load()
	}
	s.Total = s.Succeeded + s.Refused + s.Failed
	// A session can leave for another zone after a reset, or between the reading of two copies.
	f.Processing, f.Connections = max(f.Processing, 0), max(f.Connections, 0)
	return f
}

// Handshakes returns the TLS handshakes.
func (z *StatusZone) Handshakes() ssl.HandshakeFigures { return z.handshakes.Figures().WithClients() }

// Latency returns how long the sessions that ended with a status took.
func (z *StatusZone) Latency() histogram.Figures { return z.latency.Load().Figures() }

// Reset sets all counts to zero, except that of the sessions in progress.
func (z *StatusZone) Reset() {
	for c := range z.counters.All() {
		c.connections.Store(0)
		for _, n := range []*atomic.Uint64{
			&c.discarded, &c.succeeded, &c.refused, &c.failed, &c.received, &c.sent,
		} {
			n.Store(0)
		}
	}
	z.handshakes.Reset()
	z.latency.Load().Reset()
}

// statusZones are those of one configuration.
type statusZones struct{ side.StatusZones[StatusZone] }

// StatusZones returns the status zones of a configuration by name, in no order.
func StatusZones(p *plan.Plan) iter.Seq2[string, *StatusZone] { return plan.Part[statusZones](p).All() }

// zoneNamed finds a status zone of a plan or of the previous one, or makes it.
func zoneNamed(p *plan.Plan, name string) *StatusZone {
	previous := &plan.Before[statusZones](p).StatusZones
	create := func() *StatusZone { return newStatusZone(p.Latency) }
	z := plan.Part[statusZones](p).Named(name, previous, create)
	p.OnSwitch(func() {
		if !z.latency.Load().Bounds().Equal(p.Latency) { // a reload has changed the buckets
			z.latency.Store(histogram.New(p.Latency))
		}
	})
	return z
}

// enter counts a session in the zone of its server, instead of the previous one; either can be nil.
func (s *Session) enter(z *StatusZone) {
	if s.zone == z {
		return
	}
	if s.zone != nil {
		c := s.zone.counters.At(&s.pick)
		c.processing.Add(-1)
		c.connections.Add(-1)
	}
	if s.zone = z; z != nil {
		c := z.counters.At(&s.pick)
		c.processing.Add(1)
		c.connections.Add(1)
	}
}

// leave counts the end of a session.
func (s *Session) leave() {
	if s.zone == nil {
		return
	}
	c := s.zone.counters.At(&s.pick)
	c.processing.Add(-1)
	c.received.Add(uint64(s.BytesReceived()))
	c.sent.Add(uint64(s.BytesSent()))
	if !s.passed && s.Status != 0 {
		s.zone.latency.Load().Count(&s.pick, time.Since(s.StartedAt))
	}
	switch {
	case s.passed || s.Status == 0:
		c.discarded.Add(1)
	case s.Status < 300:
		c.succeeded.Add(1)
	case s.Status < 500:
		c.refused.Add(1)
	default:
		c.failed.Add(1)
	}
}
