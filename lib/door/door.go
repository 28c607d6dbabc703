// Package door bounds how many unidentified connections may wait; beyond that it evicts the oldest. An honest client
// needs a few round trips; a stranger that opens connections and sends nothing is evicted by the next one.
package door

import (
	"container/list"
	"sync"
)

// Door holds the waiting connections in the order of their arrival. Its zero value is empty.
type Door struct {
	mu      sync.Mutex
	waiting list.List // of func()
}

// Enter admits a connection; push evicts it. When more than most are waiting, Enter first evicts the oldest. Call leave
// when the connection is identified or closed; more than once is fine.
func (d *Door) Enter(most int, push func()) (leave func()) {
	d.mu.Lock()
	place := d.waiting.PushBack(push)
	var pushOldest func()
	if d.waiting.Len() > most {
		pushOldest = d.waiting.Remove(d.waiting.Front()).(func())
	}
	d.mu.Unlock()
	if pushOldest != nil {
		pushOldest()
	}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.waiting.Remove(place) // does nothing if it was evicted
	}
}
