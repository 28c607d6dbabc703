// Package kinds holds the kinds of zones: sessions, key-value pairs, buckets of limits, changes of servers, counts of
// connections and findings of health checks.
package kinds

import (
	"errors"
	"fmt"
	"sync/atomic"

	"starling/lib/clock"
	"starling/zone"
)

// base forwards what all kinds share from their store and hides its other methods.
type base struct {
	store *zone.Store
	// shared means that the configuration shares the zone with the cluster.
	shared atomic.Bool
	// sharedUntilMS is since when the cluster no longer shares it, by the clock of stamps; 0: it never did.
	sharedUntilMS atomic.Int64
}

// Info describes the zone to peers.
func (b *base) Info() zone.Info { return b.store.Info() }

// Flush drains the dirty lists into frames of the journal and returns the number of records moved.
func (b *base) Flush(now clock.Reading) int { return b.store.Flush(now) }

// OnDirty sets the callback for a change that arrives on an empty dirty list.
func (b *base) OnDirty(wake func(urgent bool)) { b.store.OnDirty(wake) }

// OnDeliver sets the function that makes deliveries.
func (b *base) OnDeliver(make func(zone.Need) zone.Delivery) { b.store.OnDeliver(make) }

// Deliver follows the changes so far to the peers; nil if there is nobody to wait for.
func (b *base) Deliver(need zone.Need) zone.Delivery { return b.store.Deliver(need) }

// Journal is the ring of flushed frames.
func (b *base) Journal() *zone.Journal { return b.store.Journal() }

// Resize changes the journal's ring.
func (b *base) Resize(frames, frameBytes int) { b.store.Resize(frames, frameBytes) }

// Tick removes what ended.
func (b *base) Tick(now clock.Reading) { b.store.Tick(now) }

// Stats are the zone's figures.
func (b *base) Stats() zone.Stats { return b.store.Stats() }

// malformed is the error for a payload that no correct peer sends, and no disk has.
func (b *base) malformed() error { return fmt.Errorf("zone %q: %w", b.Info().Name, zone.ErrMalformed) }

// Errors of writes. The caller adds the key.
var (
	ErrFull     = errors.New("zone is full: delete records, increase the zone size or shorten the timeout")
	ErrExists   = errors.New("key already exists")
	ErrNotFound = errors.New("key not found")
	ErrKey      = errors.New("invalid key")
	ErrTooLong  = errors.New("key or value is too long")
)
