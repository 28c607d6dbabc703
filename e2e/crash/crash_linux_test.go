package crash

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

	"starling/e2e/harness"
	"starling/e2e/lan"
	"starling/lib/testkit"
)

// keepOne is harness.ShareOne with a state file: what the API acknowledged is on disk.
var keepOne = strings.Replace(
	strings.Replace(harness.ShareOne, "EXTRA", "zone_sync_timeout 1s;", 1),
	"zone=one:64m",
	"zone=one:64m state={{.Dir}}/one.keyval",
	1,
)

// crowd is several writers at each node, so that their writes share the disk's time; each is answered before it goes
// on.
func crowd(h *harness.Hosts, perNode int) (writers []*harness.Writer) {
	for _, n := range h.Nodes {
		for i := range perNode {
			writers = append(writers, &harness.Writer{To: n, Name: fmt.Sprintf("%s-%d", n.Name, i), Window: 4})
		}
	}
	return writers
}

// storm lets writers write until stop is called, which returns how many writes were acknowledged. A writer whose node
// goes away ends with it.
func storm(h *harness.Hosts, writers []*harness.Writer) (stop func() int) {
	ctx, cancel := context.WithCancel(h.T.Context())
	var wg sync.WaitGroup
	var early atomic.Int32
	for _, w := range writers {
		wg.Go(func() {
			if err := w.Run(ctx); err != nil {
				early.Add(1)
			}
		})
	}
	acknowledge(h, writers, 20)
	return func() (acknowledged int) {
		cancel()
		wg.Wait()
		for _, w := range writers {
			acknowledged += w.Acknowledged()
		}
		h.T.Logf("%d writes acknowledged; %d of %d writers lost their node", acknowledged, early.Load(), len(writers))
		return acknowledged
	}
}

// acknowledge waits until every writer has count more writes acknowledged.
func acknowledge(h *harness.Hosts, writers []*harness.Writer, count int) {
	h.T.Helper()
	var goals []int
	for _, w := range writers {
		goals = append(goals, w.Acknowledged()+count)
	}
	testkit.Eventually(h.T, harness.Patience, func() error {
		for i, w := range writers {
			if got := w.Acknowledged(); got < goals[i] {
				return fmt.Errorf("writer %s has %d writes acknowledged, want %d", w.Name, got, goals[i])
			}
		}
		return nil
	})
}

// TestKillOfANodeLosesNoAcknowledgedWrite: with state=, what a node acknowledged is there when it is back, though the
// node had been cut off and nobody else has it.
func TestKillOfANodeLosesNoAcknowledgedWrite(t *testing.T) {
	h := harness.NewHosts(t, 3)
	h.Start(keepOne)
	h.Nodes[0].MakeShared()
	h.Acknowledged()
	victim := h.Nodes[1]
	writers := crowd(h, 4)
	stop := storm(h, writers)
	h.Network.Partition(h.HostsOf(h.Nodes[:1]), h.HostsOf(h.Nodes[1:2]), h.HostsOf(h.Nodes[2:]))
	acknowledge(h, writers, 50)
	victim.Kill()
	wrote := stop()
	for _, n := range []*harness.Node{h.Nodes[0], h.Nodes[2]} {
		h.Online(n, 0) // else the kernel would still deliver what the victim had written
	}
	h.Network.Heal()
	began := time.Now()
	victim.Start()
	serves := time.Now()
	h.Joined(3)
	pairs, alike := h.Alike()
	for _, w := range writers {
		w.Check(t, pairs)
	}
	h.Record(
		"kill-one",
		map[string]float64{
			"acknowledged":    float64(wrote),
			"serves_after_ms": harness.Milliseconds(serves.Sub(began)),
			"alike_after_ms":  harness.Milliseconds(alike.Sub(began)),
		},
	)
}

// TestKillOfAllNodesLosesNoAcknowledgedWrite: the power goes; each node brings back what it acknowledged.
func TestKillOfAllNodesLosesNoAcknowledgedWrite(t *testing.T) {
	h := harness.NewHosts(t, 3)
	h.Start(keepOne)
	h.Nodes[0].MakeShared()
	h.Acknowledged()
	rounds := 1
	if harness.Long() {
		rounds = 5
	}
	wrote, slowest := 0, time.Duration(0)
	for round := range rounds {
		writers := crowd(h, 4)
		for _, w := range writers {
			w.Name = fmt.Sprintf("%s-%d", w.Name, round)
		}
		stop := storm(h, writers)
		acknowledge(h, writers, 50)
		for _, n := range h.Nodes {
			n.Kill()
		}
		wrote += stop()
		began := time.Now()
		for _, n := range h.Nodes {
			n.Start()
		}
		h.Joined(3)
		pairs, alike := h.Alike()
		slowest = max(slowest, alike.Sub(began))
		for _, w := range writers {
			w.Check(t, pairs)
		}
	}
	h.Record("kill-all", map[string]float64{"rounds": float64(rounds), "acknowledged": float64(wrote), "alike_after_at_most_ms": harness.Milliseconds(slowest)})
}

// TestQuitUnderLoadLosesNothing: a node that holds its records in memory only is asked to end while it is written to.
func TestQuitUnderLoadLosesNothing(t *testing.T) {
	h := harness.NewHosts(t, 3)
	h.Start(strings.Replace(harness.ShareOne, "EXTRA", "", 1))
	h.Nodes[0].MakeShared()
	h.Acknowledged()
	leaver := h.Nodes[1]
	writers := crowd(h, 2)
	stop := storm(h, writers)
	acknowledge(h, writers, 200)
	leaver.Quit()
	stop()
	pairs, _ := h.Alike()
	for _, w := range writers {
		w.Check(t, pairs)
	}
}

// TestQuitWaitsForAcknowledgements: what was sent is not what has arrived. The node's host goes off as soon as the
// process has ended, with all that is on its way.
func TestQuitWaitsForAcknowledgements(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(strings.Replace(harness.ShareOne, "EXTRA", "", 1))
	leaver := h.Nodes[0]
	for _, n := range h.Nodes[1:] {
		h.Network.Set(h.At(leaver), h.At(n), lan.Trouble{Delay: 300 * time.Millisecond})
	}
	leaver.Wants(201, "*", "POST", harness.SetOne, `{"last":"words"}`)
	leaver.Quit()
	h.Network.Partition(h.HostsOf(h.Nodes[:1]), h.HostsOf(h.Nodes[1:]))
	for _, n := range h.Nodes[1:] {
		n.Wants(200, "words", "GET", "/?text=last", "")
	}
}

// TestAFrozenNodeCatchesUp: a node stands still for longer than zone_sync_timeout while the others are written to.
func TestAFrozenNodeCatchesUp(t *testing.T) {
	t.Parallel()
	h := harness.NewHosts(t, 3)
	h.Start(strings.Replace(harness.ShareOne, "EXTRA", "zone_sync_timeout 1s;", 1))
	h.Nodes[0].MakeShared()
	h.Acknowledged()
	frozen := h.Nodes[2]
	thaw := frozen.Freeze()
	for _, n := range h.Nodes[:2] {
		h.Online(n, 1) // has given it up
	}
	writers := crowd(h, 1)[:2]
	stop := storm(h, writers)
	acknowledge(h, writers, 5000)
	wrote := stop()
	thaw()
	before := time.Now()
	h.Joined(3)
	joined := time.Now()
	pairs, alike := h.Alike()
	for _, w := range writers {
		w.Check(t, pairs)
	}
	h.Record("frozen", map[string]float64{
		"writes_meanwhile": float64(
			wrote,
		), "reconnect_after_thaw_ms": harness.Milliseconds(joined.Sub(before)), "alike_after_thaw_ms": harness.Milliseconds(alike.Sub(before)),
	})
}

// sessions follows sticky sessions over whichever nodes are up, as a client behind a balancer of balancers would.
type sessions struct {
	h        *harness.Hosts
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
		r, err := n.Do("GET", path, "", "Cookie", cookie)
		if err == nil && r.Status == 200 {
			return binding{r.Body, n.Name, time.Since(s.began)}, nil
		}
		if last = err; err == nil {
			last = fmt.Errorf("%d %s", r.Status, r.Body)
		}
		s.mu.Lock()
		s.retried++
		s.mu.Unlock()
		if !errors.Is(err, syscall.ECONNREFUSED) {
			s.h.T.Logf("%v: asked %s for %s %s: %v", time.Since(s.began), n.Name, path, cookie, last)
		}
	}
	return binding{}, last
}

// TestARollingRestartUnderLoadLosesNoSession: every node is ended and started again, one after the other.
func TestARollingRestartUnderLoadLosesNoSession(t *testing.T) {
	h := harness.NewHosts(t, 5)
	var servers strings.Builder
	for i := range 4 {
		fmt.Fprintf(&servers, "server %s;\n", h.BackendHost(101+i, fmt.Sprintf("backend%d", i)))
	}
	text := strings.Replace(harness.Sticky, "resolver {{.Net}}.53:5353 valid=1s;", "", 1)
	h.Start(strings.Replace(text, "SERVERS", servers.String(), 1))
	s := &sessions{h: h, began: time.Now(), bound: make(map[string]binding)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() { s.follow(ctx, worker) })
	}
	for _, n := range h.Nodes {
		s.more(500)
		n.Quit()
		s.more(100)
		n.Start()
		h.Joined(5)
		n.Sees("/api/9/stream/zone_sync/ready", `{"ready":true}`)
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
	h.Record("rolling-restart", map[string]float64{
		"hosts": float64(len(h.Nodes)), "requests": float64(s.requests), "sessions": float64(len(s.bound)), "backends": float64(len(backends)),
		"asked_again_of_another_node": float64(s.retried), "sessions_lost": float64(len(s.moved)), "took_ms": harness.Milliseconds(time.Since(s.began)),
	})
	if len(backends) < 4 {
		t.Errorf("the sessions are with %d backends only: nothing was shown", len(backends))
	}
}

// more waits for further requests.
func (s *sessions) more(count int) {
	s.h.T.Helper()
	made := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.requests
	}
	goal := made() + count
	testkit.Eventually(s.h.T, harness.Patience, func() error {
		if got := made(); got < goal {
			return fmt.Errorf("%d requests, want %d", got, goal)
		}
		return nil
	})
}
