package upstream

import (
	"strconv"
	"time"

	"starling/lib/clock"
	"starling/lib/histogram"
	"starling/lib/statuscount"
	"starling/ssl"
)

// Config is a server as in /http/upstreams/NAME/servers/ID.
type Config struct {
	ID          int    `json:"id"`
	Server      string `json:"server"`
	Service     string `json:"service,omitempty"`
	Weight      int    `json:"weight"`
	MaxConns    int    `json:"max_conns"`
	MaxFails    int    `json:"max_fails"`
	FailTimeout string `json:"fail_timeout"`
	SlowStart   string `json:"slow_start"`
	Route       string `json:"route"`
	Backup      bool   `json:"backup"`
	Down        bool   `json:"down"`
	Drain       bool   `json:"drain,omitempty"`
	Parent      *int   `json:"parent,omitempty"` // of a resolved server: the id of the line it came from
	Host        string `json:"host,omitempty"`   // of a resolved server: the name it came from
	// Changed is the last change through the API, on any node, if the cluster shares the group.
	Changed *Changed `json:"changed,omitempty"`
}

// State of a server as the API names it.
const (
	StateUp        = "up"
	StateDown      = "down"
	StateUnavail   = "unavail"
	StateDraining  = "draining"
	StateChecking  = "checking"
	StateUnhealthy = "unhealthy"
)

// Status is a server as in /http/upstreams. Times are in milliseconds. It embeds what /stream/upstreams shows as well;
// the order of the fields is that of NGINX Plus.
type Status struct {
	identity
	Requests  uint64              `json:"requests"`
	Responses statuscount.Figures `json:"responses"`
	health
	Header   int64 `json:"header_time,omitempty"`
	Response int64 `json:"response_time,omitempty"`

	Latency *histogram.Figures `json:"response_time_hist,omitempty"`

	Service string `json:"service,omitempty"`

	connectMS int64 // for StreamStatus
}

// identity is the part of a server's status that says which server it is and whether it is in use.
type identity struct {
	ID     int    `json:"id"`
	Server string `json:"server"`
	Name   string `json:"name"`
	Backup bool   `json:"backup"`
	Weight int    `json:"weight"`
	State  string `json:"state"`
	Active int    `json:"active"`

	SSL ssl.HandshakeFigures `json:"ssl"`

	MaxConns int `json:"max_conns,omitempty"`
}

// health is the part with its traffic and failures.
type health struct {
	Sent      uint64 `json:"sent"`
	Received  uint64 `json:"received"`
	Fails     uint64 `json:"fails"`
	Unavail   uint64 `json:"unavail"`
	Checks    Checks `json:"health_checks"`
	Downtime  int64  `json:"downtime"`
	DownStart string `json:"downstart,omitempty"`
	Selected  string `json:"selected,omitempty"`
}

// Checks are the counters of active health checks.
type Checks struct {
	Checks    uint64 `json:"checks"`
	Fails     uint64 `json:"fails"`
	Unhealthy uint64 `json:"unhealthy"`
	// Taken are verdicts of other nodes that counted here, Contradicted those that this node doubted; nil unless the
	// nodes take turns.
	Taken        *uint64 `json:"taken,omitempty"`
	Contradicted *uint64 `json:"contradicted,omitempty"`
	// LastPassed is nil before the first check. Where the nodes take turns, it is that of any node.
	LastPassed *bool `json:"last_passed,omitempty"`
}

// Servers returns the configuration of every server, templates first, in a stable order.
func (g *Group) Servers() []Config {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := []Config{}
	g.each(func(s *Server) { out = append(out, s.config()) })
	return out
}

// SessionIDs returns the ids by which sessions name the servers, with the addresses of these.
func (g *Group) SessionIDs() map[string]string {
	g.mu.Lock()
	defer g.mu.Unlock()
	ids := map[string]string{}
	g.each(func(s *Server) {
		if s.sessionID != "" {
			ids[s.sessionID] = s.Addr.Text
		}
	})
	return ids
}

// Server returns the configuration of one server.
func (g *Group) Server(id int) (Config, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.find(id)
	if s == nil {
		return Config{}, false
	}
	return s.config(), true
}

func (s *Server) config() Config {
	set := s.settings
	c := Config{
		ID:          s.ID,
		Server:      s.Name,
		Service:     set.Service,
		Weight:      set.Weight,
		MaxConns:    set.MaxConns,
		MaxFails:    set.MaxFails,
		FailTimeout: FormatTime(set.FailTimeout),
		SlowStart:   FormatTime(set.SlowStart),
		Route:       set.Route,
		Backup:      set.Backup,
		Down:        set.Down,
		Drain:       set.Drain,
		Changed:     s.edit.changed(),
	}
	if s.parent != nil {
		c.Server, c.Parent, c.Host = s.Addr.Text, &s.parent.ID, s.parent.settings.Host
	}
	return c
}

// FormatTime formats a time like the API: "10s", or in ms if it is not whole.
func FormatTime(d time.Duration) string {
	if d%time.Second == 0 {
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strconv.FormatInt(d.Milliseconds(), 10) + "ms"
}

// Report is a group as in /http/upstreams.
type Report struct {
	Peers     []Status     `json:"peers"`
	Keepalive int          `json:"keepalive"`
	Zombies   int          `json:"zombies"`
	Zone      string       `json:"zone"`
	Queue     *QueueReport `json:"queue,omitempty"`
}

// Report returns the group's state.
func (g *Group) Report(now clock.Reading) Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := Report{Peers: []Status{}, Zombies: g.zombies, Zone: g.ZoneName, Queue: g.queue.report()}
	if g.pool != nil {
		r.Keepalive = g.pool.Idle()
	}
	for _, set := range []*Set{&g.primary, &g.backup} {
		for _, s := range set.servers {
			r.Peers = append(r.Peers, s.status(now))
		}
	}
	return r
}

// ResetStats sets the counters of all servers to zero.
func (g *Group) ResetStats() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.each(func(s *Server) { s.Stats.reset() })
	if g.queue != nil {
		g.queue.overflows = 0
	}
}

func (s *Server) state(nowMS int64) string {
	switch {
	case s.settings.Down && !s.settings.Drain:
		return StateDown
	case s.health == Unhealthy: // before draining: it does not even get the requests of its sessions
		return StateUnhealthy
	case s.health == Checking:
		return StateChecking
	case s.settings.Drain:
		return StateDraining
	case s.disabled(nowMS) && !s.group.primary.single:
		return StateUnavail
	}
	return StateUp
}

func (s *Server) status(now clock.Reading) Status {
	st := &s.Stats
	out := Status{
		identity: identity{
			ID: s.ID, Server: s.Addr.Text, Name: s.Name, Backup: s.settings.Backup, Weight: s.settings.Weight,
			State: s.state(now.MonoMS), Active: s.active, MaxConns: s.settings.MaxConns,
			SSL: st.tls.Load().Figures().WithServers(),
		},
		Requests: st.requests,
		health: health{
			Fails: st.fails, Unavail: st.unavail, Checks: st.healthChecks(), Downtime: st.downMS,
		},
		Header:    st.header.milliseconds(),
		Response:  st.response.milliseconds(),
		Service:   s.settings.Service,
		connectMS: st.connect.milliseconds(),
	}
	out.Responses, out.Sent, out.Received = st.sums()
	if st.latency != nil {
		latency := st.latency.Figures()
		out.Latency = &latency
	}
	if from := st.downFromMS; from != 0 {
		out.DownStart = timestamp(from)
		out.Downtime += max(now.WallMS-from, 0)
	}
	if at := st.selectedMS; at != 0 {
		out.Selected = timestamp(at)
	}
	return out
}

// timestamp formats a wall clock in ISO 8601 with milliseconds, like the API.
func timestamp(wallMS int64) string {
	return time.UnixMilli(wallMS).UTC().Format("2006-01-02T15:04:05.000Z")
}
