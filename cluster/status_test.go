package cluster

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"starling/cluster/wire"
	"starling/zone"
)

// at reads one figure of a host's status as an operator's program does: "peers.0.rtt_ms".
func (h *host) at(path string) any {
	text, err := json.Marshal(h.node.Status(h.reading()))
	if err != nil {
		h.f.t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		h.f.t.Fatal(err)
	}
	for name := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[name]
		case []any:
			if len(in) == 0 {
				return nil
			}
			v = in[0]
		}
	}
	return v
}

func (f *fabric) stall(stalled bool) {
	for _, p := range f.pipes {
		p.stalled = stalled
	}
}

// part blocks two hosts while each writes so many pairs, and ends with the block.
func (f *fabric) part(writes int) {
	f.block(0, 1)
	for i := range writes {
		f.hosts[0].set(fmt.Sprintf("left%d", i), "x")
		f.hosts[1].set(fmt.Sprintf("right%d", i), "x")
		f.hosts[0].hit("client", 1)
		f.hosts[1].hit("client", 1)
		f.step(1)
	}
	f.step(2500)
	clear(f.blocked)
}

// nothing is a figure that is absent, or false.
const nothing = "nothing"

// happenings are what an operator may be asked about, and where the status of host 0 tells of it.
var happenings = []struct {
	what string
	do   func(f *fabric)
	seen map[string]any // by path; nil is anything but 0, "" or false
}{
	{"two nodes meet", func(f *fabric) { f.hosts[0].set("a", "1"); f.hosts[1].set("b", "2") }, map[string]any{
		"node_id": "0000000000000064", "ready": true, "nodes_agree": true, "status.nodes_online": 1.0, "zones.kv.ready": true,
		"status.bytes_in": nil, "status.bytes_out": nil, "status.msgs_in": nil, "status.msgs_out": nil,
		"zones.kv.records_total": 2.0, "zones.kv.changes": nil, "zones.kv.synced_shards": 256.0, "zones.kv.digest": nil, "zones.kv.agreement": "agree", "zones.lim.agreement": "agree",
		"peers.0.node_id": "0000000000000065", "peers.0.state": "connected", "peers.0.pushing": true, "peers.0.accepted": true,
		"peers.0.address": "host1", "peers.0.from_address": "host1:50000", "peers.0.protocol_version": nil,
		"peers.0.digests.kv.state": "agree", "peers.0.digests.kv.age_ms": nil,
	}},
	{"a cluster has a name", func(f *fabric) {
		for _, h := range f.hosts {
			if err := h.node.Reload(Config{ID: h.node.id, Incarnation: h.life, Cluster: "east", Zones: h.zones(), Driver: h}, h.reading()); err != nil {
				f.t.Fatal(err)
			}
		}
	}, map[string]any{"cluster": "east", "peers.0.state": "connected"}},
	{"a peer answers late", func(f *fabric) {
		f.hosts[0].set("a", "1")
		f.step(5)
		for range 100 { // pieces of 20 ms, so that heartbeats meet one
			f.stall(true)
			f.step(20)
			f.stall(false)
			f.step(1)
		}
	}, map[string]any{"peers.0.rtt_ms": nil}},
	{"a peer stands still", func(f *fabric) {
		f.stall(true)
		f.hosts[0].set("a", "1")
		f.step(50)
	}, map[string]any{"zones.kv.records_pending": 1.0, "peers.0.records_pending": 1.0, "peers.0.lag_ms": nil}},
	{"a connection is lost", func(f *fabric) { f.block(0, 1) }, map[string]any{
		"peers.0.state": "lost", "peers.0.last_error": "cut", "peers.0.connections_lost": 2.0, "zones.kv.agreement": "unknown",
	}},
	{"a lost connection stands again", func(f *fabric) { f.part(1) }, map[string]any{
		"peers.0.state": "connected", "peers.0.last_error": "cut", "peers.0.connections_lost": 2.0,
	}},
	{"a clock is ahead", func(f *fabric) { f.restartAhead(1, -5000) }, map[string]any{
		"clock_offset_ms": nil, "peers.0.clock_offset_ms": -5000.0,
	}},
	{"a clock is further ahead than is followed", func(f *fabric) { f.restartAhead(1, -90_000) }, map[string]any{
		"peers.0.clock_refused": true,
	}},
	{"stamps are too far ahead", func(f *fabric) {
		now := f.hosts[1].reading()
		for i := range 3 { // most of five members
			f.hosts[1].node.clocks.heard(fmt.Sprint("other", i), new(Session), 120_000, now)
		}
		f.hosts[1].set("a", "1")
	}, map[string]any{"zones.kv.refused_stamps": 1.0}},
	{"a newcomer is taught over a full connection", func(f *fabric) {
		for i := range 5000 {
			f.hosts[0].set(fmt.Sprintf("key%d", i), strings.Repeat("x", 100))
		}
		f.step(50)
		f.hosts[1].crash()
		f.step(10)
		f.hosts[1].start()
		f.hosts[1].know(2)
		for range 8 {
			f.step(1)
			f.stall(true) // the outbox is asked for one piece, and the rest waits
		}
	}, map[string]any{"peers.0.teaching": true}},
	{"a key is written on both sides of a cut", func(f *fabric) {
		f.block(0, 1)
		f.hosts[1].set("b", "older")
		f.hosts[0].set("a", "older")
		f.step(10)
		f.hosts[0].set("b", "newer")
		f.hosts[1].set("a", "newer")
		clear(f.blocked)
	}, map[string]any{"zones.kv.conflicts_won": nil, "zones.kv.conflicts_lost": nil}},
	{"rings are overrun", func(f *fabric) { f.part(minRingFrames + 200) }, map[string]any{
		"zones.kv.repairs": nil, "zones.kv.records_repaired": nil, "zones.kv.records_repair_sent": nil,
	}},
	{"more requests come late than the burst has room for", func(f *fabric) {
		f.hosts[0].bucket.SetBurst(1000)
		f.block(0, 1)
		f.hosts[1].hit("client", 100)
		f.step(2500)
		clear(f.blocked)
	}, map[string]any{"zones.lim.forfeited_millirequests": nil}},
	{"a release without repair lacks records", func(f *fabric) {
		f.hosts[1].crash()
		f.hosts[1].withhold = wire.FeatureRepair
		f.hosts[1].start()
		f.hosts[1].know(2)
		f.settle(8000, "ready", f.ready)
		f.hosts[1].silently(0, 10, "x")
		f.step(confirmedForMS)
	}, map[string]any{"nodes_agree": nothing, "zones.kv.agreement": "differ", "peers.0.digests.kv.differing_shards": nil}},
	{"records are on their way", func(f *fabric) {
		f.hosts[1].silently(0, 1, "x")
		f.hosts[1].node.all()[0].digestsNow.Store(true)
		f.hosts[1].node.all()[1].digestsNow.Store(true)
	}, map[string]any{"peers.0.digests.kv.fresh_records": 1.0}},
	{"a zone is shared on one side only", func(f *fabric) {
		h := f.hosts[1]
		if err := h.node.Reload(Config{ID: h.node.id, Incarnation: h.life, Zones: h.zones()[1:], Driver: h}, h.reading()); err != nil {
			f.t.Fatal(err)
		}
	}, map[string]any{"peers.0.mismatches": nil}},
	{"a zone is shared on the other side only", func(f *fabric) {
		h := f.hosts[0]
		if err := h.node.Reload(Config{ID: h.node.id, Incarnation: h.life, Zones: h.zones()[1:], Driver: h}, h.reading()); err != nil {
			f.t.Fatal(err)
		}
		f.step(100)
		if said := h.said(`): zone "kv" is shared on the peer but not on this node`); len(said) != 1 || !strings.Contains(said[0], "peer host1 (node ") {
			f.t.Errorf("the log does not name the peer by its address, once: %q", said)
		}
	}, map[string]any{"peers.0.mismatches": nil, "nodes_agree": nothing}},
	{"pairs of two sides find no room on one", func(f *fabric) {
		f.block(0, 1)
		for i := range 20_000 {
			h, value := f.hosts[i%2], strings.Repeat("x", 1000)
			h.keyval.Set(fmt.Appendf(nil, "key%d", i), []byte(value), 0, h.node.ClusterTime(h.reading())) // some are refused: that is the point
			if i%500 == 0 {
				f.step(1)
			}
		}
		f.step(2500)
		clear(f.blocked)
	}, map[string]any{"zones.kv.refused": nil, "zones.kv.full": true, "zones.kv.agreement": "full, not comparable"}},
	{"pairs come and go faster than their deletions can be forgotten", func(f *fabric) {
		h := f.hosts[0]
		for i := range 250_000 {
			h.set(fmt.Sprintf("key%d", i), "x")
			if err := h.keyval.Delete(fmt.Appendf(nil, "key%d", i), h.reading()); err != nil {
				f.t.Fatal(err)
			}
		}
		h.set("stays", "x")
		f.step(1000)
	}, map[string]any{
		"zones.kv.record_bytes": float64(zone.CostBytes(5, 1)), "zones.kv.tombstones": nil, "zones.kv.tombstone_bytes": nil,
		"zones.kv.tombstones_given_up": nil, "zones.kv.full": nothing, "zones.kv.agreement": "agree",
	}},
	{"answers wait for a peer that does not acknowledge", func(f *fabric) {
		f.halt(0, 1, true)
		f.await(f.hosts[0], f.hosts[0].login("one"), testLimitMS)
	}, map[string]any{
		"deliveries.waits": 1.0, "deliveries.timeouts": 1.0, "deliveries.left_out": 1.0, "peers.0.left_out": true,
	}},
	{"clients name sessions that the node lacks", func(f *fabric) {
		h, peer := f.hosts[0], f.hosts[1]
		peer.secretly("one")
		f.find(h, "one")
		f.find(h, "nobody's")
		f.find(h, "nobody's")
		f.find(peer, "other")
		for i := range maxAnswers + 1 {
			body := wire.Ask{Number: uint64(i), Zone: 2, Key: []byte("x")}.Append(nil)
			if err := f.pipes[0].ends[0].Receive(wire.AppendFrame(nil, wire.TypeAsk, body, nil), f.now); err != nil {
				f.t.Fatal(err)
			}
		}
		f.halt(0, 1, true)
		f.find(h, "late")
		f.halt(0, 1, false)
	}, map[string]any{
		"questions.asked": 3.0, "questions.found": 1.0, "questions.timeouts": 1.0, "questions.skipped": 1.0,
		"questions.answered": nil, "questions.dropped": 1.0,
	}},
	{"a peer does not accept a record", func(f *fabric) {
		_, _, write := f.picky()
		write("web 10.0.0.1:80", "bad")
		f.step(20_000)
	}, map[string]any{"peers.0.digests.servers.rejected": nil, "peers.0.digests.servers.repair_pause_ms": nil}},
	{"sessions find no room", func(f *fabric) {
		for i := range 100_000 {
			f.hosts[0].bind(i, "server")
		}
	}, map[string]any{"zones.sess.evicted": nil}},
}

func TestStatusTellsWhatHappened(t *testing.T) {
	told := map[string]bool{}
	for _, c := range happenings {
		t.Run(c.what, func(t *testing.T) {
			f := newFabric(t, 2)
			f.sessionBytes = 1 << 20
			f.settle(1000, "ready", f.ready)
			c.do(f)
			for path, want := range c.seen {
				told[lastOf(path)] = true
				f.settle(8000, fmt.Sprintf("%s %v: it is %v", path, want, f.hosts[0].at(path)), func() bool {
					got := f.hosts[0].at(path)
					if want == nothing {
						return got == nil || got == false
					}
					return got != nil && got != 0.0 && got != false && (want == nil || got == want)
				})
			}
		})
	}
	for _, name := range fields(reflect.TypeFor[Status](), nil) {
		if !told[name] && name != "strict" { // the driver tells that
			t.Errorf("no happening makes %q tell anything", name)
		}
	}
}

func lastOf(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }

// fields are the names of all figures in a status.
func fields(of reflect.Type, names []string) []string {
	switch of.Kind() {
	case reflect.Map, reflect.Slice:
		return fields(of.Elem(), names)
	case reflect.Struct:
		for i := range of.NumField() {
			field := of.Field(i)
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			inner := fields(field.Type, nil)
			if inner == nil {
				inner = []string{name}
			}
			names = append(names, inner...)
		}
	}
	return names
}
