package strict

import (
	"container/heap"

	"starling/cluster/strict"
)

type eventKind uint8

const (
	tick eventKind = iota
	deliver
	install
	call
)

// event is something that happens at a time.
type event struct {
	atUS       int64
	order      uint64
	kind       eventKind
	host, from int
	generation int
	message    *strict.Message
	settings   int // of the sender
	call       func()
}

// queue has what will happen, the next first; what happens at once is in the order in which it was pushed.
type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].atUS < q[j].atUS || q[i].atUS == q[j].atUS && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }

// Push is for the heap.
func (q *queue) Push(x any) { *q = append(*q, x.(event)) }

// Pop is for the heap.
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

func (w *World) push(e event) {
	w.order++
	e.order = w.order
	heap.Push(&w.queue, e)
}

func (w *World) pop() event { return heap.Pop(&w.queue).(event) }

// at has something happen at a true time.
func (w *World) at(us int64, f func()) { w.push(event{atUS: us, kind: call, call: f}) }
