package strict

import "starling/cluster/strict"

// oracle stands for the replicated register of views: it decides each number once, for a proposer that reaches a
// majority. It is as unpleasant as a real one can be. With Setup.Raft, the real one is at work: raft.go.
type oracle struct {
	decided  []strict.View
	proposer int // that the hosts follow; -1: none
}

const electEveryUS = 10_000

// reaches reports whether a host reaches a majority in both directions.
func (w *World) reaches(i int) bool {
	if !w.hosts[i].up || w.hosts[i].frozenUS > w.nowUS {
		return false
	}
	count := 0
	for j := range w.hosts {
		if i == j || w.hosts[j].up && !w.links[i][j].cut && !w.links[j][i].cut {
			count++
		}
	}
	return count > w.Hosts/2
}

// elect makes a host the proposer. The one before may go on for a while: two can be at work at once.
func (w *World) elect() {
	w.at(w.nowUS+electEveryUS, w.elect)
	r := &w.register
	if r.proposer < len(w.hosts) && r.proposer >= 0 && w.reaches(r.proposer) && w.hosts[r.proposer].node != nil {
		w.lead(r.proposer, true)
		return
	}
	for i := range w.hosts {
		if w.reaches(i) {
			old := r.proposer
			r.proposer = i
			w.at(w.nowUS+w.rng.Int64N(2*w.LeaseUS), func() {
				if old >= 0 && old != r.proposer && w.hosts[old].up && w.hosts[old].frozenUS <= w.nowUS {
					w.lead(old, false)
				}
			})
			w.lead(i, true)
			return
		}
	}
}

func (w *World) lead(i int, leading bool) {
	h := w.hosts[i]
	if n := len(w.register.decided); leading && n > 0 { // a leader knows all that was decided
		h.node.Install(w.register.decided[n-1], h.local(w.nowUS))
	}
	h.node.Lead(leading, h.local(w.nowUS))
	w.after(i)
}

// propose lets the register decide after the time of two messages, or much later.
func (w *World) propose(i int, v strict.View) {
	if w.Raft {
		w.raftPropose(i, v)
		return
	}
	delay := 2 * int64(w.LagUS*w.lagFactor*(1+0.5*w.rng.ExpFloat64()))
	if w.rng.IntN(4) == 0 || w.onlyIsolation {
		delay += w.rng.Int64N(w.LeaseUS / 2)
	}
	w.at(w.nowUS+delay, func() {
		r := &w.register
		if v.Number != uint64(len(r.decided))+1 || !w.reaches(i) {
			return
		}
		r.decided = append(r.decided, v)
		w.logf("view %d is decided: %v", v.Number, v.Members)
		for j, h := range w.hosts {
			if w.reaches(j) {
				later := int64(w.LagUS * w.lagFactor * (1 + 0.5*w.rng.ExpFloat64()))
				w.push(event{
					atUS: w.nowUS + later, kind: install, host: j, generation: int(h.incarnation),
					message: &strict.Message{Decided: v},
				})
			}
		}
	})
}
