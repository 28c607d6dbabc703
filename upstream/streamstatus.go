package upstream

import (
	"starling/lib/clock"
	"starling/lib/histogram"
)

// StreamStatus is a server as in /stream/upstreams. Times are in milliseconds.
type StreamStatus struct {
	identity
	Connections uint64 `json:"connections"`
	ConnectTime int64  `json:"connect_time,omitempty"`
	FirstByte   int64  `json:"first_byte_time,omitempty"`
	Response    int64  `json:"response_time,omitempty"`
	health
	Latency *histogram.Figures `json:"session_time_hist,omitempty"` // Starling's own
	Service string             `json:"service,omitempty"`
}

// StreamReport is a group as in /stream/upstreams.
type StreamReport struct {
	Peers   []StreamStatus `json:"peers"`
	Zombies int            `json:"zombies"`
	Zone    string         `json:"zone"`
}

// StreamReport returns the state of a group whose servers get connections rather than requests.
func (g *Group) StreamReport(now clock.Reading) StreamReport {
	full := g.Report(now)
	r := StreamReport{Peers: []StreamStatus{}, Zombies: full.Zombies, Zone: full.Zone}
	for _, s := range full.Peers {
		r.Peers = append(r.Peers, StreamStatus{
			identity: s.identity, Connections: s.Requests, ConnectTime: s.connectMS, FirstByte: s.Header,
			Response: s.Response, health: s.health, Latency: s.Latency, Service: s.Service,
		})
	}
	return r
}
