// Package strict runs the strict limits of cluster/strict on simulated hosts: one goroutine, virtual time in
// microseconds, and one seed that everything random comes from. Two exact buckets watch: one is fed with all requests
// and says what a single node would admit; the other is fed with what the hosts admitted, and must never overflow.
package strict

import (
	"fmt"
	"math/rand/v2"

	"starling/cluster/strict"
)

// Setup describes a world.
type Setup struct {
	Hosts   int
	Limit   strict.Limit
	LeaseUS int64
	LagUS   float64 // one way, at least; half of it more on average
	Broken  strict.Mutant
	Keys    int // that the hosts have room for
	Seed    uint64
	// DriftPPM is how wrong the hosts' clocks go at most.
	DriftPPM int64
	// Raft has the register of the program decide on views, instead of the one of this package, and sends messages as
	// bytes.
	Raft bool
	// NeverEmpty: buckets count as full at the beginning.
	NeverEmpty bool
	// Share has hosts without a lease admit their share by themselves.
	Share bool
	// Slots is a limit of connections, instead of Limit; 0: there is none.
	Slots   int64
	Verbose bool
}

// World is a cluster of simulated hosts.
type World struct {
	Setup
	rng   *rand.Rand
	nowUS int64
	queue queue
	hosts []*host
	links [][]link // from, to

	register oracle
	voters   []*voter               // with Raft
	views    map[uint64]strict.View // with Raft: what was decided
	keys     map[string]*keyLaw
	waits    map[uint64]wait
	tickets  uint64
	order    uint64

	Messages  uint64 // that move pieces
	Failures  []string
	Log       []string
	WaitsUS   []int64 // of admitted requests
	lagFactor float64
	loss      float64
	// onlyIsolation makes all faults isolations of a host, and the register slow: that of the program by slow disks.
	onlyIsolation bool
	perSecond     []second
	settings      int    // that the hosts shall have
	before        exact  // of each key: what was counted before strict limits, and is known to all hosts
	Alone         int64  // admitted by hosts without a lease
	conns         *conns // with Slots
}

// second has what happened in one second of the world.
type second struct{ admitted, allowed int64 }

type wait struct {
	host    int
	key     string
	sinceUS int64
}

type host struct {
	seat        strict.Seat
	node        *strict.Node
	up          bool
	incarnation uint64
	process     int // how many there were
	driftPPM    int64
	offsetUS    int64
	tickUS      int64 // the scheduled tick, in true time; 0 if none
	frozenUS    int64 // until then
	disk        strict.View
	settings    int   // of the zone: hosts with others do not hear each other
	aloneUS     int64 // without a lease since then; 0: with one
	alone       map[string]*exact
}

type link struct {
	cut        bool
	generation int   // bytes of earlier ones were lost
	lastUS     int64 // links keep the order
}

// local is a host's clock.
func (h *host) local(trueUS int64) int64 { return h.offsetUS + trueUS + trueUS*h.driftPPM/1_000_000 }

// when is the first true time at which a host's clock shows a time.
func (h *host) when(localUS int64) int64 {
	t := (localUS - h.offsetUS) * 1_000_000 / (1_000_000 + h.driftPPM)
	for h.local(t) < localUS {
		t++
	}
	return t
}

// New returns a world whose hosts start now.
func New(setup Setup) *World {
	w := &World{
		Setup: setup, rng: rand.New(rand.NewPCG(setup.Seed, 0x57)), lagFactor: 1,
		keys: map[string]*keyLaw{}, waits: map[uint64]wait{},
	}
	if w.Keys == 0 {
		w.Keys = 1 << 16
	}
	for i := range setup.Hosts {
		h := &host{seat: strict.Seat(i), offsetUS: w.rng.Int64N(1_000_000_000) + 1_000_000}
		if setup.DriftPPM > 0 {
			h.driftPPM = w.rng.Int64N(2*setup.DriftPPM+1) - setup.DriftPPM
		}
		w.hosts = append(w.hosts, h)
		w.links = append(w.links, make([]link, setup.Hosts))
	}
	if w.Slots > 0 {
		w.newConns()
	}
	for i := range w.hosts {
		if w.Raft {
			w.voters = append(w.voters, &voter{})
		}
		w.start(i)
	}
	if !w.Raft {
		w.at(0, func() { w.elect() })
	}
	return w
}

func (w *World) logf(format string, args ...any) {
	if w.Verbose {
		w.Log = append(w.Log, fmt.Sprintf("%9d ", w.nowUS)+fmt.Sprintf(format, args...))
	}
}

// start starts a host's process, which knows no more than the views on its disk.
func (w *World) start(i int) {
	h := w.hosts[i]
	h.up, h.settings = true, w.settings
	h.process++
	w.newNode(i)
	if w.Raft {
		w.startVoter(i)
	} else {
		h.node.Install(h.disk, h.local(w.nowUS))
	}
	w.after(i)
}

// newNode gives a host a node that knows nothing.
func (w *World) newNode(i int) {
	h := w.hosts[i]
	ids := make([]uint64, w.Hosts)
	for j := range ids {
		ids[j] = uint64(j)*7919 + 13
	}
	h.incarnation++
	var slots int64
	if w.conns != nil {
		slots = w.conns.limits[i]
	}
	h.node = strict.New(strict.Config{
		Slots: slots,
		Self:  h.seat, IDs: ids, Incarnation: h.incarnation, Limit: w.Limit, LeaseUS: w.LeaseUS, KeysMost: w.Keys,
		Broken: w.Broken, OwnViews: w.Raft, NeverEmpty: w.NeverEmpty,
		Before: func(string) int64 { return w.leftOfBefore().level / (exactRequest / strict.Request) },
	}, h.local(w.nowUS))
	h.aloneUS = 0
	if w.Share {
		h.node.FallBackTo(strict.NewFallback(w.Limit, w.Hosts, w.Keys))
	}
}

// countedBefore has so many requests of each key be counted before strict limits, until now.
func (w *World) countedBefore(requests int64) {
	w.before = exact{rate: w.Limit.Rate, level: requests * exactRequest, atUS: w.nowUS}
}

// leftOfBefore is what has not drained of that.
func (w *World) leftOfBefore() exact {
	left := w.before
	left.drain(w.nowUS)
	return left
}

// crash stops a host: its memory is lost, and the answers to its clients.
func (w *World) crash(i int) {
	h := w.hosts[i]
	h.up, h.node, h.tickUS = false, nil, 0
	if w.conns != nil {
		w.dropConns(i)
	}
	for j := range w.hosts {
		w.links[i][j].generation++
		w.links[j][i].generation++
	}
}

// after takes what a host has to say after something happened to it.
func (w *World) after(i int) {
	h := w.hosts[i]
	w.followLease(h)
	if w.conns != nil {
		w.followFence(i)
	}
	for _, e := range h.node.Out() {
		w.send(i, int(e.Hop), e.Message)
	}
	for _, o := range h.node.Outcomes() {
		at, ok := w.waits[o.Ticket]
		if !ok || at.host != i {
			w.failf("host %d decides again on ticket %d", i, o.Ticket)
		}
		delete(w.waits, o.Ticket)
		if o.Admitted && w.conns != nil {
			w.opened(i, at.key)
		} else if o.Admitted {
			w.admitted(i, at.key)
			w.WaitsUS = append(w.WaitsUS, w.nowUS-at.sinceUS)
		}
	}
	if v, ok := h.node.Proposal(); ok {
		w.propose(i, v)
	}
	if v := h.node.View(); v.Number > h.disk.Number {
		h.disk = v
		w.logf("host %d installs view %d: %v", i, v.Number, v.Members)
	}
	due := max(h.when(h.node.DueUS()), w.nowUS+1)
	if h.tickUS == 0 || due < h.tickUS {
		h.tickUS = due
		w.push(event{atUS: due, kind: tick, host: i, generation: int(h.incarnation)})
	}
}

// send puts a message on a link.
func (w *World) send(from, to int, m strict.Message) {
	if m.Kind >= strict.Claim {
		w.Messages++
	}
	l := &w.links[from][to]
	if l.cut || !w.hosts[to].up || w.loss > 0 && w.rng.Float64() < w.loss {
		return
	}
	if w.Raft {
		m = w.throughWire(m)
	}
	lag := int64(w.LagUS * w.lagFactor * (1 + 0.5*w.rng.ExpFloat64()))
	l.lastUS = max(l.lastUS+1, w.nowUS+lag)
	w.push(event{
		atUS: l.lastUS, kind: deliver, host: to, from: from, generation: l.generation, message: &m,
		settings: w.hosts[from].settings,
	})
}

// request has a request arrive at a host.
func (w *World) request(i int, key string) {
	law := w.law(key)
	if law.single.admit(w.nowUS) {
		law.Allowed++
		w.count(0, 1)
	}
	law.Offered++
	h := w.hosts[i]
	if !h.up || h.frozenUS > w.nowUS {
		return // the client gets no answer, or a late one
	}
	w.tickets++
	w.waits[w.tickets] = wait{i, key, w.nowUS}
	switch h.node.Decide(key, w.tickets, h.local(w.nowUS)) {
	case strict.Parked:
	case strict.AdmittedAlone:
		delete(w.waits, w.tickets)
		w.admittedAlone(i, key)
	case strict.Admitted:
		delete(w.waits, w.tickets)
		w.admitted(i, key)
		law.Local++
	default:
		delete(w.waits, w.tickets)
	}
	w.after(i)
}

// Run lets the world run for a time.
func (w *World) Run(us int64) {
	until := w.nowUS + us
	for len(w.queue) > 0 && w.queue[0].atUS <= until && len(w.Failures) == 0 {
		e := w.pop()
		w.nowUS = e.atUS
		w.happen(e)
	}
	w.nowUS = until
}

func (w *World) happen(e event) {
	if e.kind == call {
		e.call()
		return
	}
	h := w.hosts[e.host]
	if !h.up {
		return
	}
	if h.frozenUS > w.nowUS && (e.kind != tick || e.generation == int(h.incarnation)) {
		if e.kind == tick {
			h.tickUS = h.frozenUS
		}
		e.atUS = h.frozenUS
		w.push(e)
		return
	}
	switch e.kind {
	case tick:
		if e.generation != int(h.incarnation) || e.atUS != h.tickUS {
			return
		}
		h.tickUS = 0
		h.node.Tick(h.local(w.nowUS))
	case deliver:
		if e.generation != w.links[e.from][e.host].generation || e.settings != h.settings {
			return
		}
		h.node.Receive(*e.message, h.local(w.nowUS))
	case install:
		if h.incarnation != uint64(e.generation) {
			return
		}
		h.node.Install(e.message.Decided, h.local(w.nowUS))
	}
	w.after(e.host)
}

func (w *World) failf(format string, args ...any) {
	w.Failures = append(w.Failures, fmt.Sprintf("at %d us: ", w.nowUS)+fmt.Sprintf(format, args...))
}
