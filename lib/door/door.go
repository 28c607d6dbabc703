// Package door bounds how many strangers wait to be let in: past it the oldest gives way. Who means it needs a few
// round trips; a stranger who opens connections and says nothing is pushed out by the next one.
package door

import (
	"container/list"
	"sync"
)

// Door has those who are in it, in the order in which they came. Its zero value is an empty one.
type Door struct {
	mu      sync.Mutex
	waiting list.List // of func()
}

// Enter admits a connection; push evicts it. When more than most are waiting, Enter first evicts the oldest.
// Call leave when it is known who it is, or it has gone; more than once is fine.
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
		d.waiting.Remove(place) // does nothing where it was pushed
	}
}
