package upstream

import (
	"time"

	"starling/lib/clock"
)

// StreamStatus is a server as in /stream/upstreams. Times are in milliseconds.
type StreamStatus struct {
	ID          int    `json:"id"`
	Server      string `json:"server"`
	Name        string `json:"name"`
	Backup      bool   `json:"backup"`
	Weight      int    `json:"weight"`
	State       string `json:"state"`
	Active      int    `json:"active"`
	MaxConns    int    `json:"max_conns,omitempty"`
	Connections uint64 `json:"connections"`
	ConnectTime int64  `json:"connect_time,omitempty"`
	FirstByte   int64  `json:"first_byte_time,omitempty"`
	Response    int64  `json:"response_time,omitempty"`
	Sent        uint64 `json:"sent"`
	Received    uint64 `json:"received"`
	Fails       uint64 `json:"fails"`
	Unavail     uint64 `json:"unavail"`
	Checks      Checks `json:"health_checks"`
	Downtime    int64  `json:"downtime"`
	DownStart   string `json:"downstart,omitempty"`
	Selected    string `json:"selected,omitempty"`
	Service     string `json:"service,omitempty"`
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
	times := g.connectTimes()
	for _, s := range full.Peers {
		r.Peers = append(
			r.Peers,
			StreamStatus{ID: s.ID, Server: s.Server, Name: s.Name, Backup: s.Backup, Weight: s.Weight, State: s.State,
				Active: s.Active, MaxConns: s.MaxConns, Connections: s.Requests, ConnectTime: times[s.ID],
				FirstByte: s.Header,
				Response:  s.Response, Sent: s.Sent, Received: s.Received, Fails: s.Fails, Unavail: s.Unavail,
				Checks:   s.Checks,
				Downtime: s.Downtime, DownStart: s.DownStart, Selected: s.Selected, Service: s.Service},
		)
	}
	return r
}

// connectTimes are the servers' by id.
func (g *Group) connectTimes() map[int]int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	times := map[int]int64{}
	g.each(func(s *Server) { times[s.ID] = s.Stats.connect.milliseconds() })
	return times
}

// Connected adds the time of connecting.
func (s *Stats) Connected(d time.Duration) { s.connect.add(d) }

// FirstByte adds the time from the start of a session to the server's first byte.
func (s *Stats) FirstByte(d time.Duration) { s.header.add(d) }

// Ended adds the time of a whole session.
func (s *Stats) Ended(d time.Duration) { s.response.add(d) }
