package sim

// This file checks causality, for keys that many hosts write while their clocks jump. Stamps then cannot always order
// two writes, and of two concurrent writes either may stay. But a value that a host had when it wrote or deleted is
// replaced: it is not back in the end, on any host, as long as a host or a disk is left that knew of the replacement;
// and a key is missing only if some host deleted it.

// replica is one write to a key, or a deletion.
type replica struct {
	value string // "" for a deletion
	over  map[*replica]bool
	// knows are the runs of hosts that had it, by index.
	knows map[int]uint64
	// gone means that only hosts that crashed knew of it. It may have reached another one, or not.
	gone bool
}

// causal are the writes to each key.
type causal map[string][]*replica

// causalEveryMS is how often the replicas of all hosts are checked.
const causalEveryMS = 50

// wrote notes that a host has replaced its value of a key.
func (w *World) wrote(h *Host, key, had, value string) {
	if w.causal == nil {
		return
	}
	e := &replica{value: value, over: map[*replica]bool{}, knows: map[int]uint64{h.index: h.life}}
	deletion := w.deletionKnown(h, key)
	for _, old := range w.causal[key] {
		if had != "" && old.value == had || had == "" && old == deletion {
			e.over[old] = true
			for older := range old.over {
				e.over[older] = true
			}
		}
	}
	w.causal[key] = append(w.causal[key], e)
}

// deletionKnown is the deletion that a host knows which has nothing of a key; nil if it may be one of several.
func (w *World) deletionKnown(h *Host, key string) (known *replica) {
	older := map[*replica]bool{}
	for _, e := range w.causal[key] {
		if e.knows[h.index] == h.life {
			for old := range e.over {
				older[old] = true
			}
		}
	}
	for _, e := range w.causal[key] {
		if e.value != "" || e.knows[h.index] != h.life || older[e] {
			continue
		}
		if known != nil {
			return nil
		}
		known = e
	}
	return known
}

// lookCausal records which hosts have which replicas.
func (w *World) lookCausal() {
	if w.causal == nil || w.nowMS%causalEveryMS != 0 {
		return
	}
	for key, list := range w.causal {
		for _, h := range w.Hosts {
			if !h.runs() || h.left {
				continue
			}
			value := h.get(key)
			for _, e := range list {
				if value != "" && e.value == value || value == "" && e.value == "" && e.replacesKnown(h) {
					e.knows[h.index] = h.life
				}
			}
		}
	}
}

// replacesKnown reports that a host had the value that a deletion deleted: if it has nothing now, it knows of that
// deletion or another.
func (e *replica) replacesKnown(h *Host) bool {
	for old := range e.over {
		if old.knows[h.index] == h.life {
			return true
		}
	}
	return false
}

// loseCausal notes the replicas that only a crashing host knew.
func (w *World) loseCausal(crashed *Host) {
	for _, list := range w.causal {
		for _, e := range list {
			e.gone = e.gone || !w.keeps(false, e.knows, crashed)
		}
	}
}

// restoreCausal: a host that reads its disk back knows what it knew.
func (w *World) restoreCausal(h *Host) {
	for _, list := range w.causal {
		for _, e := range list {
			if e.knows[h.index] == h.life-1 {
				e.knows[h.index] = h.life
			}
		}
	}
}

// mustBeCausal fails if a host has a replaced value, or lacks one that no host deleted.
func (w *World) mustBeCausal(h *Host) {
	for key, list := range w.causal {
		replaced := map[*replica]bool{}
		for _, e := range list {
			if !e.gone {
				for old := range e.over {
					replaced[old] = true
				}
			}
		}
		value, mayLack, mustHave := h.get(key), false, ""
		for _, e := range list {
			switch {
			case replaced[e] && value != "" && e.value == value:
				w.failf("host %d has %s of %s, which was replaced", h.index, value, key)
			case replaced[e]:
			case e.value == "":
				mayLack = true
			case !e.gone:
				mustHave = e.value
			}
		}
		if value == "" && mustHave != "" && !mayLack {
			w.failf("host %d lacks %s, which is %s", h.index, key, mustHave)
		}
	}
}
