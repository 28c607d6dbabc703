package stream

import (
	"iter"
	"maps"
	"sync/atomic"

	"starling/plan"
)

// StatusZone counts the sessions of the servers that share it. A reload carries it over.
type StatusZone struct {
	Processing atomic.Int64
	// Connections are all sessions, Discarded those that ended without a status.
	Connections, Discarded atomic.Uint64
	// Succeeded, Refused and Failed are sessions by their status: 2xx, 4xx, 5xx.
	Succeeded, Refused, Failed atomic.Uint64
	// Received and Sent are bytes from and to the clients.
	Received, Sent atomic.Uint64
}

// statusZones are those of one configuration by name.
type statusZones struct{ byName map[string]*StatusZone }

// StatusZones returns the status zones of a configuration by name, in no order.
func StatusZones(p *plan.Plan) iter.Seq2[string, *StatusZone] {
	zones := plan.Part[statusZones](p)
	return func(yield func(string, *StatusZone) bool) { maps.All(zones.byName)(yield) }
}

// zoneNamed finds a status zone of a plan or of the previous one, or makes it.
func zoneNamed(p *plan.Plan, name string) *StatusZone {
	zones := plan.Part[statusZones](p)
	z := zones.byName[name]
	if z == nil && p.Old != nil {
		z = plan.Part[statusZones](p.Old).byName[name]
	}
	if z == nil {
		z = new(StatusZone)
	}
	if zones.byName == nil {
		zones.byName = map[string]*StatusZone{}
	}
	zones.byName[name] = z
	return z
}

// enter counts a session in the zone of its server, instead of the previous one; either can be nil.
func (s *Session) enter(z *StatusZone) {
	if s.zone == z {
		return
	}
	if s.zone != nil {
		s.zone.Processing.Add(-1)
		s.zone.Connections.Add(^uint64(0))
	}
	if s.zone = z; z != nil {
		z.Processing.Add(1)
		z.Connections.Add(1)
	}
}

// leave counts the end of a session.
func (s *Session) leave() {
	z := s.zone
	if z == nil {
		return
	}
	z.Processing.Add(-1)
	z.Received.Add(uint64(s.BytesReceived()))
	z.Sent.Add(uint64(s.BytesSent()))
	switch {
	case s.passed || s.Status == 0:
		z.Discarded.Add(1)
	case s.Status < 300:
		z.Succeeded.Add(1)
	case s.Status < 500:
		z.Refused.Add(1)
	default:
		z.Failed.Add(1)
	}
}
