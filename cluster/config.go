package cluster

import (
	"errors"
	"fmt"

	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/zone"
)

// NodeID identifies a node; it outlives restarts if the node keeps state.
type NodeID uint64

func (id NodeID) String() string { return fmt.Sprintf("%016x", uint64(id)) }

// Settings are the tunables of zone_sync, with nginx's names.
type Settings struct {
	// TimeoutMS is zone_sync_timeout: a connection that is silent for longer is closed.
	TimeoutMS int64
	// ConnectTimeoutMS is zone_sync_connect_timeout; it covers the hello.
	ConnectTimeoutMS int64
	// IntervalMS is zone_sync_interval: the longest delay of a change before it is sent.
	IntervalMS int64
	// Buffers and BufferBytes are zone_sync_buffers: the journal's ring of each zone.
	Buffers, BufferBytes int
}

// Defaults are nginx's: 8 buffers of 8k, 5 s, 5 s and 1 s.
var Defaults = Settings{TimeoutMS: 5000, ConnectTimeoutMS: 5000, IntervalMS: 1000, Buffers: 8, BufferBytes: 8192}

// minRingFrames is the shortest ring, whatever the value of zone_sync_buffers. An idle cluster flushes each change
// alone, so the ninth key would overrun nginx's 8 buffers while a peer reconnects.
const minRingFrames = 1024

// Config describes one node. ID and Incarnation must not be zero.
type Config struct {
	ID NodeID
	// Incarnation is new at each start of the process: a number that this node never used before.
	Incarnation uint64
	// Cluster is the optional cluster name; nodes of different clusters reject each other.
	Cluster string
	Zones   []zone.Shared
	// Kinds are all kinds of zones of this release (kinds.Kinds): logs use them to name the kind of a peer's zone.
	Kinds    []*zone.Kind
	Settings Settings
	Driver   Driver
	// Proof is the input from which IDOf made ID, if this node has certificates of its own.
	Proof wire.Proof
	// Subjects are those of this node's certificates. If peers have the same, the address identifies nodes.
	Subjects []string
	// Strict takes the messages of limits that are never exceeded; nil drops them.
	Strict Strict
	// Withhold are features (wire.FeatureS2…) that the hello does not announce, as in an older release.
	Withhold uint64
}

// Driver does for the core what a pure package cannot. Its methods are called with locks held: they must return at once
// and not call back into the core.
type Driver interface {
	// Wake reports that the session's Outbox may have something to send.
	Wake(s *Session)
	// End reports that the core is done with a session: send the rest of its Outbox, close it, call Lost.
	End(s *Session)
	// Keep reports that the session's peer waits for the disk: call Session.Keep, which blocks.
	Keep(s *Session)
	// FlushSoon reports that a change waits: call NextFlush. An urgent one does not wait for the end of the gap.
	FlushSoon(urgent bool)
	// Met reports that a peer's hello arrived on an incoming session: it is worth dialling members at its address at
	// once.
	Met(s *Session, id NodeID)
	// Event reports something that an operator wants to read.
	Event(e Event)
}

// EventKind sorts events by severity.
type EventKind uint8

// The kinds of events, each the level of its line in the error log.
const (
	Info EventKind = iota
	Notice
	Warning
	Problem
)

// Event is one line for the error log. Text is complete: it names peer, zone and remedy.
type Event struct {
	Kind EventKind
	Text string
	// Peer is the peer that caused the event and Reason the reason, "" if no peer did: equal ones are rate-limited,
	// because a peer could cause any number. Some reasons contain names that the peer chose.
	Peer, Reason string
}

func (c *Config) check() error {
	if c.Driver == nil {
		return errors.New("zone_sync: driver must be set")
	}
	return c.Check()
}

// Check returns what is wrong with a configuration, apart from its driver.
func (c *Config) Check() error {
	if c.ID == 0 || c.Incarnation == 0 {
		return errors.New("zone_sync: node ID and incarnation must not be 0")
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

// withDefaults replaces settings that are zero.
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

// after reports whether ms milliseconds have passed between two monotonic readings.
func after(now clock.Reading, sinceMonoMS, ms int64) bool { return now.MonoMS-sinceMonoMS >= ms }
