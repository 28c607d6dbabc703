package strict

import (
	"fmt"
	"testing"
)

// leased is a member of three with a lease.
func leased(config Config) *Node {
	config.IDs, config.Incarnation, config.LeaseUS = []uint64{1, 2, 3}, 1, leaseUS
	n := New(config, 0)
	var none View
	n.Install(none.next(processes(1, 1, 1)), 0)
	n.Receive(pong(1, 1), 2)
	n.Receive(pong(2, 1), 2)
	return n
}

// othersKey is a key that belongs to another member.
func (n *Node) othersKey() (key string, owner Seat) {
	for i := 0; ; i++ {
		key = fmt.Sprint("key", i)
		if owner, _ = n.view.owner(key, n.cfg.IDs); owner != n.cfg.Self {
			return key, owner
		}
	}
}

// holder is a member of three with a lease; the key belongs to another one. It has used up its default piece.
func holder(t *testing.T, keysMost int) (n *Node, key string, owner Seat) {
	t.Helper()
	n = leased(Config{Limit: Limit{Rate: 10 * Request, Burst: 11}, KeysMost: keysMost})
	key, owner = n.othersKey()
	return n, key, owner
}

func (n *Node) asks() (asks []Message) {
	for _, e := range n.Out() {
		if e.Kind == Ask {
			asks = append(asks, e.Message)
		}
	}
	return asks
}

// The first requests find the default piece: half of the node's even share, without a message.
func TestTheDefaultPieceNeedsNoMessage(t *testing.T) {
	n, key, owner := holder(t, 100)
	n.Out()
	for i := range 2 {
		if v := n.Decide(key, uint64(i), 10); v != Admitted {
			t.Fatalf("request %d: %v", i, v)
		}
	}
	if asks := n.asks(); len(asks) != 0 {
		t.Errorf("it asked: %+v", asks)
	}
	if v := n.Decide(key, 3, 11); v != Parked {
		t.Errorf("the third request: %v", v)
	}
	asks := n.asks()
	if len(asks) != 1 || asks[0].To != owner || asks[0].NeedRequests != 1 {
		t.Fatalf("it asked %+v", asks)
	}
	if v := n.Decide(key, 4, 12); v != Parked || len(n.asks()) != 0 {
		t.Errorf("one ask at a time: %v", v)
	}
}

// What the owner gives admits those that wait, in their order; the rest is rejected if the owner says no.
func TestGrants(t *testing.T) {
	for _, test := range []struct {
		name     string
		afterUS  int64
		grant    Message
		outcomes string
		next     Verdict // of a request right afterwards
	}{
		{"a piece", 1000, Message{Piece: Piece{2 * Request, Request, Request}}, "[{2 true} {3 false} {4 false}]", Rejected},
		{"room for all", 1000, Message{Piece: Piece{4 * Request, Request, 0}}, "[{2 true} {3 true} {4 true}]", Admitted},
		{"nothing, and the owner has asked others", 1000, Message{Flags: Listed | Pending}, "[]", Rejected},
		{"nothing", 1000, Message{Flags: Listed}, "[{2 false} {3 false} {4 false}]", Rejected},
		{"a token", 1000, Message{Tokens: 1, Flags: Central, HoldUS: 50_000}, "[{2 true} {3 false} {4 false}]", Rejected},
		{"a token too late", 5001, Message{Tokens: 1, Flags: Central, HoldUS: 50_000}, "[{2 false} {3 false} {4 false}]", Rejected},
		{"of another session", 1000, Message{Piece: Piece{2 * Request, 0, 0}, Session: 9}, "[]", Parked},
		{"of another view", 1000, Message{Piece: Piece{2 * Request, 0, 0}, View: 2}, "[]", Parked},
		{"after a lost one", 1000, Message{Piece: Piece{2 * Request, 0, 0}, Sequence: 2}, "[]", Parked},
	} {
		n, key, owner := holder(t, 100)
		for ticket := range uint64(5) {
			n.Decide(key, ticket, 10)
		}
		ask := n.asks()[0]
		m := test.grant
		m.Kind, m.From, m.Key, m.AskID = Grant, owner, key, ask.AskID
		if m.View == 0 {
			m.View = 1
		}
		if m.Session == 0 {
			m.Session = ask.Session
		}
		if m.Sequence == 0 {
			m.Sequence = 1
		}
		n.Receive(m, 10+test.afterUS)
		if again := n.asks(); test.name == "a piece" && len(again) == 1 { // two came after the ask was sent
			m = Message{Kind: Grant, From: owner, Key: key, View: 1, Session: m.Session, Sequence: 2, AskID: again[0].AskID, Flags: Listed}
			n.Receive(m, 10+test.afterUS)
		}
		outcomes := n.Outcomes()
		if got := fmt.Sprint(outcomes); got != test.outcomes {
			t.Errorf("%s: %s, want %s", test.name, got, test.outcomes)
		}
		if s := n.Stats(); s.Waited != 3 || s.Admitted+s.Rejected != 2+uint64(len(outcomes)) {
			t.Errorf("%s: two decided at once, %d that waited, and it counts %+v", test.name, len(outcomes), s)
		}
		if next := n.Decide(key, 9, 11+test.afterUS); next != test.next {
			t.Errorf("%s: the next request gets %v, want %v", test.name, next, test.next)
		}
	}
}

// An owner that does not answer is not asked for every request.
func TestAnAskEnds(t *testing.T) {
	n, key, _ := holder(t, 100)
	for ticket := range uint64(3) {
		n.Decide(key, ticket, 10)
	}
	n.Receive(pong(1, 40_000), 40_010)
	n.Receive(pong(2, 40_000), 40_010)
	n.Tick(10 + askTimeoutUS)
	if got := fmt.Sprint(n.Outcomes()); got != "[{2 false}]" {
		t.Errorf("outcomes %s", got)
	}
	n.Out()
	if v := n.Decide(key, 9, 20+askTimeoutUS); v != Admitted && v != Rejected || len(n.asks()) != 0 {
		t.Errorf("right afterwards: %v", v)
	}
}

// A holder that is asked to give back keeps what it uses.
func TestRecalls(t *testing.T) {
	for _, test := range []struct {
		name       string
		requests   int
		everyUS    int64
		recalledUS int64 // after the last
		message    Message
		kept       int64 // capacity
	}{
		{"silent", 2, 1000, 200_000, Message{}, 0},
		{"never had a request", 0, 0, 0, Message{}, 0},
		{"uses a tenth", 3, 1_000_000, 1000, Message{}, 2},
		{"central", 3, 1_000_000, 1000, Message{Flags: Central}, 0},
	} {
		n, key, owner := holder(t, 100)
		now := int64(10)
		for i := range test.requests {
			now = 10 + int64(i)*test.everyUS
			n.Receive(pong(1, now-1), now)
			n.Receive(pong(2, now-1), now)
			n.Decide(key, uint64(i), now)
		}
		n.Out()
		m := test.message
		m.Kind, m.From, m.Key, m.View, m.Session, m.Sequence = Recall, owner, key, 1, n.peers[owner].up.session, 1
		n.Receive(m, now+test.recalledUS)
		var back Piece
		for _, e := range n.Out() {
			if e.Kind == Return {
				back = e.Piece
			}
		}
		h, _ := n.holdings.find(key)
		if h.Capacity != test.kept*Request || h.Piece.plus(back).Capacity != n.born.Capacity {
			t.Errorf("%s: %d is kept, %d comes back", test.name, h.Capacity, back.Capacity)
		}
	}
}

// A full table gives the default pieces of all other keys up before it forgets anything that is not a default piece.
func TestEviction(t *testing.T) {
	n, _, _ := holder(t, 4)
	n.Out()
	for i := range 4 {
		n.Decide(fmt.Sprint("a", i), uint64(i), 10)
	}
	const later = 1_000_000
	n.Receive(pong(1, later-1), later)
	n.Receive(pong(2, later-1), later)
	for i := range 4 {
		n.Decide(fmt.Sprint("b", i), uint64(i), later)
	}
	if !n.armed || n.stats.Evicted != 4 || n.holdings.size() != 4 {
		t.Errorf("default pieces without a level are dropped: armed %v, evicted %d", n.armed, n.stats.Evicted)
	}
	if v := n.Decide("c", 1, later); v == Admitted || n.armed || n.stats.Evicted != 5 || n.holdings.size() != 4 {
		t.Errorf("a key beyond gets %v: armed %v, evicted %d", v, n.armed, n.stats.Evicted)
	}
	if _, ok := n.holdings.find("b0"); ok {
		t.Error("the oldest record is still there")
	}
	if h := n.defaultPiece(later); h.Capacity != 0 {
		t.Errorf("b0 was evicted, and has a default piece again: %+v", h.Piece)
	}
}
