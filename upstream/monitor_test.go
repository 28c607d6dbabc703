package upstream_test

import (
	"net/netip"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/upstream"
	"starling/upstream/balance"
)

// watcher counts what a group tells its monitor.
type watcher map[any]int

func (w watcher) Joined(s *upstream.Server) (any, upstream.Health) {
	return s.Addr.Text, upstream.Healthy
}
func (w watcher) Failing(watch any) { w[watch]++ }

// TestTheMonitorIsToldWhatClientsSee: that failures make a server unavailable, once for each time; each failure of the
// only server of a group, which never becomes so; and when a server has last served a client.
func TestTheMonitorIsToldWhatClientsSee(t *testing.T) {
	now := clock.Reading{WallMS: 1_800_000_000_000, MonoMS: 1 << 32}
	start := func(servers ...string) (*upstream.Group, watcher) {
		g, w := upstream.NewGroup("u", balance.RoundRobin{}), watcher{}
		for _, address := range servers {
			settings := upstream.NewSettings(address, upstream.TCP(netip.MustParseAddrPort(address)))
			settings.MaxFails = 2
			if _, err := g.Add(settings, now); err != nil {
				t.Fatal(err)
			}
		}
		g.Watch(w, now)
		return g, w
	}
	try := func(g *upstream.Group, outcome upstream.Outcome) *upstream.Server {
		var a upstream.Attempt
		g.Begin(&a)
		s, err := a.Pick(now)
		if err != nil {
			t.Fatal(err)
		}
		a.Free(outcome, now)
		return s
	}
	only, told := start("10.0.0.1:80")
	for range 3 {
		try(only, upstream.Failure)
	}
	if s := try(only, upstream.Passed); told["10.0.0.1:80"] != 3 || s.Succeeded() != 0 {
		t.Errorf("the only server: told %v, last served at %d", told, s.Succeeded())
	}
	now = now.Add(time.Second)
	if s := try(only, upstream.Success); told["10.0.0.1:80"] != 3 || s.Succeeded() != now.MonoMS {
		t.Errorf("after a success: told %v, last served at %d, want %d", told, s.Succeeded(), now.MonoMS)
	}

	both, told := start("10.0.0.1:80", "10.0.0.2:80")
	for range 2 { // one failure of two each
		try(both, upstream.Failure)
	}
	if len(told) != 0 {
		t.Errorf("after one failure of each: %v", told)
	}
	for range 2 {
		try(both, upstream.Failure)
	}
	if told["10.0.0.1:80"] != 1 || told["10.0.0.2:80"] != 1 {
		t.Errorf("after two failures of each: %v", told)
	}

	// A session of stream counts when it is connected.
	var a upstream.Attempt
	only.Begin(&a)
	s, err := a.Pick(now)
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Second)
	if a.Connected(now, time.Millisecond); s.Succeeded() != now.MonoMS {
		t.Errorf("connected: last served at %d, want %d", s.Succeeded(), now.MonoMS)
	}
}
