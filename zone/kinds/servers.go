package kinds

import (
	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/zone"
)

// ServersKind describes changes of the servers of upstream blocks to the cluster and the store.
var ServersKind = &zone.Kind{Number: 4, Name: "servers", Holds: "changes of servers", Buries: true}

// MaxServerChangeBytes bounds a change of a server: names of at most 512 bytes, a few parameters, and who made it.
const MaxServerChangeBytes = 8 << 10

// ServersConfig configures a zone of changes of servers (`zone … sync` of an upstream block).
type ServersConfig struct {
	Name       string
	Expression string // compared with the peers'
	Bytes      int64
	Clock      *stamp.Clock // of this node, shared by its zones; nil makes an own one
	// Check returns why a record of a peer or of a disk is rejected; nil accepts all. Changed is called with the key of
	// each record that a write of this node or of a peer has changed, not when one ends. Both are called under a lock:
	// they must return at once, not call the zone, and not keep their arguments.
	Check   func(key, value []byte) error
	Changed func(key []byte)
}

// NewServers makes an empty zone of changes of servers. They are pairs: the key names a server, the value is what the
// API changed of it. So laws, repair, tombstones and state are those of pairs. The kind is its own, because a zone of
// pairs with the same name must not be shared with it, and because the logs say what it holds.
func NewServers(cfg ServersConfig) *Keyval {
	return NewKeyval(KeyvalConfig{
		Name: cfg.Name, Expression: cfg.Expression, Bytes: cfg.Bytes, Sync: true, Clock: cfg.Clock,
		kind: ServersKind, maxValue: MaxServerChangeBytes, check: cfg.Check, changed: cfg.Changed,
	})
}

// Look returns the pair of exactly this key. known is false if nothing is known of the key; of a pair that was deleted,
// with a tombstone that is still here, only the stamp is returned, and exists is false.
func (k *Keyval) Look(key []byte, now clock.Reading) (pair Pair, exists, known bool) {
	sh := k.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	_, r := sh.Find(key)
	if r == nil {
		return pair, false, false
	}
	pair.Stamp = stampOf(r)
	end := k.endMS(r)
	switch {
	case r.Tombstone():
		return pair, false, true
	case end != 0 && end <= now.MonoMS:
		return pair, false, false
	case end != 0:
		pair.LeftMS = end - now.MonoMS
	}
	pair.Key, pair.Value = append([]byte{}, key...), append([]byte{}, sh.Value(r)...)
	return pair, true, true
}
