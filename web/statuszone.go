package web

import (
	"iter"
	"sync/atomic"
	"time"

	"starling/lib/histogram"
	"starling/lib/statuscount"
	"starling/lib/stripes"
	"starling/plan"
	"starling/side"
	"starling/ssl"
	"starling/vars"
)

// StatusZone counts the requests of the servers, or of the locations, that share it. A reload carries it over.
//
// A request writes to one of several copies of the counters, those that its Request has picked. Requests are pooled per
// core, so a core mostly writes to cache lines of its own; see stripes.
type StatusZone struct {
	counters   stripes.Stripes[zoneCounters]
	handshakes *ssl.Handshakes // of servers only; nil for locations
	// latency is of servers only. A reload can replace it.
	latency atomic.Pointer[histogram.Histogram]
}

type zoneCounters struct {
	requests   atomic.Uint64
	processing atomic.Int64 // of servers only; negative in one copy if requests end with another pick
	responses  statuscount.Counter
	discarded  atomic.Uint64 // ended without a response
	received   atomic.Uint64
	sent       atomic.Uint64
}

func newLocationZone() *StatusZone { return &StatusZone{counters: stripes.New[zoneCounters]()} }

func newServerZone(latency histogram.Bounds) *StatusZone {
	z := newLocationZone()
	z.handshakes = ssl.NewHandshakes()
	z.latency.Store(histogram.New(latency))
	return z
}

// ZoneFigures are the counts of a zone as the API shows them.
type ZoneFigures struct {
	Requests  uint64              `json:"requests"`
	Responses statuscount.Figures `json:"responses"`
	Discarded uint64              `json:"discarded"`
	Received  uint64              `json:"received"`
	Sent      uint64              `json:"sent"`
}

// Figures sums up the counters.
func (z *StatusZone) Figures() (f ZoneFigures) {
	var responses []*statuscount.Counter
	for c := range z.counters.All() {
		f.Requests += c.requests.Load()
		f.Discarded += c.discarded.Load()
		f.Received += c.received.Load()
		f.Sent += c.sent.Load()
		responses = append(responses, &c.responses)
	}
	f.Responses = statuscount.Sum(responses...)
	return f
}

// Processing returns the number of requests in progress. It is 0 for zones of locations, and for those that variables
// name: they are known at the end of a request only.
func (z *StatusZone) Processing() (n int64) {
	for c := range z.counters.All() {
		n += c.processing.Load()
	}
	return max(n, 0) // the copies are not read at the same moment
}

// Handshakes returns the TLS handshakes of servers.
func (z *StatusZone) Handshakes() ssl.HandshakeFigures { return z.handshakes.Figures().WithClients() }

// Latency returns how long the requests of servers took, from the first byte of the head to the last of the response.
func (z *StatusZone) Latency() histogram.Figures { return z.latency.Load().Figures() }

// Reset sets all counts to zero, except that of the requests in progress.
func (z *StatusZone) Reset() {
	for c := range z.counters.All() {
		for _, n := range []*atomic.Uint64{&c.requests, &c.discarded, &c.received, &c.sent} {
			n.Store(0)
		}
		c.responses.Reset()
	}
	if z.handshakes != nil {
		z.handshakes.Reset()
		z.latency.Load().Reset()
	}
}

// statusZones are those of one configuration. A server and a location can have zones of the same name.
type statusZones struct {
	servers, locations side.StatusZones[StatusZone]
}

// ServerZones returns the status zones of servers by name, in no order.
func ServerZones(p *plan.Plan) iter.Seq2[string, *StatusZone] {
	return plan.Part[statusZones](p).servers.All()
}

// LocationZones returns the status zones of locations by name, in no order.
func LocationZones(p *plan.Plan) iter.Seq2[string, *StatusZone] {
	return plan.Part[statusZones](p).locations.All()
}

// zoneOf is the status zone of a server or of a location; the zero value is none.
type zoneOf struct {
	fixed *StatusZone
	// name is nil unless it has variables; zones are those that it can name.
	name  *vars.Template[*Request]
	zones *side.StatusZones[StatusZone]
}

// atEnd is the zone of a request whose response is known.
func (z *zoneOf) atEnd(r *Request) *StatusZone {
	if z.name == nil {
		return z.fixed
	}
	return z.zones.OfValue(r.Expand(z.name))
}

// serverZone finds or makes the zone of a server.
func serverZone(p *plan.Plan, name *vars.Template[*Request]) zoneOf {
	of := func(z *statusZones) *side.StatusZones[StatusZone] { return &z.servers }
	z := statusZone(p, name, func() *StatusZone { return newServerZone(p.Latency) }, of)
	switch {
	case z.fixed != nil:
		p.OnSwitch(func() { z.fixed.measure(p.Latency) })
	case z.name != nil:
		p.OnSwitch(func() {
			for _, one := range z.zones.All() {
				one.measure(p.Latency)
			}
		})
	}
	return z
}

// measure replaces the histogram if a reload has changed the buckets.
func (z *StatusZone) measure(latency histogram.Bounds) {
	if !z.latency.Load().Bounds().Equal(latency) {
		z.latency.Store(histogram.New(latency))
	}
}

// locationZone is serverZone for a location.
func locationZone(p *plan.Plan, name *vars.Template[*Request]) zoneOf {
	of := func(z *statusZones) *side.StatusZones[StatusZone] { return &z.locations }
	return statusZone(p, name, newLocationZone, of)
}

func statusZone(
	p *plan.Plan,
	name *vars.Template[*Request],
	create func() *StatusZone,
	kind func(*statusZones) *side.StatusZones[StatusZone],
) zoneOf {
	zones, before := kind(plan.Part[statusZones](p)), kind(plan.Before[statusZones](p))
	switch text, literal := name.Literal(); {
	case !literal:
		zones.AllowValues(before)
		p.OnSwitch(func() { zones.Start(p.Log, create) })
		return zoneOf{name: name, zones: zones}
	case text == "":
		return zoneOf{}
	default:
		return zoneOf{fixed: zones.Named(text, before, create)}
	}
}

// enterZone counts the start of a client's request once its server is known. A head that cannot be read belongs to the
// default server, which responds to it. A name with variables is evaluated at the end only: most are not known now.
func (r *Request) enterZone() {
	r.entered = r.Server
	z := r.Server.zone.fixed
	if z == nil {
		return
	}
	c := z.counters.At(&r.pick)
	c.processing.Add(1)
	r.pick.Increment(&c.requests)
}

// leaveZones counts the end of a client's request. Its server is the one that counted its start, even if another one
// responded (see refusal). Its location is the one that it ends in: that of an error page or an internal redirect, not
// the one where it started. A request that a panic ended (orderly is false) evaluates no variables.
func (r *Request) leaveZones(orderly bool) {
	s := r.entered
	if s == nil {
		return // a subrequest, or counted already
	}
	r.entered = nil
	of := func(z *zoneOf) *StatusZone {
		if orderly {
			return z.atEnd(r)
		}
		return z.fixed
	}
	if z := of(&s.zone); z != nil {
		c := z.counters.At(&r.pick)
		if s.zone.name == nil {
			c.processing.Add(-1)
		} else {
			r.pick.Increment(&c.requests)
		}
		c.end(r)
		if r.headWritten {
			took := time.Duration(r.Now().MonoMS-r.StartedAt.MonoMS) * time.Millisecond
			z.latency.Load().Count(&r.pick, took)
		}
	}
	if z := of(&r.Location.zone); z != nil {
		c := z.counters.At(&r.pick)
		r.pick.Increment(&c.requests)
		c.end(r)
	}
}

// end counts what became of a request.
func (c *zoneCounters) end(r *Request) {
	received, sent := r.wire.Received(r), r.wire.Sent(r)
	c.received.Add(uint64(received))
	c.sent.Add(uint64(sent))
	if r.headWritten {
		c.responses.Count(r.Out.Status)
	} else {
		c.discarded.Add(1)
	}
}
