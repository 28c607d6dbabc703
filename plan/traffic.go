package plan

import (
	"sync/atomic"

	"starling/lib/stripes"
	"starling/ssl"
)

// Traffic counts requests of the http side and TLS handshakes of the process for as long as the process runs. A request
// writes to one of several copies of the counters, those that it has picked, so that cores do not share cache lines.
type Traffic struct {
	// Handshakes are those with clients and with servers, of both sides.
	Handshakes *ssl.Handshakes

	counters stripes.Stripes[trafficCounters]
}

type trafficCounters struct {
	requests atomic.Uint64 // begun
	current  atomic.Int64  // in progress; negative in one copy if requests end with another pick
	reading  atomic.Int64  // of those in progress: the ones with a partly received head
}

func newTraffic() *Traffic {
	return &Traffic{Handshakes: ssl.NewHandshakes(), counters: stripes.New[trafficCounters]()}
}

// Begin counts a request that has begun.
func (t *Traffic) Begin(by *stripes.Pick) {
	c := t.counters.At(by)
	c.current.Add(1)
	by.Increment(&c.requests)
}

// End counts the end of a request.
func (t *Traffic) End(by *stripes.Pick) { t.counters.At(by).current.Add(-1) }

// Reading moves a request to or from those with a partly received head: +1 or -1.
func (t *Traffic) Reading(by *stripes.Pick, change int64) { t.counters.At(by).reading.Add(change) }

// TrafficFigures are the counts of one moment.
type TrafficFigures struct {
	Requests         uint64
	Current, Reading int64
}

// Figures sums up the counters.
func (t *Traffic) Figures() (f TrafficFigures) {
	for c := range t.counters.All() {
		f.Requests += c.requests.Load()
		f.Current += c.current.Load()
		f.Reading += c.reading.Load()
	}
	f.Current, f.Reading = max(f.Current, 0), max(f.Reading, 0) // the copies are not read at the same moment
	return f
}

// ResetRequests sets the count of requests to zero.
func (t *Traffic) ResetRequests() {
	for c := range t.counters.All() {
		c.requests.Store(0)
	}
}
