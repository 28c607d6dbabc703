package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"starling/cluster"
	"starling/cluster/wire"
	"starling/lib/clock"
	"starling/lib/stamp"
	"starling/upstream/sticky"
	"starling/zone"
	"starling/zone/kinds"
)

// Host is one machine with one process: a node, its zones, its clock and, if it keeps state, its disk.
type Host struct {
	world   *World
	index   int
	life    uint64
	node    *cluster.Node
	keyval  *kinds.Keyval
	session *kinds.Session
	bucket  *kinds.Bucket
	conn    *kinds.Conn               // nil unless the world has connections
	open    map[string][]kinds.Ticket // connections, by key
	health  *kinds.Health             // nil unless the world has servers
	checks  map[string]*checked       // by server
	clients *sticky.Asking            // that wait for answers of the peers
	// sessionBytes is the memory of its zone of sessions; 0 is that of the options.
	sessionBytes int64

	members  []int
	dialedMS map[int]int64
	down     bool // the process is gone
	frozen   bool // SIGSTOP: it does nothing, its connections stay
	left     bool // removed from the others' lists, and gone
	unshared map[string]bool
	withhold uint64 // wire features that its release lacks

	monoOriginMS int64   // the monotonic clock starts at the wall clock, at the start of the process
	keptAheadMS  int64   // of the wall clock, as the disk has it
	skewMS       int64   // of the wall clock
	driftPPM     float64 // by which the wall clock runs too fast
	drifted      float64 // ms not yet in skewMS

	keepsState bool
	disk       [][]byte // records of the keyval zone's log
}

const (
	// rateMilli is next to nothing, so that levels are counts: one request in 1,000 s drains.
	rateMilli  = 1
	burstMilli = 1 << 40
)

// start starts a new run. The memory is lost; the disk is read back.
func (h *Host) start() {
	h.life++
	h.world.did("host%d starts", h.index)
	h.down, h.frozen = false, false
	h.monoOriginMS = startWallMS + h.skewMS
	h.dialedMS = map[int]int64{}
	o := h.world.options
	stamps := new(stamp.Clock)
	h.clients = new(sticky.Asking)
	h.keyval = kinds.NewKeyval(
		kinds.KeyvalConfig{
			Name:           "kv",
			Expression:     "$arg_k",
			Bytes:          o.KeyvalBytes,
			Sync:           true,
			TombstoneBytes: o.TombstoneBytes,
			Clock:          stamps,
			Incarnation:    h.life,
		},
	)
	h.session = kinds.NewSession(kinds.SessionConfig{
		Name: "sess", Expression: "$cookie_s", Bytes: cmp.Or(h.sessionBytes, o.SessionBytes),
		TombstoneBytes: o.TombstoneBytes,
		TimeoutMS:      o.SessionTimeoutMS, Sync: true,
		Clock: stamps, Incarnation: h.life,
	})
	h.bucket = kinds.NewBucket(
		kinds.BucketConfig{
			Name:        "lim",
			Expression:  "$remote_addr",
			Bytes:       o.BucketBytes,
			RateMilli:   rateMilli,
			Sync:        true,
			Incarnation: h.life,
		},
	)
	h.bucket.SetBurst(burstMilli)
	if o.ConnBytes > 0 {
		h.conn = kinds.NewConn(
			kinds.ConnConfig{Name: "conn", Expression: "$remote_addr", Bytes: o.ConnBytes, Incarnation: h.life},
		)
		h.open = map[string][]kinds.Ticket{}
	}
	h.startChecks()
	if h.keepsState {
		h.world.restoreTimed(h)
		h.world.restoreCausal(h)
		h.restore()
	}
	node, err := cluster.New(cluster.Config{
		ID: h.id(), Incarnation: h.life, Zones: h.zones(), Kinds: kinds.Kinds(), Settings: o.Settings, Driver: h,
		Withhold: h.withhold, Proof: h.proof(),
	}, h.now())
	if err != nil {
		h.world.failf("host %d does not start: %v", h.index, err)
		return
	}
	if o.RingFrames > 0 {
		for _, z := range h.allZones() {
			z.Resize(o.RingFrames, 512)
		}
	}
	h.node = node
	h.expect()
}

// proof is that of the host's certificate, if it has one; the id is derived from it.
func (h *Host) proof() (p wire.Proof) {
	if subject := h.world.subject(h.address()); subject != "" {
		p = wire.Proof{Salt: uint64(h.index), Subjects: []string{subject}}
	}
	return p
}

func (h *Host) id() cluster.NodeID {
	if p := h.proof(); len(p.Subjects) > 0 {
		return cluster.IDOf(p)
	}
	return cluster.NodeID(100 + h.index)
}

// expect tells the node how many others there are.
func (h *Host) expect() {
	others := len(h.members)
	if r := h.world.rogue; r != nil && r.listed {
		others++
	}
	h.node.Expect(others)
}

// restore reads the disk and continues to write to it.
func (h *Host) restore() {
	var found kinds.Restored
	for _, record := range h.disk {
		if err := h.keyval.Restore(record, &found, h.now()); err != nil {
			h.world.failf("the disk of host %d: %v", h.index, err)
		}
	}
	h.disk, h.keptAheadMS = append(h.disk, kinds.ClockRecord(h.now())), 0
	write := func(record []byte) {
		now := h.now()
		if ahead := now.WallMS - now.MonoMS; max(ahead-h.keptAheadMS, h.keptAheadMS-ahead) >= 100 {
			h.disk, h.keptAheadMS = append(h.disk, kinds.ClockRecord(now)), ahead
		}
		h.disk = append(h.disk, append([]byte(nil), record...))
	}
	h.keyval.OnCommit(func(record []byte) (func() error, error) {
		write(record)
		return func() error { return nil }, nil
	}, write)
}

// compact rewrites the disk, as a process does when its log has grown.
func (h *Host) compact() {
	var disk [][]byte
	err := h.keyval.Snapshot(h.now(), func(record []byte) error {
		disk = append(disk, append([]byte(nil), record...))
		return nil
	})
	if err != nil {
		h.world.failf("host %d does not write its disk anew: %v", h.index, err)
	}
	h.disk, h.keptAheadMS = disk, h.now().WallMS-h.now().MonoMS
}

func (h *Host) allZones() []zone.Shared {
	all := []zone.Shared{h.keyval, h.session, h.bucket}
	if h.conn != nil {
		all = append(all, h.conn)
	}
	if h.health != nil {
		all = append(all, h.health)
	}
	return all
}

// zones are those that the host shares.
func (h *Host) zones() []zone.Shared {
	return slices.DeleteFunc(h.allZones(), func(z zone.Shared) bool { return h.unshared[z.Info().Name] })
}

func (h *Host) shares(name string) bool { return !h.unshared[name] }

// reload shares different zones than before.
func (h *Host) reload(unshared map[string]bool) {
	h.unshared = unshared
	err := h.node.Reload(
		cluster.Config{
			ID:          h.node.ID(),
			Incarnation: h.life,
			Zones:       h.zones(),
			Settings:    h.world.options.Settings,
			Driver:      h,
		},
		h.now(),
	)
	if err != nil {
		h.world.failf("host %d does not reload: %v", h.index, err)
	}
}

// runs reports whether the process exists and is scheduled.
func (h *Host) runs() bool { return !h.down && !h.frozen }

// thaw lets a frozen host go on. It may look at the clock before it reads what has arrived meanwhile: then all members
// were silent for too long, and what arrived is lost with the connections.
func (h *Host) thaw(late bool) {
	if h.frozen = false; late {
		h.node.Tick(h.now())
	}
}

// crash ends the process without a goodbye.
func (h *Host) crash() {
	h.down = true
	h.world.did("host%d crashes", h.index)
	h.world.loseTimed(h)
	h.world.loseCausal(h)
	for _, l := range h.world.links {
		if l.from == h.index || l.to == h.index {
			l.cut()
		}
	}
	h.world.recount()
}

// leave removes the host from all lists and stops it in order.
func (h *Host) leave() {
	h.left = true
	h.world.allMembers()
	h.down = true
	h.world.recount()
}

func (h *Host) setMembers(present []int) {
	h.members = h.members[:0]
	for _, i := range present {
		if i != h.index {
			h.members = append(h.members, i)
		}
	}
	if !h.down {
		h.expect()
	}
	for _, l := range h.world.links {
		if l.from == h.index && l.standing() && !h.knows(l.to) {
			l.ends[0].session.Leave()
		}
	}
}

func (h *Host) knows(other int) bool {
	for _, i := range h.members {
		if i == other {
			return true
		}
	}
	return false
}

// redial connects to members that are not connected.
func (h *Host) redial() {
	w := h.world
	for _, i := range h.members {
		last, before := h.dialedMS[i]
		other := w.Hosts[i]
		if before && w.nowMS-last < int64(cmp.Or(w.options.RedialMS, redialEveryMS)) || other.down ||
			w.blocked[pair(h.index, i)] ||
			h.connected(i) {
			continue
		}
		h.dialedMS[i] = w.nowMS
		w.dial(h, other)
	}
}

func (h *Host) connected(to int) bool {
	l := h.world.dialled[[2]int{h.index, to}] // the last one: another is dialled only after it has ended
	return l != nil && l.standing() && l.ends[0].life == h.life
}

// now is the reading of the machine's own clocks.
func (h *Host) now() clock.Reading {
	return clock.Reading{
		WallMS: startWallMS + h.world.nowMS + h.skewMS,
		MonoMS: h.monoOriginMS + h.world.nowMS,
	}
}

func (h *Host) mono() time.Duration { return time.Duration(h.now().MonoMS) * time.Millisecond }

func (h *Host) driftOn() {
	h.drifted += h.driftPPM / 1e6
	if whole := int64(h.drifted); whole != 0 {
		h.skewMS += whole
		h.drifted -= float64(whole)
	}
}

// clusterNow is the time by which records are stamped and expire.
func (h *Host) clusterNow() clock.Reading { return h.node.ClusterTime(h.now()) }

func (h *Host) address() string { return fmt.Sprintf("host%d", h.index) }

// The driver. Sessions are asked for bytes only after a Wake, as in carrier.

// Wake notes that a session has something to send.
func (h *Host) Wake(s *cluster.Session) { s.Tag.(*end).woken = true }

// End notes that a session is over.
func (h *Host) End(s *cluster.Session) { s.Tag.(*end).woken = true }

// Keep brings to disk what the peer of a session waits for, at once.
func (h *Host) Keep(s *cluster.Session) { s.Tag.(*end).keeps = true }

// FlushSoon does nothing.
func (h *Host) FlushSoon(bool) {}

// Met does nothing.
func (h *Host) Met(*cluster.Session, cluster.NodeID) {}

// Event keeps a line of the log.
func (h *Host) Event(e cluster.Event) {
	h.world.note("host%d: %s", h.index, e.Text)
	if e.Kind == cluster.Problem {
		h.world.problems++
	}
}

// said reports whether the log contains a text.
func (h *Host) said(text string) bool {
	prefix := fmt.Sprintf("host%d:", h.index)
	for _, line := range h.world.Log {
		if strings.Contains(line, prefix) && strings.Contains(line, text) {
			return true
		}
	}
	return false
}
