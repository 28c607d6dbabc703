package kinds

import (
	"fmt"
	"sync/atomic"
	"testing"
)

// The figures of docs/decisions/2026-11-23-incremental-sketch.md: what a write costs with digests and sketch kept.

// ringKeys keeps a benchmark's keys in the caches of no core: 100,000 records are 10 MB.
const ringKeys = 100_000

func BenchmarkRebind(b *testing.B) {
	s := fullSession(b, ringKeys)
	servers := [2][]byte{[]byte("1a902fbe1a902fbe1a902fbe1a902fbe"), []byte("2b902fbe1a902fbe1a902fbe1a902fbe")}
	var buf [16]byte
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		if err := s.Bind(binaryKey(buf[:0], i%ringKeys), servers[(i/ringKeys+i)%2], at(int64(i/1000))); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 {
			s.Flush(at(int64(i / 1000)))
		}
	}
}

// BenchmarkRebindParallel shows what writers of several cores cost each other.
func BenchmarkRebindParallel(b *testing.B) {
	s := fullSession(b, ringKeys)
	servers := [2][]byte{[]byte("1a902fbe1a902fbe1a902fbe1a902fbe"), []byte("2b902fbe1a902fbe1a902fbe1a902fbe")}
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var buf [16]byte
		start := int(next.Add(1)) * 31_337
		for i := start; pb.Next(); i++ {
			if err := s.Bind(binaryKey(buf[:0], i%ringKeys), servers[(i/ringKeys+i)%2], at(int64(i/1000))); err != nil {
				b.Error(err)
				return
			}
			if i%1000 == 999 {
				s.Flush(at(int64(i / 1000)))
			}
		}
	})
}

func BenchmarkSetNew(b *testing.B) {
	k := NewKeyval(KeyvalConfig{Name: "k", Bytes: 4 << 30, Sync: true})
	value := []byte("a value of thirty-two characters")
	var buf [16]byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := k.Set(binaryKey(buf[:0], i), value, NoExpire, at(int64(i/1000))); err != nil {
			b.Fatal(err)
		}
		if i%1000 == 999 {
			k.Flush(at(int64(i / 1000)))
		}
	}
}

// BenchmarkApplyRebindings is what a peer's rebinding costs here.
func BenchmarkApplyRebindings(b *testing.B) {
	source, target := fullSession(b, ringKeys), fullSession(b, ringKeys)
	round := 0
	benchmarkApply(b, source, target, func() {
		round++
		var buf [16]byte
		for i := range ringKeys {
			if err := source.Bind(binaryKey(buf[:0], i), fmt.Appendf(nil, "server-%d", round%3), at(int64(10_000+round))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
