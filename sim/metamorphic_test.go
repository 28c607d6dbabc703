package sim

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"starling/cluster"
	"starling/lib/testkit"
)

// The metamorphic run: one list of operations, done in one order on clusters that differ in their zone_sync settings
// only, ends in one state, the one that a plain map gets from the same list. What timing may decide is kept out of the
// list: in an epoch each key has one writer, and writers change only when all has arrived.

// operation is one thing that is done to a cluster.
type operation struct {
	what       string // set, remove, bind, unbind, touch, hit; or harm to the network or a host
	host       int
	other      int
	key, value string
	times      int
	pause      time.Duration // after it
}

func (o operation) String() string {
	return fmt.Sprintf("%s host%d host%d %s %s %d, %v", o.what, o.host, o.other, o.key, o.value, o.times, o.pause)
}

// epoch is done under one harm. After it everything is healed and arrives; then one host may restart empty, or clear
// the pairs.
type epoch struct {
	operations []operation
	restart    int // -1: none
	clear      int // -1: none
}

// script is what is done to each of the clusters.
type script struct {
	hosts  int
	epochs []epoch
	// calm says that nothing is harmed: then all must arrive by itself, and repair has nothing to do.
	calm bool
}

// content is what a cluster is to hold in the end.
type content struct {
	pairs, sessions map[string]string
	requests        map[string]int64
}

const (
	metaEpochs     = 5
	metaOperations = 60
	metaKeys       = 40
)

// write draws a script and says what follows from it.
func write(seed uint64) (s script, want content) {
	r := rand.New(rand.NewPCG(seed, 0x3e7a))
	s.hosts, s.calm = 3+r.IntN(3), seed%4 == 0
	want = content{map[string]string{}, map[string]string{}, map[string]int64{}}
	for number := range metaEpochs {
		e := epoch{restart: -1, clear: -1, operations: []operation{s.harm(r)}}
		stopped := -1
		if first := e.operations[0]; first.what == "freeze" {
			stopped = first.host
		}
		pause := time.Duration(1+r.IntN(60)) * time.Millisecond // short epochs end before a timeout, long ones after it
		for range metaOperations {
			o := want.draw(r, number, s.hosts, stopped)
			if o.pause = pause; !s.calm && r.IntN(20) == 0 {
				e.operations = append(e.operations, operation{what: "cut", host: r.IntN(s.hosts), other: r.IntN(s.hosts)})
			}
			e.operations = append(e.operations, o)
		}
		e.operations = append(e.operations, want.burst(r, number, s.hosts, stopped)...)
		switch n := r.IntN(4); {
		case n == 0:
			e.clear = r.IntN(s.hosts)
			clear(want.pairs)
		case n < 3 && !s.calm:
			e.restart = r.IntN(s.hosts)
		}
		s.epochs = append(s.epochs, e)
	}
	return s, want
}

// harm draws what an epoch suffers.
func (s *script) harm(r *rand.Rand) operation {
	o := operation{what: "nothing", host: r.IntN(s.hosts)}
	if s.calm {
		return o
	}
	o.other = (o.host + 1 + r.IntN(s.hosts-1)) % s.hosts
	o.what = []string{"nothing", "block", "split", "freeze", "slow"}[r.IntN(5)]
	o.times = 20 + r.IntN(200) // bytes per ms of a slow link
	return o
}

// draw draws one operation, notes what follows from it, and gives it to the host that writes its key in this epoch.
func (c *content) draw(r *rand.Rand, epoch, hosts, stopped int) operation {
	for {
		k := r.IntN(metaKeys)
		o := operation{key: fmt.Sprint("k", k), host: (k + epoch) % hosts}
		n := r.IntN(10)
		if n >= 7 { // requests add up wherever they come in
			o.host = r.IntN(hosts)
		}
		if o.host == stopped {
			continue
		}
		switch {
		case n < 3:
			o.what, o.value = "set", fmt.Sprint("v", r.Uint32())
			c.pairs[o.key] = o.value
		case n < 4:
			o.what = "remove"
			delete(c.pairs, o.key)
		case n < 5:
			o.what, o.value = "bind", fmt.Sprint("server", r.IntN(9))
			c.sessions[o.key] = o.value
		case n < 6:
			o.what = "touch"
		case n < 7:
			o.what = "unbind"
			delete(c.sessions, o.key)
		default:
			o.what, o.times = "hit", 1+r.IntN(5)
			c.requests[o.key] += int64(o.times)
		}
		return o
	}
}

// burst writes at once what fills buffers, and records that are larger than one.
func (c *content) burst(r *rand.Rand, epoch, hosts, stopped int) (list []operation) {
	for k := range metaKeys {
		o := operation{what: "set", key: fmt.Sprint("burst", k), host: (k + epoch) % hosts}
		if o.host != stopped {
			o.value = strings.Repeat(fmt.Sprint(r.Uint32()), 1+r.IntN(1<<r.IntN(9)))
			c.pairs[o.key] = o.value
			c.requests[o.key]++
			list = append(list, o, operation{what: "hit", key: o.key, host: o.host, times: 1})
		}
	}
	return list
}

// tuned draws what an operator may set. The first variant is what is set where nothing is.
func tuned(seed uint64, variant int) Options {
	o := defaults
	if variant == 0 {
		return o
	}
	r := rand.New(rand.NewPCG(seed, uint64(variant)))
	o.Settings = cluster.Settings{
		TimeoutMS: 200 + r.Int64N(8000), ConnectTimeoutMS: 200 + r.Int64N(8000), IntervalMS: 1 + r.Int64N(3000),
		Buffers: 2 + r.IntN(64), BufferBytes: 1 << (10 + r.IntN(7)),
	}
	o.RedialMS = 10 + r.IntN(2000)
	o.WindowBytes, o.OutboxBytes = 1<<(10+r.IntN(9)), 1<<(10+r.IntN(7))
	o.RingFrames = []int{0, 2, 16}[r.IntN(3)]
	return o
}

// perform does the script to a cluster and returns it when all has arrived, or says what does not.
func (s script) perform(seed uint64, o Options) (*World, error) {
	w := NewWorld(seed, o)
	w.Start(s.hosts)
	if err := w.arrived(); err != nil {
		return w, fmt.Errorf("at the start: %w", err)
	}
	for i, e := range s.epochs {
		for _, op := range e.operations {
			if err := w.do(op); err != nil {
				return w, fmt.Errorf("epoch %d: %v: %w", i, op, err)
			}
			w.Run(op.pause)
		}
		w.Heal()
		if err := w.arrived(); err != nil {
			return w, fmt.Errorf("after epoch %d, %v: %w", i, e.operations[0], err)
		}
		if e.clear >= 0 {
			if err := w.Hosts[e.clear].clear(); err != nil {
				return w, err
			}
		}
		if e.restart >= 0 {
			w.Hosts[e.restart].crash()
			w.Run(10 * time.Millisecond)
			w.Hosts[e.restart].start()
			w.allMembers()
		}
		if err := w.arrived(); err != nil {
			return w, fmt.Errorf("after epoch %d, host %d restarted, host %d cleared: %w", i, e.restart, e.clear, err)
		}
	}
	return w, nil
}

// arrived waits until all that was written is everywhere, and a moment in which clocks are compared.
func (w *World) arrived() error {
	// What repair may take: the longest timeout drawn above, a redial, and two comparisons past the age of fresh
	// records.
	const patience = 4 * converge
	all := func() bool {
		if !w.Ready() || w.disagreement() != "" {
			return false
		}
		for _, h := range w.Hosts {
			if h.node.Status(h.now()).Node.NodesOnline < int64(len(w.Hosts)-1) || !h.node.Drained() {
				return false
			}
		}
		return true
	}
	if !w.Within(patience, all) {
		return fmt.Errorf("not everything arrived in %v of quiet: %s", patience, w.disagreement())
	}
	w.Run(quiet)
	return nil
}

// do does one operation.
func (w *World) do(o operation) error {
	h := w.Hosts[o.host]
	switch o.what {
	case "set":
		return h.set(o.key, o.value)
	case "remove":
		h.remove(o.key)
	case "bind":
		return h.session.Bind([]byte(o.key), []byte(o.value), h.clusterNow())
	case "unbind":
		h.session.Delete([]byte(o.key), h.clusterNow())
	case "touch":
		h.session.Touch([]byte(o.key), h.clusterNow())
	case "hit":
		h.hit(o.key, o.times)
	case "cut":
		w.Cut(o.host, o.other)
	case "block":
		w.Block(o.host, o.other)
	case "split":
		for _, a := range w.Hosts[:1+o.host%(len(w.Hosts)-1)] {
			for _, b := range w.Hosts[1+o.host%(len(w.Hosts)-1):] {
				w.Block(a.index, b.index)
			}
		}
	case "freeze":
		h.frozen = true
	case "slow":
		w.slow[pair(o.host, o.other)] = o.times
	}
	return nil
}

// differs says in what a host does not hold what is wanted, or "".
func (h *Host) differs(want content, overrun bool) string {
	pairs, sessions := map[string]string{}, map[string]string{}
	for p := range h.keyval.All(h.clusterNow()) {
		pairs[string(p.Key)] = string(p.Value)
	}
	if !maps.Equal(pairs, want.pairs) {
		return fmt.Sprintf("has the pairs %v, want %v", pairs, want.pairs)
	}
	for key, total := range want.requests {
		got := h.count(key)
		if got > total || got < total-1 && !overrun { // one may have drained
			return fmt.Sprintf("counts %d requests of %s, want %d", got, key, total)
		}
	}
	for k := range metaKeys {
		key := fmt.Sprint("k", k)
		if server, ok := h.session.Lookup([]byte(key), h.clusterNow()); ok {
			sessions[key] = server
		}
	}
	if !maps.Equal(sessions, want.sessions) {
		return fmt.Sprintf("has the sessions %v, want %v", sessions, want.sessions)
	}
	return ""
}

// mended says what had to be repaired or given up, or "".
func (h *Host) mended() (text string) {
	for name, z := range h.node.Status(h.now()).Zones {
		if z.Repaired > 0 || z.Forfeited > 0 {
			text += fmt.Sprintf(" lacked records of %s that were then repaired (%d) or forfeited (%d)", name, z.Repaired, z.Forfeited)
		}
	}
	return text
}

// TestTheSettingsDoNotMatter: -seed=N does one script only.
func TestTheSettingsDoNotMatter(t *testing.T) {
	first, scripts, variants := uint64(1), 24, 4
	if testing.Short() || testkit.Race {
		scripts, variants = 2, 2 // a world is one goroutine: the race detector has little to find in it
	}
	if *seedFlag != 0 {
		first, scripts = *seedFlag, 1
	}
	for seed := first; seed < first+uint64(scripts); seed++ {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			s, want := write(seed)
			for variant := range variants {
				o := tuned(seed, variant)
				w, err := s.perform(seed, o)
				for _, h := range w.Hosts {
					text := h.differs(want, o.RingFrames > 0) // costs in frames that were given up are forfeited
					if s.calm && o.RingFrames == 0 {
						text += h.mended()
					}
					if text != "" && err == nil {
						err = fmt.Errorf("host %d %s", h.index, text)
					}
				}
				if err != nil || len(w.failures) > 0 {
					t.Errorf("%v %v\nwith %+v\nreplay with: go test ./sim -run SettingsDoNotMatter -seed=%d", err, w.failures, o, seed)
				}
			}
		})
	}
}
