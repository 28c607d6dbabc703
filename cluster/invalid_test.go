package cluster

import (
	"errors"
	"strings"
	"testing"

	"starling/zone/kinds"
)

// picky lets two hosts share a zone, of which the second one does not accept the value "bad" that the first has.
func (f *fabric) picky() (lax, strict *kinds.Keyval, write func(key, value string)) {
	f.settle(1000, "ready", f.ready)
	servers := func(check func(_, value []byte) error) *kinds.Keyval {
		return kinds.NewServers(kinds.ServersConfig{Name: "servers", Expression: "servers of http", Bytes: 1 << 20, Check: check})
	}
	strict = servers(func(_, value []byte) error {
		if string(value) == "bad" {
			return errors.New("it is bad")
		}
		return nil
	})
	lax = servers(nil)
	write = func(key, value string) {
		if err := lax.Set([]byte(key), []byte(value), 0, f.hosts[0].node.ClusterTime(f.hosts[0].reading())); err != nil {
			f.t.Fatal(err)
		}
	}
	write("before", "bad")
	f.hosts[0].reload(append(f.hosts[0].zones(), lax)...)
	f.hosts[1].reload(append(f.hosts[1].zones(), strict)...)
	f.step(5000)
	return lax, strict, write
}

// A node that gets a record which its kind does not accept rejects it, whichever way it came, and tells peer, zone and
// key; what is valid arrives. The peer tells that it was rejected.
func TestAnInvalidRecordIsRejected(t *testing.T) {
	f := newFabric(t, 2)
	_, strict, write := f.picky()
	write("web 10.0.0.1:80", "bad")
	write("web 10.0.0.2:80", "good")
	f.settle(2000, "the valid one has arrived", func() bool { return f.value(strict, f.hosts[1], "web 10.0.0.2:80") == "good" })
	f.step(20_000) // digests differ, repairs are tried
	for _, key := range []string{"before", "web 10.0.0.1:80"} {
		if got := f.value(strict, f.hosts[1], key); got != "" {
			t.Errorf("%s is %q", key, got)
		}
	}
	lines := f.hosts[1].said("rejected ")
	all := strings.Join(lines, "\n")
	for _, want := range []string{
		`records of zone "servers" from peer `, `invalid, the first of them is of key "before": it is bad`,
	} {
		if !strings.Contains(all, want) {
			t.Errorf("it does not tell %q:\n%s", want, all)
		}
	}
	if len(lines) > 8 {
		t.Errorf("it tells %d times in 25 s:\n%s", len(lines), all)
	}
	if lines := f.hosts[0].said("rejected "); len(lines) == 0 || !strings.Contains(lines[0], "does not accept their contents") {
		t.Errorf("who was rejected tells %q", lines)
	}
}

// Repairs of a zone whose records are rejected change nothing: they become rare, the log says so once, and the API shows
// why until the two agree again.
func TestRepairsThatChangeNothingAreShown(t *testing.T) {
	f := newFabric(t, 2)
	lax, _, write := f.picky()
	write("web 10.0.0.1:80", "bad")
	f.step(20_000)
	for i, want := range []string{"the peer rejected ", `invalid, the first of them is of key`} {
		d := f.hosts[i].node.Status(f.hosts[i].reading()).Peers[0].Digests["servers"]
		if d.State != "differ" || !strings.Contains(d.Rejected, want) {
			t.Errorf("host%d shows %+v, want %q", i, d, want)
		}
	}
	f.step(repairPauseMaxMS)
	pausing := func(ms int64) (hosts int) {
		for _, h := range f.hosts {
			if h.node.Status(h.reading()).Peers[0].Digests["servers"].RepairPauseMS > ms {
				hosts++
			}
		}
		return hosts
	}
	told := 0
	for _, h := range f.hosts {
		told += len(h.said("and repairs change nothing"))
	}
	if pauses := pausing(repairToldMS); pauses != 1 || told != 1 {
		t.Errorf("%d hosts show that repairs pause, and %d lines tell so, want one of each", pauses, told)
	}
	write("web 10.0.0.2:80", "bad")
	f.settle(repairPauseMaxMS+freshMS, "no pause after a repair that differs", func() bool { return pausing(0) == 0 })
	for _, key := range []string{"before", "web 10.0.0.1:80", "web 10.0.0.2:80"} {
		if err := lax.Delete([]byte(key), f.hosts[0].node.ClusterTime(f.hosts[0].reading())); err != nil {
			t.Fatal(err)
		}
	}
	f.step(repairPauseMaxMS + agreedForMS + freshMS)
	for _, h := range f.hosts {
		if d := h.node.Status(h.reading()).Peers[0].Digests["servers"]; d.State != "agree" || d.Rejected != "" || d.RepairPauseMS != 0 {
			t.Errorf("host%d shows %+v when the record is gone", h.index, d)
		}
	}
}
