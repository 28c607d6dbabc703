package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"starling/e2e/lan"
	"starling/lib/testkit"
)

// keepOne is shareOne with a state file: what the API acknowledged is on disk.
var keepOne = strings.Replace(strings.Replace(shareOne, "EXTRA", "zone_sync_timeout 1s;", 1), "zone=one:64m", "zone=one:64m state={{.Dir}}/one.keyval", 1)

// crowd is several writers at each node, so that their writes share the disk's time; each is answered before it goes on.
func (h *hosts) crowd(perNode int) (writers []*writer) {
	for _, n := range h.Nodes {
		for i := range perNode {
			writers = append(writers, &writer{to: n, name: fmt.Sprintf("%s-%d", n.Name, i), window: 4})
		}
	}
	return writers
}

// storm lets writers write until stop is called, which returns how many writes were acknowledged. A writer whose node
// goes away ends with it.
func (h *hosts) storm(writers []*writer) (stop func() int) {
	ctx, cancel := context.WithCancel(h.t.Context())
	var wg sync.WaitGroup
	var early atomic.Int32
	for _, w := range writers {
		wg.Go(func() {
			if err := w.run(ctx); err != nil {
				early.Add(1)
			}
		})
	}
	h.acknowledge(writers, 20)
	return func() (acknowledged int) {
		cancel()
		wg.Wait()
		for _, w := range writers {
			acknowledged += w.acknowledged()
		}
		h.t.Logf("%d writes acknowledged; %d of %d writers lost their node", acknowledged, early.Load(), len(writers))
		return acknowledged
	}
}

// acknowledge waits until every writer has count more writes acknowledged.
func (h *hosts) acknowledge(writers []*writer, count int) {
	h.t.Helper()
	var goals []int
	for _, w := range writers {
		goals = append(goals, w.acknowledged()+count)
	}
	testkit.Eventually(h.t, patience, func() error {
		for i, w := range writers {
			if got := w.acknowledged(); got < goals[i] {
				return fmt.Errorf("writer %s has %d writes acknowledged, want %d", w.name, got, goals[i])
			}
		}
		return nil
	})
}

// TestKillOfANodeLosesNoAcknowledgedWrite: with state=, what a node acknowledged is there when it is back, though the
// node had been cut off and nobody else has it.
func TestKillOfANodeLosesNoAcknowledgedWrite(t *testing.T) {
	h := newHosts(t, 3)
	h.start(keepOne)
	h.Nodes[0].makeShared()
	h.settled()
	victim := h.Nodes[1]
	writers := h.crowd(4)
	stop := h.storm(writers)
	h.net.Partition(h.hostsOf(h.Nodes[:1]), h.hostsOf(h.Nodes[1:2]), h.hostsOf(h.Nodes[2:]))
	h.acknowledge(writers, 50)
	victim.kill()
	wrote := stop()
	for _, n := range []*node{h.Nodes[0], h.Nodes[2]} {
		h.online(n, 0) // else the kernel would still deliver what the victim had written
	}
	h.net.Heal()
	began := time.Now()
	victim.start()
	serves := time.Now()
	h.joined(3)
	pairs, alike := h.alike()
	for _, w := range writers {
		w.check(t, pairs)
	}
	h.record("kill-one", map[string]float64{"acknowledged": float64(wrote), "serves_after_ms": ms(serves.Sub(began)), "alike_after_ms": ms(alike.Sub(began))})
}

// TestKillOfAllNodesLosesNoAcknowledgedWrite: the power goes; each node brings back what it acknowledged.
func TestKillOfAllNodesLosesNoAcknowledgedWrite(t *testing.T) {
	h := newHosts(t, 3)
	h.start(keepOne)
	h.Nodes[0].makeShared()
	h.settled()
	rounds := 1
	if long() {
		rounds = 5
	}
	wrote, slowest := 0, time.Duration(0)
	for round := range rounds {
		writers := h.crowd(4)
		for _, w := range writers {
			w.name = fmt.Sprintf("%s-%d", w.name, round)
		}
		stop := h.storm(writers)
		h.acknowledge(writers, 50)
		for _, n := range h.Nodes {
			n.kill()
		}
		wrote += stop()
		began := time.Now()
		for _, n := range h.Nodes {
			n.start()
		}
		h.joined(3)
		pairs, alike := h.alike()
		slowest = max(slowest, alike.Sub(began))
		for _, w := range writers {
			w.check(t, pairs)
		}
	}
	h.record("kill-all", map[string]float64{"rounds": float64(rounds), "acknowledged": float64(wrote), "alike_after_at_most_ms": ms(slowest)})
}

// TestQuitUnderLoadLosesNothing: a node that holds its records in memory only is asked to end while it is written to.
func TestQuitUnderLoadLosesNothing(t *testing.T) {
	h := newHosts(t, 3)
	h.start(strings.Replace(shareOne, "EXTRA", "", 1))
	h.Nodes[0].makeShared()
	h.settled()
	leaver := h.Nodes[1]
	writers := h.crowd(2)
	stop := h.storm(writers)
	h.acknowledge(writers, 200)
	leaver.quit()
	stop()
	pairs, _ := h.alike()
	for _, w := range writers {
		w.check(t, pairs)
	}
}

// TestQuitWaitsForAcknowledgements: what was sent is not what has arrived. The node's host goes off as soon as the process has
// ended, with all that is on its way.
func TestQuitWaitsForAcknowledgements(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 3)
	h.start(strings.Replace(shareOne, "EXTRA", "", 1))
	leaver := h.Nodes[0]
	for _, n := range h.Nodes[1:] {
		h.net.Set(h.at(leaver), h.at(n), lan.Trouble{Delay: 300 * time.Millisecond})
	}
	leaver.wants(201, "*", "POST", setOne, `{"last":"words"}`)
	leaver.quit()
	h.net.Partition(h.hostsOf(h.Nodes[:1]), h.hostsOf(h.Nodes[1:]))
	for _, n := range h.Nodes[1:] {
		n.wants(200, "words", "GET", "/?text=last", "")
	}
}

// TestAFrozenNodeCatchesUp: a node stands still for longer than zone_sync_timeout while the others are written to.
func TestAFrozenNodeCatchesUp(t *testing.T) {
	t.Parallel()
	h := newHosts(t, 3)
	h.start(strings.Replace(shareOne, "EXTRA", "zone_sync_timeout 1s;", 1))
	h.Nodes[0].makeShared()
	h.settled()
	frozen := h.Nodes[2]
	thaw := frozen.freeze()
	for _, n := range h.Nodes[:2] {
		h.online(n, 1) // has given it up
	}
	writers := h.crowd(1)[:2]
	stop := h.storm(writers)
	h.acknowledge(writers, 5000)
	wrote := stop()
	thaw()
	before := time.Now()
	h.joined(3)
	joined := time.Now()
	pairs, alike := h.alike()
	for _, w := range writers {
		w.check(t, pairs)
	}
	h.record("frozen", map[string]float64{
		"writes_meanwhile": float64(wrote), "reconnect_after_thaw_ms": ms(joined.Sub(before)), "alike_after_thaw_ms": ms(alike.Sub(before)),
	})
}

// sessions follows sticky sessions over whichever nodes are up, as a client behind a balancer of balancers would.
type sessions struct {
	h        *hosts
	began    time.Time
	mu       sync.Mutex
	bound    map[string]binding
	requests int
	retried  int
	moved    []string
}

// binding is which backend a session began with, and how.
type binding struct {
	backend string
	by      string // the node that answered
	at      time.Duration
}

// follow begins sessions and comes back with them until ctx ends. Each worker has sessions of its own.
func (s *sessions) follow(ctx context.Context, worker int) {
	for i := 0; ctx.Err() == nil; i++ {
		id := fmt.Sprintf("w%d-s%d", worker, i%100)
		s.mu.Lock()
		want, known := s.bound[id]
		s.mu.Unlock()
		path, cookie := "/", "session="+id
		if !known {
			path, cookie = "/?session="+id, ""
		}
		got, err := s.ask(worker+i, path, cookie)
		s.mu.Lock()
		s.requests++
		switch {
		case err != nil:
			s.moved = append(s.moved, fmt.Sprintf("%s: %v", id, err))
		case !known:
			s.bound[id] = got
		case got.backend != want.backend:
			s.moved = append(s.moved, fmt.Sprintf("%s began with %s by %s at %v, was sent to %s by %s at %v",
				id, want.backend, want.by, want.at, got.backend, got.by, got.at))
		}
		s.mu.Unlock()
	}
}

// ask tries the nodes in turn: one that goes down refuses, and the client asks the next.
func (s *sessions) ask(first int, path, cookie string) (binding, error) {
	var last error
	for i := range s.h.Nodes {
		n := s.h.Nodes[(first+i)%len(s.h.Nodes)]
		r, err := n.do("GET", path, "", "Cookie", cookie)
		if err == nil && r.status == 200 {
			return binding{r.body, n.Name, time.Since(s.began)}, nil
		}
		if last = err; err == nil {
			last = fmt.Errorf("%d %s", r.status, r.body)
		}
		s.mu.Lock()
		s.retried++
		s.mu.Unlock()
		if !errors.Is(err, syscall.ECONNREFUSED) {
			s.h.t.Logf("%v: asked %s for %s %s: %v", time.Since(s.began), n.Name, path, cookie, last)
		}
	}
	return binding{}, last
}

// TestARollingRestartUnderLoadLosesNoSession: every node is ended and started again, one after the other.
func TestARollingRestartUnderLoadLosesNoSession(t *testing.T) {
	h := newHosts(t, 5)
	var servers strings.Builder
	for i := range 4 {
		fmt.Fprintf(&servers, "server %s;\n", h.backendHost(101+i, fmt.Sprintf("backend%d", i)))
	}
	text := strings.Replace(sticky, "resolver {{.Net}}.53:5353 valid=1s;", "", 1)
	h.start(strings.Replace(text, "SERVERS", servers.String(), 1))
	s := &sessions{h: h, began: time.Now(), bound: make(map[string]binding)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() { s.follow(ctx, worker) })
	}
	for _, n := range h.Nodes {
		s.more(500)
		n.quit()
		s.more(100)
		n.start()
		h.joined(5)
		n.sees("/api/9/stream/zone_sync/ready", `{"ready":true}`)
	}
	s.more(500)
	cancel()
	wg.Wait()
	for i, text := range s.moved {
		if i < 5 {
			t.Error(text)
		}
	}
	backends := map[string]bool{}
	for b := range maps.Values(s.bound) {
		backends[b.backend] = true
	}
	h.record("rolling-restart", map[string]float64{
		"hosts": float64(len(h.Nodes)), "requests": float64(s.requests), "sessions": float64(len(s.bound)), "backends": float64(len(backends)),
		"asked_again_of_another_node": float64(s.retried), "sessions_lost": float64(len(s.moved)), "took_ms": ms(time.Since(s.began)),
	})
	if len(backends) < 4 {
		t.Errorf("the sessions are with %d backends only: nothing was shown", len(backends))
	}
}

// more waits for further requests.
func (s *sessions) more(count int) {
	s.h.t.Helper()
	made := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.requests
	}
	goal := made() + count
	testkit.Eventually(s.h.t, patience, func() error {
		if got := made(); got < goal {
			return fmt.Errorf("%d requests, want %d", got, goal)
		}
		return nil
	})
}
