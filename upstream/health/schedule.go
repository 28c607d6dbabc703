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

// maxParked is how many goroutines wait for the next checks: they have grown their stacks already, to some 8 KB. 1,000
// servers have about 50 checks at one moment of the grid below.
const maxParked = 64

// tick is the grid of due times, coarseTick that of long pauses, and coarsePause the shortest pause that keeps to one.
// Checks that come together cost less: each wake-up of a process at rest, and of its threads, costs about as much as a
// check itself. 1,000 servers with intervals of 5s took 2.5 % of a core with a tick of 50ms for all, and 1.6 % with
// this (with keepalive_time: 1.1 and 0.6 %).
const (
	tick        = 50 * time.Millisecond
	coarseTick  = 5 * tick
	coarsePause = time.Second
)

// dueAfter returns the due time after a pause. It is rounded up to a grid, which begins at origin: by at most a
// twentieth.
func (s *schedule) dueAfter(pause time.Duration) time.Time {
	now := time.Now()
	grid := tick
	switch {
	case pause < coarsePause:
		return now.Add(pause)
	case pause >= 20*coarseTick:
		grid = coarseTick
	}
	late := now.Sub(s.origin) + pause
	return s.origin.Add((late + grid - 1) / grid * grid)
}

// schedule has the checks by the time when they are due. The zero value needs init.
type schedule struct {
	checks checker
	wake   chan struct{}
	work   chan *one // to the parked goroutines, of which at least one exists for each value
	// origin is when it began.
	origin time.Time
	// looking are the checks in progress that no goroutine makes. They belong to the goroutine of serve.
	looking []*one

	mu      sync.Mutex
	waiting byTime
	running int
	parked  int
	ended   bool
}

// checker makes the checks: Checks.
type checker interface {
	begin(o *one) bool
	look(o *one) (done bool, pause time.Duration)
	run(ctx context.Context, o *one) (pause time.Duration, again bool)
}

func (s *schedule) init(checks checker) {
	s.checks, s.wake, s.origin = checks, make(chan struct{}, 1), time.Now()
	s.work = make(chan *one, maxParked)
}

// add adds the checks of one server; it returns false if the configuration has ended.
func (s *schedule) add(all []one) bool {
	s.mu.Lock()
	ended := s.ended
	for i := range all {
		if !ended {
			heap.Push(&s.waiting, &all[i])
		}
	}
	s.mu.Unlock()
	s.rouse()
	return !ended
}

// notWaiting is the index of a check that is not in the heap: it runs, or has not begun.
const notWaiting = -1

// leastPause bounds how often advance makes a check run: what peers tell calls it.
const leastPause = 10 * time.Millisecond

// advance makes a check due now; one that runs is due again when it has ended.
func (s *schedule) advance(o *one) {
	s.mu.Lock()
	first := false
	switch {
	case s.ended:
	case o.index == notWaiting:
		o.again = true
	default:
		if due := s.soon(o); due.Before(o.due) {
			o.due = due
			heap.Fix(&s.waiting, o.index)
			first = o.index == 0
		}
	}
	s.mu.Unlock()
	if first {
		s.rouse()
	}
}

// soon is the earliest time at which a check may run again.
func (s *schedule) soon(o *one) time.Time {
	now := time.Now()
	if least := o.ran.Add(leastPause); now.Before(least) {
		return least
	}
	return now
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
		s.look(ctx)
		pause, wait := s.startDue(ctx)
		if next, any := s.nextLook(); any && (!wait || next < pause) {
			pause, wait = next, true
		}
		if wait {
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
		s.mu.Unlock()
		eager := s.checks.begin(o)
		s.mu.Lock()
		if eager {
			o.looks, o.lookAt = 0, time.Time{}
			s.looking = append(s.looking, o)
			continue
		}
		s.dispatch(ctx, o)
	}
	return 0, false
}

// dispatch gives a check to a goroutine, with the lock held.
func (s *schedule) dispatch(ctx context.Context, o *one) {
	if s.parked > 0 {
		s.parked--
		s.work <- o
		return
	}
	go s.worker(ctx, o)
}

// lookAfter are the pauses before each look whether a server has answered. The poller would wake the process for each
// server; this wakes it once for all checks that have begun together. A server that is slower gets a goroutine.
var lookAfter = [...]time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond,
}

// nextLook returns the time until the next look, if there is one.
func (s *schedule) nextLook() (pause time.Duration, any bool) {
	if len(s.looking) == 0 {
		return 0, false
	}
	now := time.Now()
	pause = lookAfter[len(lookAfter)-1]
	for _, o := range s.looking {
		if o.lookAt.IsZero() {
			o.lookAt = now.Add(lookAfter[o.looks])
		}
		pause = min(pause, o.lookAt.Sub(now))
	}
	return pause, true
}

// look looks which servers have answered.
func (s *schedule) look(ctx context.Context) {
	if len(s.looking) == 0 {
		return
	}
	now := time.Now()
	left := s.looking[:0]
	for _, o := range s.looking {
		if o.lookAt.After(now) {
			left = append(left, o)
			continue
		}
		if done, pause := s.checks.look(o); done {
			s.ends(o, pause, true)
			continue
		}
		o.lookAt = time.Time{}
		if o.looks++; o.looks < len(lookAfter) {
			left = append(left, o)
			continue
		}
		s.mu.Lock()
		s.dispatch(ctx, o)
		s.mu.Unlock()
	}
	clear(s.looking[len(left):])
	s.looking = left
}

// worker runs one check after another, and parks between them.
func (s *schedule) worker(ctx context.Context, o *one) {
	for {
		s.serveOne(ctx, o)
		if !s.park() {
			return
		}
		select {
		case o = <-s.work:
		case <-ctx.Done():
			return
		}
	}
}

// park reports whether a goroutine may wait for more work.
func (s *schedule) park() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.parked >= maxParked {
		return false
	}
	s.parked++
	return true
}

// serveOne runs a check and schedules the next.
func (s *schedule) serveOne(ctx context.Context, o *one) {
	pause, again := s.checks.run(ctx, o)
	s.ends(o, pause, again)
}

// ends schedules the next check after one that has ended.
func (s *schedule) ends(o *one, pause time.Duration, again bool) {
	s.mu.Lock()
	full := s.running == maxRunning
	s.running--
	again = again && !s.ended
	first := false
	if again {
		o.due, o.ran = s.dueAfter(pause), time.Now()
		if o.again {
			o.again, o.due = false, s.soon(o)
		}
		heap.Push(&s.waiting, o)
		first = o.index == 0
	}
	s.mu.Unlock()
	if !again {
		o.forget()
	}
	if first || full {
		s.rouse()
	}
}

// end forgets all checks. Those in progress forget themselves.
func (s *schedule) end() {
	s.mu.Lock()
	left := append(s.waiting, s.looking...)
	s.waiting, s.looking, s.ended = nil, nil, true
	s.mu.Unlock()
	for {
		select {
		case o := <-s.work: // its goroutine saw the end first
			left = append(left, o)
			continue
		default:
		}
		break
	}
	for _, o := range left {
		o.forget()
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
	o.index = notWaiting
	return o
}
