package carrier

import (
	"fmt"
	"testing"
)

// pends says whether so many of so many pairs are lacked by some member.
func (n *node) pends(pending, total int64) error {
	z := n.carrier.Status().Zones["kv"]
	if z.RecordsPending != pending || z.RecordsTotal != total {
		return fmt.Errorf("node %d: %d of %d records are pending, want %d of %d", n.index, z.RecordsPending, z.RecordsTotal, pending, total)
	}
	return nil
}

// TestPendingRecords: what a listed member lacks is pending whether it is connected or not, on whoever has it, and
// counts records, not changes.
func TestPendingRecords(t *testing.T) {
	a, b, c := listen(t, 0), listen(t, 1), listen(t, 2)
	members := []Member{a.member(), b.member(), c.member()}
	a.start(members, nil)
	a.set("first", "1")
	eventually(t, func() error { return a.pends(1, 1) }) // two members were never there
	b.start(members, nil)
	c.start(members, nil)
	for _, n := range []*node{a, b, c} {
		eventually(t, func() error { return n.online(2) })
		eventually(t, func() error { return n.pends(0, 1) })
	}
	c.stop()
	eventually(t, func() error { return a.online(1) })
	eventually(t, func() error { return b.online(1) })
	for _, n := range []*node{a, b} {
		if err := n.pends(0, 1); err != nil {
			t.Error(err) // all that there was had been acknowledged
		}
	}
	for i := range 30 { // of one pair
		a.set("second", fmt.Sprint(i))
		eventually(t, func() error { return b.has("second", fmt.Sprint(i)) })
	}
	for _, n := range []*node{a, b} { // what b has of a, c may lack too
		eventually(t, func() error { return n.pends(2, 2) })
	}
	for i := range 20 {
		a.set(fmt.Sprint("more", i), "x")
	}
	for _, n := range []*node{a, b} {
		eventually(t, func() error { return n.pends(22, 22) })
	}
}
