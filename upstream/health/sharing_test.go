package health_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"starling/lib/testkit"
	"starling/upstream"
	"starling/upstream/health"
	"starling/zone"
	"starling/zone/kinds"
)

// nodes are benches that take turns, and what carries their findings to each other.
type nodes struct {
	t     *testing.T
	zones []*kinds.Health
	wakes []*health.Wakes
	sent  []uint64

	mu   sync.Mutex // the tests change the following while findings are carried
	list []*bench
	cut  int // the node that the others do not hear, or -1
}

// sharing makes so many nodes that check the servers with one check.
func sharing(t *testing.T, count int, like health.Check, servers ...string) *nodes {
	c := &nodes{t: t, cut: -1, sent: make([]uint64, count)}
	for i := range count {
		c.addNode(i)
		c.list = append(c.list, setUp(t, c.shared(i, like), servers))
	}
	return c
}

func (c *nodes) addNode(i int) {
	w := new(health.Wakes)
	z := kinds.NewHealth(kinds.HealthConfig{Name: "z health", Bytes: 1 << 20, Changed: w.Wake})
	z.SetOrigin(zone.Origin(i + 1))
	c.zones, c.wakes = append(c.zones, z), append(c.wakes, w)
}

// shared is a check of a node for which the nodes take turns.
func (c *nodes) shared(i int, like health.Check) health.Check {
	name := string(rune('a' + i))
	like.Sharing = &health.Sharing{
		Zone: c.zones[i], ID: [16]byte{1}, Host: "host-" + name, Wakes: c.wakes[i],
		Node: func() string { return "node-" + name },
	}
	return like
}

func (c *nodes) start() *nodes {
	for _, b := range c.list {
		b.start()
	}
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.carry()
			case <-c.t.Context().Done():
				return
			}
		}
	}()
	synctest.Wait()
	return c
}

// carry brings what each node tells to the others.
func (c *nodes) carry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, z := range c.zones {
		now := c.list[i].plan.Clock.Now()
		z.Flush(now)
		for head := z.Journal().Head(); c.sent[i]+1 < head; c.sent[i]++ {
			payload, _, _, _ := z.Journal().Frame(c.sent[i] + 1)
			for j, other := range c.zones {
				if j == i || c.cut == i {
					continue
				}
				if _, err := other.Apply(zone.Origin(i+1), c.sent[i]+1, payload, 0, c.list[j].plan.Clock.Now()); err != nil {
					c.t.Error(err)
				}
			}
		}
	}
}

// pass lets time pass and returns how many probes each node has made.
func (c *nodes) pass(d time.Duration) (counts []int) {
	testkit.Pass(d)
	for _, b := range c.list {
		counts = append(counts, len(b.taken()))
	}
	return counts
}

func (c *nodes) expect(states ...string) {
	c.t.Helper()
	for i, b := range c.list {
		if got := b.states(); got != states[i] {
			c.t.Errorf("node %d: %s, want %s", i, got, states[i])
		}
	}
}

// written is what a node has logged since the last call.
func (b *bench) written() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := strings.Join(b.lines, "\n")
	b.lines = nil
	return text
}

// cutOff makes the others hear nothing of a node any more.
func (c *nodes) cutOff(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = i
}

// replace gives a node another configuration.
func (c *nodes) replace(i int, b *bench) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.list[i] = b
}

// prober is the node that probes alone, when all agree.
func (c *nodes) prober() int {
	c.t.Helper()
	counts := c.pass(3 * time.Second)
	i := slices.IndexFunc(counts, func(n int) bool { return n > 0 })
	if i < 0 || counts[i] != 3 || counts[(i+1)%3]+counts[(i+2)%3] != 0 {
		c.t.Fatalf("in 3 intervals: %v probes", counts)
	}
	return i
}

// seen is the only check of a node, as its API shows it.
func (c *nodes) seen(i int) health.Seen {
	c.t.Helper()
	list := health.Of(c.list[i].plan).SeenBy(c.list[i].group)
	if len(list) != 1 {
		c.t.Fatalf("node %d shows %+v", i, list)
	}
	return list[0]
}

// TestNodesTakeTurns: one of them checks a server, and its verdict holds on all.
func TestNodesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sharing(t, 3, health.Check{}, one).start()
		if counts := c.pass(0); !slices.Equal(counts, []int{1, 1, 1}) {
			t.Errorf("at the start: %v probes", counts)
		}
		c.pass(4 * time.Second)
		prober := c.prober()
		for _, b := range c.list {
			b.fail(one, true)
		}
		c.pass(time.Second + 50*time.Millisecond)
		c.expect("unhealthy", "unhealthy", "unhealthy")
		other := (prober + 1) % 3
		want := "[warn] peer is unhealthy as found by node node-" + string(rune('a'+prober)) + " (host-" +
			string(rune('a'+prober)) + "), health check \"\" of peer 192.0.2.1:80 in upstream \"u\": testing: it was told to"
		if got := c.list[other].written(); got != want {
			t.Errorf("the log has %q, want %q", got, want)
		}
		c.pass(2 * time.Second)
		if s := c.seen(other); s.Role != "follower" || s.Verdict != "unhealthy" || s.By != "node-"+string(rune('a'+prober)) ||
			len(s.Nodes) != 1 || s.Nodes[0].Reason != "testing: it was told to" || s.Nodes[0].Host != "host-"+string(rune('a'+prober)) {
			t.Errorf("a follower shows %+v", s)
		}
		if s := c.seen(prober); s.Role != "prober" || s.By != "self" || len(s.Nodes) != 1 || !s.Nodes[0].Self {
			t.Errorf("the prober shows %+v", s)
		}
		checks := c.list[other].peers()[0].Checks
		if *checks.LastPassed {
			t.Error("a follower shows that the last check has passed")
		}
		if *checks.Taken != 1 || *checks.Contradicted != 0 || checks.Unhealthy != 1 {
			t.Errorf("a follower counts %+v", checks)
		}
		for _, b := range c.list {
			b.fail(one, false)
		}
		c.pass(time.Second + 50*time.Millisecond)
		c.expect("up", "up", "up")
		if checks := c.list[other].peers()[0].Checks; !*checks.LastPassed {
			t.Error("a follower shows that the last check has failed")
		}
	})
}

// TestAnotherNodeTakesItsTurn when the prober's configuration ends, or is not heard any more.
func TestAnotherNodeTakesItsTurn(t *testing.T) {
	for _, ends := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			c := sharing(t, 3, health.Check{}, one).start()
			c.pass(5 * time.Second)
			prober := c.prober()
			if ends {
				c.list[prober].cancel()
			} else {
				c.cutOff(prober)
			}
			c.pass(2 * time.Second)
			counts := c.pass(10 * time.Second)
			if others := counts[(prober+1)%3] + counts[(prober+2)%3]; others != 10 {
				t.Errorf("in 10 intervals after it has ended (%v): %v probes, the prober was %d", ends, counts, prober)
			}
			if s := c.seen((prober + 1) % 3); ends && slices.ContainsFunc(s.Nodes, func(v health.View) bool {
				return v.Node == "node-"+string(rune('a'+prober))
			}) {
				t.Errorf("it is still shown: %+v", s)
			}
			for _, b := range c.list {
				b.cancel()
			}
		})
	}
}

// TestClientsContradictTheProber: a node whose clients fail looks itself, and the prober looks again at once.
func TestClientsContradictTheProber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sharing(t, 3, health.Check{Interval: 10 * time.Second}, one, two).start()
		c.pass(35 * time.Second)
		c.pass(35 * time.Second)
		follower := 0
		for c.seenOf(follower, one).Role != "follower" {
			follower++
		}
		b := c.list[follower]
		b.fail(one, true)
		c.pass(0)
		for range 4 { // of both servers
			var a upstream.Attempt
			b.group.Begin(&a)
			if s, err := a.Pick(b.plan.Clock.Now()); err == nil {
				outcome := upstream.Success
				if s.Addr.Text == one {
					outcome = upstream.Failure
				}
				a.Free(outcome, b.plan.Clock.Now())
			}
		}
		counts := c.pass(20 * time.Millisecond)
		if counts[follower] != 1 || counts[(follower+1)%3]+counts[(follower+2)%3] != 1 {
			t.Errorf("after a failure of node %d: %v probes", follower, counts)
		}
		states := []string{"up up", "up up", "up up"}
		states[follower] = "unhealthy up"
		c.expect(states...)
		if got := b.written(); !strings.Contains(got, "but clients of this node fail: this node checks it itself") {
			t.Errorf("the log has %q", got)
		}
		if s := c.seenOf(follower, one); s.Role != "doubter" || s.By != "self" || s.Verdict != "unhealthy" {
			t.Errorf("it shows %+v", s)
		}
		if s := c.seenOf((follower+1)%3, one); len(s.Nodes) != 2 {
			t.Errorf("another node shows %+v", s)
		}
		if checks := b.peers()[0].Checks; *checks.Contradicted != 1 || *checks.Taken != 0 {
			t.Errorf("it counts %+v", checks)
		}
		b.fail(one, false)
		c.pass(11 * time.Second)
		c.expect("up up", "up up", "up up")
		if s := c.seenOf(follower, one); s.Role != "follower" {
			t.Errorf("when the path is back, it shows %+v", s)
		}
	})
}

// seenOf is what a node's API shows of a server.
func (c *nodes) seenOf(i int, server string) health.Seen {
	c.t.Helper()
	for _, s := range health.Of(c.list[i].plan).SeenBy(c.list[i].group) {
		if s.Server == server {
			return s
		}
	}
	c.t.Fatalf("node %d does not show %s", i, server)
	return health.Seen{}
}

// TestEachNodeChecksItsOwnServers: what is at 127.0.0.1 is another server on each node.
func TestEachNodeChecksItsOwnServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sharing(t, 2, health.Check{}, "127.0.0.1:80").start()
		c.list[0].fail("127.0.0.1:80", true)
		c.pass(2 * time.Second)
		if counts := c.pass(5 * time.Second); !slices.Equal(counts, []int{5, 5}) {
			t.Errorf("%v probes in 5 intervals", counts)
		}
		c.expect("unhealthy", "up")
		if list := health.Of(c.list[0].plan).SeenBy(c.list[0].group); len(list) != 0 {
			t.Errorf("it is shown as shared: %+v", list)
		}
	})
}

// TestAReloadKeepsItsTurns: the checks of the next configuration go on, and the end of the previous one withdraws
// nothing that they tell.
func TestAReloadKeepsItsTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sharing(t, 2, health.Check{}, one).start()
		c.pass(5 * time.Second)
		prober := 0
		if c.seen(0).Role != "prober" {
			prober = 1
		}
		old := c.list[prober]
		next := setUpAfter(t, old.group, c.shared(prober, health.Check{}), []string{one})
		next.start()
		old.cancel()
		c.replace(prober, next)
		c.pass(2 * time.Second)
		old.taken()
		counts := c.pass(10 * time.Second)
		if counts[prober] != 10 || counts[1-prober] != 0 || len(old.taken()) != 0 {
			t.Errorf("%v probes in 10 intervals after a reload of node %d", counts, prober)
		}
		next.cancel()
		c.pass(10 * time.Second)
		if told := c.zones[1-prober].Told(nil, append([]byte{1}, make([]byte, 15)...)); len(told) != 0 {
			t.Errorf("a node without the check still tells that it has it: %+v", told)
		}
	})
}

// TestAZoneWithoutRoom: the node goes on alone, and says so.
func TestAZoneWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sharing(t, 2, health.Check{}, one)
		for _, z := range c.zones {
			z.SetBytes(1)
		}
		c.start().pass(5 * time.Second)
		if counts := c.pass(5 * time.Second); counts[0] < 4 || counts[1] < 4 {
			t.Errorf("%v probes in 5 intervals", counts)
		}
		if got := c.list[0].written(); strings.Count(got, "increase the size of the zone of the upstream") != 1 {
			t.Errorf("the log has %q", got)
		}
		c.expect("up", "up")
	})
}
