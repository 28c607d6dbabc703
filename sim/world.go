// Package sim runs clusters of the pure core in one goroutine: virtual clocks, a network of ordered streams with
// deliberate faults, and hosts that crash, freeze and lose their clocks. DESIGN.md says what is checked.
package sim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"starling/cluster"
	"starling/zone"
	"starling/zone/kinds"
)

// startWallMS is where all clocks start; any time will do.
const startWallMS = 1_800_000_000_000

// World is a number of hosts and the network between them.
type World struct {
	Hosts []*Host
	rand  *rand.Rand
	nowMS int64
	links []*link
	// dialled is the last link from one host to another.
	dialled map[[2]int]*link
	// dials and problems count the connections ever made and the lines of the level error.
	dials, problems int
	// blocked are pairs between which packets are dropped: sent bytes stand still, and no host is told.
	blocked map[[2]int]bool
	// slow are pairs whose links carry at most so many bytes per ms.
	slow map[[2]int]int
	// latencyMS is the longest transit of one piece of bytes.
	latencyMS int
	options   Options
	moved     int64
	ledger    *kinds.Keyval
	timed     []*timed
	causal    causal // nil if the ledger tells which write is the latest
	logins    logins
	servers   []*backend
	asking    *asking // nil unless clients ask
	failures  []string
	// certified means that hosts have certificates; else they know each other by their addresses.
	certified bool
	// rogue is an attacker with a certificate or an address, or nil.
	rogue *rogue
	// Log are the hosts' log lines and, if Traced, the actions on them.
	Log    []string
	Traced bool
}

// Options are the options of all hosts of a world.
type Options struct {
	// KeyvalBytes, SessionBytes and BucketBytes are the memory of the zones.
	KeyvalBytes, SessionBytes, BucketBytes int64
	// ConnBytes is the memory of a zone of connections; 0 is none.
	ConnBytes int64
	// HealthBytes is the memory of a zone of findings of health checks, 0 is none; Servers is how many are checked.
	HealthBytes int64
	Servers     int
	// TombstoneBytes is the additional memory of tombstones in each zone, 0 the usual one.
	TombstoneBytes int64
	// RingFrames shrinks the rings of the journals, so that they are overrun; 0 leaves them.
	RingFrames int
	// SessionTimeoutMS is the lifetime of sessions.
	SessionTimeoutMS int64
	// Settings, RedialMS, WindowBytes and OutboxBytes are an operator's zone_sync_* settings; 0 is the simulator's own.
	Settings                           cluster.Settings
	RedialMS, WindowBytes, OutboxBytes int
}

var defaults = Options{KeyvalBytes: 1 << 20, SessionBytes: 1 << 20, BucketBytes: 1 << 20, SessionTimeoutMS: 3_600_000}

// NewWorld makes a world without hosts. Its randomness follows from the seed.
func NewWorld(seed uint64, options Options) *World {
	w := &World{
		rand: rand.New(rand.NewPCG(seed, 0x5eed)), blocked: map[[2]int]bool{}, slow: map[[2]int]int{}, options: options,
		dialled: map[[2]int]*link{},
	}
	w.ledger = w.newLedger()
	return w
}

// Start adds n hosts that know each other.
func (w *World) Start(n int) {
	for range n {
		w.add()
	}
	w.allMembers()
}

func (w *World) add() *Host {
	h := &Host{world: w, index: len(w.Hosts)}
	w.Hosts = append(w.Hosts, h)
	h.start()
	return h
}

// allMembers makes every host that has not left a member of all others.
func (w *World) allMembers() {
	var present []int
	for _, h := range w.Hosts {
		if !h.left {
			present = append(present, h.index)
		}
	}
	for _, h := range w.Hosts {
		h.setMembers(present)
	}
}

// unlist removes a host from the lists of all others. It is not told.
func (w *World) unlist(gone *Host) {
	var present []int
	for _, h := range w.Hosts {
		if !h.left && h != gone {
			present = append(present, h.index)
		}
	}
	for _, h := range w.Hosts {
		if h != gone {
			h.setMembers(present)
		}
	}
}

// Run lets time pass.
func (w *World) Run(d time.Duration) {
	for end := w.nowMS + d.Milliseconds(); w.nowMS < end; {
		w.step()
	}
}

// Within lets time pass until a condition holds, and reports whether it did.
func (w *World) Within(limit time.Duration, holds func() bool) bool {
	for end := w.nowMS + limit.Milliseconds(); w.nowMS < end; w.step() {
		if holds() {
			return true
		}
	}
	return holds()
}

const (
	// tickEveryMS is how often hosts call Tick; carrier does so every 100 ms or less.
	tickEveryMS = 20
	// lookEveryMS is how often hosts check whom to dial: hundreds of hosts have tens of thousands of pairs.
	lookEveryMS = 5
	// redialEveryMS is zone_sync_connect_retry, short: a simulated second is expensive.
	redialEveryMS = 100
)

// step lets a millisecond pass.
func (w *World) step() {
	w.nowMS++
	for _, h := range w.Hosts {
		if !h.runs() {
			continue
		}
		h.driftOn()
		if (w.nowMS+int64(h.index))%tickEveryMS == 0 {
			h.node.Tick(h.now())
		}
		if (w.nowMS+int64(h.index))%lookEveryMS == 0 {
			h.redial()
		}
		if wait, dirty := h.node.NextFlush(h.mono()); dirty && wait < time.Millisecond {
			h.node.Flush(h.mono(), h.now())
		}
	}
	w.checkTimed()
	w.lookCausal()
	live := w.links[:0]
	for _, l := range w.links {
		if l.move(); !l.over() {
			live = append(live, l)
		}
	}
	clear(w.links[len(live):])
	w.links = live
	w.lookLogins()
	w.lookHealth()
	w.asking.look()
}

func pair(a, b int) [2]int { return [2]int{min(a, b), max(a, b)} }

// note adds a line to the log.
func (w *World) note(format string, args ...any) {
	if len(w.Log) < maxLog {
		w.Log = append(w.Log, fmt.Sprintf("%6d ms ", w.nowMS)+fmt.Sprintf(format, args...))
	}
}

// maxLog is how many lines of the log are kept.
const maxLog = 20_000

// did logs an action, for the replay of a seed.
func (w *World) did(format string, args ...any) {
	if w.Traced {
		w.note(format, args...)
	}
}

// failf notes that a required condition does not hold.
func (w *World) failf(format string, args ...any) {
	w.failures = append(
		w.failures,
		fmt.Sprintf("at %v: ", time.Duration(w.nowMS)*time.Millisecond)+fmt.Sprintf(format, args...),
	)
}

// Ready reports whether all running hosts are ready.
func (w *World) Ready() bool {
	for _, h := range w.Hosts {
		if h.runs() && !h.left && !h.node.Ready() {
			return false
		}
	}
	return true
}

// compared picks a zone that can be compared.
type compared func(h *Host) zone.Shared

var comparedZones = map[string]compared{
	"kv":   func(h *Host) zone.Shared { return h.keyval },
	"sess": func(h *Host) zone.Shared { return h.session },
}

// Agree reports whether all running members hold the same in the zones that they share.
func (w *World) Agree() bool {
	return w.disagreement() == ""
}

// disagreement names two hosts that differ, or "".
func (w *World) disagreement() string {
	for name, pick := range comparedZones {
		var first *Host
		var want, got [zone.Shards]uint64
		for _, h := range w.Hosts {
			if !h.runs() || h.left || !h.shares(name) {
				continue
			}
			if first == nil {
				first = h
				pick(h).Digests(&want)
				continue
			}
			if pick(h).Digests(&got); got != want {
				return fmt.Sprintf("zone %q differs between host %d and host %d", name, first.index, h.index)
			}
		}
	}
	return ""
}

// ShownToAgree reports whether each host's status says that it agrees with all others.
func (w *World) ShownToAgree() bool {
	for _, h := range w.Hosts {
		if !h.runs() || h.left {
			continue
		}
		for _, p := range h.node.Status(h.now()).Peers {
			for name, a := range p.Digests {
				if p.Pushing && h.shares(name) && a.State != "agree" {
					return false
				}
			}
		}
	}
	return true
}

// checkMemory checks every zone against its budget.
func (w *World) checkMemory() {
	for _, h := range w.Hosts {
		for _, z := range h.zones() {
			limit := z.Info().Bytes
			tombstones := cmp.Or(w.options.TombstoneBytes, max(limit, 1<<20)) // as much again, by default
			if used := z.Stats(); used.RecordBytes > limit || used.Bytes > limit+tombstones {
				w.failf("zone %q of host %d has %d bytes, %d of them of records; its budget is %d",
					z.Info().Name, h.index, used.Bytes, used.RecordBytes, limit)
			}
		}
	}
}

// Heal ends all disturbance of the network and of hosts, but not of clocks.
func (w *World) Heal() {
	clear(w.blocked)
	clear(w.slow)
	for _, h := range w.Hosts {
		h.frozen = false
		if h.down && !h.left {
			h.start()
		}
		if len(h.unshared) > 0 && !h.left {
			h.reload(nil)
		}
	}
	w.allMembers()
}

// Block drops packets between two hosts, like a pulled cable.
func (w *World) Block(a, b int) { w.blocked[pair(a, b)] = true }

// Cut ends all connections between two hosts, each somewhere in the bytes in flight.
func (w *World) Cut(a, b int) {
	for _, l := range w.links {
		if pair(l.from, l.to) == pair(a, b) {
			l.cut()
		}
	}
}

// Bytes is how much was sent over all links.
func (w *World) Bytes() int64 { return w.moved }

// disturb harms the network, or a line of a host, in a way that n selects.
func (w *World) disturb(h *Host, n int) {
	other := w.Hosts[w.rand.IntN(len(w.Hosts))].index
	w.did("harm of kind %d to the network between host%d and host%d", n, h.index, other)
	switch {
	case other == h.index:
		w.latencyMS = w.rand.IntN(maxLatencyMS)
	case n < 83:
		w.Cut(h.index, other)
	case n < 86:
		w.Block(h.index, other)
	case n < 88:
		w.slow[pair(h.index, other)] = 1 + w.rand.IntN(200)
	case n < 91:
		clear(w.blocked)
		clear(w.slow)
	default:
		w.Run(time.Duration(w.rand.IntN(7000)) * time.Millisecond) // past zone_sync_timeout, sometimes
	}
}

// standing are the hosts that run.
func (w *World) standing() (hosts []*Host) {
	for _, h := range w.Hosts {
		if h.runs() {
			hosts = append(hosts, h)
		}
	}
	return hosts
}

// startDown starts the hosts that have crashed.
func (w *World) startDown() {
	for _, h := range w.Hosts {
		if h.down {
			h.start()
			h.expect()
		}
	}
}

// disturbHost harms a host, or ends such harm, as n selects.
func (w *World) disturbHost(h *Host, n int, crashes bool) {
	w.did("harm of kind %d to host%d", n, h.index)
	switch {
	case n < 94 && crashes && h.runs():
		h.crash()
	case n < 96:
		w.startDown()
	case n < 97:
		h.frozen = !h.down
	case n < 99:
		for _, frozen := range w.Hosts {
			if frozen.frozen {
				frozen.thaw(w.rand.IntN(2) == 0)
			}
		}
	case len(w.Hosts) < 7:
		w.add()
		w.allMembers()
	}
}

var _ cluster.Driver = (*Host)(nil)
