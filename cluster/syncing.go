package cluster

import (
	"fmt"

	"starling/lib/clock"
	"starling/lib/plural"
	"starling/zone"
)

// progressEveryMS is how often the log tells how far a long initial sync of a zone is.
const progressEveryMS = 5000

// syncedShards is how many shards of a zone its initial sync has brought; all, once it is ready.
func (z *zoneState) syncedShards() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.ready.Load() {
		return zone.Shards
	}
	return zone.Shards - count(z.learner.missing)
}

// progressLine is the line about a zone whose sync takes long; "" if none is due. Called with mu held.
func (z *zoneState) progressLine(teachers int, now clock.Reading) string {
	if teachers == 0 || !after(now, z.learner.toldMS, progressEveryMS) {
		return ""
	}
	z.learner.toldMS = now.MonoMS
	return fmt.Sprintf("zone %q: the initial sync has brought %d of %d shards from %s; it has %s",
		z.info.Name, zone.Shards-count(z.learner.missing), zone.Shards, plural.Of(teachers, "peer", "peers"),
		plural.Of(z.shared.Stats().Records, "record", "records"))
}

// Syncing says how far the initial sync of each zone is that is not ready.
func (n *Node) Syncing() (zones []string) {
	for _, z := range n.table.Load().list {
		if !z.ready.Load() {
			text := fmt.Sprintf("zone %q has %d of %d shards", z.info.Name, z.syncedShards(), zone.Shards)
			zones = append(zones, text)
		}
	}
	return zones
}
