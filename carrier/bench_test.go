package carrier

import (
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"starling/lib/clock"
	"starling/zone"
	"starling/zone/kinds"
)

// told is a zone that tells when remote frames have been applied or learnt.
type told struct {
	*kinds.Keyval
	applied chan int
}

func (z told) Apply(from zone.Origin, sequence uint64, payload []byte, ageMS int64, now clock.Reading) (zone.Applied, error) {
	a, err := z.Keyval.Apply(from, sequence, payload, ageMS, now)
	select {
	case z.applied <- a.Records:
	default:
	}
	return a, err
}

// BenchmarkPropagation measures, between two nodes over loopback TCP, the time from a write on one to its being applied
// on the other: while nothing else happens, and while the writer charges 50,000 limits a second. 2,000 samples each.
func BenchmarkPropagation(b *testing.B) {
	b.Run("idle", func(b *testing.B) { propagate(b, 0) })
	b.Run("50k", func(b *testing.B) { propagate(b, 50_000) })
}

func propagate(b *testing.B, load int) {
	applied := make(chan int, 1)
	nodes := mesh(b, 2, func(config *Config) {
		keyval := config.Node.Zones[0].(*kinds.Keyval)
		config.Node.Zones[0] = told{keyval, applied}
	})
	done := make(chan struct{})
	var loader sync.WaitGroup
	if load > 0 {
		loader.Go(func() { charge(nodes[0], load, done) })
	}
	const samples = 2000
	for b.Loop() {
		taken := make([]time.Duration, 0, samples)
		pause := time.NewTicker(2 * time.Millisecond)
		for i := range samples {
			<-pause.C
			select { // a late report of the sample before
			case <-applied:
			default:
			}
			start := time.Now()
			nodes[0].set(fmt.Sprint("key", i), "value")
			<-applied
			taken = append(taken, time.Since(start))
		}
		pause.Stop()
		slices.Sort(taken)
		b.ReportMetric(float64(taken[samples/2].Microseconds()), "p50-us")
		b.ReportMetric(float64(taken[samples*99/100].Microseconds()), "p99-us")
		b.ReportMetric(float64(taken[samples-1].Microseconds()), "max-us")
	}
	close(done)
	loader.Wait()
}

// charge spreads so many requests per second over a million keys until done.
func charge(n *node, perSecond int, done chan struct{}) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	start, charged := time.Now(), 0
	var key [4]byte
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		for due := int(time.Since(start).Seconds() * float64(perSecond)); charged < due; charged++ {
			binary.BigEndian.PutUint32(key[:], uint32(charged%1_000_000))
			n.bucket.Account(key[:], n.now(), testBurstMilli)
		}
	}
}

// BenchmarkUpdates charges distinct 4-byte keys on one node as fast as it can and waits until the other has applied
// them.
func BenchmarkUpdates(b *testing.B) {
	nodes := mesh(b, 2, nil)
	var key [4]byte
	const batch = 100_000
	before := nodes[0].carrier.Status().Node
	sent, cpu := 0, cpuTime(b)
	for b.Loop() {
		for range batch {
			binary.BigEndian.PutUint32(key[:], uint32(sent%1_000_000))
			nodes[0].bucket.Account(key[:], nodes[0].now(), testBurstMilli)
			sent++
		}
		eventually(b, func() error {
			if !nodes[0].carrier.Node().Drained() {
				return fmt.Errorf("not drained")
			}
			return nil
		})
	}
	after := nodes[0].carrier.Status().Node
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "updates/s")
	b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(sent), "cpu-ns/update")
	b.ReportMetric(float64(after.BytesOut-before.BytesOut)/float64(sent), "bytes/update")
	b.ReportMetric(float64(nodes[1].carrier.Status().Zones["lim"].Forfeited), "forfeited")
}

// cpuTime is what this process has used: both nodes, the charging and the waiting.
func cpuTime(b *testing.B) time.Duration {
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkTeach brings a fresh node to 1M records of 16-byte keys.
func BenchmarkTeach(b *testing.B) {
	const records = 1_000_000
	zones := func(n *node) func(*Config) {
		return func(config *Config) {
			n.keyval = kinds.NewKeyval(kinds.KeyvalConfig{Name: "kv", Expression: "k", Bytes: 512 << 20, TimeoutMS: 3_600_000, Sync: true})
			config.Node.Zones = []zone.Shared{n.keyval}
		}
	}
	teacher := listen(b, 0)
	teacher.start(nil, zones(teacher))
	for i := range records {
		teacher.set(fmt.Sprintf("%016x", i), "12345678")
		if i%1000 == 0 {
			teacher.carrier.flush.now()
		}
	}
	index := 1
	for b.Loop() {
		b.StopTimer()
		learner := listen(b, index)
		index++
		learner.start([]Member{teacher.member()}, zones(learner))
		config := teacher.config
		config.Members = []Member{learner.member()}
		before := teacher.carrier.Status().Node
		b.StartTimer()
		start := time.Now()
		if err := teacher.carrier.Reload(config); err != nil {
			b.Fatal(err)
		}
		eventually(b, func() error { return learner.online(1) })
		b.ReportMetric(time.Since(start).Seconds(), "s/teach")
		after := teacher.carrier.Status().Node
		b.ReportMetric(float64(after.BytesOut-before.BytesOut)/records, "bytes/record")
		if got := learner.keyval.Len(); got != records {
			b.Fatalf("learnt %d records of %d", got, records)
		}
		b.StopTimer()
		learner.carrier.Close()
		b.StartTimer()
	}
}
