package stripes

import (
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/cpu"
)

type counters struct {
	events atomic.Uint64
	bytes  atomic.Int64
}

func sum(s *Stripes[counters]) (events uint64, bytes int64) {
	for c := range s.All() {
		events += c.events.Load()
		bytes += c.bytes.Load()
	}
	return events, bytes
}

// Nothing is lost, however many writers there are, and whichever copies they pick.
func TestSumsAreExact(t *testing.T) {
	s := New[counters]()
	const writers, each = 32, 1000
	var wait sync.WaitGroup
	for range writers {
		wait.Go(func() {
			var pick Pick
			for range each {
				c := s.At(&pick)
				c.bytes.Add(3)
				pick.Increment(&c.events)
			}
		})
	}
	wait.Wait()
	if events, bytes := sum(&s); events != writers*each || bytes != 3*writers*each {
		t.Errorf("%d events, %d bytes", events, bytes)
	}
}

func TestAWriterStaysWithItsCopy(t *testing.T) {
	s := New[counters]()
	var pick Pick
	first := s.At(&pick)
	for range 100 {
		pick.Increment(&first.events)
		if s.At(&pick) != first {
			t.Fatal("an uncontended writer moved to another copy")
		}
	}
	if events, _ := sum(&s); events != 100 {
		t.Errorf("%d events", events)
	}
}

// Writers pick different copies: if all picked one, they would share its cache lines.
func TestWritersSpread(t *testing.T) {
	s := New[counters]()
	used := map[*counters]bool{}
	for range 1000 {
		var pick Pick
		used[s.At(&pick)] = true
	}
	if len(used) != len(s.copies) {
		t.Errorf("1000 writers use %d copies of %d", len(used), len(s.copies))
	}
}

func TestCopiesDoNotShareCacheLines(t *testing.T) {
	const line = unsafe.Sizeof(cpu.CacheLinePad{})
	var c padded[counters]
	if before, after := unsafe.Offsetof(c.counters), unsafe.Sizeof(c)-unsafe.Offsetof(c.counters)-unsafe.Sizeof(c.counters); before < line || after < line {
		t.Errorf("%d bytes before the counters and %d after them, want %d", before, after, line)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	s := New[counters]()
	var pick Pick
	s.At(&pick)
	if n := testing.AllocsPerRun(100, func() { pick.Increment(&s.At(&pick).events) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkIncrement compares with BenchmarkShared: with several cores, one shared counter moves between their caches.
func BenchmarkIncrement(b *testing.B) {
	s := New[counters]()
	b.RunParallel(func(pb *testing.PB) {
		var pick Pick
		for pb.Next() {
			pick.Increment(&s.At(&pick).events)
		}
	})
}

func BenchmarkShared(b *testing.B) {
	var c atomic.Uint64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Add(1)
		}
	})
}
