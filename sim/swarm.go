package sim

import (
	"fmt"
	"time"

	"starling/cluster/wire"
	"starling/zone"
)

// A swarm run damages a cluster in every way that a seed draws, lets it heal, and checks what must hold afterwards.

// flavour is what a seed may do to a cluster. Counts of requests are exact only if no host loses its memory and no ring
// is overrun.
type flavour struct {
	name string
	// crashes: hosts die, and come back empty or with state.
	crashes bool
	// lossy: rings of a few frames are overrun all the time.
	lossy bool
	// full: zones are too small for the written records.
	full bool
	// clocks: they jump by up to 50 s, and drift.
	clocks bool
	// jumps: clocks are set by seconds to days, both ways, at the start and later, of one host or several; written
	// records expire soon.
	jumps bool
	// mixed: some hosts run a release without repair.
	mixed bool
	// slow: one host is behind slow and broken lines or frozen, and no other host may wait for it.
	slow bool
	// deletes: pairs come and go in small zones. Hosts that crash keep state, and no new host joins.
	deletes bool
	// changes: hosts leave for good, and reloads stop and start sharing zones.
	changes bool
	// rogue: a program with a certificate, or an address in the list, attacks.
	rogue bool
}

var flavours = []flavour{
	{name: "network"},
	{name: "crashes", crashes: true},
	{name: "lossy", lossy: true},
	{name: "clocks", clocks: true},
	{name: "mixed releases", mixed: true},
	{name: "everything", crashes: true, lossy: true, clocks: true},
	{name: "full", full: true, crashes: true},
	{name: "changes", changes: true},
	{name: "slow peer", slow: true},
	{name: "rogue", rogue: true},
	{name: "rogue and crashes", rogue: true, crashes: true},
	{name: "jumps", jumps: true},
	{name: "jumps and crashes", jumps: true, crashes: true},
	{name: "deletes", deletes: true},
	{name: "deletes and crashes", deletes: true, crashes: true},
}

const (
	swarmActs = 250
	swarmKeys = 40
	// converge is how long a healed cluster may take to agree: a silent peer's timeout, the wait for a teacher, and two
	// comparisons past the age of fresh records.
	converge = 25 * time.Second
	quiet    = 500 * time.Millisecond
)

type swarm struct {
	*World
	flavour flavour
	charged map[string]int64
	churning
	// inexact means that costs may have been lost with a host or in frames.
	inexact bool
}

// newSwarm makes the world of a seed: nothing runs in it yet.
func newSwarm(seed uint64, traced bool) *swarm {
	f := flavours[seed%uint64(len(flavours))]
	options := f.options()
	stampedes := f.deletes && !f.crashes && seed/uint64(len(flavours))%4 >= 2
	if stampedes {
		options.TombstoneBytes = 128 << 10
	}
	s := &swarm{
		World: NewWorld(seed, options), flavour: f, charged: map[string]int64{},
		churning: churning{gone: map[string]bool{}, stampedes: stampedes}, inexact: f.crashes || f.full || f.changes,
	}
	s.Traced = traced
	s.certified = seed/uint64(len(flavours))%2 == 0
	s.latencyMS = s.rand.IntN(4)
	return s
}

// Swarm runs one seed and returns the failures, and the world for its log. If traced, the log also has the actions.
func Swarm(seed uint64, traced bool) (failures []string, w *World) {
	s := newSwarm(seed, traced)
	f := s.flavour
	s.Start(2 + s.rand.IntN(4))
	if f.slow {
		s.add() // so that there are two others
		s.allMembers()
	}
	if f.mixed {
		old := s.Hosts[s.rand.IntN(len(s.Hosts))]
		old.withhold = wire.FeatureRepair | wire.FeatureZones | wire.FeatureDelivery | wire.FeatureQuestions
		old.crash()
		old.start()
	}
	if f.crashes {
		for _, h := range s.Hosts {
			if h.keepsState = f.deletes || s.rand.IntN(3) == 0; h.keepsState {
				h.crash()
				h.start()
			}
		}
	}
	if f.rogue {
		s.rogue = &rogue{world: s.World, listed: s.certified && s.rand.IntN(2) == 0}
	}
	if f.jumps {
		s.startWrong()
	}
	s.Within(6*time.Second, s.Ready)
	if f.deletes && s.rand.IntN(2) == 0 {
		s.Run(20 * time.Second) // so that they have agreed, and forgotten
	}
	if s.stampedes {
		s.stampede()
	}
	for n := range swarmActs {
		s.act()
		for range 4 {
			s.attack()
		}
		s.Run(time.Duration(1+s.rand.IntN(3)) * time.Millisecond)
		s.checkMemory()
		if f.slow && n%probeEvery == 0 {
			s.probe(n)
		}
	}
	s.did("all harm ends")
	if f.rogue {
		s.rogue.leave()
	}
	s.Heal()
	if f.jumps {
		s.setRight()
	}
	s.quiet()
	return s.failures, s.World
}

// options are the options of all hosts in a flavour.
func (f *flavour) options() Options {
	options := defaults
	if f.full {
		options.KeyvalBytes, options.SessionBytes, options.BucketBytes = 32<<10, 32<<10, 32<<10
	}
	if f.deletes {
		options.KeyvalBytes = 32 << 10
		if options.TombstoneBytes = 16 << 10; f.crashes {
			options.TombstoneBytes = 128 << 10 // zone/DESIGN.md says what a crashing node must not have given up
		}
	}
	if f.lossy {
		options.RingFrames = 16
	}
	if f.jumps {
		options.SessionTimeoutMS = jumpsLifeMS
	}
	return options
}

// running draws a running host, or nil.
func (s *swarm) running() *Host {
	h := s.Hosts[s.rand.IntN(len(s.Hosts))]
	if !h.runs() || h.left {
		return nil
	}
	return h
}

// act does one random thing: mostly work, sometimes harm.
func (s *swarm) act() {
	h := s.running()
	if h == nil {
		return
	}
	switch n := s.rand.IntN(100); {
	case n < 70:
		s.work(h, n)
	case n < 92:
		s.harmNetwork(h, n)
	default:
		s.harmHost(h, n)
	}
}

// attack lets the rogue do one thing.
func (s *swarm) attack() {
	h := s.running()
	if s.rogue == nil || h == nil {
		return
	}
	s.rogue.act(h)
	s.mustBeKeptOut(h)
}

func (s *swarm) work(h *Host, n int) {
	if s.flavour.jumps && n%2 == 0 {
		s.workTimed(h)
		return
	}
	key := fmt.Sprint("k", s.rand.IntN(swarmKeys))
	if s.flavour.deletes {
		s.churn(h)
		return
	}
	if s.flavour.full {
		key = fmt.Sprint("k", s.rand.IntN(100*swarmKeys))
		for range 20 {
			s.crowd(h)
		}
	}
	switch {
	case n < 25:
		times := 1 + s.rand.IntN(5)
		h.hit(key, times)
		s.charged[key] += int64(times)
	case n < 45:
		// A full zone reports it; only the full flavour gets there.
		if err := h.set(key, fmt.Sprint(h.index, "-", s.rand.Uint32())); err != nil && !s.flavour.full {
			s.failf("host %d does not take a pair: %v", h.index, err)
		}
	case n < 53:
		h.remove(key)
	case s.flavour.jumps && n < 54: // a clear would remove the expiring records
	case n < 54:
		if err := h.clear(); err != nil {
			s.failf("host %d does not clear: %v", h.index, err)
		}
	case n < 58 && s.flavour.hasLogins():
		s.workLogin(h)
	case n < 62:
		err := h.session.Bind([]byte(key), fmt.Append(nil, "server", s.rand.IntN(9)), h.clusterNow())
		if err != nil && !s.flavour.full {
			s.failf("host %d does not bind: %v", h.index, err)
		}
	case n < 65:
		h.session.Touch([]byte(key), h.clusterNow())
	case n < 66:
		h.session.Delete([]byte(key), h.clusterNow())
	default:
		s.burst(h)
	}
}

// crowd writes to zones that are full soon. They may reject writes; they may not grow.
func (s *swarm) crowd(h *Host) {
	key := fmt.Sprint("k", s.rand.IntN(100*swarmKeys))
	switch s.rand.IntN(3) {
	case 0:
		_ = h.set(key, "crowd")
	case 1:
		_ = h.session.Bind([]byte(key), []byte("crowd"), h.clusterNow())
	default:
		h.hit(key, 1)
		s.charged[key]++
	}
}

// burst writes and counts so much that any slow peer overruns a small ring.
func (s *swarm) burst(h *Host) {
	for i := range 20 {
		err := h.set(fmt.Sprint("k", s.rand.IntN(swarmKeys)), fmt.Sprint("burst", i, "-", h.index, "-", s.nowMS))
		if err != nil && !s.flavour.full {
			s.failf("host %d does not take a pair: %v", h.index, err)
		}
		key := fmt.Sprint("k", s.rand.IntN(swarmKeys))
		h.hit(key, 1)
		s.charged[key]++
		s.Run(time.Millisecond)
	}
}

const (
	// probeEvery is the number of acts between measurements of the latency of a write.
	probeEvery = 10
	// probeMS is the maximum latency of a write between two undisturbed hosts: the longest network latency, and a few
	// flushes.
	probeMS = maxLatencyMS + 5
	// maxLatencyMS is the longest latency that is drawn. Bytes keep their order, so a shorter one does not help at
	// once.
	maxLatencyMS = 20
)

// probe: no host waits for a slow one. Host 0 is slow; a write of another host reaches the rest as if host 0 were
// absent.
func (s *swarm) probe(n int) {
	from := s.Hosts[1+s.rand.IntN(len(s.Hosts)-1)]
	value := fmt.Sprint("probe", n)
	if err := from.session.Bind([]byte("probe"), []byte(value), from.clusterNow()); err != nil {
		s.failf("host %d does not bind: %v", from.index, err)
	}
	s.Run(probeMS * time.Millisecond)
	for _, h := range s.Hosts[1:] {
		if server, _ := h.session.Lookup([]byte("probe"), h.clusterNow()); server != value {
			s.failf("host %d has not got what host %d wrote %d ms ago", h.index, from.index, probeMS)
		}
	}
}

func (s *swarm) harmNetwork(h *Host, n int) {
	other := s.Hosts[s.rand.IntN(len(s.Hosts))].index
	if s.flavour.slow {
		h, other = s.Hosts[0], 1+s.rand.IntN(len(s.Hosts)-1)
	}
	s.did("harm of kind %d to the network between host%d and host%d", n, h.index, other)
	switch {
	case other == h.index:
		s.Run(time.Duration(s.rand.IntN(30)) * time.Millisecond)
	case n < 77:
		s.Cut(h.index, other)
	case n < 81:
		s.Block(h.index, other)
	case n < 83:
		s.slow[pair(h.index, other)] = 1 + s.rand.IntN(200)
	case n < 89:
		clear(s.blocked)
		clear(s.slow)
	case n < 90:
		s.Run(time.Duration(s.rand.IntN(7000)) * time.Millisecond) // past zone_sync_timeout, sometimes
	default:
		s.latencyMS = s.rand.IntN(maxLatencyMS)
	}
}

func (s *swarm) harmHost(h *Host, n int) {
	if s.flavour.slow {
		h = s.Hosts[0]
	}
	if s.flavour.jumps && n%2 == 0 {
		s.jump(h)
		return
	}
	s.did("harm of kind %d to host%d", n, h.index)
	switch {
	case n < 94 && s.flavour.changes:
		s.change(h)
	case n < 94 && s.flavour.crashes && s.others(h) > 0:
		h.crash()
	case n < 96:
		for _, down := range s.Hosts {
			if down.down && !down.left {
				down.start()
				down.expect()
				return
			}
		}
	case n < 97:
		h.frozen = s.others(h) > 0
	case n < 98:
		for _, frozen := range s.Hosts {
			frozen.thaw(frozen.frozen && s.flavour.deletes && s.rand.IntN(2) == 0)
		}
	case n < 99 && len(s.Hosts) < 7 && !s.flavour.slow && !s.flavour.deletes:
		s.add()
		s.allMembers()
	case s.flavour.clocks:
		h.skewMS += int64(s.rand.IntN(100_001)) - 50_000
		h.skewMS = min(max(h.skewMS, -25_000), 25_000) // no stamp is rejected; stories test that
		h.driftPPM = float64(s.rand.IntN(1000) - 500)
	}
}

// change lets a host leave, or reload with other zones.
func (s *swarm) change(h *Host) {
	switch names := []string{"kv", "sess", "lim"}; {
	case s.rand.IntN(4) == 0 && s.others(h) > 1:
		s.did("host%d leaves", h.index)
		h.leave()
	case len(h.unshared) > 0:
		h.reload(nil)
	default:
		h.reload(map[string]bool{names[s.rand.IntN(len(names))]: true})
	}
}

// others counts the running hosts besides one: the last one is kept, or there would be nothing to compare.
func (s *swarm) others(h *Host) (n int) {
	for _, o := range s.Hosts {
		if o != h && o.runs() && !o.left {
			n++
		}
	}
	return n
}

// quiet waits until the cluster agrees and checks the result.
func (s *swarm) quiet() {
	if !s.Within(converge, s.Ready) {
		s.failf("not all hosts are ready")
	}
	if s.flavour.full {
		s.Run(quiet)
		s.checkMemory()
		return
	}
	if s.flavour.mixed {
		s.Run(converge / 5) // a release without repair is not expected to repair this
	}
	if !s.Within(converge, s.Agree) {
		s.failf("after %v of quiet: %s", converge, s.disagreement())
	}
	s.Run(quiet)
	// A deletion that was in flight when its host crashed may have arrived at one host; the others learn of it only if
	// they send what it deleted.
	for _, h := range s.Hosts {
		if h.runs() && !h.left {
			s.enter(h, 0, zone.Shards)
		}
	}
	for _, h := range s.Hosts {
		if refused := h.keyval.Stats().Ahead + h.session.Stats().Ahead; refused > 0 && !h.left && !s.flavour.jumps {
			// Cluster time lies between the clocks, however they jump. The ledger relies on it: it keeps restamped
			// records as they were.
			s.failf("host %d refused %d stamps as too far ahead, all clocks are within 50 s", h.index, refused)
		}
		switch {
		case h.left:
		case s.flavour.jumps: // the ledger keeps restamped records as they were
			s.mustHaveTimed(h)
			s.mustBeCausal(h)
		case !s.flavour.deletes:
			s.mustMatchLedger(h)
		}
	}
	for _, h := range s.Hosts {
		// Not at once: a detected backward step has just restamped records, which no peer can have acknowledged yet
		// (seed 42989).
		if h.runs() && !h.left && !s.Within(quiet, h.node.Drained) {
			s.failf("host %d waits for acknowledgements that nobody sends", h.index)
		}
	}
	// Not before: hosts agree also while one has yet to receive both a pair and its deletion (seed 46108).
	if s.flavour.deletes {
		s.checkChurn()
	}
	s.checkCounts()
	s.checkMemory()
	// Once per tick: the status changes with ticks, and reading it each millisecond took half of the time of a run.
	shown := func() bool { return s.nowMS%tickEveryMS == 0 && s.ShownToAgree() }
	if !s.flavour.mixed && !s.Within(converge, shown) {
		s.failf("hosts agree, but their operators are not shown that")
	}
}

// checkCounts: no host counts a request twice. If no host is lost each counts all, except those given up after
// overruns: that is the most that may be missing, at the host that gave it up and at those that it taught.
func (s *swarm) checkCounts() {
	var forfeited int64
	for _, h := range s.Hosts {
		forfeited += h.bucket.Stats().Forfeited
	}
	drained := rateMilli * s.nowMS / 1000 // at most, of a request that was given up as a level
	if forfeited > 0 && !s.inexact && !s.flavour.lossy {
		s.failf("costs of %d/1000 requests were given up", forfeited)
	}
	for _, h := range s.Hosts {
		if h.left {
			continue
		}
		missing := int64(0)
		for key, total := range s.charged {
			got := h.count(key)
			if got > total {
				s.failf("host %d counts %d requests of %q, there were %d", h.index, got, key, total)
				return
			}
			missing += max(total-1-got, 0)
		}
		if !s.inexact && missing*(1000-drained) > forfeited {
			s.failf("host %d does not count %d requests, %d/1000 were given up", h.index, missing, forfeited)
		}
	}
}
