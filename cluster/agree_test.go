package cluster

import (
	"fmt"
	"testing"
)

// shownSince says whether every host's operator sees, by digests compared after a moment, that nothing differs.
func (f *fabric) shownSince(monoMS int64) bool {
	for _, h := range f.hosts {
		for _, p := range h.node.Status(h.reading()).Peers {
			for _, zone := range []string{"kv", "sess"} {
				d := p.Digests[zone]
				if d.State != "agree" || d.DifferingShards > 0 || d.AgeMS > f.now.MonoMS-monoMS {
					return false
				}
			}
		}
	}
	return true
}

// Two of three hosts that never lost each other take what they missed from the third one at different moments. Their
// operators are shown soon after they hold the same that they do, whether the journals resumed or what differed was
// repaired or taught.
func TestAgreementIsShownSoon(t *testing.T) {
	for _, c := range []struct {
		name         string
		pairs, perMS int
		said         string
	}{
		{"one pair", 1, 1, ""},
		{"resumed", 20_000, 20_000, ""},
		{"repaired", 2_000, 1, "repaired"},
		{"repaired at length", 20_000, 10, "repaired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFabric(t, 3)
			f.settle(1000, "ready", f.ready)
			f.block(0, 2)
			f.block(1, 2)
			for i := range c.pairs {
				f.hosts[0].set(fmt.Sprintf("left%d", i), "green")
				f.hosts[2].set(fmt.Sprintf("right%d", i), "blue")
				if i%c.perMS == 0 {
					f.step(1)
				}
			}
			f.step(8300)
			clear(f.blocked)
			healed := f.now.MonoMS
			f.settle(2000, "alike", f.agree)
			alike := f.now.MonoMS
			f.settle(300, "shown to agree", func() bool { return f.shownSince(healed) })
			t.Logf("alike after %d ms, shown %d ms later", alike-healed, f.now.MonoMS-alike)
			said := 0
			for _, h := range f.hosts {
				said += len(h.said(c.said))
			}
			if said == 0 {
				t.Errorf("nobody said %q: the case is not the one it is named for", c.said)
			}
		})
	}
}

// Comparing costs next to nothing while nothing happens, and haste does not become the pace where every comparison
// finds something, as across a broken link under load.
func TestComparingStaysCheap(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.step(5000)
	before := f.count
	f.step(60_000)
	t.Logf("an idle pair exchanges %d bytes/s, both ways together", (f.count-before)/60)
	if got := (f.count - before) / 60; got > 4500 {
		t.Errorf("an idle pair exchanges %d bytes/s", got)
	}
	f = newFabric(t, 4)
	f.settle(1000, "ready", f.ready)
	f.block(0, 2)
	f.block(0, 3)
	busy := func(ms int) int {
		before := f.count
		for i := range ms {
			f.hosts[0].set(fmt.Sprintf("key%d", i), "x")
			f.step(1)
		}
		return (f.count - before) / ms * 1000
	}
	busy(4000)
	got := busy(20_000)
	t.Logf("across a broken link: %d bytes/s", got)
	if got > 700_000 { // 540,000 without any haste
		t.Errorf("across a broken link %d bytes/s travel", got)
	}
}
