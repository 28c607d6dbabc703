package strict

import "testing"

const leaseUS = 150_000

func member(t *testing.T, members int, broken Mutant) *Node {
	t.Helper()
	incarnations := make([]uint64, members)
	for i := range incarnations {
		incarnations[i] = 1
	}
	n := New(Config{
		IDs: make([]uint64, members), Incarnation: 1, Limit: Limit{Rate: 10 * Request, Burst: 99}, LeaseUS: leaseUS,
		KeysMost: 100, Broken: broken,
	}, 0)
	var none View
	n.Install(none.next(processes(incarnations...)), 0)
	return n
}

func pong(from Seat, sentUS int64) Message {
	return Message{Kind: Pong, From: from, View: 1, Incarnation: 1, SentUS: sentUS}
}

// A lease lasts from the sending of the ping that completes a majority.
func TestALeaseNeedsAMajority(t *testing.T) {
	n := member(t, 5, Whole)
	steps := []struct {
		from         Seat
		sentUS, atUS int64
		untilUS      int64
	}{
		{1, 10, 5000, 0},
		{1, 9, 5100, 0},             // an older one of the same member
		{2, 20, 6000, 10 + leaseUS}, // three of five, with this node itself
		{3, 30, 7000, 20 + leaseUS}, // the slowest of the fastest three counts
		{1, 40, 8000, 30 + leaseUS},
	}
	for i, s := range steps {
		n.Receive(pong(s.from, s.sentUS), s.atUS)
		if s.untilUS == 0 {
			if n.HasLease(s.atUS) {
				t.Errorf("step %d: a lease without a majority", i)
			}
			continue
		}
		if !n.HasLease(s.untilUS-1) || n.HasLease(s.untilUS) {
			t.Errorf("step %d: the lease does not end at %d", i, s.untilUS)
		}
	}
	n.Receive(Message{Kind: Pong, From: 2, Incarnation: 2, SentUS: 8000}, 8500)
	n.Receive(pong(3, 99_999_999), 9000)
	n.Receive(Message{Kind: Pong, From: 77, Incarnation: 1, SentUS: 8000}, 9000)
	if n.HasLease(30 + leaseUS) {
		t.Error("answers to an earlier process, to pings not yet sent, or of nobody count")
	}
	if v := n.Decide("key", 1, 30+leaseUS); v != NoLease {
		t.Errorf("a node without a lease decides %d", v)
	}
}

func answers(n *Node) (list []Kind) {
	for _, e := range n.Out() {
		if e.Kind == Pong || e.Kind == Consent {
			list = append(list, e.Kind)
		}
	}
	return list
}

// Who answered a ping does not consent to an exclusion for a lease and 0.1 %, and who consented does not answer.
func TestPromises(t *testing.T) {
	n := member(t, 3, Whole)
	ping := Message{Kind: Ping, From: 1, View: 1, Incarnation: 1}
	exclude := Message{Kind: Exclude, From: 2, View: 1, Excluded: []Member{{1, 1, 1}}}
	steps := []struct {
		atUS    int64
		message Message
		answers int
		what    string
	}{
		{1_000_000, ping, 1, "a member is answered"},
		{1_000_000 + leaseUS, exclude, 0, "a lease after the answer, clocks may differ"},
		{1_000_000 + longerUS(leaseUS), exclude, 1, "then it consents"},
		{1_200_000, ping, 0, "and answers no more"},
		{1_300_000, Message{Kind: Ping, From: 2, View: 1, Incarnation: 1}, 1, "others it does"},
		{1_300_000, Message{Kind: Ping, From: 2, View: 1, Incarnation: 9}, 0, "a process that is no member is not answered"},
	}
	n.Out()
	for _, s := range steps {
		n.Receive(s.message, s.atUS)
		if got := answers(n); len(got) != s.answers {
			t.Errorf("%s: %v", s.what, got)
		}
	}
	var none View
	first := none.next(processes(1, 1, 1))
	n.Install(first.next(processes(1, 1, 1)), 1_400_000)
	n.Out()
	ping.View = 2
	if n.Receive(ping, 1_500_000); len(answers(n)) != 1 {
		t.Error("the next view with the member does not free it")
	}
}

// A process that has just started may have given promises before that it does not know of.
func TestANewProcessDoesNotConsentAtOnce(t *testing.T) {
	n := New(Config{IDs: make([]uint64, 3), Incarnation: 2, Limit: Limit{Rate: Request}, LeaseUS: leaseUS, KeysMost: 10}, 5000)
	exclude := Message{Kind: Exclude, From: 2, Excluded: []Member{{1, 1, 1}}}
	if n.Receive(exclude, 5000+leaseUS); len(answers(n)) != 0 {
		t.Error("it consents within a lease")
	}
	if n.Receive(exclude, 5000+longerUS(leaseUS)); len(answers(n)) != 1 {
		t.Error("it does not consent later")
	}
}

// A node alone is its own majority.
func TestOneMemberNeedsNobody(t *testing.T) {
	n := member(t, 1, Whole)
	n.Tick(1)
	admitted := 0
	for i := range 200 {
		if n.Decide("key", uint64(i), 2) == Admitted {
			admitted++
		}
	}
	for _, o := range n.Outcomes() {
		if o.Admitted {
			admitted++
		}
	}
	if admitted != 100 {
		t.Errorf("it admits %d, the bucket has 100", admitted)
	}
}
