package cluster

import "testing"

// A deletion is forgotten and who made it has lost its journal. The frame with what was deleted is still in the ring of
// who wrote it: a node that starts does not get it.
func TestOutdatedFramesAreNotForLatecomers(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].set("deleted", "x")
	f.step(50)
	if err := f.hosts[1].keyval.Delete([]byte("deleted"), f.hosts[1].reading()); err != nil {
		t.Fatal(err)
	}
	f.step(50)
	for _, h := range f.hosts {
		if h.keyval.ForgetThrough(h.reading().WallMS, h.reading().MonoMS) != 1 {
			t.Fatal("there is no tombstone to forget")
		}
	}
	f.hosts[0].set("later", "y")
	f.step(50)
	f.hosts[1].crash()
	f.hosts[1].start()
	f.hosts[1].know(2)
	f.settle(8000, "ready", f.ready)
	f.step(3 * digestEveryMS)
	for _, h := range f.hosts {
		if got := h.get("deleted"); got != "" {
			t.Errorf("host %d has what was deleted: %q", h.index, got)
		}
		if got := h.get("later"); got != "y" {
			t.Errorf("host %d lacks what was written later: %q", h.index, got)
		}
	}
}

// A deletion is forgotten while a host is cut off for a moment, too short for an agreement to tell what was deleted. The frame that has it is outdated: who
// comes back gets no pair of it, but the deletion.
func TestDeletionsInOutdatedFramesAreToldWhoComesBack(t *testing.T) {
	f := newFabric(t, 2)
	f.settle(1000, "ready", f.ready)
	f.hosts[0].set("deleted", "x")
	f.hosts[0].set("stays", "x")
	f.step(50)
	f.block(0, 1)
	if err := f.hosts[0].keyval.Delete([]byte("deleted"), f.hosts[0].reading()); err != nil {
		t.Fatal(err)
	}
	f.hosts[0].set("written", "y")
	f.step(50)
	if f.hosts[0].keyval.ForgetThrough(f.hosts[0].reading().WallMS, f.hosts[0].reading().MonoMS) != 1 {
		t.Fatal("there is no tombstone to forget")
	}
	clear(f.blocked)
	f.step(3*digestEveryMS + freshMS)
	for _, h := range f.hosts {
		for key, want := range map[string]string{"deleted": "", "stays": "x", "written": "y"} {
			if got := h.get(key); got != want {
				t.Errorf("host %d has %q of %s, want %q", h.index, got, key, want)
			}
		}
	}
}
