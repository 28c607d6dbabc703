package turns

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"starling/zone"
)

const (
	interval = 5000
	lagMS    = 1
	stepMS   = 10
)

// cluster is some nodes that check one server, under virtual time. A probe takes no time unless the server hangs.
type cluster struct {
	t     *testing.T
	nowMS int64
	nodes []*node
	works bool // the server
}

type node struct {
	*cluster
	id       zone.Origin
	turn     *Turn
	dueMS    int64
	isDead   bool
	noPath   bool // it does not reach the server
	isMute   bool // the others do not get its words
	lies     Verdict
	failures uint64
	served   int64
	probes   []int64
	said     Heard // as it arrives at the others
	before   Heard // what they have until then
}

// start makes so many nodes; the server's key decides who probes it.
func start(t *testing.T, count int, check Check) *cluster {
	c := &cluster{t: t, nowMS: 1_000_000, works: true}
	if check.IntervalMS == 0 {
		check.IntervalMS = interval
	}
	check.Passes, check.Fails = max(check.Passes, 1), max(check.Fails, 1)
	for i := range count {
		n := &node{cluster: c, id: zone.Origin(i + 1)}
		n.turn = New(check, []byte("check 192.0.2.1:80"), Healthy, c.nowMS)
		c.nodes = append(c.nodes, n)
	}
	return c
}

// order are the nodes as they take turns.
func (c *cluster) order() []*node {
	list := slices.Clone(c.nodes)
	slices.SortFunc(list, func(a, b *node) int {
		if a.turn.weightOf(a.id) > b.turn.weightOf(b.id) {
			return -1
		}
		return 1
	})
	return list
}

func (n *node) view() View {
	v := View{NowMS: n.nowMS, Self: n.id, Failures: n.failures, SucceededMS: n.served}
	for _, other := range n.nodes {
		if other == n || other.isDead {
			continue
		}
		v.Members = append(v.Members, other.id)
		for _, h := range []Heard{other.said, other.before} {
			if h.AtMS != 0 && h.AtMS <= n.nowMS {
				v.Heard = append(v.Heard, h)
				break
			}
		}
	}
	return v
}

// look is one look of a node, and the probe that it decides on.
func (n *node) look() Step {
	s := n.turn.Look(n.view())
	n.dueMS = s.DueMS
	for _, other := range n.nodes {
		if other.said.AtMS > n.nowMS { // it is on its way
			n.dueMS = min(n.dueMS, other.said.AtMS)
		}
	}
	if s.Tell {
		n.tell(0)
	}
	if !s.Probe {
		return s
	}
	n.probes = append(n.probes, n.nowMS)
	passed := n.works && !n.noPath
	n.turn.End(passed, 0, interval, n.nowMS)
	n.dueMS = n.nowMS + interval
	n.tell(interval)
	return s
}

// tell sends the node's word; the others look as soon as it is there.
func (n *node) tell(pauseMS int64) {
	w := n.turn.Word(pauseMS, n.nowMS, "", n.nowMS)
	if n.lies != Unknown {
		w.Verdict = n.lies
	}
	if n.isMute {
		return
	}
	if n.said.AtMS <= n.nowMS {
		n.before = n.said
	}
	n.said = Heard{From: n.id, AtMS: n.nowMS + lagMS, Word: w}
	for _, other := range n.nodes {
		if other != n && !other.isDead {
			other.dueMS = min(other.dueMS, n.nowMS+lagMS)
		}
	}
}

// run lets time pass.
func (c *cluster) run(ms int64) {
	for end := c.nowMS + ms; c.nowMS < end; c.nowMS += stepMS {
		for _, n := range c.nodes {
			if !n.isDead && n.dueMS <= c.nowMS {
				n.look()
			}
		}
	}
}

// counted are the probes of each node since the last call.
func (c *cluster) counted() (list []int) {
	for _, n := range c.nodes {
		list = append(list, len(n.probes))
		n.probes = nil
	}
	return list
}

// probesIn lets so many intervals pass, and counts the probes of each node in them.
func (c *cluster) probesIn(intervals int64) []int {
	c.counted()
	c.run(intervals * interval)
	return c.counted()
}

func sum(list []int) (total int) {
	for _, n := range list {
		total += n
	}
	return total
}

func (c *cluster) expect(want string) {
	c.t.Helper()
	var got []string
	for _, n := range c.order() {
		got = append(got, fmt.Sprint(map[Verdict]string{Unknown: "?", Healthy: "up", Unhealthy: "down"}[n.turn.Current()]))
	}
	if text := strings.Join(got, " "); text != want {
		c.t.Errorf("at %d: %s, want %s", c.nowMS, text, want)
	}
}

// TestOneNodeProbesAServer: all nodes look once when they start, then one of them does it for all.
func TestOneNodeProbesAServer(t *testing.T) {
	c := start(t, 5, Check{})
	c.run(interval / 2)
	if got := c.counted(); !slices.Equal(got, []int{1, 1, 1, 1, 1}) {
		t.Errorf("at the start: %v probes", got)
	}
	c.run(interval) // the words of the others end
	got := c.probesIn(20)
	prober := c.order()[0]
	if got[prober.id-1] != 20 || sum(got) != 20 {
		t.Errorf("in 20 intervals: %v probes, the prober is %d", got, prober.id)
	}
	c.expect("up up up up up")
}

// TestTheVerdictOfTheProberCounts everywhere, after so many probes as it takes; it is confirmed once by each node.
func TestTheVerdictOfTheProberCounts(t *testing.T) {
	c := start(t, 3, Check{Fails: 3, Passes: 2})
	c.run(3 * interval)
	c.works = false
	c.run(2 * interval)
	c.expect("up up up")
	c.counted()
	c.run(interval)
	c.expect("down down down")
	if got := sum(c.counted()); got != 3 {
		t.Errorf("%d probes in the interval of the verdict, want 1 and 2 that confirm it", got)
	}
	c.run(againIntervals * interval)
	if got := sum(c.counted()); got != againIntervals+2 {
		t.Errorf("%d probes in %d intervals of a dead server; the followers look once", got, againIntervals)
	}
	c.works = true
	c.run(interval)
	c.expect("down down down")
	c.run(interval)
	c.expect("up up up")
}

// TestAProberThatDiesIsReplacedWithinAnInterval, whether the others know that it is gone or only do not hear it.
func TestAProberThatDiesIsReplacedWithinAnInterval(t *testing.T) {
	for name, end := range map[string]func(*node){
		"disconnected": func(n *node) { n.isDead = true },
		"silent":       func(n *node) { n.isMute, n.noPath = true, true },
	} {
		c := start(t, 4, Check{})
		c.run(4*interval + interval/3)
		c.counted()
		order := c.order()
		end(order[0])
		at := c.nowMS
		c.run(2 * interval)
		if len(order[1].probes) == 0 {
			t.Fatalf("%s: nobody takes its turn", name)
		}
		// The silent one is missed when its word ends.
		most := int64(interval)
		if name == "silent" {
			most += interval/20 + slackMS
		}
		if took := order[1].probes[0] - at; took > most {
			t.Errorf("%s: the next probe came after %d ms", name, took)
		}
		if len(order[2].probes)+len(order[3].probes) > 0 {
			t.Errorf("%s: %d and %d nodes further behind probed too", name, len(order[2].probes), len(order[3].probes))
		}
	}
}

// TestANodeWithoutThePathBelievesItself: it takes only itself for hurt.
func TestANodeWithoutThePathBelievesItself(t *testing.T) {
	c := start(t, 3, Check{Fails: 2})
	c.run(3 * interval)
	hurt := c.order()[1]
	hurt.noPath = true
	c.run(3 * interval)
	c.expect("up up up") // nothing tells it
	c.counted()
	hurt.failures++
	hurt.dueMS = c.nowMS
	c.run(interval)
	c.expect("up up up") // one of two
	c.run(interval)
	c.expect("up down up")
	if !hurt.turn.Doubts() || !hurt.said.Word.Doubts {
		t.Error("it does not say that it doubts")
	}
	if got := c.probesIn(10); got[hurt.id-1] != 10 || sum(got) != 20 {
		t.Errorf("%v probes in 10 intervals", got)
	}
	hurt.noPath = false
	c.run(2 * interval)
	c.expect("up up up")
	if got := sum(c.probesIn(10)); got != 10 {
		t.Errorf("%d probes in 10 intervals, when the path was back", got)
	}
}

// TestAProberWithoutThePathConvincesNobody: what serves clients stays, what does not is out for one probe.
func TestAProberWithoutThePathConvincesNobody(t *testing.T) {
	c := start(t, 3, Check{})
	c.run(3 * interval)
	order := c.order()
	order[1].served = c.nowMS // by now it serves clients
	order[0].noPath = true
	c.run(interval)
	c.expect("down up up")
	if order[1].turn.Leads() || !order[1].turn.Doubts() || !order[2].turn.Doubts() {
		t.Error("the others do not doubt it")
	}
	c.run(5 * interval)
	c.expect("down up up")
	order[0].noPath = false
	c.run(2 * interval)
	c.expect("up up up")
	if got := sum(c.probesIn(5)); got != 5 {
		t.Errorf("%d probes in 5 intervals, when all agree again", got)
	}
}

// TestAPathThatIsBackIsFound: a follower that has agreed that a server is dead sends it no clients.
func TestAPathThatIsBackIsFound(t *testing.T) {
	c := start(t, 2, Check{})
	c.run(3 * interval)
	c.works = false
	c.run(interval)
	c.expect("down down")
	c.works, c.order()[0].noPath = true, true
	c.run((againIntervals + 1) * interval)
	c.expect("down up")
}

// TestALieLastsForOneProbe: a node never takes a server out for longer than it needs to look itself, and not more often
// than once per interval.
func TestALieLastsForOneProbe(t *testing.T) {
	c := start(t, 2, Check{Passes: 3})
	c.run(3 * interval)
	liar, victim := c.order()[0], c.order()[1]
	took := 0
	for range 1000 { // it changes its mind every 10 ms
		liar.lies = []Verdict{Unhealthy, Healthy}[c.nowMS/stepMS%2]
		liar.tell(interval)
		c.nowMS += stepMS
		if victim.dueMS <= c.nowMS && victim.look().Took {
			took++
		}
		if victim.turn.Current() != Healthy {
			t.Fatal("the server is out after the probe that shows the lie")
		}
	}
	if probes := len(victim.probes); took > 2 || probes > 6 {
		t.Errorf("in 2 intervals it was believed %d times, and caused %d probes", took, probes)
	}
}

// TestAHintMakesTheProberLook at once, but not more than once per interval, and changes no verdict.
func TestAHintMakesTheProberLook(t *testing.T) {
	c := start(t, 3, Check{})
	c.run(3*interval + interval/2)
	c.counted()
	prober, other := c.order()[0], c.order()[2]
	c.works = false
	other.failures++
	other.dueMS = c.nowMS
	c.run(3 * stepMS)
	c.expect("down down down")
	c.works = true
	c.run(2 * interval)
	c.expect("up up up")
	c.counted()
	for range 100 {
		other.failures++
		other.dueMS = c.nowMS
		c.run(interval / 100)
	}
	if got := len(prober.probes); got > 3 {
		t.Errorf("%d probes of the prober in one interval of hints", got)
	}
	c.expect("up up up")
}

// TestANewNodeTakesItsTurn with its first word: until then, the one behind it goes on.
func TestANewNodeTakesItsTurn(t *testing.T) {
	c := start(t, 3, Check{})
	first := c.order()[0]
	first.isDead = true
	c.run(3*interval + interval/3)
	first.isDead, first.dueMS = false, c.nowMS
	first.turn = New(first.turn.check, first.turn.key, Unknown, c.nowMS)
	c.run(stepMS)
	c.run(2 * interval)
	if got := c.probesIn(10); got[first.id-1] != 10 || sum(got) != 10 {
		t.Errorf("%v probes in 10 intervals, the first is %d", got, first.id)
	}
	c.expect("up up up")
}

// TestAFollowerLearnsWithoutAProbe what the others know when it starts.
func TestAFollowerLearnsWithoutAProbe(t *testing.T) {
	c := start(t, 3, Check{})
	last := c.order()[2]
	last.isDead = true
	c.works = false
	c.run(3 * interval)
	c.works = true
	c.run(2 * interval)
	last.isDead, last.dueMS = false, c.nowMS
	last.turn = New(last.turn.check, last.turn.key, Unknown, c.nowMS)
	c.run(stepMS)
	if last.turn.Current() != Healthy || len(last.probes) != 0 {
		t.Errorf("verdict %v after %d probes", last.turn.Current(), len(last.probes))
	}
}

// TestTheCountersGoOn: the next prober does not begin to count from 0.
func TestTheCountersGoOn(t *testing.T) {
	c := start(t, 2, Check{Fails: 4})
	c.run(3 * interval)
	c.works = false
	c.run(3 * interval)
	c.expect("up up")
	c.order()[0].isDead = true
	c.run(interval + 2*stepMS)
	if got := c.order()[1].turn.Current(); got != Unhealthy {
		t.Errorf("the fourth failure in a row makes it %v", got)
	}
}

// TestASlowServerIsProbedByOneNode: probes that take much longer than an interval do not make the others probe too,
// as soon as the prober has told how long they take.
func TestASlowServerIsProbedByOneNode(t *testing.T) {
	key, now := []byte("k"), int64(1_000_000)
	follower := New(Check{IntervalMS: interval, Passes: 1, Fails: 1}, key, Healthy, now)
	ahead := zone.Origin(1)
	for follower.weightOf(ahead) < follower.weightOf(100) {
		ahead++
	}
	told := Heard{From: ahead, AtMS: now, Word: Word{Verdict: Healthy, TookMS: 60_000, NextMS: interval}}
	for ; now < told.AtMS+interval+2*60_000; now += 1000 {
		s := follower.Look(View{NowMS: now, Self: 100, Members: []zone.Origin{ahead}, Heard: []Heard{told}})
		if s.Probe {
			t.Fatalf("it probes %d ms after the last word", now-told.AtMS)
		}
		if s.DueMS <= now || s.DueMS > now+interval {
			t.Fatalf("it looks again after %d ms", s.DueMS-now)
		}
	}
	if s := follower.Look(View{NowMS: now + interval, Self: 100, Members: []zone.Origin{ahead}, Heard: []Heard{told}}); !s.Probe {
		t.Error("it never probes")
	}
	told.Word.TookMS = 1 << 40 // a lie
	late := View{NowMS: told.AtMS + mostPromiseMS + interval, Self: 100, Members: []zone.Origin{ahead}, Heard: []Heard{told}}
	if s := follower.Look(late); !s.Probe {
		t.Error("a word counts for ever")
	}
}
