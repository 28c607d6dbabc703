package sim

import (
	"fmt"
	"time"

	"starling/cluster/wire"
	"starling/lib/stamp"
	"starling/zone/kinds"
)

// A run of questions sends clients with their sessions to hosts that lack them, while hosts crash, freeze, are cut off,
// evict sessions and lie. asking.go has the laws.

// questionFlavour is what a seed may do to a cluster that asks.
type questionFlavour struct {
	name string
	// crashes: hosts die, and come back empty.
	crashes bool
	// small: one host evicts sessions, and rings of a few frames are overrun.
	small bool
	// mixed: one host runs a release that neither asks nor answers.
	mixed bool
	// lies: the answers and acknowledgements of one host are false, late or missing.
	lies bool
}

var questionFlavours = []questionFlavour{
	{name: "network"},
	{name: "crashes", crashes: true},
	{name: "small", small: true},
	{name: "mixed releases", mixed: true, crashes: true},
	{name: "lies", lies: true},
	{name: "lies and crashes", lies: true, crashes: true},
}

const (
	questionActs = 250
	// nobodys is how many ids that no host knows are asked for again and again.
	nobodys = 8
	// floodClients ask for floodIDs each, at once: more than a host may ask its peers.
	floodClients, floodIDs = 20, 20
)

type questionSwarm struct {
	*World
	flavour questionFlavour
	// scratch makes the records of sessions that are lost on their way to some hosts.
	scratch *kinds.Session
	count   int // of ids
}

// Questions runs one seed and returns the failures, and the world for its log.
func Questions(seed uint64, traced bool) (failures []string, w *World) {
	f := questionFlavours[seed%uint64(len(questionFlavours))]
	options := defaults
	if f.small {
		options.RingFrames = 16
	}
	s := &questionSwarm{World: NewWorld(seed, options), flavour: f}
	s.Traced = traced
	s.certified = seed/uint64(len(questionFlavours))%2 == 0
	s.asking = newAsking(s.World)
	s.scratch = kinds.NewSession(kinds.SessionConfig{
		Name: "sess", Expression: "$cookie_s", Bytes: options.SessionBytes, TimeoutMS: options.SessionTimeoutMS,
		Clock: new(stamp.Clock),
	})
	s.Start(3 + s.rand.IntN(3))
	first := s.Hosts[0]
	switch {
	case f.small:
		first.sessionBytes = 32 << 10
	case f.mixed:
		first.withhold = wire.FeatureDelivery | wire.FeatureQuestions
	case f.lies:
		s.asking.liar = &liar{world: s.World, host: first}
	}
	first.crash()
	first.start()
	s.Within(6*time.Second, s.Ready)
	for range questionActs {
		s.act()
		s.Run(time.Duration(1+s.rand.IntN(3)) * time.Millisecond)
	}
	s.did("all harm ends")
	s.settle()
	return s.failures, s.World
}

// act does one random thing: mostly what clients do, sometimes harm.
func (s *questionSwarm) act() {
	h := s.Hosts[s.rand.IntN(len(s.Hosts))]
	switch n := s.rand.IntN(100); {
	case n < 88:
		if h.runs() && !s.asking.isLiar(h) {
			s.work(h, n)
		}
	case n < 90 && s.flavour.lies:
		s.asking.liar.change()
	case n < 92:
		s.did("all harm ends for now")
		s.latencyMS = 0
		s.Heal()
	case n < 96:
		s.disturb(h, 80+s.rand.IntN(12))
	default:
		s.disturbHost(h, 92+s.rand.IntN(8), s.flavour.crashes)
	}
}

// work lets clients do one thing at a host.
func (s *questionSwarm) work(h *Host, n int) {
	switch {
	case n < 30:
		s.lose()
	case n < 66 && len(s.asking.recent) > 0:
		id := s.asking.recent[s.rand.IntN(len(s.asking.recent))]
		s.asking.begin(h, id, serverOf(id), s.rand.IntN(floodClients))
	case n < 74:
		s.asking.begin(h, s.nobodys(), "", s.rand.IntN(floodClients))
	case n < 75:
		s.flood(h)
	case n < 80 && s.flavour.small:
		s.fill(h)
	case n == 87 && s.rand.IntN(3) == 0:
		s.revive()
	default:
		s.workLogin(h)
	}
}

func (s *questionSwarm) nobodys() string { return fmt.Sprint("nobody's", s.rand.IntN(nobodys)) }

func serverOf(id string) string { return "server of " + id }

// lose makes a session of which some hosts never hear: its frames are lost on their way.
func (s *questionSwarm) lose() {
	s.count++
	id := fmt.Sprint("session", s.count)
	s.asking.exists(id)
	s.give(id)
}

// revive makes a session of an id that nobody knew, when no host may still remember that.
func (s *questionSwarm) revive() {
	id := s.nobodys()
	s.Run(unknownMS * time.Millisecond)
	s.give(id)
	for _, h := range s.Hosts {
		if h.runs() && !s.asking.isLiar(h) {
			s.asking.begin(h, id, "", 0)
		}
	}
}

// give lets half of the hosts have a session.
func (s *questionSwarm) give(id string) {
	for _, h := range s.Hosts {
		if !h.runs() || s.rand.IntN(2) == 0 {
			continue
		}
		now := h.clusterNow()
		if err := s.scratch.Bind([]byte(id), []byte(serverOf(id)), now); err != nil {
			s.failf("the session %s is not made: %v", id, err)
			return
		}
		if _, err := h.session.Learn(s.scratch.AppendRecord(nil, []byte(id), now), now); err != nil {
			s.failf("host %d does not learn: %v", h.index, err)
		}
		s.did("host%d has %s", h.index, id)
	}
}

// flood lets many clients ask for more at once than a host may ask its peers.
func (s *questionSwarm) flood(h *Host) (asked int) {
	for client := range floodClients {
		for range floodIDs {
			s.count++
			if s.asking.begin(h, fmt.Sprint("made up", s.count), "", client) {
				asked++
			}
		}
	}
	return asked
}

// fill makes so many sessions that a small zone evicts older ones.
func (s *questionSwarm) fill(h *Host) {
	for range 60 {
		s.count++
		id := fmt.Sprint("more", s.count)
		if err := h.session.Bind([]byte(id), []byte(serverOf(id)), h.clusterNow()); err != nil {
			s.failf("host %d does not bind: %v", h.index, err)
		}
	}
	s.asking.exists(fmt.Sprint("more", s.count-50))
}

// workLogin begins a login at a host.
func (s *questionSwarm) workLogin(h *Host) {
	s.count++
	id := fmt.Sprint("login", s.count)
	l, err := s.login(h, id, serverOf(id))
	if err != nil {
		s.failf("host %d does not bind: %v", h.index, err)
		return
	}
	s.logins.waiting = append(s.logins.waiting, l)
	s.asking.exists(id)
}

// settle ends all harm, and checks that hosts agree, and can still ask as much as before.
func (s *questionSwarm) settle() {
	if s.asking.liar != nil {
		s.asking.liar.repent()
	}
	s.latencyMS = 0
	s.Heal()
	if !s.Within(converge, s.Ready) {
		s.failf("not all hosts are ready")
	}
	agree := func() bool { return s.nowMS%tickEveryMS == 0 && s.Agree() }
	if !s.flavour.small && !s.Within(converge, agree) {
		s.failf("after %v of quiet: %s", converge, s.disagreement())
	}
	for _, h := range s.Hosts {
		if h.withhold&wire.FeatureQuestions != 0 {
			continue
		}
		// A host whose peers were silent again and again asks them again after a while.
		asks := func() bool {
			s.count++
			return s.nowMS%50 == 0 && s.asking.begin(h, fmt.Sprint("probe", s.count), "", 0)
		}
		if !s.Within(2*maxPause, asks) {
			s.failf("host %d asks nobody, although all are connected", h.index)
			continue
		}
		s.Run(2 * askMS * time.Millisecond)
		if asked := s.flood(h); asked != maxQuestions {
			s.failf("after all harm, %d questions of host %d can be open, want %d", asked, h.index, maxQuestions)
		}
		s.Run(2 * askMS * time.Millisecond)
	}
	if n := len(s.asking.waiting); n > 0 {
		s.failf("%d requests still wait for an answer", n)
	}
}
