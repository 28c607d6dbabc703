package strict

import (
	"fmt"
	"strings"
	"testing"
)

// connHolder is a member of three that does not own the key.
func connHolder(t *testing.T, limit int64) (n *Node, key string, owner Seat) {
	t.Helper()
	n = leased(Config{Slots: limit, KeysMost: 100})
	key, owner = n.othersKey()
	n.Out()
	return n, key, owner
}

// sent are the messages of one kind.
func (n *Node) sent(kind Kind) (list []Message) {
	for _, e := range n.Out() {
		if e.Kind == kind {
			list = append(list, e.Message)
		}
	}
	return list
}

// grantSlotsTo answers an ask as its owner does.
func grantSlotsTo(owner Seat, ask, m Message, sequence uint64) Message {
	m.Kind, m.From, m.View, m.Session, m.Key, m.AskID = GrantSlots, owner, ask.View, ask.Session, ask.Key, ask.AskID
	m.Sequence = sequence
	return m
}

// The first connection waits for the owner. A place that a connection leaves is kept for the next one, and returned when
// nobody has needed it for a second.
func TestASlotIsKeptForAWhile(t *testing.T) {
	n, key, owner := connHolder(t, 10)
	if v := n.Decide(key, 1, 10); v != Parked {
		t.Fatalf("the first connection: %v", v)
	}
	ask := n.sent(AskSlots)
	if len(ask) != 1 || ask[0].Slots != 1 || ask[0].Limit != 10 {
		t.Fatalf("asks: %+v", ask)
	}
	n.Receive(grantSlotsTo(owner, ask[0], Message{Slots: 2, Limit: 10}, 1), 20)
	if o := n.Outcomes(); len(o) != 1 || !o[0].Admitted {
		t.Errorf("outcomes: %+v", o)
	}
	if v := n.Decide(key, 2, 30); v != Admitted {
		t.Errorf("into the slot beside: %v", v)
	}
	n.Leave(key, 40)
	if v := n.Decide(key, 3, 50); v != Admitted {
		t.Errorf("into the slot of the one that left: %v", v)
	}
	n.Leave(key, 60)
	var back []Message
	for us := int64(1000); us < 2*slotsKeepUS+leaseUS && len(back) == 0; us += leaseUS / 4 {
		n.Receive(Message{Kind: Pong, From: 1, Incarnation: 1, SentUS: us - 10, View: 1}, us)
		n.Tick(us)
		back = n.sent(ReturnSlots)
		if len(back) > 0 && us < slotsKeepUS {
			t.Errorf("a slot is returned after %d us", us)
		}
	}
	if len(back) != 1 || back[0].Slots != 1 || back[0].To != owner {
		t.Errorf("returned: %+v", back)
	}
}

// Slots of others than the owner, above the limit, or granted within a larger one, are not used.
func TestAGrantOfSlotsIsBounded(t *testing.T) {
	n, key, owner := connHolder(t, 3)
	n.Decide(key, 1, 10)
	ask := n.sent(AskSlots)[0]
	other := Seat(1)
	if owner == other {
		other = 2
	}
	n.Receive(grantSlotsTo(other, ask, Message{Slots: 2, Limit: 3}, 1), 20)
	if o := n.Outcomes(); len(o) != 0 {
		t.Errorf("a member that does not own the key grants slots: %+v", o)
	}
	n.Receive(grantSlotsTo(owner, ask, Message{Slots: 2, Limit: 4}, 1), 30)
	if back := n.sent(ReturnSlots); len(back) != 1 || back[0].Slots != 2 || back[0].Limit != 3 {
		t.Errorf("slots within a larger limit: returned %+v", back)
	}
	if o := n.Outcomes(); len(o) != 1 || o[0].Admitted {
		t.Errorf("outcomes: %+v", o)
	}
	n.Receive(grantSlotsTo(owner, ask, Message{Slots: 1 << 60, Limit: 3}, 2), 40)
	admitted := 0
	for i := range uint64(10) {
		if n.Decide(key, 10+i, 50) == Admitted {
			admitted++
		}
	}
	if admitted != 3 {
		t.Errorf("%d connections are admitted of a limit of 3", admitted)
	}
}

// A connection waits for its owner no longer than a request does.
func TestAConnectionDoesNotWaitForever(t *testing.T) {
	n, key, _ := connHolder(t, 3)
	n.Decide(key, 1, 10)
	n.Tick(askTimeoutUS + 11)
	if o := n.Outcomes(); len(o) != 1 || o[0].Admitted {
		t.Errorf("outcomes: %+v", o)
	}
	if v := n.Decide(key, 2, askTimeoutUS+20); v != Rejected {
		t.Errorf("right after: %v", v)
	}
	if v := n.Decide(key, 3, askTimeoutUS+11+refusedUS); v != Parked {
		t.Errorf("later: %v", v)
	}
}

// Connections that a node admitted alone are told to their owners when its lease is back, all at once: a claim for each of
// them would have all keys each time. With a lease, they are told at once.
func TestCarriedConnectionsAreClaimedTogether(t *testing.T) {
	n, _, _ := connHolder(t, 10)
	claimed := func() (claims int, held map[string]int64) {
		held = map[string]int64{}
		for _, m := range n.sent(Claim) {
			claims++
			for _, h := range m.Holdings {
				held[h.Key] += h.Piece.Capacity
			}
		}
		return claims, held
	}
	nowUS := int64(2 * leaseUS)
	for i := range 60 {
		n.Carry(fmt.Sprint("key", i%20), 1, nowUS)
	}
	if claims, _ := claimed(); claims != 0 {
		t.Errorf("%d claims without a lease", claims)
	}
	n.Receive(Message{Kind: Pong, From: 1, Incarnation: 1, SentUS: nowUS, View: 1}, nowUS+10)
	claims, held := claimed()
	others := 0
	for i := range 20 {
		key := fmt.Sprint("key", i)
		if owner, _ := n.view.owner(key, n.cfg.IDs); owner == n.cfg.Self {
			continue
		}
		if others++; held[key] != 3 {
			t.Errorf("%d connections of %s are claimed", held[key], key)
		}
	}
	if claims != 2 || others == 0 || len(held) != others {
		t.Errorf("%d claims of %d keys; %d are of others", claims, len(held), others)
	}
	n.Receive(Message{Kind: Pong, From: 2, Incarnation: 1, SentUS: nowUS, View: 1}, nowUS+20)
	if claims, _ := claimed(); claims != 0 {
		t.Errorf("%d claims of what is known", claims)
	}
	_, key, _ := connHolder(t, 10)
	n.Carry(key, 1, nowUS+30)
	if claims, held := claimed(); claims != 1 || held[key] != 4 {
		t.Errorf("with a lease: %d claims, %d connections", claims, held[key])
	}
}

// connGate is a gate of connections whose node is the only member.
func connGate(limit int64) *Gate {
	g := NewConnGate("zone", limit, 10, 1)
	openConns(g, 1)
	return g
}

func openConns(g *Gate, incarnation uint64) {
	limit, keys := g.ConnLimit()
	n := New(Config{IDs: []uint64{1}, Incarnation: incarnation, Slots: limit, LeaseUS: leaseUS, KeysMost: keys}, 0)
	g.Open(n, []string{"a"}, func(Envelope) {}, func() {})
	var none View
	g.Install(none.next(processes(incarnation)), 0)
	g.Tick(1)
}

// opens opens connections until one is rejected, a while after the one before; ended counts how many are ended.
func opens(t *testing.T, g *Gate, most int, ended *int) (list []*Conn) {
	t.Helper()
	for range most {
		g.mu.Lock()
		nowUS := 10 + int64(g.tickets)*2*refusedUS
		g.mu.Unlock()
		verdict, c, ticket := g.Enter("key", func() { *ended++ }, nowUS)
		if verdict == Parked {
			verdict = Rejected
			if <-ticket.Decided {
				verdict = Admitted
			}
			ticket.Release()
		}
		if !verdict.Admits() {
			break
		}
		list = append(list, c)
	}
	return list
}

// Connections outlive their node: a new one is told of them. If it does not come before their lease ends, they are ended.
func TestConnectionsOutliveTheirNode(t *testing.T) {
	ended := 0
	fenced := func(g *Gate, nowUS int64) {
		_, ends := g.Fence(nowUS)
		for _, end := range ends {
			end()
		}
	}
	g := connGate(5)
	held := opens(t, g, 10, &ended)
	if len(held) != 5 {
		t.Fatalf("%d connections are open of 5", len(held))
	}
	g.Leave(held[0], 20)
	g.Leave(held[0], 20) // once
	g.Close("the list has changed")
	openConns(g, 2)
	fenced(g, 1<<60)
	if again := opens(t, g, 10, &ended); len(again) != 1 || ended != 0 {
		t.Errorf("%d connections beside 4 are admitted, %d were ended", len(again), ended)
	}

	g = NewConnGate("zone", 5, 10, 1)
	g.Open(leased(Config{Slots: 5, KeysMost: 10}), []string{"a", "b", "c"}, func(Envelope) {}, func() {})
	g.Add("key", 1, 5) // one that nobody can end
	if verdict, _, _ := g.Enter("other", func() { ended++ }, 10); verdict == NoLease {
		t.Fatal("it has no lease")
	}
	g.mu.Lock()
	g.of("key").add(&Conn{key: "key", end: func() { ended++ }})
	g.mu.Unlock()
	g.Close("its disk failed")
	fenced(g, leaseUS/2)
	if ended != 0 {
		t.Errorf("%d were ended before their lease has", ended)
	}
	fenced(g, leaseUS+10)
	if ended != 1 {
		t.Errorf("%d were ended, want 1", ended)
	}
	fenced(g, 10*leaseUS)
	if ended != 1 {
		t.Errorf("%d were ended, want 1 once", ended)
	}
}

// Without a lease, a node with a share admits that many, and ends what is above it.
func TestAShareOfConnections(t *testing.T) {
	ended := 0
	g := NewConnGate("zone", 7, 10, 1)
	if verdict, _, _ := g.Enter("key", nil, 0); verdict != NoLease {
		t.Errorf("without a share: %v", verdict)
	}
	g.Share(true)
	g.Among(3)
	held := opens(t, g, 10, &ended)
	if len(held) != 2 {
		t.Fatalf("%d of a share of 2", len(held))
	}
	if s := g.Status(0); !s.Fallback.Active || s.Fallback.Admitted != 2 || s.Fallback.Rejected != 1 {
		t.Errorf("status %+v", s.Fallback)
	}
	openConns(g, 1)
	if more := opens(t, g, 10, &ended); len(more) != 5 {
		t.Errorf("%d connections beside 2 of 7", len(more))
	}
	g.Among(0) // another process has this node's seat
	g.Close("closed")
	if verdict, _, _ := g.Enter("key", nil, 0); verdict != NoLease {
		t.Errorf("of a node that must not: %v", verdict)
	}
	g.Among(3)
	g.mu.Lock()
	ends := g.endsBeyond(g.slots.share(g.among))
	g.mu.Unlock()
	if len(ends) != 5 {
		t.Errorf("%d of 7 are ended, a share is 2", len(ends))
	}
	if ends := g.EndAll(); len(ends) != 7 {
		t.Errorf("%d of 7 are ended", len(ends))
	}
}

// A zone that is additive for a while counts its connections, and has them when it decides again.
func TestConnectionsOfAnAdditiveTime(t *testing.T) {
	ended := 0
	g := connGate(3)
	held := opens(t, g, 2, &ended)
	g.CloseTo("a member is old", true, 0)
	held = append(held, opens(t, g, 4, &ended)...)
	if len(held) != 6 {
		t.Fatalf("%d are open", len(held))
	}
	if _, ends := g.Fence(1 << 60); len(ends) > 0 {
		t.Error("connections of an additive zone are ended")
	}
	openConns(g, 2)
	for _, c := range held[:4] {
		if more := opens(t, g, 1, &ended); len(more) != 0 {
			t.Error("a connection is admitted above the limit")
		}
		g.Leave(c, 20)
	}
	if more := opens(t, g, 5, &ended); len(more) != 1 {
		t.Errorf("%d are admitted beside 2 of 3", len(more))
	}
	if keys := g.ShownConns(10); len(keys) != 1 || keys[0].Open != 3 || keys[0].Granted != 3 || keys[0].Owner != 0 {
		t.Errorf("shown: %+v", keys)
	}
}

// The keys with the most connections are shown, and after them those of which the node has slots, each once.
func TestShownKeysOfConnections(t *testing.T) {
	g := connGate(5)
	enter := func(key string, count int) (c *Conn) {
		for range count {
			_, c, _ = g.Enter(key, nil, 10)
		}
		return c
	}
	enter("one", 1)
	enter("three", 3)
	enter("two", 2)
	g.Leave(enter("none", 1), 20)
	for most, want := range []string{"", "three 3", "three 3, two 2", "three 3, two 2, one 1", 8: "three 3, two 2, one 1, none 0"} {
		var got []string
		for _, k := range g.ShownConns(most) {
			if got = append(got, fmt.Sprint(k.Key, " ", k.Open)); k.Slots < max(k.Open, 1) || !k.Owned || k.Holders[0] != k.Slots {
				t.Errorf("shown: %+v", k)
			}
		}
		if got := strings.Join(got, ", "); got != want && (want != "" || most == 0) {
			t.Errorf("%d keys: %s, want %s", most, got, want)
		}
	}
}

// A smaller limit ends no connection, and admits none until there are fewer; a larger one admits at once.
func TestAnotherLimitOfConnections(t *testing.T) {
	ended := 0
	g := connGate(5)
	held := opens(t, g, 10, &ended)
	g.Relimit(3, 10, 20)
	for i, c := range held[:3] {
		if more := opens(t, g, 1, &ended); len(more) != 0 {
			t.Errorf("%d are open, another is admitted", 5-i)
		}
		g.Leave(c, 20)
	}
	if more := opens(t, g, 10, &ended); len(more) != 1 {
		t.Errorf("%d are admitted beside 2 of 3", len(more))
	}
	g.Relimit(6, 10, 30)
	if more := opens(t, g, 10, &ended); len(more) != 3 {
		t.Errorf("%d are admitted beside 3 of 6", len(more))
	}
	g.Retire(40)
	if more := opens(t, g, 3, &ended); len(more) != 3 || ended != 0 {
		t.Errorf("a zone that is not strict any more admits %d of 3; %d were ended", len(more), ended)
	}
}
