package cluster

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"starling/lib/clock"
	"starling/zone"
	"starling/zone/kinds"
)

// fabric is a network in one goroutine with a clock of its own: what the simulator will be, small.
type fabric struct {
	t     testing.TB
	now   clock.Reading
	rand  *rand.Rand
	hosts []*host
	pipes []*pipe
	// blocked says which pairs cannot reach each other.
	blocked map[[2]int]bool
	// count is how many bytes travelled, of all connections.
	count int
	// sessionBytes is the memory of the zones of sessions, keyvalBytes that of pairs of hosts that start from now on,
	// tombstoneBytes that of deleted pairs if it is not 0.
	sessionBytes, keyvalBytes, tombstoneBytes int64
}

// host is one node with what it shares.
type host struct {
	f       *fabric
	index   int
	life    uint64
	node    *Node
	keyval  *kinds.Keyval
	bucket  *kinds.Bucket
	session *kinds.Session
	events  []Event
	keeps   []*Session // that wait for the disk
	skewMS  int64      // of its wall clock
	down    bool
	members []int
	// withhold are features that a release before did not have.
	withhold uint64
	strict   *strictly // nil: not taken
}

// pipe is one connection; end 0 dialled.
type pipe struct {
	hosts    [2]int
	ends     [2]*Session
	inFlight [2][]byte // towards that end
	stalled  bool
	closed   bool
	half     bool // the dialer has lost it, the acceptor has not noticed
}

const (
	testRateMilli  = 16 // 1r/m
	testBurstMilli = 1 << 40
)

func newFabric(t testing.TB, nodes int) *fabric {
	f := &fabric{
		t: t, now: clock.Reading{WallMS: 1_800_000_000_000, MonoMS: 1 << 32},
		rand: rand.New(rand.NewPCG(1, 2)), blocked: make(map[[2]int]bool), sessionBytes: 8 << 20, keyvalBytes: 8 << 20,
	}
	if _, ok := t.(*testing.B); ok {
		f.sessionBytes = 1 << 30
	}
	for range nodes {
		f.add()
	}
	for _, h := range f.hosts {
		h.know(nodes)
	}
	return f
}

// add starts another host that knows of itself only.
func (f *fabric) add() *host {
	h := &host{f: f, index: len(f.hosts)}
	f.hosts = append(f.hosts, h)
	h.start()
	return h
}

// know makes the first n hosts the members.
func (h *host) know(n int) {
	h.members = nil
	for i := range n {
		if i != h.index {
			h.members = append(h.members, i)
		}
	}
	h.node.Expect(len(h.members))
}

func (h *host) reading() clock.Reading {
	now := h.f.now
	now.WallMS += h.skewMS
	return now
}

func (h *host) zones() []zone.Shared { return []zone.Shared{h.keyval, h.bucket, h.session} }

// start begins a new life with empty zones.
func (h *host) start() {
	h.life++
	h.down = false
	h.keyval = kinds.NewKeyval(kinds.KeyvalConfig{
		Name: "kv", Expression: "$arg_k", Bytes: h.f.keyvalBytes, TombstoneBytes: h.f.tombstoneBytes, TimeoutMS: 3_600_000, Sync: true,
	})
	h.bucket = kinds.NewBucket(kinds.BucketConfig{Name: "lim", Expression: "$remote_addr", Bytes: 8 << 20, RateMilli: testRateMilli, Sync: true})
	h.bucket.SetBurst(testBurstMilli)
	h.session = kinds.NewSession(kinds.SessionConfig{Name: "sess", Expression: "$cookie_s", Bytes: h.f.sessionBytes, TimeoutMS: 600_000, Sync: true})
	config := Config{
		ID: NodeID(100 + h.index), Incarnation: h.life, Zones: h.zones(), Kinds: kinds.Kinds(), Driver: h, Withhold: h.withhold,
	}
	if h.strict != nil {
		config.Strict = h.strict
	}
	node, err := New(config, h.reading())
	if err != nil {
		h.f.t.Fatal(err)
	}
	h.node = node
	h.node.Expect(len(h.members))
}

// restartAhead starts a host again with its clock so far ahead: it was wrong all along, and nobody can know which one
// is right.
func (f *fabric) restartAhead(i int, ms int64) {
	f.hosts[i].crash()
	f.step(10)
	f.hosts[i].skewMS = ms
	f.hosts[i].start()
	f.hosts[i].know(len(f.hosts))
	f.step(4000)
}

// crash ends the host without a word.
func (h *host) crash() {
	h.down = true
	for _, p := range h.f.pipes {
		if p.hosts[0] == h.index || p.hosts[1] == h.index {
			h.f.cut(p)
		}
	}
}

// The driver of a host: everything is polled, so only events matter.
func (h *host) Wake(*Session)        {}
func (h *host) End(*Session)         {}
func (h *host) FlushSoon(bool)       {}
func (h *host) Keep(s *Session)      { h.keeps = append(h.keeps, s) }
func (h *host) Met(*Session, NodeID) {}
func (h *host) Event(e Event)        { h.events = append(h.events, e) }

// said returns the log lines that contain a text.
func (h *host) said(text string) (lines []string) {
	for _, e := range h.events {
		if strings.Contains(e.Text, text) {
			lines = append(lines, e.Text)
		}
	}
	return lines
}

func (f *fabric) connected(from, to int) bool {
	for _, p := range f.pipes {
		if !p.closed && !p.half && p.hosts == [2]int{from, to} {
			return true
		}
	}
	return false
}

// dial opens a connection; address names it.
func (f *fabric) dial(from, to int) *pipe {
	a, b := f.hosts[from], f.hosts[to]
	p := &pipe{hosts: [2]int{from, to}}
	var err error
	about := Connection{Outgoing: true, Address: fmt.Sprintf("host%d", to), Host: fmt.Sprint("host", to)}
	if p.ends[0], err = a.node.Connected(about, a.reading()); err != nil {
		return nil
	}
	if p.ends[1], err = b.node.Connected(Connection{Address: fmt.Sprintf("host%d:50000", from), Host: fmt.Sprint("host", from)}, b.reading()); err != nil {
		return nil
	}
	f.pipes = append(f.pipes, p)
	return p
}

// cut ends a connection for both sides; what is on the way is lost, mid-frame or not.
func (f *fabric) cut(p *pipe) {
	if p.closed {
		return
	}
	p.closed = true
	for i, end := range p.ends {
		if h := f.hosts[p.hosts[i]]; !h.down && (i == 1 || !p.half) {
			end.Lost(fmt.Errorf("cut"), h.reading())
		}
	}
}

// cutHalf ends a connection for the dialer only: the acceptor still reads what is on the way, until it is told to end.
func (f *fabric) cutHalf(p *pipe) {
	if !p.closed && !p.half {
		p.half = true
		p.ends[0].Lost(fmt.Errorf("cut"), f.hosts[p.hosts[0]].reading())
	}
}

// step lets ms milliseconds pass, one at a time.
func (f *fabric) step(ms int) {
	for range ms {
		f.now = f.now.Add(time.Millisecond)
		f.redial()
		for _, h := range f.hosts {
			if h.down {
				continue
			}
			h.node.Tick(h.reading())
			for _, s := range h.keeps {
				s.Keep()
			}
			h.keeps = nil
			mono := time.Duration(f.now.MonoMS) * time.Millisecond
			if wait, dirty := h.node.NextFlush(mono); dirty && wait == 0 {
				h.node.Flush(mono, h.reading())
			}
		}
		for range 3 {
			if !f.move() {
				break // nothing is left to answer in this millisecond
			}
		}
	}
}

func (f *fabric) redial() {
	for _, h := range f.hosts {
		for _, to := range h.members {
			if h.down || f.hosts[to].down || f.blocked[pair(h.index, to)] || f.connected(h.index, to) {
				continue
			}
			f.dial(h.index, to)
		}
	}
}

func pair(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

// move carries bytes over all pipes, in pieces of odd sizes, and reports whether there were any, or a pipe ended.
func (f *fabric) move() (moved bool) {
	for _, p := range f.pipes {
		if p.closed || p.stalled {
			continue
		}
		if p.half {
			moved = true
			f.deliver(p, 1, p.ends[1])
			if p.ends[1].Ended() != nil {
				f.cut(p)
			}
			continue
		}
		moved = f.carry(p) || moved
		if p.ends[0].Ended() != nil || p.ends[1].Ended() != nil {
			moved = true
			f.carry(p) // the last words
			f.cut(p)
		}
	}
	live := f.pipes[:0]
	for _, p := range f.pipes {
		if !p.closed {
			live = append(live, p)
		}
	}
	f.pipes = live
	return moved
}

// carry carries the bytes of one pipe, and reports whether there were any.
func (f *fabric) carry(p *pipe) (moved bool) {
	for i, end := range p.ends {
		now := f.hosts[p.hosts[i]].reading()
		before := len(p.inFlight[1-i])
		p.inFlight[1-i] = end.Outbox(p.inFlight[1-i], 1<<16, now)
		f.count += len(p.inFlight[1-i]) - before
		moved = moved || len(p.inFlight[1-i]) > 0
	}
	for i, end := range p.ends {
		f.deliver(p, i, end)
	}
	return moved
}

func (f *fabric) deliver(p *pipe, i int, end *Session) {
	now := f.hosts[p.hosts[i]].reading()
	pieces := len(p.inFlight[i])
	if p.half {
		pieces = 1 // so that some of it comes after the next connection
	}
	for ; len(p.inFlight[i]) > 0 && pieces > 0; pieces-- {
		n := min(1+f.rand.IntN(4000), len(p.inFlight[i]))
		err := end.Receive(p.inFlight[i][:n], now)
		p.inFlight[i] = p.inFlight[i][n:]
		if err != nil {
			p.inFlight[i] = nil
			return
		}
	}
}

// hit charges a bucket n times.
func (h *host) hit(key string, n int) {
	for range n {
		h.bucket.Account([]byte(key), h.node.ClusterTime(h.reading()), testBurstMilli)
	}
}

// excess is what a bucket would answer to the next request, in requests.
func (h *host) excess(key string) int64 {
	milli, _ := h.bucket.Look([]byte(key), h.node.ClusterTime(h.reading()), testBurstMilli)
	return milli / 1000
}

func (h *host) set(key, value string) {
	if err := h.keyval.Set([]byte(key), []byte(value), 0, h.node.ClusterTime(h.reading())); err != nil {
		h.f.t.Fatalf("set %s: %v", key, err)
	}
}

func (h *host) get(key string) string {
	value, _ := h.keyval.Get([]byte(key), h.node.ClusterTime(h.reading()))
	return string(value)
}

// settle waits until a condition holds, in virtual time.
func (f *fabric) settle(limitMS int, what string, holds func() bool) {
	f.t.Helper()
	for range limitMS {
		if holds() {
			return
		}
		f.step(1)
	}
	for _, h := range f.hosts {
		for _, e := range h.events {
			f.t.Logf("host%d: %s", h.index, e.Text)
		}
	}
	f.t.Fatalf("after %d ms: not %s", limitMS, what)
}

func (f *fabric) ready() bool {
	for _, h := range f.hosts {
		if !h.down && !h.node.Ready() {
			return false
		}
	}
	return true
}
