package sim

import (
	"cmp"
	"container/heap"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"starling/cluster"
	"starling/lib/clock"
	"starling/zone"
	"starling/zone/kinds"
)

// How far the additive mode of limits exceeds them: a world of its own in microseconds, because a millisecond is what
// the nodes lag behind each other. Its links and flushers take as long as measured on real machines.

var (
	measureAdditive = flag.Bool("measure-additive", false, "print how far limits are exceeded with 3, 7 and 15 nodes")
	// oneWayUS is the measured time from a write on one host until the peer has read it.
	oneWayUS = flag.Int64("lag", 300, "us from one node to another, for -measure-additive")
)

const (
	// flushUS and writeUS are the processor time of a flush, and of a write to one peer. They pace the flusher.
	flushUS = 10 * time.Microsecond
	writeUS = 10 * time.Microsecond
)

// happening is something at a time. Equal times keep the order in which they were made.
type happening struct {
	us, serial int64
	do         func()
}

type agenda []happening

func (a agenda) Len() int      { return len(a) }
func (a agenda) Swap(i, k int) { a[i], a[k] = a[k], a[i] }
func (a agenda) Less(i, k int) bool {
	return cmp.Or(cmp.Compare(a[i].us, a[k].us), cmp.Compare(a[i].serial, a[k].serial)) < 0
}
func (a *agenda) Push(x any) { *a = append(*a, x.(happening)) }
func (a *agenda) Pop() any {
	last := len(*a) - 1
	x := (*a)[last]
	*a = (*a)[:last]
	return x
}

// flood is a cluster under a flood of requests for one key.
type flood struct {
	t      *testing.T
	us     int64
	serial int64
	agenda agenda
	nodes  []*flooded
}

// flooded is one of its nodes, with what carrier does for it.
type flooded struct {
	flood    *flood
	node     *cluster.Node
	bucket   *kinds.Bucket
	flushing bool // a look at the flusher is on the agenda
	urgent   bool
	flushes  int
}

// line is one end of a connection.
type line struct {
	of      *flooded
	session *cluster.Session
	other   *line
	writing bool
	freeUS  int64 // when what was sent before has arrived
}

func (f *flood) at(us int64, do func()) {
	f.serial++
	heap.Push(&f.agenda, happening{us, f.serial, do})
}

func (f *flood) run(untilUS int64) {
	for len(f.agenda) > 0 && f.agenda[0].us <= untilUS {
		next := heap.Pop(&f.agenda).(happening)
		f.us = next.us
		next.do()
	}
	f.us = untilUS
}

func (f *flood) now() clock.Reading {
	return clock.Reading{WallMS: startWallMS + f.us/1000, MonoMS: startWallMS + f.us/1000}
}

func (f *flood) mono() time.Duration { return time.Duration(f.us) * time.Microsecond }

// Wake lets a session's writer look at the outbox.
func (n *flooded) Wake(s *cluster.Session) {
	if l := s.Tag.(*line); !l.writing {
		l.writing = true
		n.flood.at(n.flood.us, l.write)
	}
}

// End does nothing: no session ends here.
func (n *flooded) End(*cluster.Session) {}

// Met does nothing.
func (n *flooded) Met(*cluster.Session, cluster.NodeID) {}

// Keep does nothing: buckets have no disk.
func (n *flooded) Keep(*cluster.Session) {}

// Event fails the test for a problem.
func (n *flooded) Event(e cluster.Event) {
	if e.Kind == cluster.Problem {
		n.flood.t.Errorf("%s", e.Text)
	}
}

// FlushSoon wakes the flusher.
func (n *flooded) FlushSoon(urgent bool) {
	if n.urgent = n.urgent || urgent; !n.flushing || urgent {
		n.flushing = true
		n.flood.at(n.flood.us, n.flush)
	}
}

// flush does what the flusher of carrier does.
func (n *flooded) flush() {
	wait, dirty := n.node.NextFlush(n.flood.mono())
	switch {
	case !dirty:
		n.flushing = false
	case wait > 0 && !n.urgent:
		n.flood.at(n.flood.us+max(wait.Microseconds(), 1), n.flush)
	default:
		n.urgent = false
		n.flushes++
		n.node.Flush(n.flood.mono(), n.flood.now())
		n.node.Spent(flushUS, 0)
		n.flood.at(n.flood.us+flushUS.Microseconds(), n.flush)
	}
}

func (l *line) write() {
	f := l.of.flood
	bytes := l.session.Outbox(nil, outboxBytes, f.now())
	if len(bytes) == 0 {
		l.writing = false
		if delay := l.session.SendDelay(f.now()); delay >= 0 {
			f.at(f.us+max(delay.Microseconds(), 1), func() { l.of.Wake(l.session) })
		}
		return
	}
	if l.session.Outgoing {
		l.of.node.Spent(0, writeUS)
	}
	l.freeUS = max(l.freeUS, f.us+*oneWayUS)
	f.at(l.freeUS, func() {
		if err := l.other.session.Receive(bytes, f.now()); err != nil {
			f.t.Errorf("a session ended: %v", err)
		}
	})
	f.at(f.us+writeUS.Microseconds(), l.write)
}

// newFlood starts connected nodes with a limit.
func newFlood(t *testing.T, nodes int, rateMilli, burstMilli int64) *flood {
	f := &flood{t: t, us: 1_000_000}
	for i := range nodes {
		n := &flooded{flood: f}
		n.bucket = kinds.NewBucket(kinds.BucketConfig{
			Name: "lim", Expression: "$remote_addr", Bytes: 1 << 20, RateMilli: rateMilli, Sync: true, Incarnation: 1,
		})
		n.bucket.SetBurst(burstMilli)
		var err error
		n.node, err = cluster.New(cluster.Config{
			ID: cluster.NodeID(1000 + i), Incarnation: 1, Zones: []zone.Shared{n.bucket}, Kinds: kinds.Kinds(),
			Settings: cluster.Defaults, Driver: n,
		}, f.now())
		if err != nil {
			t.Fatal(err)
		}
		n.node.Expect(nodes - 1)
		f.nodes = append(f.nodes, n)
	}
	for i, a := range f.nodes {
		for k, b := range f.nodes {
			if i != k {
				f.connect(a, b, i, k)
			}
		}
		var tick func()
		tick = func() {
			a.node.Tick(f.now())
			f.at(f.us+100_000, tick)
		}
		f.at(f.us+int64(i)*1000, tick)
	}
	f.run(f.us + 2_000_000)
	for _, n := range f.nodes {
		if !n.node.Ready() {
			t.Fatal("the nodes are not ready")
		}
	}
	return f
}

func (f *flood) connect(a, b *flooded, i, k int) {
	from, to := &line{of: a}, &line{of: b}
	from.other, to.other = to, from
	for _, end := range []struct {
		l     *line
		peer  int
		dials bool
	}{{from, k, true}, {to, i, false}} {
		address := fmt.Sprint("host", end.peer)
		session, err := end.l.of.node.Connected(cluster.Connection{
			Outgoing: end.dials, Address: address, Host: address, Tag: end.l,
		}, f.now())
		if err != nil {
			f.t.Fatal(err)
		}
		end.l.session = session
		end.l.of.Wake(session)
	}
}

// worstSecond is the most that was admitted in any second.
func worstSecond(us []int64) (most int) {
	first := 0
	for i, at := range us {
		for at-us[first] >= 1_000_000 {
			first++
		}
		most = max(most, i-first+1)
	}
	return most
}

// overshoot floods a limit with so many times its rate, and returns by how many percent the worst second of all nodes
// is above that of one node, and what was admitted in all, of what one node admits.
func overshoot(t *testing.T, nodes int, rate, burst, load int64, share func(i int) float64) (percent, admittedShare float64) {
	f := newFlood(t, nodes, rate*1000, burst*1000)
	alone := kinds.NewBucket(kinds.BucketConfig{Name: "lim", Bytes: 1 << 20, RateMilli: rate * 1000})
	random := rand.New(rand.NewPCG(1, uint64(load)))
	var shares []float64
	sum := 0.0
	for i := range nodes {
		sum += share(i)
		shares = append(shares, sum)
	}
	var together, one []int64
	key, begin := []byte("key"), f.us
	meanUS := 1e6 / float64(rate*load)
	for at := 0.0; at < seconds*1e6; at += random.ExpFloat64() * meanUS {
		f.run(begin + int64(at))
		i, _ := slices.BinarySearch(shares, random.Float64()*sum)
		if _, verdict := f.nodes[i].bucket.Account(key, f.now(), burst*1000); verdict == kinds.Passed {
			together = append(together, f.us)
		}
		if _, verdict := alone.Account(key, f.now(), burst*1000); verdict == kinds.Passed {
			one = append(one, f.us)
		}
	}
	flushes := 0
	for _, n := range f.nodes {
		flushes += n.flushes
	}
	most, allowed := worstSecond(together), worstSecond(one)
	t.Logf("%2d nodes, %d r/s burst %d, %dx: %d in the worst second, one node %d; %d flushes for %d admitted", nodes, rate,
		burst, load, most, allowed, flushes, len(together))
	return 100 * float64(most-allowed) / float64(allowed), 100 * float64(len(together)) / float64(len(one))
}

// seconds is how long a flood lasts: the bucket fills in the first, and is full in the second.
const seconds = 2

func evenly(int) float64 { return 1 }

// mostlyOne gives one node nine tenths of the requests.
func mostlyOne(i int) float64 {
	if i == 0 {
		return 126
	}
	return 1
}

// In the worst second of a flood, the nodes together admit hardly more than one node.
func TestAFloodIsLimitedTogether(t *testing.T) {
	nodes := []int{7}
	if *measureAdditive {
		nodes = []int{3, 7, 15}
	}
	for _, n := range nodes {
		for _, c := range []struct {
			load int64
			most float64
		}{{3, 0.5}, {50, 1}} {
			for name, share := range map[string]func(int) float64{"evenly": evenly, "mostly one": mostlyOne} {
				percent, admitted := overshoot(t, n, 1000, 1000, c.load, share)
				t.Logf("%2d nodes, %dx, %s: %+.2f %% in the worst second, %.2f %% in all", n, c.load, name, percent, admitted)
				if percent > c.most {
					t.Errorf("%d nodes, %dx, %s: %+.2f %%, at most %+.1f %%", n, c.load, name, percent, c.most)
				}
				if admitted < 99 {
					t.Errorf("%d nodes, %dx, %s: only %.2f %% of one node's requests pass", n, c.load, name, admitted)
				}
			}
		}
	}
}
