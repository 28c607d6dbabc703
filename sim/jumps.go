package sim

import (
	"fmt"
	"math"
	"time"
)

// This file is how the swarm makes clocks jump, and what it writes then.

// jumpsLifeMS is the maximum lifetime of records written there.
const jumpsLifeMS = 20_000

// startWrong starts some hosts again with wrong clocks. From then on causality is recorded.
func (s *swarm) startWrong() {
	s.causal = causal{}
	for _, h := range s.Hosts {
		if s.rand.IntN(3) == 0 {
			h.setClock(s.wrong())
			s.restart(h)
		}
	}
}

// wrong draws how far a clock is ahead: seconds to days, either way.
func (s *swarm) wrong() int64 {
	ms := int64(math.Exp(math.Log(1000) + s.rand.Float64()*math.Log(1_000_000))) // up to 11 days
	if s.rand.IntN(2) == 0 {
		return -ms
	}
	return ms
}

// jump sets the clock of a host right or wrong, sometimes those of all hosts alike, and lets time pass or not.
func (s *swarm) jump(h *Host) {
	skewMS := int64(0)
	if s.rand.IntN(2) == 0 {
		skewMS = s.wrong()
	}
	h.setClock(skewMS)
	if s.rand.IntN(4) == 0 {
		for _, other := range s.Hosts {
			if !other.left && s.rand.IntN(2) == 0 {
				other.setClock(skewMS)
			}
		}
	}
	if s.rand.IntN(2) == 0 {
		s.Run(time.Duration(s.rand.IntN(3000)) * time.Millisecond)
	}
}

// setRight sets all clocks right.
func (s *swarm) setRight() {
	for _, h := range s.Hosts {
		h.setClock(0)
	}
}

// workTimed writes a record with an expiry time, or deletes it.
func (s *swarm) workTimed(h *Host) {
	t := timed{key: fmt.Sprint("t", s.rand.Uint64()), value: fmt.Sprint(h.index)}
	lifeMS := 500 + s.rand.Int64N(jumpsLifeMS)
	switch n := s.rand.IntN(10); {
	case n < 3:
		t.session, lifeMS = true, jumpsLifeMS
	case n == 9 && len(s.timed) > 0:
		if old := s.timed[s.rand.IntN(len(s.timed))]; !old.session {
			h.removeTimed(old)
		}
		return
	}
	if err := h.setTimed(t, lifeMS); err != nil {
		s.failf("host %d does not take %s: %v", h.index, t.key, err)
	}
}
