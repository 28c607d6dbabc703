package sim

import (
	"fmt"
	"slices"
	"time"

	"starling/upstream/health/turns"
	"starling/zone/kinds"
)

// A run of health checks has servers that fail and recover, hosts that crash, freeze and are cut off from each other or
// from servers. Each host must find out how it reaches each server, and one host at a time must do the work.

// healthFlavour is what a seed may do to a cluster with health checks.
type healthFlavour struct {
	name string
	// crashes: hosts die and come back. frozen: they stand still.
	crashes, frozen bool
	// paths: some hosts do not reach some servers.
	paths bool
	// lossy: rings of a few frames are overrun all the time.
	lossy bool
}

var healthFlavours = []healthFlavour{
	{name: "network"},
	{name: "crashes", crashes: true},
	{name: "paths", paths: true},
	{name: "lossy", lossy: true, crashes: true},
	{name: "everything", crashes: true, frozen: true, paths: true, lossy: true},
}

const (
	checkMS = 1000
	// replacedMS is the longest time without a probe of a server. Hosts before the one that takes over can be silent:
	// they are frozen, or their words do not arrive.
	replacedMS  = checkMS + checkMS/20 + 500 + checkMS/2 + 100
	clientMS    = 50 // between two clients of a host at a server
	healthActs  = 200
	checkedByMS = 3 * checkMS
)

// checkID is that of the only check.
var checkID = [16]byte{1}

// backend is a server that hosts check.
type backend struct {
	name   string
	works  bool
	probes int
	lastMS int64 // of the last probe, world time
}

// checked is the check of a server by a host.
type checked struct {
	key      []byte
	turn     *turns.Turn
	dueMS    int64 // monotonic
	failures uint64
	failedMS int64
	servedMS int64
	noPath   bool
	probes   int
}

// startChecks begins the checks of a host that starts, if the world has servers.
func (h *Host) startChecks() {
	w, nowMS := h.world, h.now().MonoMS
	if w.options.HealthBytes == 0 {
		return
	}
	for len(w.servers) < w.options.Servers {
		w.servers = append(w.servers, &backend{name: fmt.Sprintf("192.0.2.%d:80", len(w.servers)), works: true})
	}
	paths := h.checks
	h.checks = map[string]*checked{}
	for _, s := range w.servers {
		c := &checked{key: slices.Concat(checkID[:], []byte(s.name)), dueMS: nowMS}
		c.turn = turns.New(turns.Check{IntervalMS: checkMS, Passes: 1, Fails: 1}, c.key, turns.Healthy, nowMS)
		if before := paths[s.name]; before != nil {
			c.noPath = before.noPath
		}
		h.checks[s.name] = c
	}
	h.health = kinds.NewHealth(kinds.HealthConfig{
		Name: "z health", Bytes: w.options.HealthBytes, Incarnation: h.life,
		Changed: func(key []byte) {
			if c := h.checks[string(key[len(checkID):])]; c != nil {
				c.dueMS = 0
			}
		},
	})
	h.tell(checkID[:], turns.Presence{Node: h.address()}.Append(nil))
}

func (h *Host) tell(key, value []byte) {
	if err := h.health.Say(key, value, h.now()); err != nil {
		h.world.failf("host %d cannot tell %q: %v", h.index, key, err)
	}
}

// lookHealth lets the clients and the checks of all hosts go on.
func (w *World) lookHealth() {
	for _, h := range w.Hosts {
		for _, s := range w.servers {
			if h.runs() && h.checks != nil {
				h.serve(s)
				h.check(s)
			}
		}
	}
}

// serve sends a client to a server, unless the host takes that for unhealthy, or it has just failed.
func (h *Host) serve(s *backend) {
	c, nowMS := h.checks[s.name], h.now().MonoMS
	if c.turn.Current() == turns.Unhealthy || nowMS%clientMS != 0 || nowMS-c.failedMS < checkMS && c.failedMS != 0 {
		return
	}
	if s.works && !c.noPath {
		c.servedMS = nowMS
		return
	}
	c.failures++
	c.failedMS, c.dueMS = nowMS, 0
}

// check looks what a host has to do for a server, and does it. A probe takes no time.
func (h *Host) check(s *backend) {
	c, nowMS := h.checks[s.name], h.now().MonoMS
	if c.dueMS > nowMS {
		return
	}
	v := turns.Look(h.health, checkID[:], c.key, nowMS)
	v.Failures, v.SucceededMS = c.failures, c.servedMS
	step := c.turn.Look(v)
	c.dueMS = step.DueMS
	say := func(pauseMS int64) {
		word := c.turn.Word(pauseMS, h.clusterNow().WallMS, "", nowMS)
		h.tell(c.key, word.Append(nil))
	}
	switch {
	case step.Tell:
		say(0)
	case step.Withdraw:
		h.health.Withdraw(c.key, h.now())
	}
	if step.Probe {
		c.probes++
		s.probes++
		s.lastMS = h.world.nowMS
		c.turn.End(s.works && !c.noPath, 0, checkMS, nowMS)
		c.dueMS = nowMS + checkMS
		say(checkMS)
	}
}

// mistaken names a host that takes a server for what it is not, as that host reaches it; or returns "".
func (w *World) mistaken() string {
	for _, h := range w.standing() {
		for _, s := range w.servers {
			c := h.checks[s.name]
			want := turns.Unhealthy
			if s.works && !c.noPath {
				want = turns.Healthy
			}
			if got := c.turn.Current(); got != want {
				return fmt.Sprintf("host %d takes %s for %d, want %d (1 healthy, 2 unhealthy); leads %v, doubts %v",
					h.index, s.name, got, want, c.turn.Leads(), c.turn.Doubts())
			}
		}
	}
	return ""
}

// countProbes are those of each host in the time from now on.
func (w *World) countProbes(d time.Duration) (each []int) {
	for _, h := range w.Hosts {
		for _, c := range h.checks {
			c.probes = 0
		}
	}
	w.Run(d)
	for _, h := range w.Hosts {
		sum := 0
		for _, c := range h.checks {
			sum += c.probes
		}
		each = append(each, sum)
	}
	return each
}

type healthSwarm struct {
	*World
	flavour healthFlavour
}

// HealthChecks runs one seed and returns the failures, and the world for its log.
func HealthChecks(seed uint64, traced bool) (failures []string, w *World) {
	f := healthFlavours[seed%uint64(len(healthFlavours))]
	options := defaults
	options.HealthBytes, options.Servers = 1<<20, 8
	if f.lossy {
		options.RingFrames = 16
	}
	s := &healthSwarm{World: NewWorld(seed, options), flavour: f}
	s.Traced = traced
	s.certified = seed/uint64(len(healthFlavours))%2 == 0
	s.latencyMS = s.rand.IntN(4)
	s.Start(2 + s.rand.IntN(4))
	s.Within(6*time.Second, s.Ready)
	for range healthActs {
		s.act()
		s.Run(time.Duration(1+s.rand.IntN(checkMS/10)) * time.Millisecond)
		s.checkMemory()
		s.checkGaps()
	}
	s.did("all harm ends")
	s.Heal()
	s.mustFind("after all harm")
	s.mustShare()
	return s.failures, s.World
}

// act does one random thing.
func (s *healthSwarm) act() {
	h, server := s.Hosts[s.rand.IntN(len(s.Hosts))], s.servers[s.rand.IntN(len(s.servers))]
	switch n := s.rand.IntN(100); {
	case n < 40:
		server.works = !server.works
		s.did("%s works: %v", server.name, server.works)
	case n < 50 && s.flavour.paths && h.checks != nil:
		c := h.checks[server.name]
		c.noPath = !c.noPath
		s.did("host%d has no path to %s: %v", h.index, server.name, c.noPath)
	case n < 80:
		s.harm(h, n)
	}
}

// harm harms the network or a host.
func (s *healthSwarm) harm(h *Host, n int) {
	other := s.Hosts[s.rand.IntN(len(s.Hosts))].index
	running := len(s.standing())
	s.did("harm of kind %d to host%d and host%d", n, h.index, other)
	switch {
	case n < 60 && other != h.index:
		s.Cut(h.index, other)
	case n < 63 && other != h.index:
		s.Block(h.index, other)
	case n < 66:
		clear(s.blocked)
	case n < 69 && s.flavour.crashes && running > 1 && h.runs():
		h.crash()
	case n < 74:
		s.startDown()
	case n < 77 && s.flavour.frozen && running > 1:
		h.frozen = !h.down
	case n < 80:
		for _, frozen := range s.Hosts {
			if frozen.frozen {
				frozen.thaw(false)
			}
		}
	}
}

// checkGaps: whatever happens to a prober, another one takes its turn.
func (s *healthSwarm) checkGaps() {
	for _, server := range s.servers {
		if gap := s.nowMS - server.lastMS; gap > replacedMS {
			s.failf("nobody has probed %s for %d ms", server.name, gap)
			server.lastMS = s.nowMS
		}
	}
}

// mustFind waits until each host has found out how it reaches each server.
func (s *healthSwarm) mustFind(when string) {
	wrong := ""
	found := func() bool {
		wrong = s.mistaken()
		return wrong == ""
	}
	if !s.Within(converge, found) {
		s.failf("%s, after %v of quiet: %s", when, converge, wrong)
	}
	s.Run(checkedByMS * time.Millisecond)
	if !found() { // and it stays so
		s.failf("%s, later: %s", when, wrong)
	}
}

// mustShare: with all paths and servers back, all hosts together send as many probes as one would.
func (s *healthSwarm) mustShare() {
	for _, server := range s.servers {
		server.works = true
	}
	for _, h := range s.Hosts {
		for _, c := range h.checks {
			c.noPath = false
		}
	}
	s.mustFind("with all paths")
	s.Run(checkedByMS * time.Millisecond)
	const intervals = 10
	total := 0
	for _, n := range s.countProbes(intervals * checkMS * time.Millisecond) {
		total += n
	}
	if want := intervals * len(s.servers); total > want+len(s.servers) || total < want-2*len(s.servers) {
		s.failf("%d hosts sent %d probes to %d servers in %d intervals", len(s.Hosts), total, len(s.servers), intervals)
	}
}
