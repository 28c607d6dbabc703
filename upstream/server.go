package upstream

import (
	"crypto/md5"
	"encoding/hex"
	"slices"
	"time"
)

// Defaults of the server parameters, as nginx documents them.
const (
	DefaultWeight      = 1
	DefaultMaxFails    = 1
	DefaultFailTimeout = 10 * time.Second
)

// Settings are the parameters of one server as configured or set by the API.
type Settings struct {
	// Name is the server as written ("10.0.0.1:80", "backend.example.com:8080"). A name can have several addresses.
	Name string
	// Addr is its address; empty for a template whose name is resolved at run time.
	Addr Address
	// Host and Port are set for a template (resolve): the name to resolve and the port to use.
	Host string
	Port uint16
	// Service resolves SRV records of this service instead (service=).
	Service string

	Weight      int
	MaxConns    int // 0 is no limit
	MaxFails    int // 0 disables the accounting of failures
	FailTimeout time.Duration
	SlowStart   time.Duration // 0 is none
	Route       string        // the server's id for sticky sessions; empty: the md5 of its address
	Backup      bool
	Down        bool
	Drain       bool
}

// NewSettings returns settings with nginx's defaults.
func NewSettings(name string, addr Address) Settings {
	return Settings{
		Name:        name,
		Addr:        addr,
		Weight:      DefaultWeight,
		MaxFails:    DefaultMaxFails,
		FailTimeout: DefaultFailTimeout,
	}
}

// template reports whether the settings are for servers to be found by DNS.
func (s *Settings) template() bool { return s.Host != "" }

// Server is one backend of a group. Exported fields never change; everything else can change at run time and is guarded
// by the group's lock.
type Server struct {
	// ID is unique within the group and increasing; it is never reused.
	ID int
	// Name is the server as configured, Addr its address.
	Name string
	Addr Address
	// Stats are its counters; they can be read and added to at any time.
	Stats Stats

	group     *Group
	sessionID string  // see SessionID
	parent    *Server // the template it was resolved from
	settings  Settings
	slot      int // index into an attempt's set of tried servers; unique among the current servers of the group
	removed   bool
	dnsWeight int   // that DNS gave it, 0 if none
	edit      *Edit // of a shared group: what the API has changed of it, on any node; nil for nothing

	active          int // requests or connections in flight
	currentWeight   int // balance in the round robin, in 1/weightUnit
	effectiveWeight int
	fails           int
	accessedMS      int64 // of the last failure, monotonic
	succeededMS     int64 // when it has last served a client, monotonic; 0 is never
	checkedMS       int64 // of the last failure or of the last probe after one
	slowFromMS      int64 // when the slow start started; 0 is none
	failed          bool  // max_fails is reached and no success followed
	health          Health
	watch           any // the monitor's own, as it was returned last by Joined
	inflight        inflight

	idle list // of its connections, guarded by the pool's lock

}

// SessionID identifies the server in sticky sessions on every node of a cluster: its route, or the lower-case hex md5
// of its printable address. Never a position, which can differ between nodes.
func (s *Server) SessionID() string {
	s.group.mu.Lock()
	defer s.group.mu.Unlock()
	return s.sessionID
}

// sessionIDOf makes a server's SessionID.
func sessionIDOf(route, address string) string {
	if route != "" {
		return route
	}
	if address == "" {
		return ""
	}
	sum := md5.Sum([]byte(address))
	return hex.EncodeToString(sum[:])
}

// The following are for balancers, which run under the group's lock.

// Weight is the configured weight.
func (s *Server) Weight() int { return s.settings.Weight }

// Active returns the number of requests or connections in flight.
func (s *Server) Active() int { return s.active }

// PaidAhead reports whether the server has already paid in the round robin of its set for the one request in advance.
func (s *Server) PaidAhead(set *Set) bool {
	return s.currentWeight <= -(set.totalWeight-s.settings.Weight)*weightUnit
}

// takenOut reports whether the operator has taken the server out of normal balancing.
func (s *Server) takenOut() bool { return s.settings.Down || s.settings.Drain }

// outOfService reports whether the server gets no new clients, whatever its failures: the operator has taken it out, or
// health checks have.
func (s *Server) outOfService() bool { return s.takenOut() || s.health != Healthy }

// disabled reports whether failures make the server unavailable at nowMS.
func (s *Server) disabled(nowMS int64) bool {
	return s.settings.MaxFails > 0 && s.fails >= s.settings.MaxFails &&
		nowMS-s.checkedMS <= s.settings.FailTimeout.Milliseconds()
}

// full reports whether max_conns is reached.
func (s *Server) full() bool { return s.settings.MaxConns > 0 && s.active >= s.settings.MaxConns }

// weightUnit is a weight of 1 in the round robin, so that a server in its slow start can have fractions.
const weightUnit = 1000

// share is what the server gains in one round: its effective weight, or during slow start the fraction of it reached so
// far.
func (s *Server) share(nowMS int64) int {
	return s.ramp(s.effectiveWeight*weightUnit, nowMS)
}

// ramp is the part of full that slow start has reached at nowMS: all of it without one, or once it is over.
func (s *Server) ramp(full int, nowMS int64) int {
	if s.slowFromMS == 0 {
		return full
	}
	elapsed, whole := max(nowMS-s.slowFromMS, 0), s.settings.SlowStart.Milliseconds()
	if elapsed >= whole {
		s.slowFromMS = 0
		return full
	}
	return int(int64(full) * elapsed / whole)
}

// Rising reports whether a server of the set is in its slow start.
func (s *Set) Rising() bool {
	return slices.ContainsFunc(s.servers, func(s *Server) bool { return s.slowFromMS != 0 })
}

// Ramped is the configured weight in thousandths, during slow start the fraction of it reached so far: at least one.
func (s *Server) Ramped(a *Attempt) int {
	return max(s.ramp(s.settings.Weight*weightUnit, a.nowMS), 1)
}

// Takes reports whether the server accepts a place of a hash: during slow start, a share of all places that grows from
// none to all. A place that it has accepted stays accepted, so each key moves to the server once.
func (s *Server) Takes(a *Attempt, place uint32) bool {
	return int(place>>16) < s.ramp(1<<16, a.nowMS)
}

// beginSlowStart starts the ramp if slow_start is set.
func (s *Server) beginSlowStart(nowMS int64) {
	if s.settings.SlowStart > 0 {
		s.slowFromMS = nowMS
	}
}
