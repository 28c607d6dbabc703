package kinds

import (
	"encoding/binary"
	"sync/atomic"

	"starling/lib/clock"
	"starling/lib/conncount"
	"starling/zone"
)

// ConnKind describes counts of connections to the cluster and the store.
var ConnKind = &zone.Kind{Number: 5, Name: "conn", Holds: "connection counts", Sums: true}

// Conn has the connections, or requests in progress, of limit_conn: for each key the count of this node, and the counts
// that other nodes have told. Each node writes its own counts only, so there are no conflicts, and sends them as they
// are, not their changes, so nothing counts twice (zone/DESIGN.md has the argument).
//
// Word0 of a record is the own count, and above it the sum of the others'. Word1 is the own count that is in a frame.
// The value has the others' counts: see entry. A record without any count is idle: it waits until its zero is sent, and
// is then swept or evicted. Only idle records are in the order of use. Born is how much of the own count an heir
// counts.
type Conn struct {
	living
	keys atomic.Int64 // that have a count
	// heirs count what is counted here too, each under its shard's lock: see Follow.
	heirs [zone.Shards]conncount.Heir

	tellers tellers // guarded by told
	scratch []byte  // for a value
}

// ConnConfig configures a zone of counts. It is always shared: counts of one node alone are in lib/conncount.
type ConnConfig struct {
	Name       string
	Expression string // the key, compared with the peers'
	Bytes      int64
	// Incarnation is kept over a reload; 0 makes a new one.
	Incarnation uint64
}

// NewConn makes an empty zone of counts.
func NewConn(cfg ConnConfig) *Conn {
	c := &Conn{tellers: newTellers()}
	c.store = zone.NewStore(zone.Info{
		Name: cfg.Name, Kind: ConnKind, Expression: cfg.Expression, Bytes: cfg.Bytes, Incarnation: cfg.Incarnation,
	}, true, c)
	c.shared.Store(true)
	return c
}

var _ zone.Living = (*Conn)(nil)

// Ticket is one counted connection, for Leave: the shard in the upper half, the record in the lower.
type Ticket uint64

const (
	ownBits = 32
	ownMask = 1<<ownBits - 1
	// maxConns is the largest count of one node: limit_conn has no larger limit.
	maxConns = 1<<16 - 1
)

func ownOf(r *zone.Record) uint32    { return uint32(r.Word0 & ownMask) }
func othersOf(r *zone.Record) uint32 { return uint32(r.Word0 >> ownBits) }
func allOf(r *zone.Record) uint32    { return ownOf(r) + othersOf(r) }

// Enter adds one to the own count of a key unless all nodes together have reached the limit, as far as this node knows.
// Only Passed must be followed by Leave. The key is copied; it has 1 to 65,535 bytes.
func (c *Conn) Enter(key []byte, limit uint32) (Ticket, Verdict) {
	t, verdict, wake := c.enter(key, limit)
	if verdict == NoRoom {
		// All records that could be evicted wait for their zero to be sent: flush, then try again.
		c.store.Flush(clock.Reading{MonoMS: c.seenMS.Load()})
		t, verdict, wake = c.enter(key, limit)
	}
	if wake != wakeNot {
		c.store.Wake(wake == wakeUrgent)
	}
	return t, verdict
}

func (c *Conn) enter(key []byte, limit uint32) (Ticket, Verdict, waking) {
	sh := c.store.Shard(zone.KeyHash(key))
	sh.Lock()
	defer sh.Unlock()
	slot, r := sh.Find(key)
	switch {
	case r == nil:
		if slot, r = c.insert(sh, key); r == nil {
			return 0, NoRoom, wakeNot
		}
	case allOf(r) >= limit:
		return 0, Rejected, wakeNot
	}
	c.count(sh, slot, r, 1)
	sh.Pin() // the ticket names the slot
	if heir := c.heirs[sh.Number()]; heir != nil && heir.Add(key, 1) {
		r.Born++
	}
	first := sh.MarkDirty(slot, r)
	t := Ticket(sh.Number())<<32 | Ticket(slot)
	switch {
	case allOf(r) >= limit:
		// Until the other nodes know that the limit is reached, they pass connections that this node would reject.
		return t, Passed, wakeUrgent
	case first:
		return t, Passed, wakeSoon
	}
	return t, Passed, wakeNot
}

// Leave undoes one Enter. Each ticket is valid for one Leave.
func (c *Conn) Leave(t Ticket) {
	sh, slot := c.store.ShardNumber(int(t>>32)), zone.Slot(t)
	sh.Lock()
	r := sh.At(slot)
	first := c.release(sh, slot, r)
	sh.Unpin()
	sh.Unlock()
	if first {
		c.store.Wake(false)
	}
}

// insert makes the record of a key for a count of this node.
func (c *Conn) insert(sh *zone.Shard, key []byte) (zone.Slot, *zone.Record) {
	slot, r := c.store.Insert(sh, key, nil, c.store.Limit(), true, c.seenMS.Load())
	if r == nil {
		c.store.Lacked(zone.Local, zone.CostBytes(len(key), 0), c.store.Limit())
	}
	return slot, r
}

// count adds to the own count of a locked record.
func (c *Conn) count(sh *zone.Shard, slot zone.Slot, r *zone.Record, n int64) {
	before := standingOf(sh, r)
	r.Word0 += uint64(n)
	c.changed(sh, slot, r, before, c.seenMS.Load())
}

// standing is how a record stands: idle ones can be removed, counted ones are the zone's keys. It is neither if it has
// zeros of others, kept while the zone is being taught.
type standing struct{ idle, counted bool }

func standingOf(sh *zone.Shard, r *zone.Record) standing {
	return standing{idle: r.Word0 == 0 && len(sh.Value(r)) == 0, counted: r.Word0 != 0}
}

// changed follows a change of a locked record.
func (c *Conn) changed(sh *zone.Shard, slot zone.Slot, r *zone.Record, was standing, monoMS int64) {
	is := standingOf(sh, r)
	switch {
	case is.counted && !was.counted:
		c.keys.Add(1)
	case !is.counted && was.counted:
		c.keys.Add(-1)
	}
	switch {
	case is.idle && !was.idle:
		sh.Use(slot, r, monoMS)
	case !is.idle && was.idle:
		sh.Unlist(slot, r)
	}
}

// Stats are the zone's figures. Records are the keys that have a count; evicting idle ones loses nothing.
func (c *Conn) Stats() zone.Stats {
	stats := c.store.Stats()
	stats.Records, stats.Evicted, stats.Full = c.keys.Load(), 0, c.store.LacksRoom()
	return stats
}

// An entry is the count of one other node, in the value of a record: its number among the tellers, its count, and the
// last frame or piece that told it.
const entryBytes = 2 + 2 + 6

type entry struct {
	teller   uint16
	count    uint16
	sequence uint64 // below zone.MaxSequence
}

func readEntry(b []byte) entry {
	return entry{
		teller:   binary.LittleEndian.Uint16(b),
		count:    binary.LittleEndian.Uint16(b[2:]),
		sequence: uint64(binary.LittleEndian.Uint32(b[4:])) | uint64(binary.LittleEndian.Uint16(b[8:]))<<32,
	}
}

func (e entry) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, e.teller)
	dst = binary.LittleEndian.AppendUint16(dst, e.count)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(e.sequence))
	return binary.LittleEndian.AppendUint16(dst, uint16(e.sequence>>32))
}

// findEntry returns where the entry of a teller is in a value, or -1.
func findEntry(value []byte, teller uint16) int {
	for at := 0; at < len(value); at += entryBytes {
		if binary.LittleEndian.Uint16(value[at:]) == teller {
			return at
		}
	}
	return -1
}

// foreignLimit is how far the counts of others can fill the zone. The last eighth is for keys of this node's own
// clients: no peer can lock them out.
func (c *Conn) foreignLimit() int64 { return c.store.Limit() / 8 * 7 }

// tell sets what a teller counts for a key. The shard is locked, and told is held. keepZero keeps the entry of a count
// of 0, so that an older count that is learnt later does not return.
func (c *Conn) tell(sh *zone.Shard, t *teller, key []byte, e entry, keepZero bool, monoMS int64) outcome {
	e.teller = t.number
	slot, r := sh.Find(key)
	at := -1
	if r != nil {
		at = findEntry(sh.Value(r), t.number)
	}
	switch {
	case at < 0 && e.count == 0 && !keepZero:
		return lost
	case r == nil:
		c.scratch = e.append(c.scratch[:0])
		if slot, r = c.store.Insert(sh, key, c.scratch, c.foreignLimit(), true, monoMS); r == nil {
			c.store.Lacked(zone.Foreign, zone.CostBytes(len(key), entryBytes), c.foreignLimit())
			return refused
		}
		t.entries++
		r.Word0 = uint64(e.count) << ownBits
		c.changed(sh, slot, r, standing{idle: true}, monoMS)
		return won
	}
	before := standingOf(sh, r)
	value := sh.Value(r)
	switch {
	case at < 0:
		c.scratch = e.append(append(c.scratch[:0], value...))
		if !c.store.Replace(sh, slot, c.scratch, c.foreignLimit(), true, monoMS) {
			c.store.Lacked(zone.Foreign, entryBytes, c.foreignLimit())
			return refused
		}
		t.entries++
		r.Word0 += uint64(e.count) << ownBits
	case e.count == 0 && !keepZero:
		r.Word0 -= uint64(readEntry(value[at:]).count) << ownBits
		c.cutEntry(sh, slot, t, at, monoMS)
	default:
		r.Word0 += (uint64(e.count) - uint64(readEntry(value[at:]).count)) << ownBits
		e.append(value[:at])
	}
	c.changed(sh, slot, r, before, monoMS)
	return won
}

// cutEntry removes an entry, whose count is no longer in the sum, from a record's value.
func (c *Conn) cutEntry(sh *zone.Shard, slot zone.Slot, t *teller, at int, monoMS int64) {
	value := sh.Value(sh.At(slot))
	c.scratch = append(append(c.scratch[:0], value[:at]...), value[at+entryBytes:]...)
	c.store.Replace(sh, slot, c.scratch, c.store.Budget(), false, monoMS) // it is shorter, so it has room
	t.entries--
}

// forgetEntries removes the entries of a locked shard for which gone returns true. told is held.
func (c *Conn) forgetEntries(sh *zone.Shard, monoMS int64, gone func(entry) bool) {
	for slot := zone.Slot(1); int(slot) <= sh.Len(); slot++ {
		if !sh.Live(slot) {
			continue
		}
		r := sh.At(slot)
		before := standingOf(sh, r)
		for at := 0; at < len(sh.Value(r)); {
			e := readEntry(sh.Value(r)[at:])
			if !gone(e) {
				at += entryBytes
				continue
			}
			r.Word0 -= uint64(e.count) << ownBits
			c.cutEntry(sh, slot, c.tellers.numbered[e.teller], at, monoMS)
		}
		c.changed(sh, slot, r, before, monoMS)
	}
}

// Sweep removes idle records whose zero was sent.
func (c *Conn) Sweep(sh *zone.Shard, now clock.Reading) {
	c.seenMS.Store(now.MonoMS)
	slot := sh.Oldest()
	for range sweepRecords {
		if slot == 0 {
			return
		}
		next := sh.Newer(slot)
		if !sh.At(slot).Dirty() {
			sh.Remove(slot)
		}
		slot = next
	}
}
