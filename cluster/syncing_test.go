package cluster

import (
	"fmt"
	"strings"
	"testing"

	"starling/zone"
)

// An initial sync that takes long says how far it is, in the log every 5 s and in the status.
func TestALongSyncTellsItsProgress(t *testing.T) {
	f := newFabric(t, 1)
	f.settle(AloneMS+1000, "ready", f.ready)
	for i := range 20_000 {
		f.hosts[0].set(fmt.Sprint("key", i), strings.Repeat("x", 100))
	}
	f.overrunRings() // so that it has to be taught
	newcomer := f.add()
	for _, h := range f.hosts {
		h.know(2)
	}
	f.step(3) // it is connected
	const lines = "zone \"kv\": the initial sync has brought"
	shards, began := 0, f.now.MonoMS
	for len(newcomer.said(lines)) < 2 {
		if f.now.MonoMS > began+60_000 {
			t.Fatalf("no second line after a minute; %d shards, ready %v: %q", shards, newcomer.node.Ready(), newcomer.said(""))
		}
		f.stall(true)
		f.step(1500)
		f.stall(false)
		f.step(1)
		if now := newcomer.node.table.Load().byName["kv"].syncedShards(); now < shards {
			t.Fatalf("%d shards after %d", now, shards)
		} else {
			shards = now
		}
	}
	said := newcomer.said(lines)
	if shards == 0 || shards == zone.Shards || !strings.Contains(said[1], "of 256 shards from 1 peer; it has ") || said[0] == said[1] {
		t.Errorf("with %d shards: %q", shards, said)
	}
	if got := newcomer.node.Syncing(); len(got) == 0 || !strings.HasPrefix(got[0], `zone "kv" has `) {
		t.Errorf("syncing: %q", got)
	}
	f.settle(10_000, "ready", f.ready)
	if got := newcomer.at("zones.kv.synced_shards"); got != 256.0 {
		t.Errorf("in the end it has %v shards", got)
	}
	if got := newcomer.node.Syncing(); len(got) != 0 {
		t.Errorf("in the end: %q", got)
	}
	f.step(10_000)
	if now := newcomer.said(lines); len(now) != len(said) {
		t.Errorf("afterwards: %q", now)
	}
}
