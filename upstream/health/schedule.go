package health

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// maxRunning bounds the checks in progress at once, and so their goroutines, sockets and memory (a check can read 256
// KiB of a body). Those that are due meanwhile wait. A group whose servers do not answer at all occupies as many as it
// has servers, for proxy_connect_timeout each.
const maxRunning = 512

// schedule has the checks by the time when they are due. The zero value needs init.
type schedule struct {
	run  func(ctx context.Context, o *one) (pause time.Duration, again bool)
	wake chan struct{}

	mu      sync.Mutex
	waiting byTime
	running int
	ended   bool
}

func (s *schedule) init(run func(context.Context, *one) (time.Duration, bool)) {
	s.run, s.wake = run, make(chan struct{}, 1)
}

// add adds the checks of one server.
func (s *schedule) add(all []one) {
	s.mu.Lock()
	for i := range all {
		if !s.ended {
			heap.Push(&s.waiting, &all[i])
		}
	}
	s.mu.Unlock()
	s.rouse()
}

// rouse makes serve look at the heap again.
func (s *schedule) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// serve starts the checks that are due, until ctx ends.
func (s *schedule) serve(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		if pause, wait := s.startDue(ctx); wait {
			timer.Reset(pause)
		}
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
		}
	}
	s.end()
}

// startDue starts checks and returns the pause until the next is due; wait is false if only another event, which calls
// rouse, can allow the next.
func (s *schedule) startDue(ctx context.Context) (pause time.Duration, wait bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for len(s.waiting) > 0 && s.running < maxRunning {
		if pause = s.waiting[0].due.Sub(now); pause > 0 {
			return pause, true
		}
		o := heap.Pop(&s.waiting).(*one)
		s.running++
		go s.serveOne(ctx, o)
	}
	return 0, false
}

// serveOne runs a check and schedules the next.
func (s *schedule) serveOne(ctx context.Context, o *one) {
	pause, again := s.run(ctx, o)
	s.mu.Lock()
	full := s.running == maxRunning
	s.running--
	again = again && !s.ended
	first := false
	if again {
		o.due = time.Now().Add(pause)
		heap.Push(&s.waiting, o)
		first = o.index == 0
	}
	s.mu.Unlock()
	if !again {
		o.check.Prober.Forget(&o.Target)
	}
	if first || full {
		s.rouse()
	}
}

// end forgets all checks. Those in progress forget themselves.
func (s *schedule) end() {
	s.mu.Lock()
	left := s.waiting
	s.waiting, s.ended = nil, true
	s.mu.Unlock()
	for _, o := range left {
		o.check.Prober.Forget(&o.Target)
	}
}

// byTime is a heap of checks; the first is due first.
type byTime []*one

func (h byTime) Len() int           { return len(h) }
func (h byTime) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h byTime) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *byTime) Push(x any) {
	o := x.(*one)
	o.index = len(*h)
	*h = append(*h, o)
}

// Pop implements heap.Interface.
func (h *byTime) Pop() any {
	all := *h
	o := all[len(all)-1]
	all[len(all)-1] = nil
	*h = all[:len(all)-1]
	return o
}
