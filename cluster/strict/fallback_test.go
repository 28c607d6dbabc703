package strict

import (
	"fmt"
	"testing"
)

// sharing is a holder that falls back to its share: a third of 10 requests per second, and 4 at once.
func sharing(t *testing.T, keysMost int) (n *Node, f *Fallback, key string) {
	t.Helper()
	n, key, _ = holder(t, 100)
	f = NewFallback(n.cfg.Limit, 3, keysMost)
	n.FallBackTo(f)
	return n, f, key
}

// many decides on requests for a key, and counts the verdicts.
func many(n *Node, key string, count int, nowUS int64) (verdicts map[Verdict]int) {
	verdicts = map[Verdict]int{}
	for i := range count {
		verdicts[n.Decide(key, uint64(i), nowUS)]++
	}
	return verdicts
}

// lost is a time at which the lease of a holder has ended.
const lost = 10 * leaseUS

// withLease renews the lease of a holder.
func withLease(n *Node, nowUS int64) {
	n.Receive(pong(1, nowUS-1), nowUS)
	n.Receive(pong(2, nowUS-1), nowUS)
}

// A node without a lease admits its share of the rate, without a burst at first, and of the burst once it has drained.
func TestANodeAloneAdmitsItsShare(t *testing.T) {
	n, f, _ := sharing(t, 100)
	n.Tick(lost)
	for _, test := range []struct {
		afterUS int64
		want    int // of 9 requests
	}{
		{0, 0}, {100_000, 0}, {310_000, 1}, {320_000, 0}, {3_000_000, 4}, {3_000_001, 0}, {10_000_000, 4},
	} {
		got := many(n, "a", 9, lost+test.afterUS)
		if got[AdmittedAlone] != test.want || got[RejectedAlone] != 9-test.want {
			t.Errorf("%d us after the lease: %v, want %d admitted", test.afterUS, got, test.want)
		}
	}
	if got := many(n, "b", 9, lost+10_000_000); got[AdmittedAlone] != 4 {
		t.Errorf("another key: %v", got)
	}
	if f.stats.Admitted != 13 || n.stats.NoLease != 0 || n.stats.Admitted != 0 {
		t.Errorf("counted %+v, %+v", f.stats, n.stats)
	}
}

// Contact that comes and goes brings no burst: each time the shares begin full.
func TestAFlappingLeaseBringsNoBurst(t *testing.T) {
	n, _, _ := sharing(t, 100)
	for i := range int64(5) {
		at := lost + i*10_000_000
		n.Tick(at)
		if got := many(n, "a", 5, at+9_000_000); got[AdmittedAlone] != 4 {
			t.Errorf("round %d: %v after nine seconds alone", i, got)
		}
		withLease(n, at+9_100_000)
		if got := many(n, "other", 1, at+9_100_000); got[Admitted] != 1 {
			t.Errorf("round %d: %v with a lease", i, got)
		}
		if got := many(n, "a", 5, at+9_101_000+leaseUS); got[AdmittedAlone] != 0 || got[RejectedAlone] != 5 {
			t.Errorf("round %d: %v right after the lease ended again", i, got)
		}
	}
}

// What a node admitted alone is charged to its piece when it is a member again: the clients do not get both.
func TestWhatWasAdmittedAloneIsRepaid(t *testing.T) {
	n, f, key := sharing(t, 100)
	n.Tick(lost)
	at := int64(lost + 10_000_000)
	if got := many(n, key, 4, at); got[AdmittedAlone] != 4 {
		t.Fatalf("alone: %v", got)
	}
	withLease(n, at)
	if got := many(n, key, 1, at); got[Parked] != 1 {
		t.Errorf("a member again: %v, want its default piece of 2 requests to be used", got)
	}
	if got := many(n, "unused", 1, at); got[Admitted] != 1 {
		t.Errorf("a key that had no request: %v", got)
	}
	// Half of the four requests fits into the piece of two. The others are charged to what the owner grants.
	h, _ := n.holdings.find(key)
	if h.Level != 2*Request || f.buckets.size() != 1 {
		t.Errorf("the piece is at %d, %d keys owe", h.Level, f.buckets.size())
	}
	asks := n.asks()
	if len(asks) == 0 {
		t.Fatal("it asks for nothing")
	}
	grant := Message{
		Kind: Grant, From: asks[0].To, Key: key, View: 1, Session: asks[0].Session, Sequence: 1, AskID: asks[0].AskID,
		Piece: Piece{Capacity: 3 * Request, Rate: Request},
	}
	n.Receive(grant, at)
	if got := fmt.Sprint(n.Outcomes()); got != "[{0 true}]" || f.buckets.size() != 0 {
		t.Errorf("of three more requests, two are owed: %s, %d keys owe", got, f.buckets.size())
	}
}

// A grant that comes when the lease has ended changes nothing of the share: what was admitted alone stays admitted.
func TestALateGrantLeavesTheShareAsItIs(t *testing.T) {
	n, _, key := sharing(t, 100)
	many(n, key, 3, 10)
	ask := n.asks()[0]
	n.Tick(lost)
	at := int64(lost + 10_000_000)
	if got := many(n, key, 5, at); got[AdmittedAlone] != 4 {
		t.Fatalf("alone: %v", got)
	}
	n.Receive(Message{
		Kind: Grant, From: ask.To, Key: key, View: 1, Session: ask.Session, Sequence: 1, AskID: ask.AskID,
		Piece: Piece{Capacity: 8 * Request, Rate: Request},
	}, at)
	if got := many(n, key, 5, at); got[RejectedAlone] != 5 {
		t.Errorf("after the grant: %v", got)
	}
}

// The table of shares is bounded. A key is forgotten only if a new share would stand no lower, and nothing is owed.
func TestSharesAreBounded(t *testing.T) {
	n, f, _ := sharing(t, 3)
	n.Tick(lost)
	for i := range 3 { // each share admits one request after 300 ms
		if got := many(n, fmt.Sprint("early", i), 1, lost+310_000); got[AdmittedAlone] != 1 {
			t.Fatalf("key %d: %v", i, got)
		}
	}
	if got := many(n, "more", 1, lost+620_000); got[RejectedAlone] != 1 {
		t.Errorf("a key is forgotten that stands higher than a new one: %v", got)
	}
	at := int64(lost + 10_000_000)
	for i := range 3 {
		many(n, fmt.Sprint("key", i), 1, at)
	}
	if got := many(n, "more", 1, at); got[RejectedAlone] != 1 || f.buckets.size() != 3 {
		t.Errorf("no room: %v, %d keys", got, f.buckets.size())
	}
	if got := many(n, "more", 1, at+2_000_000); got[AdmittedAlone] != 1 || f.buckets.size() != 3 {
		t.Errorf("the others have drained: %v, %d keys", got, f.buckets.size())
	}
	for i := range int64(3) {
		withLease(n, at+20_000_000+i*leaseUS)
		n.Tick(at + 20_000_000 + i*leaseUS)
	}
	if f.buckets.size() != 0 {
		t.Errorf("%d keys are kept by a member that owes nothing", f.buckets.size())
	}
}

// A gate that is closed admits the share, too; one that is additive, or whose place another process has, does not.
func TestAClosedGateAdmitsItsShare(t *testing.T) {
	g := NewGate("zone", Limit{Rate: 10 * Request, Burst: 11}, 10, 1)
	const later = 10_000_000
	verdict := func(nowUS int64) Verdict {
		v, _ := g.Decide("key", nowUS)
		return v
	}
	g.Among(3)
	if v := verdict(1); v != NoLease {
		t.Errorf("refuse: %v", v)
	}
	g.Share(true)
	if v := verdict(1); v != RejectedAlone {
		t.Errorf("at first: %v", v)
	}
	if v := verdict(later); v != AdmittedAlone {
		t.Errorf("later: %v", v)
	}
	if s := g.Status(later).Fallback; s != (FallbackStatus{true, true, FallbackStats{1, 1}}) {
		t.Errorf("status %+v", s)
	}
	g.CloseTo("an older member", true, later)
	if s := g.Status(later).Fallback; s.Active || verdict(later) != NoLease {
		t.Errorf("additive: %+v, %v", s, verdict(later))
	}
	g.Close("another process has taken this node's place")
	g.Among(0)
	if v := verdict(2 * later); v != NoLease {
		t.Errorf("without a place: %v", v)
	}
	g.Among(2)
	verdict(3 * later)
	if v := verdict(4 * later); v != AdmittedAlone {
		t.Errorf("of another list: %v", v)
	}
	if s := g.Status(4 * later).Fallback; s != (FallbackStatus{true, true, FallbackStats{2, 2}}) {
		t.Errorf("the counts end with the list: %+v", s)
	}
	g.Share(false)
	if s := g.Status(4 * later).Fallback; s.Shares || s.Active || s.Admitted != 2 {
		t.Errorf("refuse again: %+v", s)
	}
}

// A gate whose requests are counted in another way from now on passes on what it admitted alone, once.
func TestWhatWasAdmittedAloneIsPassedOn(t *testing.T) {
	g := NewGate("zone", Limit{Rate: 10 * Request, Burst: 11}, 10, 1)
	passed := map[string]int64{}
	g.After = func(key string, requests int64) { passed[key] += requests }
	g.Share(true)
	g.Among(3)
	const later = 10_000_000
	g.Decide("first", 1) // the shares begin
	for range 9 {
		g.Decide("key", later)
	}
	g.Close("a new list")
	for _, why := range []string{"an older member", "another one"} {
		g.CloseTo(why, true, later)
	}
	if len(passed) != 1 || passed["key"] != 4 {
		t.Errorf("passed on: %v, want the four requests that were admitted", passed)
	}
}
