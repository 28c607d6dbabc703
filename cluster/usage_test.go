package cluster_test

import (
	"fmt"

	"starling/cluster"
	"starling/lib/clock"
	"starling/zone"
	"starling/zone/kinds"
)

// silent is a driver for connections that are polled: there is nothing to wake.
type silent struct{}

func (silent) Wake(*cluster.Session)                {}
func (silent) End(*cluster.Session)                 {}
func (silent) FlushSoon(bool)                       {}
func (silent) Keep(*cluster.Session)                {}
func (silent) Met(*cluster.Session, cluster.NodeID) {}
func (silent) Event(cluster.Event)                  {}

// Two nodes in one goroutine: a pair that is written on one is there on the other.
func Example() {
	now := clock.Reading{WallMS: 1_800_000_000_000, MonoMS: 1000}
	start := func(id cluster.NodeID) (*cluster.Node, *kinds.Keyval) {
		z := kinds.NewKeyval(kinds.KeyvalConfig{Name: "one", Expression: "type=string", Bytes: 1 << 20, Sync: true})
		node, err := cluster.New(cluster.Config{
			ID: id, Incarnation: 1, Zones: []zone.Shared{z}, Settings: cluster.Defaults, Driver: silent{},
		}, now)
		if err != nil {
			panic(err)
		}
		node.Expect(1)
		return node, z
	}
	a, written := start(1)
	b, read := start(2)

	// Each dials the other: a pipe for each direction.
	var pipes [2][2]*cluster.Session
	for i, ends := range [2][2]*cluster.Node{{a, b}, {b, a}} {
		var err error
		if pipes[i][0], err = ends[0].Connected(cluster.Connection{Outgoing: true, Address: "there", Host: "there"}, now); err != nil {
			panic(err)
		}
		if pipes[i][1], err = ends[1].Connected(cluster.Connection{Address: "there:50000", Host: "there"}, now); err != nil {
			panic(err)
		}
	}
	carry := func() {
		for _, p := range pipes {
			for i := range p {
				if out := p[i].Outbox(nil, 64<<10, now); len(out) > 0 {
					if err := p[1-i].Receive(out, now); err != nil {
						panic(err)
					}
				}
			}
		}
	}
	for range 10 {
		now.WallMS, now.MonoMS = now.WallMS+100, now.MonoMS+100
		a.Tick(now)
		b.Tick(now)
		carry()
	}
	written.Set([]byte("key"), []byte("value"), kinds.NoExpire, a.ClusterTime(now))
	a.Flush(0, now)
	carry()
	now.WallMS, now.MonoMS = now.WallMS+10, now.MonoMS+10 // acknowledgements wait so long for others
	carry()
	value, found := read.Get([]byte("key"), b.ClusterTime(now))
	fmt.Printf("%s %v, drained: %v\n", value, found, a.Drained())
	// Output: value true, drained: true
}
