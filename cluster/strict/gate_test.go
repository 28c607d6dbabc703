package strict

import (
	"fmt"
	"sync"
	"testing"
)

// alone is a gate with a node that is the only member.
func alone(burst int64) *Gate {
	g := NewGate("zone", Limit{Rate: Request, Burst: burst}, 10, 1)
	n := New(Config{IDs: []uint64{1}, Incarnation: 1, Limit: g.Limit, LeaseUS: leaseUS, KeysMost: g.KeysMost}, 0)
	g.Open(n, []string{"a"}, func(Envelope) {}, func() {})
	var none View
	g.Install(none.next(processes(1)), 0)
	g.Tick(1)
	return g
}

// Requests of many goroutines get one decision each, and together no more than the bucket has.
func TestAGateDecidesOnEachRequest(t *testing.T) {
	g := alone(9)
	var all sync.WaitGroup
	var mu sync.Mutex
	admitted := 0
	for range 40 {
		all.Go(func() {
			verdict, ticket := g.Decide("key", 10)
			ok := verdict == Admitted
			if verdict == Parked {
				ok = <-ticket.Decided
				ticket.Release()
			}
			mu.Lock()
			defer mu.Unlock()
			if ok {
				admitted++
			}
		})
	}
	all.Wait()
	if admitted != 10 {
		t.Errorf("%d requests are admitted, want 10", admitted)
	}
	if s := g.Status(10); s.State != "member" || s.Keys != 1 || s.Owned != 1 || fmt.Sprint(s.Deciding()) != "[a]" {
		t.Errorf("status %+v", s)
	}
}

// What waits is rejected when the gate closes; a closed gate says why.
func TestAGateThatCloses(t *testing.T) {
	g := NewGate("zone", Limit{Rate: Request, Burst: 9}, 10, 1)
	if v, _ := g.Decide("key", 1); v != NoLease || g.Closed() == "" {
		t.Errorf("a new gate: %v, %q", v, g.Closed())
	}
	if s := g.Status(1); s.State != "closed" || s.Closed != g.Closed() || s.Deciding() == nil || s.Name(-1)+s.Name(0) != "" {
		t.Errorf("status of a new gate: %+v", s)
	}
	n, key, _ := holder(t, 100)
	woken := 0
	g.Open(n, []string{"a"}, func(Envelope) {}, func() { woken++ })
	var waiting *Ticket
	for range 3 {
		if v, ticket := g.Decide(key, 10); v == Parked {
			waiting = ticket
		}
	}
	if waiting == nil || woken == 0 {
		t.Fatalf("nothing waits: woken %d times", woken)
	}
	g.CloseTo("an older member", true, 0)
	if s := g.Status(10); s.State != "additive" || s.Closed != "an older member" {
		t.Errorf("status %+v", s)
	}
	if <-waiting.Decided || !g.Additive() || g.Closed() != "an older member" {
		t.Errorf("additive %v, closed %q", g.Additive(), g.Closed())
	}
	g.Open(n, []string{"a"}, func(Envelope) {}, func() {})
	if g.Additive() || g.Closed() != "" {
		t.Errorf("open: additive %v, closed %q", g.Additive(), g.Closed())
	}
}

// A zone that is not strict any more goes on with what was spent. Its gate stays closed.
func TestARetiredGate(t *testing.T) {
	g := NewGate("zone", Limit{Rate: Request, Burst: 9}, 10, 1)
	spent := map[string]int64{}
	g.After = func(key string, requests int64) { spent[key] += requests }
	open := func() {
		n := New(Config{IDs: []uint64{1}, Incarnation: 1, Limit: g.Limit, LeaseUS: leaseUS, KeysMost: g.KeysMost}, 0)
		n.Install(View{Number: 1, Members: []Member{{Seat: 0, Incarnation: 1, Birth: 1}}, Founding: true}, 0)
		g.Open(n, []string{"one"}, func(Envelope) {}, func() {})
		g.Tick(0)
	}
	open()
	for range 3 {
		if verdict, _ := g.Decide("a", 0); verdict != Admitted {
			t.Fatal("a request is not admitted")
		}
	}
	g.Close("the list has changed") // strict again soon: nothing is counted in another way
	if len(spent) > 0 {
		t.Errorf("spent %v", spent)
	}
	open()
	for range 4 {
		g.Decide("a", 0)
	}
	g.Retire(1_500_000) // 1.5 of 4 have drained
	if len(spent) != 1 || spent["a"] != 3 || !g.Additive() {
		t.Errorf("spent %v, additive %v", spent, g.Additive())
	}
	open()
	g.Close("the zone is not configured any more")
	if g.Closed() != "the zone is not strict any more" || !g.Additive() {
		t.Errorf("closed: %q, additive %v", g.Closed(), g.Additive())
	}
}
