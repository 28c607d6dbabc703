package cluster

import (
	"testing"

	"starling/cluster/wire"
	"starling/zone"
	"starling/zone/kinds"
)

// A zone with state goes on under the lineage of its log, tells it in the hello, and knows with whom it agreed. One that starts empty begins
// a lineage of its own, which is its origin and need not be told.
func TestLineageOutlivesTheProcess(t *testing.T) {
	f := newFabric(t, 1)
	var log [][]byte
	kept := func(record []byte) { log = append(log, record) }
	first := kinds.NewKeyval(kinds.KeyvalConfig{Name: "kv", Bytes: 1 << 20, Sync: true})
	first.OnCommit(func(record []byte) error { kept(record); return nil }, kept)
	start := func(k *kinds.Keyval, life uint64) *Node {
		n, err := New(Config{ID: 7, Incarnation: life, Zones: []zone.Shared{k}, Driver: f.hosts[0]}, f.now)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	told := func(n *Node) wire.Zone { return n.hello(n.table.Load(), f.now).Zones[0] }

	one := told(start(first, 1))
	if one.Lineage != 0 || lineageOf(&one) != one.Origin {
		t.Errorf("a zone that starts empty tells the lineage %x, its origin is %x", one.Lineage, one.Origin)
	}
	first.KeepAgreed(zone.Agreement{Lineage: 99, ThroughMS: 1234})

	again := kinds.NewKeyval(kinds.KeyvalConfig{Name: "kv", Bytes: 1 << 20, Sync: true})
	for _, record := range log {
		if err := again.Restore(record, new(kinds.Restored), f.now); err != nil {
			t.Fatal(err)
		}
	}
	n := start(again, 2)
	two := told(n)
	if two.Origin == one.Origin || two.Lineage != one.Origin {
		t.Errorf("its next life is origin %x of lineage %x; the first was origin %x", two.Origin, two.Lineage, one.Origin)
	}
	body := wire.Hello{NodeID: 7, Incarnation: 2, Zones: []wire.Zone{two}}
	if h, err := wire.ParseHello(body.Append(nil)); err != nil || lineageOf(&h.Zones[0]) != one.Origin {
		t.Errorf("a peer reads %+v, %v", h.Zones, err)
	}
	if a := n.agreements[agreementKey{"kv", 99}]; a.throughMS != 1234 || a.mine != one.Origin {
		t.Errorf("it recalls %+v", a)
	}
}
