package kinds

import (
	"encoding/binary"
	"runtime"
	"sync"
	"testing"

	"starling/zone"
)

// million is how many records the figures are taken with.
const million = 1_000_000

func binaryKey(buf []byte, i int) []byte {
	buf = binary.BigEndian.AppendUint64(buf[:0], uint64(i)*0x9e3779b97f4a7c15)
	return binary.BigEndian.AppendUint64(buf, uint64(i))
}

func fullBucket(tb testing.TB, n, keyBytes int) *Bucket {
	b := newTestBucket(1<<30, 1000)
	b.Resize(1<<16, 8192)
	var buf [16]byte
	for i := range n {
		if _, verdict := b.Account(binaryKey(buf[:0], i)[16-keyBytes:], at(0), 1000); verdict != Passed {
			tb.Fatalf("key %d got verdict %d", i, verdict)
		}
		if i%10_000 == 0 {
			b.Flush(at(0))
		}
	}
	b.Flush(at(0))
	return b
}

func fullSession(tb testing.TB, n int) *Session {
	s := NewSession(SessionConfig{Name: "s", Bytes: 1 << 30, TimeoutMS: 600_000, Sync: true})
	s.Resize(1<<16, 8192)
	servers := []string{"1a902fbe1a902fbe1a902fbe1a902fbe", "2b902fbe1a902fbe1a902fbe1a902fbe", "3c902fbe1a902fbe1a902fbe1a902fbe"}
	var buf [16]byte
	for i := range n {
		if err := s.Bind(binaryKey(buf[:0], i), []byte(servers[i%3]), at(int64(i/1000))); err != nil {
			tb.Fatal(err)
		}
		if i%10_000 == 0 {
			s.Flush(at(int64(i / 1000)))
		}
	}
	s.Flush(at(million / 1000))
	return s
}

func BenchmarkAccountDistinctKeys(b *testing.B) {
	zone := fullBucket(b, million, 4)
	var buf [16]byte
	now := at(10_000)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		zone.Account(binaryKey(buf[:0], i%million)[12:], now, 1_000_000)
		if i%1000 == 999 {
			zone.Flush(now)
		}
	}
}

func BenchmarkAccountOneKey(b *testing.B) {
	zone := newTestBucket(1<<20, 1000)
	key := []byte("1234")
	b.ReportAllocs()
	for b.Loop() {
		zone.Account(key, at(1), 1<<40)
	}
}

func BenchmarkFlush(b *testing.B) {
	zone := fullBucket(b, million, 4)
	var buf [16]byte
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		b.StopTimer()
		batch := min(100_000, b.N-done)
		for i := range batch {
			zone.Account(binaryKey(buf[:0], (done+i)%million)[12:], at(10_000), 1<<40)
		}
		b.StartTimer()
		done += max(zone.Flush(at(10_000)), 1)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "updates/s")
}

func BenchmarkApply(b *testing.B) {
	b.Run("bucket", func(b *testing.B) {
		source, target := fullBucket(b, million, 4), fullBucket(b, million, 4)
		benchmarkApply(b, source, target, func() {
			var buf [16]byte
			for i := range 200_000 {
				source.Account(binaryKey(buf[:0], i*5%million)[12:], at(10_000), 1<<40)
			}
		})
	})
	b.Run("session", func(b *testing.B) {
		source, target := fullSession(b, million), fullSession(b, million)
		ms := int64(0)
		benchmarkApply(b, source, target, func() {
			ms += 100_000
			var buf [16]byte
			for i := range 200_000 {
				source.Touch(binaryKey(buf[:0], i*5%million), at(ms))
			}
		})
	})
}

// benchmarkApply measures applying; writing and flushing between do not count.
func benchmarkApply(b *testing.B, source, target zone.Shared, write func()) {
	sequence := source.Journal().Head() - 1
	bytes, records := 0, 0
	b.ReportAllocs()
	b.ResetTimer()
	for done := 0; done < b.N; {
		b.StopTimer()
		write()
		source.Flush(at(10_000))
		b.StartTimer()
		for sequence++; sequence < source.Journal().Head(); sequence++ {
			payload, n, _, _ := source.Journal().Frame(sequence)
			if _, err := target.Apply(1, sequence, payload, 1, at(10_001)); err != nil {
				b.Fatal(err)
			}
			done += n
			bytes, records = bytes+len(payload), records+n
		}
		sequence--
	}
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "updates/s")
	b.ReportMetric(float64(bytes)/float64(records), "bytes/update")
}

// BenchmarkTeach takes the time to teach a million records of 16 bytes of key to an empty zone on all processors.
func BenchmarkTeach(b *testing.B) {
	b.Run("bucket", func(b *testing.B) {
		source := fullBucket(b, million, 16)
		benchmarkTeach(b, source, func() zone.Shared {
			z := newTestBucket(1<<30, 1000)
			z.Hold([4]uint64{1<<64 - 1, 1<<64 - 1, 1<<64 - 1, 1<<64 - 1})
			return z
		})
	})
	b.Run("session", func(b *testing.B) {
		source := fullSession(b, million)
		benchmarkTeach(b, source, func() zone.Shared {
			return NewSession(SessionConfig{Name: "s", Bytes: 1 << 30, TimeoutMS: 600_000, Sync: true})
		})
	})
}

func benchmarkTeach(b *testing.B, source zone.Shared, fresh func() zone.Shared) {
	workers := runtime.GOMAXPROCS(0)
	var bytes [64]int
	for b.Loop() {
		target := fresh()
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				var piece []byte
				for shard := w; shard < zone.Shards; shard += workers {
					for cursor, done := uint64(0), false; !done; {
						piece, cursor, done = source.TeachShard(shard, cursor, piece[:0], 64<<10, at(100))
						bytes[w] += len(piece)
						if _, err := target.Learn(piece, at(100)); err != nil {
							b.Error(err)
						}
					}
				}
			})
		}
		wg.Wait()
		if got, want := target.Stats().Records, source.Stats().Records; got != want {
			b.Fatalf("%d of %d records", got, want)
		}
	}
	total := 0
	for _, n := range bytes {
		total += n
	}
	b.ReportMetric(float64(total)/float64(b.N)/float64(source.Stats().Records), "bytes/record")
}

// BenchmarkMemory reports the heap that a million records take beyond their keys.
func BenchmarkMemory(b *testing.B) {
	for _, kind := range []struct {
		name string
		fill func() any
		key  int
	}{
		{"limit", func() any { return fullBucket(b, million, 16) }, 16},
		{"session", func() any { return fullSession(b, million) }, 16},
	} {
		b.Run(kind.name, func(b *testing.B) {
			for b.Loop() {
				before := heap()
				filled := kind.fill()
				if z, ok := filled.(zone.Shared); ok {
					z.Resize(1, 8192) // the journal's frames are not the zone's
				}
				b.ReportMetric(float64(heap()-before)/million-float64(kind.key), "bytes/record")
				runtime.KeepAlive(filled)
			}
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
