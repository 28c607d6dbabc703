package cluster

import (
	"errors"
	"fmt"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// NodeID tells nodes apart; it outlives restarts where the node keeps state.
type NodeID uint64

func (id NodeID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// Settings are the tunables of zone_sync, with nginx's names.
type Settings struct {
	// TimeoutMS is zone_sync_timeout: a connection that is silent for longer is closed.
	TimeoutMS int64
	// ConnectTimeoutMS is zone_sync_connect_timeout; it covers the hello.
	ConnectTimeoutMS int64
	// IntervalMS is zone_sync_interval: the longest a change may wait before it is sent.
	IntervalMS int64
	// Buffers and BufferBytes are zone_sync_buffers: the journal's ring of each zone.
	Buffers, BufferBytes int
}

// Defaults are nginx's: 8 buffers of 8k, 5 s, 5 s and 1 s.
var Defaults = Settings{TimeoutMS: 5000, ConnectTimeoutMS: 5000, IntervalMS: 1000, Buffers: 8, BufferBytes: 8192}

// minRingFrames is the shortest ring, whatever zone_sync_buffers says. An idle cluster flushes each
// change alone, so nginx's 8 buffers would be overrun by the ninth key while a peer reconnects.
const minRingFrames = 1024

// Config describes one node. ID and Incarnation must not be zero.
type Config struct {
	ID NodeID
	// Incarnation is new at each start of the process: a number never used before by this node.
	Incarnation uint64
	// Cluster is the optional cluster name; nodes of different names refuse each other.
	Cluster string
	Zones   []zone.Shared
	// Kinds are all kinds of zones that this release has (kinds.Kinds): logs name the kind of a peer's zone by them.
	Kinds    []*zone.Kind
	Settings Settings
	Driver   Driver
	// Proof is what ID was made of by IDOf, where this node has certificates of its own.
	Proof wire.Proof
	// Subjects are those of the certificates that this node shows. Where peers show the same, the address tells nodes
	// apart.
	Subjects []string
	// Withhold are features (wire.FeatureS2…) that the hello does not name, as those of a release before would not.
	Withhold uint64
}

// Driver does for the core what a pure package cannot. Its methods are called with locks held: they must
// return at once and not call back into the core.
type Driver interface {
	// Wake says that the session's Outbox may have something to send.
	Wake(s *Session)
	// End says that the core is done with a session: send what its Outbox still holds, close it, call Lost.
	End(s *Session)
	// FlushSoon says that a change waits: ask NextFlush. An urgent one does not wait for the gap to be over.
	FlushSoon(urgent bool)
	// Met says that a peer's hello arrived on an incoming session: members at its address are worth dialling at once.
	Met(s *Session, id NodeID)
	// Event reports what an operator wants to read.
	Event(e Event)
}

// EventKind sorts events by how grave they are.
type EventKind uint8

// The kinds of events, each the level of its line in the error log.
const (
	Info EventKind = iota
	Notice
	Warning
	Problem
)

// Event is one line for the error log. Text is complete: it names peer, zone and what to do.
type Event struct {
	Kind EventKind
	Text string
	// About says which peer caused it and why, "" where none did: of equal ones, a peer could cause as many as it
	// wants.
	About string
}

func (c *Config) check() error {
	if c.ID == 0 || c.Incarnation == 0 {
		return errors.New("zone_sync: node ID and incarnation must not be 0")
	}
	if c.Driver == nil {
		return errors.New("zone_sync: driver must be set")
	}
	if len(c.Cluster) > wire.MaxNameBytes {
		return fmt.Errorf(
			"zone_sync: cluster name has %d bytes; at most %d are allowed",
			len(c.Cluster),
			wire.MaxNameBytes,
		)
	}
	if len(c.Zones) > wire.MaxZones {
		return fmt.Errorf("zone_sync: cannot share %d zones; the limit is %d", len(c.Zones), wire.MaxZones)
	}
	return c.checkZones()
}

func (c *Config) checkZones() error {
	seen := make(map[string]bool, len(c.Zones))
	for _, shared := range c.Zones {
		info := shared.Info()
		switch {
		case seen[info.Name]:
			return fmt.Errorf("zone_sync: duplicate zone %q", info.Name)
		case len(info.Name) > wire.MaxNameBytes:
			return fmt.Errorf("zone_sync: name of zone %.40q… is longer than %d bytes", info.Name, wire.MaxNameBytes)
		case len(info.Expression) > wire.MaxExpressionBytes:
			return fmt.Errorf("zone_sync: key of zone %q is longer than %d bytes", info.Name, wire.MaxExpressionBytes)
		}
		seen[info.Name] = true
	}
	return nil
}

// withDefaults replaces what is not set.
func (s Settings) withDefaults() Settings {
	set := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&s.TimeoutMS, Defaults.TimeoutMS)
	set(&s.ConnectTimeoutMS, Defaults.ConnectTimeoutMS)
	set(&s.IntervalMS, Defaults.IntervalMS)
	if s.Buffers <= 0 || s.BufferBytes <= 0 {
		s.Buffers, s.BufferBytes = Defaults.Buffers, Defaults.BufferBytes
	}
	return s
}

// after says whether ms milliseconds have passed between two monotonic readings.
func after(now clock.Reading, sinceMonoMS, ms int64) bool { return now.MonoMS-sinceMonoMS >= ms }
