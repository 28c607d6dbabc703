package limitreq

import (
	"bytes"
	"sync"
	"sync/atomic"

	"starling/cluster/strict"
	"starling/lib/clock"
	"starling/lib/longkey"
	"starling/web"
	"starling/zone"
)

// This file carries counts over when a zone becomes strict, or is strict no more: by a reload, or because of a member
// with an older release.

// bind connects the gate of a strict zone with the zone's buckets.
func (z *Zone) bind(now *clock.Clock) {
	if z.gate == nil || z.long != nil {
		return // it continues, bound
	}
	buckets, long := z.Bucket, &longKeys{bytesMost: z.Info().Bytes}
	z.long = long
	z.gate.Before = func(key string) int64 { return buckets.LevelMilli(long.whole(key), now.Now()) * strictMilli }
	z.gate.After = func(key string, requests int64) { buckets.Spend(long.whole(key), requests, now.Now()) }
}

// follow ends the gate of a zone that was strict, and prepares that of one that was not.
func (z *Zone) follow(old *Zone) {
	switch {
	case z.gate == nil && old.gate != nil:
		old.gate.Retire(clock.SteadyUS())
	case z.gate != nil && old.gate == nil:
		z.LongKeys(strict.KeyBytesMost, z.long.note)
	}
}

// longKeys finds the keys of which strict limits have the digest.
type longKeys struct {
	byDigest  sync.Map // []byte by string
	bytes     atomic.Int64
	bytesMost int64 // of all keys: beyond, counts of long keys are not carried over
}

// note remembers a long key.
func (l *longKeys) note(key []byte) {
	digest := string(longkey.Fit(key, strict.KeyBytesMost))
	if _, known := l.byDigest.Load(digest); known || l.bytes.Load()+int64(len(key)) > l.bytesMost {
		return
	}
	if _, known := l.byDigest.LoadOrStore(digest, bytes.Clone(key)); !known {
		l.bytes.Add(int64(len(key)))
	}
}

// whole returns the key that strict limits know under this name.
func (l *longKeys) whole(key string) []byte {
	if whole, ok := l.byDigest.Load(key); ok {
		return whole.([]byte)
	}
	return []byte(key)
}

// strictKey evaluates the key as strict limits have it.
func (z *Zone) strictKey(r *web.Request) (key string, ok bool) {
	whole, ok := z.keyOf(r, zone.MaxKeyBytes)
	if len(whole) > strict.KeyBytesMost {
		z.long.note(whole)
		whole = longkey.Fit(whole, strict.KeyBytesMost)
	}
	return string(whole), ok
}
