package strict

import "testing"

// grant is what an owner answers to an ask of the first session.
func grant(owner Seat, ask, m Message) Message {
	m.Kind, m.From, m.View, m.Session, m.Key, m.AskID = Grant, owner, ask.View, ask.Session, ask.Key, ask.AskID
	m.Sequence = 1
	return m
}

// An owner that makes capacity up cannot make another node exceed the limit.
func TestAGrantIsBoundedByTheBucket(t *testing.T) {
	n, key, owner := holder(t, 100)
	for i := range 3 {
		n.Decide(key, uint64(i), 10)
	}
	asks := n.asks()
	if len(asks) != 1 {
		t.Fatalf("asks: %+v", asks)
	}
	n.Receive(grant(owner, asks[0], Message{Piece: Piece{Capacity: 1 << 60, Rate: 1 << 60}}), 20)
	h, _ := n.holdings.find(key)
	if h.Capacity > n.whole.Capacity || h.Rate > n.whole.Rate {
		t.Errorf("it holds %+v of %+v", h.Piece, n.whole)
	}
	admitted := 0
	for i := range 100 {
		if n.Decide(key, uint64(10+i), 20) == Admitted {
			admitted++
		}
	}
	if admitted > 12 {
		t.Errorf("%d requests more are admitted, of a bucket of 12", admitted)
	}
}

// An owner that says that nothing is free for years stops a key for seconds.
func TestAHoldEnds(t *testing.T) {
	n, key, owner := holder(t, 100)
	for i := range 3 {
		n.Decide(key, uint64(i), 10)
	}
	n.Receive(grant(owner, n.asks()[0], Message{Tokens: -5, HoldUS: 1 << 60}), 20)
	h, _ := n.holdings.find(key)
	if h.untilUS > 20+n.idleUS() || h.untilUS <= 20 {
		t.Errorf("requests are rejected until %d", h.untilUS)
	}
}

// Each peer has its part of the messages that wait for a later view, and one claim in it.
func TestMessagesOfLaterViewsAreBounded(t *testing.T) {
	n, _, _ := holder(t, 10)
	for i := range uint64(earlyMost / 2) {
		n.Receive(Message{Kind: Ask, From: 1, View: 100, Session: 1, Sequence: i, Key: "k"}, 20)
		n.Receive(Message{Kind: Claim, From: 1, View: 100, Session: uint32(i), Holdings: make([]Holding, 5)}, 20)
	}
	n.Receive(Message{Kind: Claim, From: 2, View: 100, Session: 1, Holdings: make([]Holding, 21)}, 20)
	n.Receive(Message{Kind: Ask, From: 2, View: 100, Session: 1, Sequence: 1, Key: "k"}, 20)
	claims, of := 0, map[Seat]int{}
	for _, m := range n.early {
		of[m.From]++
		if m.Kind == Claim {
			claims++
		}
	}
	if of[1] > earlyMost/3 || of[2] != 1 || claims > 1 {
		t.Errorf("kept: %v, %d claims", of, claims)
	}
}

// A node that passes messages on cannot make up that another one is alive, or consents: those go directly, or not at all.
func TestProofsAndPromisesAreNotPassedOn(t *testing.T) {
	n, _, owner := holder(t, 10)
	other := 3 - owner // of the seats 1 and 2
	const laterUS = 20 + 10*leaseUS
	n.Receive(Message{Kind: Ping, From: other, View: 1, Incarnation: 1, State: PingState{Hears: 1 << owner}}, laterUS)
	n.Out()
	for kind, direct := range map[Kind]bool{
		Exclude: true, Consent: true, Resync: false, Claim: false, Ask: false, Grant: false, Recall: false, Return: false,
	} {
		hop := other // which hears the owner; this node has not for long
		if direct {
			hop = owner
		}
		n.send(owner, Message{Kind: kind, View: 1}, laterUS)
		if out := n.Out(); len(out) != 1 || out[0].Hop != hop {
			t.Errorf("kind %d for seat %d goes %+v, want by seat %d", kind, owner, out, hop)
		}
		n.Receive(Message{Kind: kind, From: other, To: owner, View: 1}, laterUS)
		if passedOn := len(n.Out()) == 1; passedOn == direct {
			t.Errorf("kind %d of another node is passed on: %v", kind, passedOn)
		}
	}
	for _, kind := range []Kind{Ping, Pong} {
		n.Receive(Message{Kind: kind, From: other, To: owner, View: 1}, laterUS)
		if out := n.Out(); len(out) > 0 {
			t.Errorf("kind %d of another node is passed on: %+v", kind, out)
		}
	}
}

// With a register that tells each node, a peer cannot make a view up.
func TestPeersDoNotMakeViewsUp(t *testing.T) {
	for _, own := range []bool{false, true} {
		n := New(Config{
			IDs: []uint64{1, 2, 3}, Incarnation: 1, Limit: Limit{Rate: Request}, LeaseUS: leaseUS, KeysMost: 1, OwnViews: own,
		}, 0)
		n.Receive(Message{Kind: Tell, From: 1, Decided: View{Number: 9}}, 10)
		if told := n.View().Number == 9; told == own {
			t.Errorf("own views: %v; it has view %d", own, n.View().Number)
		}
	}
}

// Where something may have been spent before the first view, all is full at its beginning, and drains.
func TestBucketsMayBeginFull(t *testing.T) {
	n := New(Config{
		IDs: []uint64{1}, Incarnation: 1, Limit: Limit{Rate: 10 * Request, Burst: 9}, LeaseUS: leaseUS, KeysMost: 10,
		NeverEmpty: true,
	}, 0)
	var none View
	n.Install(none.next(processes(1)), 0)
	n.Tick(1)
	admitted := func(nowUS int64) (count int) {
		for i := range 20 {
			if n.Decide("key", uint64(i), nowUS) == Admitted {
				count++
			}
		}
		for _, o := range n.Outcomes() {
			if o.Admitted {
				count++
			}
		}
		return count
	}
	if got := admitted(10); got != 0 {
		t.Errorf("%d requests are admitted at the beginning", got)
	}
	if got := admitted(1_000_000); got < 4 || got > 10 {
		t.Errorf("%d requests are admitted a second later", got)
	}
}
