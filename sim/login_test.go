package sim

import (
	"fmt"
	"testing"
	"time"
)

// A host is frozen and has cost an answer its wait. Another one is new, and loses frames of a full ring: repair brings
// it the next session, but it cannot acknowledge that in time. The answer waits for the new host only.
func TestANewHostThatLosesFramesCostsAWaitBesideAFrozenOne(t *testing.T) {
	options := defaults
	options.RingFrames = 4
	w := NewWorld(1, options)
	w.Start(3)
	if !w.Within(6*time.Second, w.Ready) {
		t.Fatal("the hosts are not ready")
	}
	h, fresh := w.Hosts[0], w.Hosts[1]
	for i := range 100 {
		if err := h.session.Bind(fmt.Append(nil, "old", i), []byte("a"), h.clusterNow()); err != nil {
			t.Fatal(err)
		}
		w.step()
	}
	w.Hosts[2].frozen = true
	waits := func(key string, vain int64) {
		t.Helper()
		if _, err := w.loginNow(h, key, "a"); err != nil {
			t.Fatal(err)
		}
		if late := h.node.Status(h.now()).Deliveries.Late; late != vain {
			t.Errorf("%d answers waited in vain with %s, want %d", late, key, vain)
		}
	}
	waits("frozen", 1)
	fresh.crash()
	fresh.start()
	if !w.Within(time.Second, func() bool {
		l := w.dialled[[2]int{0, 1}]
		return l.standing() && l.ends[1].life == fresh.life && l.ends[0].session.Established()
	}) {
		t.Fatal("the new host is not connected")
	}
	waits("overrun", 2)
	if !h.said("buffers overflowed") || !fresh.has("overrun") {
		t.Error("the new host lost no frame, or does not have the session")
	}
	for _, failure := range w.failures {
		t.Error(failure)
	}
	waits("left out", 2)
}
