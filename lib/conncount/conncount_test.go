package conncount

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

func TestALimitHoldsPerKey(t *testing.T) {
	z := New(1 << 20)
	a, _ := z.Enter([]byte("a"), 2)
	b, _ := z.Enter([]byte("a"), 2)
	if _, v := z.Enter([]byte("a"), 2); v != Rejected {
		t.Errorf("the third of two gives %v", v)
	}
	if _, v := z.Enter([]byte("b"), 2); v != Entered {
		t.Errorf("another key gives %v", v)
	}
	z.Leave(a)
	if _, v := z.Enter([]byte("a"), 2); v != Entered {
		t.Errorf("after one left: %v", v)
	}
	z.Leave(b)
	if got := z.Keys(); got != 2 {
		t.Errorf("%d keys, want 2", got)
	}
}

func TestAFullZoneRefusesAndRecovers(t *testing.T) {
	z := New(32 << 10)
	var tickets []Ticket
	for i := 0; ; i++ {
		ticket, v := z.Enter(fmt.Appendf(nil, "%028d", i), 1)
		if v == Full {
			break
		}
		tickets = append(tickets, ticket)
	}
	if want := 7 * 4096 / 64; len(tickets) != want {
		t.Errorf("%d keys fit, want %d", len(tickets), want)
	}
	for _, ticket := range tickets {
		z.Leave(ticket)
	}
	if _, v := z.Enter([]byte("x"), 1); v != Entered || z.Keys() != 1 {
		t.Errorf("after all left: %v, %d keys", v, z.Keys())
	}
}

// The zone against a plain map.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z, counts := New(1<<20), map[string]uint32{}
		tickets := map[string][]Ticket{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			key := strings.Repeat(rapid.SampledFrom([]string{"", "a", "b", "c", "d"}).Draw(t, "key"), rapid.SampledFrom([]int{1, 100}).Draw(t, "length"))
			if held := tickets[key]; len(held) > 0 && rapid.Bool().Draw(t, "leave") {
				z.Leave(held[0])
				tickets[key] = held[1:]
				counts[key]--
				continue
			}
			ticket, v := z.Enter([]byte(key), 3)
			if want := counts[key] < 3; want != (v == Entered) {
				t.Fatalf("%q with %d in progress: %v", key, counts[key], v)
			}
			if v == Entered {
				tickets[key] = append(tickets[key], ticket)
				counts[key]++
			}
		}
	})
}

func TestConcurrentUse(t *testing.T) {
	z := New(1 << 20)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			for i := range 2000 {
				if ticket, v := z.Enter(fmt.Appendf(nil, "%d", (i*worker)%50), 100); v == Entered {
					z.Leave(ticket)
				}
			}
		})
	}
	group.Wait()
	if got := z.Keys(); got != 0 {
		t.Errorf("%d keys are left", got)
	}
}

func TestEnterDoesNotAllocate(t *testing.T) {
	z, key := New(1<<20), []byte("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() {
		ticket, _ := z.Enter(key, 1)
		z.Leave(ticket)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A zone that replaces another one counts its connections until they end, each once, and those that came late.
func TestFollow(t *testing.T) {
	before, now := New(1<<20), New(1<<20)
	key := []byte("k")
	first, _ := before.Enter(key, 9)
	second, _ := before.Enter(key, 9)
	before.Follow(now)
	counts := func(want uint32) {
		t.Helper()
		got := uint32(0)
		for _, h := range now.Fullest(1) {
			got = h.Count
		}
		if got != want {
			t.Errorf("%d connections count, want %d", got, want)
		}
	}
	counts(2)
	late, _ := before.Enter(key, 9)
	own, _ := now.Enter(key, 9)
	counts(4)
	before.Leave(first)
	before.Leave(late)
	now.Leave(own)
	counts(1)
	before.Leave(second)
	counts(0)
	if now.Keys() != 0 || now.Memory().UsedBytes != 0 {
		t.Errorf("%d keys and %d bytes are left", now.Keys(), now.Memory().UsedBytes)
	}
}

// A zone without room takes what it can, and is not asked back for the rest.
func TestFollowOfASmallerZone(t *testing.T) {
	before, now := New(1<<20), New(32<<10)
	tickets := map[int]Ticket{}
	for i := range 2000 {
		tickets[i], _ = before.Enter(fmt.Append(nil, "k", i), 9)
	}
	before.Follow(now)
	if taken := now.Keys(); taken == 0 || taken == 2000 {
		t.Errorf("%d keys were taken", taken)
	}
	for _, ticket := range tickets {
		before.Leave(ticket)
	}
	if now.Keys() != 0 || now.Memory().UsedBytes != 0 {
		t.Errorf("%d keys and %d bytes are left", now.Keys(), now.Memory().UsedBytes)
	}
}
