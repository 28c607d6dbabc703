package cache

import (
	"sync/atomic"
)

// Key is the MD5 of a cache key, as in nginx: it is the name of the file, which operators compute to find one. A
// different key with the same sum is a miss, because the file has the whole key.
type Key [16]byte

// entry is one key in the index. Its fields belong to the lock of the Cache.
type entry struct {
	links[entry]
	key          Key
	object       *Object       // open, if it is kept so
	wait         chan struct{} // closed when updating ends; nil if nobody waits
	bytes        int64         // of the file, in blocks
	stamp        stamp         // of the file when this process wrote or checked it, 0 if it has not
	lockUntilMS  int64         // an update that began is given up then
	expireS      int64         // it is removed then, if nobody asks for it meanwhile
	failedUntilS int64
	refs         int32  // tickets that use it
	uses         uint16 // requests for it, up to the largest number
	failed       uint16 // the status that answers instead of a response, until failedUntilS; 0: none
	version      uint32 // changes with the file
	number       uint32 // in the table; it never changes
	rewrites     int16  // of the file's freshness that are being made
	exists       bool   // there is a file
	updating     bool   // a request is fetching a new one
}

// index is all entries, by key and in the order of their last use.
type index struct {
	table
	list[entry, *entry]
}

// insert adds an entry of a key that has none, as the newest.
func (x *index) insert(key *Key) *entry {
	e := x.add(key)
	x.push(e)
	return e
}

// remove removes an entry that no ticket uses, and that keeps nothing open. Nobody may use it afterwards.
func (x *index) remove(e *entry) {
	x.unlink(e)
	x.table.remove(e)
}

// settle ends an update: the next request may start one, and those that wait look again.
func (e *entry) settle() {
	e.updating = false
	if e.wait != nil {
		close(e.wait)
		e.wait = nil
	}
}

// Counters are figures of one cache since they were last reset.
type Counters struct {
	Responses, Bytes               atomic.Uint64
	ResponsesWritten, BytesWritten atomic.Uint64
}
