package strict

import (
	"fmt"

	"starling/cluster/strict"
)

const (
	swarmLeaseUS = 150_000
	swarmUS      = 6_000_000
)

// Swarm runs one world with faults drawn from a seed: crashes, partitions, cuts of one pair in one or both directions,
// frozen processes, lost messages, connections that lose what is under way, jumps of the lag, and with the register of
// the program also rolling reloads with other settings. It returns the world, whose Failures say where the law was
// broken.
func Swarm(seed uint64, broken strict.Mutant, raft, verbose bool) *World {
	limits := []strict.Limit{
		{Rate: 1000 * strict.Request, Burst: 999}, {Rate: 200 * strict.Request, Burst: 39},
		{Rate: 20 * strict.Request, Burst: 19}, {Rate: 50 * strict.Request, Burst: 5},
		{Rate: 100 * strict.Request}, {Rate: strict.Request / 60, Burst: 29},
	}
	hosts := []int{3, 3, 4, 5, 7}
	w := New(Setup{
		Hosts: hosts[seed/4%5], Limit: limits[seed/20%6], LeaseUS: swarmLeaseUS, LagUS: 300, DriftPPM: 200,
		Keys: 1 << 10, Broken: broken, Seed: seed, Verbose: verbose, Raft: raft, NeverEmpty: raft && seed%3 == 0,
		Share: seed/2%2 == 0,
	})
	few := w.rng.IntN(4) == 0 // room for fewer keys than there are
	if few {
		w.Keys = 4
		for i := range w.hosts {
			w.crash(i)
			w.start(i)
		}
	}
	w.onlyIsolation = seed%4 == 3
	w.Run(1_000_000)
	keys := 1 + w.rng.IntN(3)
	if few {
		keys = 12
	}
	times := []float64{0.7, 1.3, 3, 10}
	if w.onlyIsolation {
		times = times[2:]
	}
	for k := range keys {
		rate := times[w.rng.IntN(len(times))]
		if w.Limit.Rate < strict.Request {
			rate *= 3000 // several full bursts within the run
		}
		w.Offer(fmt.Sprint("key", k), rate, Pattern(w.rng.IntN(3)), swarmUS)
	}
	w.countedBefore(int64(seed/16%4) * (w.Limit.Burst + 1) / 3)
	w.trouble(w.nowUS + swarmUS - 2_000_000)
	w.Run(swarmUS + 200_000)
	w.recovered()
	return w
}

// recovered checks that the cluster works again after a quiet time: all hosts are ready members of one view, and no
// owner was ever told of more than there is.
func (w *World) recovered() {
	if len(w.Failures) > 0 || w.Broken != strict.Whole {
		return
	}
	for i, h := range w.hosts {
		switch {
		case !h.up || h.frozenUS > w.nowUS:
		case h.node.View().Number != w.hosts[0].node.View().Number || !h.node.Ready(h.local(w.nowUS)):
			w.failf("host %d is not ready again: view %d, %v", i, h.node.View().Number, h.node.Ready(h.local(w.nowUS)))
		case h.node.Stats().Excess > 0:
			w.failf("host %d was told %d times of more than there is", i, h.node.Stats().Excess)
		}
	}
}

// durationUS is mostly about as long as a lease, where mistakes show, sometimes much shorter or longer.
func (w *World) durationUS() int64 {
	switch w.rng.IntN(4) {
	case 0:
		return w.rng.Int64N(w.LeaseUS / 2)
	case 1:
		if w.conns != nil {
			return w.rng.Int64N(3 * w.LeaseUS)
		}
		return w.rng.Int64N(10 * w.LeaseUS)
	}
	return w.LeaseUS*8/10 + w.rng.Int64N(w.LeaseUS+2*w.fenceUS())
}

// fenceUS is how much later than with pieces a host is given up.
func (w *World) fenceUS() int64 {
	if w.conns == nil {
		return 0
	}
	return strict.FenceUS
}

// trouble makes faults until a time.
func (w *World) trouble(until int64) {
	var next func()
	next = func() {
		if w.nowUS >= until {
			return
		}
		w.fault()
		w.at(w.nowUS+w.rng.Int64N(400_000), next)
	}
	next()
}

func (w *World) fault() {
	i, j, us := w.rng.IntN(w.Hosts), w.rng.IntN(w.Hosts), w.durationUS()
	kinds := 9
	if w.Raft && w.conns == nil {
		kinds = 10
	}
	kind := w.rng.IntN(kinds)
	if w.onlyIsolation {
		// Contact comes back just when the others have given the host up.
		kind, us = 2, w.LeaseUS+w.fenceUS()+w.LeaseUS/100+w.rng.Int64N(w.LeaseUS/2)
	}
	switch kind {
	case 0:
		if w.hosts[i].up {
			w.logf("host %d crashes for %d us", i, us)
			w.crash(i)
			if w.Raft && i == 0 && w.rng.IntN(2) == 0 { // no other: a group that lost most of its files has ended
				w.loseFile(i)
			}
			w.at(w.nowUS+us, func() { w.start(i) })
		}
	case 1:
		side := w.rng.Uint64()
		w.logf("partition %b for %d us", side&(1<<w.Hosts-1), us)
		w.cutFor(us, func(a, b int) bool { return side>>a&1 != side>>b&1 })
	case 2:
		w.logf("host %d is cut off for %d us", i, us)
		w.cutFor(us, func(a, b int) bool { return a == i || b == i })
	case 3:
		w.logf("%d and %d are cut for %d us", i, j, us)
		w.cutFor(us, func(a, b int) bool { return a == i && b == j || a == j && b == i })
	case 4:
		w.logf("%d to %d is cut for %d us", i, j, us)
		w.cutFor(us, func(a, b int) bool { return a == i && b == j })
	case 5:
		if w.hosts[i].up {
			w.logf("host %d is frozen for %d us", i, us)
			w.hosts[i].frozenUS = max(w.hosts[i].frozenUS, w.nowUS+us)
			if w.conns != nil {
				w.conns.exempt[i] = true
				w.at(w.hosts[i].frozenUS+1, func() { w.thawed(i) })
			}
		}
	case 6:
		w.logf("the connection of %d and %d loses what is under way", i, j)
		w.links[i][j].generation++
		w.links[j][i].generation++
	case 7:
		w.loss = 0.02
		w.at(w.nowUS+us, func() { w.loss = 0 })
	case 8:
		w.lagFactor = []float64{3, 30, 200}[w.rng.IntN(3)]
		w.logf("lag times %.0f for %d us", w.lagFactor, us)
		w.at(w.nowUS+us, func() { w.lagFactor = 1 })
	case 9:
		w.logf("all hosts are reloaded with other settings, host %d first", i)
		w.reloadAll(i)
	}
}

// cutFor cuts links for a time. What is under way on them is lost.
func (w *World) cutFor(us int64, which func(a, b int) bool) {
	for a := range w.links {
		for b := range w.links[a] {
			if a != b && which(a, b) && !w.links[a][b].cut {
				w.links[a][b].cut = true
				w.links[a][b].generation++
				w.at(w.nowUS+us, func() { w.links[a][b].cut = false })
			}
		}
	}
}
