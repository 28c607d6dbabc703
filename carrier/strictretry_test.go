package carrier

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"starling/cluster/strict"
	"starling/lib/clock"
	"starling/lib/durable"
)

// A disk that fails again and again is tried less and less often; after it worked for a while, as at first.
func TestAFailingDiskIsTriedLessOften(t *testing.T) {
	var b retry
	nowUS := int64(5_000_000)
	for _, wantS := range []int64{1, 2, 4, 8, 16, 32, 32} {
		got := b.after(nowUS)
		if got != wantS*1_000_000 {
			t.Errorf("at %d us: %d us, want %d s", nowUS, got, wantS)
		}
		nowUS += got + 100_000
	}
	if got := b.after(nowUS + retryMostUS); got != retryFirstUS {
		t.Errorf("after it worked: %d us", got)
	}
}

// A node whose disk is full rejects, and says so once for each try. It decides again when the disk has room: whether the
// disk was full from the start, or later.
func TestAFullDisk(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	nodes, _ := strictMesh(t, 1, func(_ int, c *Config) {
		c.Strict.write = func(file string, state []byte) error {
			if full.Load() {
				return errors.New("no space left on device")
			}
			return durable.WriteFile(file, state)
		}
	})
	n := nodes[0]
	const line = "no space left on device; strict zones admit nothing until that works; trying again in "
	rejects := func(lines int) {
		t.Helper()
		eventually(t, func() error {
			if why := n.gate.Closed(); !strings.HasSuffix(why, "no space left on device") {
				return fmt.Errorf("closed: %q", why)
			}
			return nil
		})
		if n.ask("key") {
			t.Error("it admits a request")
		}
		n.log.told(line, lines)
	}
	rejects(1)
	full.Store(false)
	allReady(t, nodes)

	full.Store(true)
	before := n.log.count(line)
	config, limits := n.config, *n.config.Strict
	n.gate = strict.NewGate("other", n.gate.Limit, 1000, 8) // has a view of its own, which is saved
	limits.Gates = []*strict.Gate{n.gate}
	config.Strict = &limits
	if err := n.carrier.Reload(config); err != nil {
		t.Fatal(err)
	}
	rejects(before + 1)
	full.Store(false)
	allReady(t, nodes)
}

// A node with strict_fallback=share goes on to admit its share without its disk, and its log says so.
func TestAFailedDiskLeavesTheShare(t *testing.T) {
	r, log := idleRunner(t)
	gate := strict.NewGate("lim", strict.Limit{Rate: strict.Request}, 10, 7)
	gate.Share(true)
	r.config.Gates = []*strict.Gate{gate}
	fallBack(r.config.Gates, 3)
	r.fail(errors.New("no space left on device"), 1_000_000)
	if log.find("admit nothing (with strict_fallback=share: nothing beyond this node's share) until that works") == "" {
		t.Error("the log does not say that the node admits its share")
	}
	gate.Decide("key", clock.SteadyUS()) // its share is used up at first
	if verdict, _ := gate.Decide("key", clock.SteadyUS()+60_000_000); verdict != strict.AdmittedAlone {
		t.Errorf("a minute later, the verdict is %d, want %d", verdict, strict.AdmittedAlone)
	}
}
