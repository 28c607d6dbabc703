package carrier

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"starling/cluster/strict"
	"starling/cluster/wire"
	"starling/lib/clock"
)

// strictRate is the limit of the tests, in requests per second; so many fit into the bucket, too.
const strictRate = 200

// strictNode is a node with a strict zone.
type strictNode struct {
	*node
	gate *strict.Gate
	dir  string
}

// strictly gives a node's configuration a strict zone.
func (s *strictNode) strictly(c *Config) {
	s.gate = strict.NewGate("lim", strict.Limit{Rate: strictRate * strict.Request, Burst: strictRate - 1}, 1000, 7)
	c.Strict = &StrictConfig{File: filepath.Join(s.dir, "register"), Gates: []*strict.Gate{s.gate}}
}

// strictNodes are nodes that have not started.
func strictNodes(t *testing.T, count int) (nodes []*strictNode, members []Member) {
	t.Helper()
	for i := range count {
		nodes = append(nodes, &strictNode{node: listen(t, i), dir: t.TempDir()})
		members = append(members, nodes[i].member())
	}
	return nodes, members
}

// idleRunner is a runner of no carrier that runs, and its log.
func idleRunner(t *testing.T) (*strictRunner, *journalLog) {
	log := &journalLog{t: t}
	c := &Carrier{}
	c.config.Store(&Config{Log: log})
	return newStrictRunner(c), log
}

// strictMesh starts nodes that all list all. adjust may change the configuration of each.
func strictMesh(t *testing.T, count int, adjust func(i int, c *Config)) (nodes []*strictNode, members []Member) {
	t.Helper()
	nodes, members = strictNodes(t, count)
	for i, n := range nodes {
		n.start(members, func(c *Config) {
			n.strictly(c)
			if adjust != nil {
				adjust(i, c)
			}
		})
	}
	return nodes, members
}

// ready returns nil when the node decides on strict keys.
func (s *strictNode) ready() error {
	if status := s.gate.Status(clock.SteadyUS()); status.State != "member" {
		return fmt.Errorf("node %d: %s%s, view %d", s.index, status.State, status.Closed, status.View.Number)
	}
	return nil
}

// ask makes one request, and waits for its decision.
func (s *strictNode) ask(key string) bool {
	verdict, ticket := s.gate.Decide(key, clock.SteadyUS())
	if verdict != strict.Parked {
		return verdict.Admits()
	}
	admitted := <-ticket.Decided
	ticket.Release()
	return admitted
}

// flood makes requests on all nodes until so many were admitted, and fails if that is more than the limit allows in the
// time that passed. The bucket may have been empty.
func flood(t *testing.T, nodes []*strictNode, key string, want int) {
	t.Helper()
	beganUS, admitted := clock.SteadyUS(), 0
	eventually(t, func() error {
		for _, n := range nodes {
			for range 20 {
				if n.ask(key) {
					admitted++
				}
			}
		}
		if admitted < want {
			return fmt.Errorf("%d requests were admitted", admitted)
		}
		return nil
	})
	allowed := strictRate + float64(clock.SteadyUS()-beganUS)*strictRate/1e6
	if float64(admitted) > allowed {
		t.Errorf("%d requests were admitted where %.1f are allowed", admitted, allowed)
	}
}

func allReady(t *testing.T, nodes []*strictNode) {
	t.Helper()
	for _, n := range nodes {
		eventually(t, n.ready)
	}
}

// All nodes together admit no more than the limit, and all of it.
func TestStrictLimits(t *testing.T) {
	nodes, _ := strictMesh(t, 3, nil)
	allReady(t, nodes)
	flood(t, nodes, "key", 2*strictRate)
	for _, n := range nodes {
		eventually(t, func() error {
			n.ask("key")
			if n.gate.Status(clock.SteadyUS()).Admitted == 0 {
				return fmt.Errorf("node %d admitted nothing", n.index)
			}
			return nil
		})
	}
}

// One of three nodes stops without a word. The others go on within the limit, and it joins again with its file.
func TestAStrictNodeRestarts(t *testing.T) {
	nodes, members := strictMesh(t, 3, nil)
	allReady(t, nodes)
	flood(t, nodes, "key", strictRate)
	gone := nodes[1]
	gone.stop()
	others := []*strictNode{nodes[0], nodes[2]}
	eventually(t, func() error {
		if n := len(others[0].gate.Status(clock.SteadyUS()).View.Members); n != 2 {
			return fmt.Errorf("the view has %d members", n)
		}
		return nil
	})
	allReady(t, others)
	flood(t, others, "key", 2*strictRate)

	again := &strictNode{node: listenAgain(t, gone.node), dir: gone.dir}
	again.start(members, again.strictly)
	nodes[1] = again
	allReady(t, nodes)
	eventually(t, func() error {
		if n := len(again.gate.Status(clock.SteadyUS()).View.Members); n != 3 {
			return fmt.Errorf("the view has %d members", n)
		}
		return nil
	})
	flood(t, nodes, "key", 2*strictRate)
}

// listenAgain makes a new node at the address of one that stopped.
func listenAgain(t *testing.T, old *node) *node {
	t.Helper()
	n := &node{t: t, index: old.index, clock: clock.Real(), log: &journalLog{t: t, name: fmt.Sprint(old.index, " again")}}
	eventually(t, func() (err error) {
		n.listener, err = net.Listen("tcp", old.listener.Addr().String())
		return err
	})
	return n
}

// Connections break while requests come: what was on the way is lost, and nothing is admitted twice for it.
func TestStrictConnectionsBreak(t *testing.T) {
	nodes, _ := strictMesh(t, 3, nil)
	allReady(t, nodes)
	for i := range 6 {
		nodes[i%3].breakConns()
		flood(t, nodes, "key", strictRate/4)
	}
	allReady(t, nodes)
	flood(t, nodes, "key", strictRate)
}

// A minority decides nothing.
func TestAStrictNodeAloneDecidesNothing(t *testing.T) {
	nodes, _ := strictMesh(t, 3, nil)
	allReady(t, nodes)
	nodes[1].stop()
	nodes[2].stop()
	stoppedUS := clock.SteadyUS()
	eventually(t, func() error { // not only by chance: no answer from before can give it another lease
		if nodes[0].ready() == nil || clock.SteadyUS() < stoppedUS+StrictLeaseUS {
			return fmt.Errorf("node 0 is ready")
		}
		return nil
	})
	for range 100 {
		if nodes[0].ask("key") {
			t.Fatal("it admits a request")
		}
	}
	if s := nodes[0].gate.Status(clock.SteadyUS()); s.NoLease == 0 {
		t.Errorf("%+v", s)
	}
}

// A member of an older release makes the zone additive, and the log says so.
func TestAnOlderMemberMakesStrictZonesAdditive(t *testing.T) {
	nodes, _ := strictMesh(t, 3, func(i int, c *Config) {
		if i == 2 {
			c.Node.Withhold = wire.FeatureStrict
		}
	})
	for _, n := range nodes[:2] {
		eventually(t, func() error {
			if !n.gate.Additive() || !strings.Contains(n.gate.Closed(), nodes[2].member().String()) {
				return fmt.Errorf("node %d: %v, %q", n.index, n.gate.Additive(), n.gate.Closed())
			}
			return nil
		})
		eventually(t, func() error {
			if n.log.find(`zone "lim" only adds requests up after the fact: `+nodes[2].member().String()) == "" {
				return fmt.Errorf("node %d has not logged it", n.index)
			}
			return nil
		})
	}
}

// A new list takes effect when all its members are connected. Until then, a node names those that are missing.
func TestStrictLimitsBeginWithAllMembers(t *testing.T) {
	nodes, members := strictNodes(t, 3)
	for _, n := range nodes[:2] {
		n.start(members, n.strictly)
	}
	for _, n := range nodes[:2] {
		eventually(t, func() error {
			if why := n.gate.Closed(); !strings.HasSuffix(why, "missing: "+members[2].String()) {
				return fmt.Errorf("node %d: %q", n.index, why)
			}
			return nil
		})
		if n.ask("key") || n.gate.Additive() {
			t.Errorf("node %d admits a request", n.index)
		}
	}
	nodes[2].start(members, nodes[2].strictly)
	allReady(t, nodes)
}

// A member that is connected and takes no part is named with what to do: it has no strict zone, or another list.
func TestAMemberThatKeepsAListFromBeginningIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		lacks bool
		want  string
	}{
		"without strict": {true, `connected and silent: %s (make its list of zone_sync_server the same, add the "strict" zones of this node`},
		"another list":   {false, `connected with another list of zone_sync_server: %s (make the lists the same`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			nodes, members := strictNodes(t, 3)
			for _, n := range nodes[:2] {
				n.start(members, n.strictly)
			}
			odd, theirs := nodes[2], members
			if !c.lacks {
				theirs = append(slices.Clone(members), Member{Host: "127.0.0.1", Port: 1})
			}
			odd.start(theirs, func(config *Config) {
				if odd.strictly(config); c.lacks {
					config.Strict = nil
				}
			})
			for _, n := range nodes[:2] {
				eventually(t, func() error {
					if why, want := n.gate.Closed(), fmt.Sprintf(c.want, members[2]); !strings.Contains(why, want) || strings.Contains(why, "missing") {
						return fmt.Errorf("node %d: %q, want %q", n.index, why, want)
					}
					return nil
				})
				what, _, _ := strings.Cut(c.want, ":")
				n.log.told(what, 1)
				if got := n.log.count(what); got != 1 {
					t.Errorf("node %d has %d lines about it, want 1", n.index, got)
				}
			}
			config := odd.config
			odd.strictly(&config)
			config.Members = members
			if err := odd.carrier.Reload(config); err != nil {
				t.Fatal(err)
			}
			allReady(t, nodes)
		})
	}
}

// A name that is resolved at run time has no place in a list that all nodes have alike.
func TestStrictLimitsNeedAStaticList(t *testing.T) {
	n := &strictNode{node: listen(t, 0), dir: t.TempDir()}
	n.start([]Member{n.member(), {Host: "other.invalid", Port: 1, Resolve: true}}, n.strictly)
	eventually(t, func() error {
		if !strings.Contains(n.gate.Closed(), `without "resolve"`) {
			return fmt.Errorf("%q", n.gate.Closed())
		}
		return nil
	})
	if n.ask("key") || n.gate.Additive() {
		t.Error("it decides alone")
	}
}

// A member with two lines would have two seats, and answer from one of them only.
func TestAMemberHasOneLine(t *testing.T) {
	n := &strictNode{node: listen(t, 0), dir: t.TempDir()}
	again := n.member()
	again.Host = "::ffff:" + again.Host
	n.start([]Member{n.member(), again, {Host: "127.0.0.1", Port: 1}}, n.strictly)
	want := fmt.Sprintf("zone_sync_server %s and %s are one address, %s", n.member(), again, n.member())
	eventually(t, func() error {
		if why := n.gate.Closed(); !strings.Contains(why, want) {
			return fmt.Errorf("%q, want %q", why, want)
		}
		return nil
	})
}

// A node keeps its seat when its zones change.
func TestAStrictZoneIsAddedByAReload(t *testing.T) {
	nodes, _ := strictMesh(t, 3, nil)
	allReady(t, nodes)
	second := make([]*strictNode, len(nodes))
	for i, n := range nodes {
		config := n.config
		gate := strict.NewGate("second", strict.Limit{Rate: strictRate * strict.Request, Burst: strictRate - 1}, 1000, 8)
		second[i] = &strictNode{node: n.node, gate: gate}
		config.Strict = &StrictConfig{File: config.Strict.File, Gates: []*strict.Gate{n.gate, gate}}
		if err := n.carrier.Reload(config); err != nil {
			t.Fatal(err)
		}
	}
	allReady(t, second)
	flood(t, second, "key", strictRate)
	allReady(t, nodes)
	config := nodes[0].config
	config.Strict = nil
	if err := nodes[0].carrier.Reload(config); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if nodes[0].gate.Closed() == "" {
			return fmt.Errorf("the gate of a removed zone is open")
		}
		return nil
	})
}

// Nodes get other settings one after the other. Two with the new ones decide, also while the third leads the register:
// each is the last one once.
func TestStrictZonesChangeFromNodeToNode(t *testing.T) {
	nodes, _ := strictMesh(t, 3, nil)
	allReady(t, nodes)
	for last := range nodes {
		order := []*strictNode{nodes[(last+1)%3], nodes[(last+2)%3], nodes[last]}
		for i, n := range order {
			config := n.config
			n.gate = strict.NewGate("lim", strict.Limit{Rate: strictRate * strict.Request, Burst: strictRate - 1}, 1000,
				100+uint64(last))
			config.Strict = &StrictConfig{File: config.Strict.File, Gates: []*strict.Gate{n.gate}}
			if err := n.carrier.Reload(config); err != nil {
				t.Fatal(err)
			}
			if i > 0 { // a majority has them
				allReady(t, order[:i+1])
			}
		}
		flood(t, nodes, "key", strictRate/4)
	}
}

// A process that is replaced gives its seat and its file to the next one.
func TestAReplacedProcessLeavesItsSeat(t *testing.T) {
	nodes, members := strictMesh(t, 3, nil)
	allReady(t, nodes)
	old := nodes[1]
	old.carrier.Redirect()
	eventually(t, func() error {
		if old.gate.Closed() == "" {
			return fmt.Errorf("it still decides")
		}
		return nil
	})
	old.listener.Close()
	next := &strictNode{node: listenAgain(t, old.node), dir: old.dir}
	next.start(members, func(c *Config) {
		next.strictly(c)
		c.Node.ID += 100
	})
	nodes[1] = next
	allReady(t, nodes)
	flood(t, nodes, "key", strictRate)
}

// What a peer sends waits in a bounded space, and in its own name only.
func TestStrictMessagesThatAreNotTaken(t *testing.T) {
	r := newStrictRunner(nil)
	r.seats = &seating{hash: 5, members: []string{"a", "b", "c"}, addresses: []string{"1", "2", "3"}, self: 0}
	take := func(address string, list uint64, m strict.Message) int {
		before := len(r.inbox)
		r.StrictMessage(address, list, 1, m)
		return len(r.inbox) - before
	}
	for _, test := range []struct {
		name    string
		address string
		list    uint64
		m       strict.Message
		taken   int
	}{
		{"its own", "2", 5, strict.Message{Kind: strict.Ping, From: 1}, 1},
		{"of another list", "2", 6, strict.Message{Kind: strict.Ping, From: 1}, 0},
		{"of nobody in the list", "9", 5, strict.Message{Kind: strict.Ping, From: 1}, 0},
		{"in the name of another", "2", 5, strict.Message{Kind: strict.Pong, From: 2}, 0},
		{"a request for consent in the name of another", "2", 5, strict.Message{Kind: strict.Exclude, From: 2}, 0},
		{"consent in the name of another", "2", 5, strict.Message{Kind: strict.Consent, From: 2}, 0},
		{"in the name of this node", "2", 5, strict.Message{Kind: strict.Ask, From: 0}, 0},
		{"passed on", "2", 5, strict.Message{Kind: strict.Ask, From: 2}, 1},
		{"to be passed on", "2", 5, strict.Message{Kind: strict.Ask, From: 1, To: 2}, 1},
		{"passed on twice", "2", 5, strict.Message{Kind: strict.Ask, From: 2, To: 1}, 0},
		{"a seat that is none", "2", 5, strict.Message{Kind: strict.Ask, From: 1, To: 3}, 0},
	} {
		if got := take(test.address, test.list, test.m); got != test.taken {
			t.Errorf("%s: %d taken, want %d", test.name, got, test.taken)
		}
	}
	claim := strict.Message{Kind: strict.Claim, From: 1, Holdings: make([]strict.Holding, strictHoldingsMost/4)}
	for range 8 {
		take("2", 5, claim)
	}
	if r.holdings > strictHoldingsMost || take("2", 5, strict.Message{Kind: strict.Ask, From: 1}) != 1 {
		t.Errorf("%d holdings wait", r.holdings)
	}
	for range 2 * strictInboxMost {
		take("2", 5, strict.Message{Kind: strict.Ask, From: 1})
	}
	letter := wire.Register{List: 5, From: 1, Letter: make([]byte, 1<<20)}
	for range 64 {
		r.StrictLetter("2", letter)
	}
	if len(r.inbox) > strictInboxMost+64 || r.bytes > wire.MaxStrictBytes {
		t.Errorf("%d messages and %d bytes of letters wait", len(r.inbox), r.bytes)
	}
	before := r.bytes
	r.StrictLetter("3", letter) // in the name of seat 1
	if r.bytes != before {
		t.Error("a letter in the name of another is taken")
	}
}

// The members of a strict zone agree by views: the status shows the view and who is in it, and that the zone agrees as
// long as all members of the list decide.
func TestTheStatusShowsHowAStrictZoneAgrees(t *testing.T) {
	nodes, members := strictMesh(t, 3, nil)
	shows := func(agreement string, agree bool, state string, deciding ...Member) {
		t.Helper()
		var want []string
		for _, m := range deciding {
			want = append(want, m.String())
		}
		slices.Sort(want)
		for _, n := range nodes[:2] {
			eventually(t, func() error {
				s := n.carrier.Status()
				z := s.Zones["lim"]
				if z.Strict == nil || z.Agreement != agreement || s.Agree != agree || z.Strict.State != state || z.Strict.Configured != 3 ||
					!slices.Equal(z.Strict.Members, want) || z.Strict.View == 0 {
					return fmt.Errorf("node %d: %q, %v, %+v, want %q, %v, %v", n.index, z.Agreement, s.Agree, z.Strict, agreement, agree, want)
				}
				return nil
			})
		}
	}
	shows("agree", true, "member", members...)
	if z := nodes[0].carrier.Status().Zones["kv"]; z.Strict != nil {
		t.Errorf("a zone of pairs is strict: %+v", z.Strict)
	}
	config := nodes[2].config
	config.Strict = nil
	if err := nodes[2].carrier.Reload(config); err != nil {
		t.Fatal(err)
	}
	shows("unknown", false, "member", members[:2]...)
}
