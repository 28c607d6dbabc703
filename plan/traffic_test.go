package plan

import (
	"sync"
	"testing"

	"starling/lib/stripes"
)

// Requests that many cores serve at once are all counted, each by its own pick.
func TestTrafficOfManyRequests(t *testing.T) {
	traffic := New().Traffic()
	var held stripes.Pick
	traffic.Begin(&held)
	traffic.Reading(&held, 1)
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			var pick stripes.Pick
			for range 500 {
				traffic.Begin(&pick)
				traffic.End(&pick)
			}
		})
	}
	all.Wait()
	if got, want := traffic.Figures(), (TrafficFigures{Requests: 8001, Current: 1, Reading: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	traffic.ResetRequests()
	if got, want := traffic.Figures(), (TrafficFigures{Current: 1, Reading: 1}); got != want {
		t.Errorf("after a reset %+v, want %+v", got, want)
	}
}

// A reload keeps the counts.
func TestTrafficOutlivesAReload(t *testing.T) {
	before, after := New(), New()
	after.Old = before
	var pick stripes.Pick
	before.Traffic().Begin(&pick)
	if got := after.Traffic().Figures().Requests; got != 1 {
		t.Errorf("%d requests", got)
	}
}

// Idle connections are counted where they are, in the sites of all configurations that still have some.
func TestIdleConnectionsOfAllSites(t *testing.T) {
	var c Connections
	for range 5 {
		c.Accepted()
	}
	forget := c.CountIdle(func() int64 { return 2 })
	c.CountIdle(func() int64 { return 1 })
	if got, want := c.Figures(), (ConnectionFigures{Accepted: 5, Active: 2, Idle: 3}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	forget()
	c.Closed()
	c.Dropped()
	if got, want := c.Figures(), (ConnectionFigures{Accepted: 5, Dropped: 1, Active: 3, Idle: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	c.Reset()
	if got, want := c.Figures(), (ConnectionFigures{Active: 3, Idle: 1}); got != want {
		t.Errorf("after a reset %+v, want %+v", got, want)
	}
}
