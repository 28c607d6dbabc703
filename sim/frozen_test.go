package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"starling/zone/kinds"
)

// One of three hosts freezes. Another one deletes pairs that all have, and then creates and deletes so many more, with
// long keys, that their tombstones last for a fraction of a second only. The rings have eight frames, and a frame has
// room for one of these pairs: all hosts lose frames all the time. Nothing that was deleted returns.
func TestAFrozenHostBesideRingsOfEightFrames(t *testing.T) {
	for name, c := range map[string]stampede{
		"no pair is sent":                      {perMS: 5, cyclesBefore: 3000, timeout: 15 * time.Second},
		"no pair is sent, and links are long":  {perMS: 5, cyclesBefore: 3000, timeout: 15 * time.Second, latencyMS: 100},
		"some pairs are sent":                  {perMS: 5, sentOfEach: 2, timeout: 15 * time.Second},
		"some pairs are sent, and it is lost":  {perMS: 5, sentOfEach: 2, timeout: 3 * time.Second},
		"rings overrun, and it is lost":        {perMS: 5, sentOfEach: 5, cyclesBefore: 600, timeout: 3 * time.Second},
		"most pairs are sent while it freezes": {perMS: 2, sentOfEach: 1, cyclesBefore: 600, timeout: 15 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(4) {
				if back := c.run(t, seed); len(back) > 0 {
					t.Errorf("seed %d: %d deleted pairs are back: %.300v", seed, len(back), back)
				}
			}
		})
	}
}

// stampede is how pairs come and go.
type stampede struct {
	// perMS of them in a millisecond, of which one in sentOfEach is sent before it is deleted; 0 is none.
	perMS, sentOfEach int
	// cyclesBefore come and go before the third host freezes.
	cyclesBefore int
	timeout      time.Duration
	latencyMS    int // 0 is 2
}

const (
	stampedeCycles = 10_000
	doomedPairs    = 100
)

// run returns the pairs that are back.
func (c stampede) run(t *testing.T, seed uint64) (back []string) {
	options := defaults
	options.KeyvalBytes, options.RingFrames, options.Settings.TimeoutMS = 32<<10, 8, c.timeout.Milliseconds()
	w := NewWorld(seed, options)
	w.latencyMS = max(c.latencyMS, 2)
	w.Start(3)
	for _, h := range w.Hosts {
		h.keyval.Resize(options.RingFrames, 1<<10)
	}
	if !w.Within(converge, w.Ready) {
		t.Fatal("not all are ready")
	}
	first, third := w.Hosts[0], w.Hosts[2]
	doomed := func(i int) []byte { return fmt.Append(nil, "doomed", i) }
	for i := range doomedPairs {
		if err := first.keyval.Add(doomed(i), []byte("x"), kinds.NoExpire, first.clusterNow()); err != nil {
			t.Fatal(err)
		}
		w.step()
	}
	if !w.Within(converge, w.Agree) {
		t.Fatal(w.disagreement())
	}
	w.Run(time.Duration(w.rand.IntN(300)) * time.Millisecond)
	c.comeAndGo(t, first, 0, c.cyclesBefore)
	third.frozen = true
	for i := range doomedPairs {
		if err := first.keyval.Delete(doomed(i), first.clusterNow()); err != nil {
			t.Fatal(err)
		}
		w.step()
	}
	c.comeAndGo(t, first, c.cyclesBefore, stampedeCycles)
	third.thaw(seed%2 == 0)
	w.Run(converge)
	for _, h := range w.Hosts {
		for pair := range h.keyval.All(h.clusterNow()) {
			back = append(back, fmt.Sprintf("%s at host %d", strings.TrimRight(string(pair.Key), "-"), h.index))
		}
	}
	return back
}

// comeAndGo creates and deletes pairs at a host.
func (c stampede) comeAndGo(t *testing.T, h *Host, from, to int) {
	for n := from; n < to; n++ {
		key := fmt.Appendf(nil, "pair%d%s", n, strings.Repeat("-", 600))
		if err := h.keyval.Add(key, []byte("x"), kinds.NoExpire, h.clusterNow()); err != nil {
			t.Fatalf("pair %d: %v, %+v", n, err, h.keyval.Stats())
		}
		if c.sentOfEach > 0 && n%c.sentOfEach == 0 {
			h.world.step()
		}
		if err := h.keyval.Delete(key, h.clusterNow()); err != nil {
			t.Fatal(err)
		}
		if n%c.perMS == 0 {
			h.world.step()
		}
	}
}
