package strict

import (
	"fmt"

	"starling/cluster/strict"
)

// Connections on the hosts of a world with Setup.Slots. The law: at every moment, the open connections of all hosts are
// at most the limit of their key. A host that was frozen past its lease does not count until it has ended what it had:
// the exception that cannot be helped.

// conn is one open connection.
type conn struct {
	host   int
	key    string
	closed bool
}

// conns is what a world with connections has.
type conns struct {
	limits  []int64 // by host
	limit   int64   // that the hosts shall have
	meanUS  float64 // how long a connection is open
	open    map[string]int64
	byHost  []map[*conn]bool
	exempt  []bool // frozen, or not done with what it had then
	fencing []int  // connections that are being ended
	covered []int64
	order   [][]*conn // of byHost, for the same run again

	Opened, Ended uint64
	Most          map[string]int64
}

func (w *World) newConns() {
	c := &conns{limit: w.Slots, meanUS: 700_000, open: map[string]int64{}, Most: map[string]int64{}}
	for range w.Hosts {
		c.limits = append(c.limits, w.Slots)
		c.byHost = append(c.byHost, map[*conn]bool{})
	}
	c.exempt, c.fencing, c.order = make([]bool, w.Hosts), make([]int, w.Hosts), make([][]*conn, w.Hosts)
	c.covered = make([]int64, w.Hosts)
	w.conns = c
}

// counted are the open connections of a key on hosts that obey the law.
func (w *World) counted(key string) (count int64) {
	for i, exempt := range w.conns.exempt {
		for c := range w.conns.byHost[i] {
			if !exempt && c.key == key {
				count++
			}
		}
	}
	return count
}

// opened opens a connection, and checks the law. While hosts are reloaded with another limit, the largest applies.
func (w *World) opened(i int, key string) {
	c := &conn{host: i, key: key}
	w.conns.byHost[i][c] = true
	w.conns.order[i] = append(w.conns.order[i], c)
	w.conns.Opened++
	count, limit := w.counted(key), int64(0)
	for _, l := range w.conns.limits {
		limit = max(limit, l)
	}
	w.conns.Most[key] = max(w.conns.Most[key], count)
	if count > limit && !w.conns.exempt[i] {
		w.failf("host %d opens a connection for %q: %d of %d", i, key, count, limit)
	}
	w.at(w.nowUS+1+int64(w.rng.ExpFloat64()*w.conns.meanUS), func() { w.shut(c) })
}

// shut ends a connection; a host that is frozen does that later.
func (w *World) shut(c *conn) {
	h := w.hosts[c.host]
	if c.closed {
		return
	}
	if h.frozenUS > w.nowUS {
		w.at(h.frozenUS+1, func() { w.shut(c) })
		return
	}
	c.closed = true
	delete(w.conns.byHost[c.host], c)
	h.node.Leave(c.key, h.local(w.nowUS))
	w.after(c.host)
}

// allOf are the open connections of a host, in a fixed order.
func (w *World) allOf(i int) []*conn {
	kept := w.conns.order[i][:0]
	for _, c := range w.conns.order[i] {
		if !c.closed {
			kept = append(kept, c)
		}
	}
	w.conns.order[i] = kept
	return append([]*conn(nil), kept...)
}

// followFence ends the connections of a host whose lease has ended. That takes a while.
func (w *World) followFence(i int) {
	h := w.hosts[i]
	local := h.local(w.nowUS)
	fence := h.node.TakeFence(local)
	if at := w.conns.covered[i]; at != 0 && (local >= at || h.node.HasLease(local)) {
		// The lease of the node before has ended, and the one now has no other.
		fence = fence || !h.node.HasLease(local)
		w.conns.covered[i] = 0
	}
	if fence && w.Broken != strict.NotFenced {
		all := w.allOf(i)
		w.logf("host %d ends %d connections", i, len(all))
		w.conns.Ended += uint64(len(all))
		w.conns.fencing[i] += len(all)
		incarnation := h.process
		for _, c := range all {
			us := w.rng.Int64N(strict.FenceUS * 999 / 1000)
			if w.rng.IntN(4) == 0 {
				us = strict.FenceUS*999/1000 - 1
			}
			w.at(h.when(local+us), func() { w.fenced(c, incarnation) })
		}
	}
	if w.conns.exempt[i] && h.frozenUS <= w.nowUS && w.conns.fencing[i] == 0 &&
		(h.node.HasLease(local) || len(w.conns.byHost[i]) == 0) {
		w.conns.exempt[i] = false
	}
}

func (w *World) fenced(c *conn, process int) {
	h := w.hosts[c.host]
	if !h.up || h.process != process {
		return
	}
	if h.frozenUS > w.nowUS {
		w.at(h.frozenUS+1, func() { w.fenced(c, process) })
		return
	}
	w.conns.fencing[c.host]--
	if !c.closed {
		w.shut(c)
	} else {
		w.after(c.host)
	}
}

// dropConns closes what a crashed host had.
func (w *World) dropConns(i int) {
	for _, c := range w.allOf(i) {
		c.closed = true
		delete(w.conns.byHost[i], c)
	}
	w.conns.exempt[i], w.conns.fencing[i], w.conns.covered[i] = false, 0, 0
}

// replaceNode gives a host another node in the same process, as when its list or its disk has changed: its connections
// live on, and are claimed.
func (w *World) replaceNode(i int) {
	h := w.hosts[i]
	if !h.up || h.frozenUS > w.nowUS {
		return
	}
	w.logf("host %d begins anew in the same process", i)
	if untilUS, covered := h.node.DropCover(); covered {
		w.conns.covered[i] = max(w.conns.covered[i], untilUS)
	}
	for ticket, at := range w.waits {
		if at.host == i {
			delete(w.waits, ticket)
		}
	}
	h.tickUS = 0
	w.newNode(i)
	counts := map[string]int64{}
	for _, c := range w.allOf(i) {
		counts[c.key]++
		if counts[c.key] == 1 {
			defer func() { h.node.Carry(c.key, counts[c.key], h.local(w.nowUS)) }()
		}
	}
	if at := w.conns.covered[i]; at != 0 {
		w.at(h.when(at), func() {
			if h.up && h.frozenUS <= w.nowUS {
				w.after(i)
			}
		})
	}
	if w.Raft {
		w.voters[i].tickUS = 0
		if value, ok := w.voters[i].register.Latest(viewsName); ok {
			w.decide(i, value)
		}
		w.afterVoter(i)
	} else {
		h.node.Install(h.disk, h.local(w.nowUS))
	}
	w.after(i)
}

// resettle gives all hosts other settings, one after the other: until a majority has them, the others go on.
func (w *World) resettle(first int) {
	w.settings++
	settings, at := w.settings, w.nowUS
	for k := range w.hosts {
		i := (first + k) % w.Hosts
		var set func()
		set = func() {
			switch h := w.hosts[i]; {
			case !h.up || h.settings >= settings:
			case h.frozenUS > w.nowUS:
				w.at(h.frozenUS, set)
			default:
				h.settings = settings
				w.replaceNode(i)
			}
		}
		w.at(at, set)
		at += w.rng.Int64N(w.LeaseUS / 2)
	}
}

// relimit gives all hosts another limit, one after the other.
func (w *World) relimit(first int) {
	w.conns.limit = 1 + w.rng.Int64N(2*w.Slots)
	limit, at := w.conns.limit, w.nowUS
	for k := range w.hosts {
		i := (first + k) % w.Hosts
		w.at(at, func() { w.setLimit(i, limit) })
		at += w.rng.Int64N(w.LeaseUS)
	}
}

func (w *World) setLimit(i int, limit int64) {
	h := w.hosts[i]
	if h.up && h.frozenUS > w.nowUS {
		w.at(h.frozenUS, func() { w.setLimit(i, limit) })
		return
	}
	w.logf("host %d has the limit %d", i, limit)
	w.conns.limits[i] = limit
	if h.up {
		h.node.SetLimit(limit, h.local(w.nowUS))
		w.after(i)
	}
}

// connect has clients open connections for a key at random, so many at once on average if all are admitted.
func (w *World) connect(key string, wanted float64, pattern Pattern, us int64) {
	perUS := wanted / w.conns.meanUS
	until := w.nowUS + us
	var next func()
	next = func() {
		if w.nowUS > until {
			return
		}
		w.ask(w.pick(pattern), key)
		w.at(w.nowUS+1+int64(w.rng.ExpFloat64()/perUS), next)
	}
	w.at(w.nowUS+1+int64(w.rng.ExpFloat64()/perUS), next)
}

// ask has a client open a connection at a host.
func (w *World) ask(i int, key string) {
	h := w.hosts[i]
	if !h.up || h.frozenUS > w.nowUS {
		return
	}
	w.tickets++
	w.waits[w.tickets] = wait{i, key, w.nowUS}
	switch h.node.Decide(key, w.tickets, h.local(w.nowUS)) {
	case strict.Parked:
	case strict.Admitted:
		delete(w.waits, w.tickets)
		w.opened(i, key)
	default:
		delete(w.waits, w.tickets)
	}
	w.after(i)
}

const (
	connLeaseUS = 1_500_000
	connsUS     = 30_000_000
)

// SwarmConns is Swarm for connections.
func SwarmConns(seed uint64, broken strict.Mutant, raft, verbose bool) *World {
	limits := []int64{1, 3, 10, 40}
	hosts := []int{3, 3, 4, 5, 7}
	w := New(Setup{
		Hosts: hosts[seed/4%5], Slots: limits[seed/20%4], LeaseUS: connLeaseUS, LagUS: 300, DriftPPM: 200,
		Keys: 1 << 10, Broken: broken, Seed: seed, Verbose: verbose, Raft: raft,
	})
	w.onlyIsolation = seed%4 == 3
	w.Run(4_000_000)
	for k := range 1 + w.rng.IntN(3) {
		times := []float64{0.7, 1.5, 4, 10}[w.rng.IntN(4)]
		w.connect(fmt.Sprint("key", k), times*float64(w.Slots), Pattern(w.rng.IntN(3)), connsUS)
	}
	until := w.nowUS + connsUS - 12_000_000
	var next func()
	next = func() {
		if w.nowUS >= until {
			return
		}
		w.connFault()
		w.at(w.nowUS+w.rng.Int64N(3_000_000), next)
	}
	next()
	w.Run(connsUS + 200_000)
	w.recovered()
	return w
}

func (w *World) connFault() {
	switch w.rng.IntN(9) {
	case 2:
		if !w.onlyIsolation {
			w.resettle(w.rng.IntN(w.Hosts))
		}
	case 0:
		if !w.onlyIsolation {
			w.relimit(w.rng.IntN(w.Hosts))
		}
	case 1:
		if !w.onlyIsolation {
			w.replaceNode(w.rng.IntN(w.Hosts))
		}
	default:
		w.fault()
	}
}

// thawed has a host look at its lease, as its timer does.
func (w *World) thawed(i int) {
	if h := w.hosts[i]; h.up && h.frozenUS <= w.nowUS {
		w.after(i)
	}
}
