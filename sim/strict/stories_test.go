package strict

import (
	"fmt"
	"testing"

	"starling/cluster/strict"
)

// story is a world of hosts that began two seconds ago, with a fast key.
func story(t *testing.T, hosts int) *World {
	t.Helper()
	return storyWith(t, hosts, false)
}

// storyWith is a story with the register of the program.
func storyWith(t *testing.T, hosts int, raft bool) *World {
	t.Helper()
	w := New(Setup{
		Hosts: hosts, Limit: strict.Limit{Rate: 1000 * strict.Request, Burst: 999}, LeaseUS: 150_000, LagUS: 300,
		DriftPPM: 200, Seed: 7, Raft: raft,
	})
	w.Run(2_500_000)
	t.Cleanup(func() {
		for _, failure := range w.Failures {
			t.Error(failure)
		}
	})
	return w
}

// admits returns the share of what one node admits that the hosts admit in a time.
func (w *World) admits(us int64) float64 {
	before := w.Sum()
	w.Run(us)
	after := w.Sum()
	return float64(after.Admitted-before.Admitted) / float64(after.Allowed-before.Allowed)
}

// owner returns the host that owns a key.
func (w *World) owner(key string) int {
	for i, h := range w.hosts {
		if h.up && h.node.Owns(key) {
			return i
		}
	}
	return -1
}

func (w *World) stats() (sum strict.Stats) {
	for _, h := range w.hosts {
		if h.up {
			s := h.node.Stats()
			sum.Asks += s.Asks
			sum.Grants += s.Grants
			sum.NoLease += s.NoLease
			sum.Relayed += s.Relayed
			sum.Resyncs += s.Resyncs
			sum.Unmanaged += s.Unmanaged
			sum.Evicted += s.Evicted
			sum.Admitted += s.Admitted
		}
	}
	return sum
}

// Below the limit and evenly, no message moves a piece, and no request waits.
func TestAQuietKeyCostsNoMessage(t *testing.T) {
	w := story(t, 3)
	before := w.Messages
	w.Offer("key", 0.3, Even, 5_000_000)
	w.Run(5_000_000)
	if sum := w.Sum(); sum.Admitted != sum.Offered || sum.Local != sum.Offered || w.Messages != before {
		t.Errorf("%+v, %d messages", sum, w.Messages-before)
	}
}

// The holders go on with their pieces while nobody owns the key; only what the crashed host had is missing.
func TestHoldersOutliveTheirOwner(t *testing.T) {
	w := story(t, 7)
	w.Offer("key", 10, Even, 10_000_000)
	w.Run(3_000_000)
	w.crash(w.owner("key"))
	if share := w.admits(140_000); share < 0.75 {
		t.Errorf("before a new owner is there: %.2f", share)
	}
	w.Run(200_000)
	if w.owner("key") < 0 {
		t.Fatal("there is no new owner")
	}
	if share := w.admits(2_000_000); share < 0.97 {
		t.Errorf("with the new owner: %.2f", share)
	}
}

// A host that starts again holds nothing until it asks, and joins within a lease and the time of a view.
func TestARestartedHostJoins(t *testing.T) {
	w := story(t, 3)
	w.Offer("key", 3, One, 10_000_000)
	w.Run(2_000_000)
	w.crash(0)
	w.Run(1_000_000)
	w.start(0)
	w.Run(400_000)
	if !w.hosts[0].node.Ready(w.hosts[0].local(w.nowUS)) {
		t.Fatal("it is not ready")
	}
	if share := w.admits(2_000_000); share < 0.9 {
		t.Errorf("it gets %.2f", share)
	}
}

// The smaller side of a partition stops when its lease ends; the larger one gets its part.
func TestAMinorityRejects(t *testing.T) {
	w := story(t, 5)
	w.Offer("key", 5, Even, 10_000_000)
	w.Run(2_000_000)
	w.cutFor(3_000_000, func(a, b int) bool { return (a < 2) != (b < 2) })
	w.Run(400_000)
	before := [2]uint64{w.hosts[0].node.Stats().Admitted, w.hosts[1].node.Stats().Admitted}
	if share := w.admits(1_500_000); share < 0.97 {
		t.Errorf("the majority admits %.2f", share)
	}
	for i, n := range before {
		if s := w.hosts[i].node.Stats(); s.Admitted != n || s.NoLease == 0 {
			t.Errorf("host %d admits %d in the minority", i, s.Admitted-n)
		}
	}
	w.Run(1_500_000)
	if share := w.admits(1_500_000); share < 0.97 {
		t.Errorf("afterwards %.2f", share)
	}
	for i, n := range before {
		if w.hosts[i].node.Stats().Admitted == n {
			t.Errorf("host %d admits nothing afterwards", i)
		}
	}
}

// Two hosts that do not hear each other reach each other over a third: the view stays, and pieces move.
func TestACutPairTalksOverAThird(t *testing.T) {
	w := story(t, 3)
	owner := w.owner("key")
	other := (owner + 1) % 3
	w.cutFor(5_000_000, func(a, b int) bool { return a == owner && b == other || a == other && b == owner })
	w.Run(500_000)
	before, view := w.stats(), w.hosts[0].node.View().Number
	for range 1500 { // more than its default piece has
		w.request(other, "key")
		w.Run(500)
	}
	after := w.stats()
	if after.Relayed == before.Relayed || w.hosts[0].node.View().Number != view {
		t.Errorf("%d relayed, view %d was %d", after.Relayed-before.Relayed, w.hosts[0].node.View().Number, view)
	}
	if sum := w.Sum(); sum.Admitted < sum.Allowed*9/10 {
		t.Errorf("%+v", sum)
	}
}

// Two members have no majority without each other.
func TestTwoMembersNeedBoth(t *testing.T) {
	w := story(t, 2)
	w.Offer("key", 2, Even, 6_000_000)
	if share := w.admits(2_000_000); share < 0.9 { // in the first second, a part of the burst is in the wrong place
		t.Errorf("both: %.2f", share)
	}
	w.crash(1)
	w.Run(200_000)
	if share := w.admits(1_000_000); share != 0 {
		t.Errorf("one of two admits %.2f", share)
	}
	w.start(1)
	w.Run(500_000)
	if share := w.admits(1_000_000); share < 0.9 {
		t.Errorf("both again: %.2f", share)
	}
}

// If all processes start again, what they may have spent before counts as spent.
func TestAllStartAgain(t *testing.T) {
	w := story(t, 3)
	w.Offer("key", 20, Even, 6_000_000)
	w.Run(2_000_000)
	for i := range w.hosts {
		w.crash(i)
		w.start(i)
	}
	w.Run(2_500_000)
	for i, h := range w.hosts {
		if v := h.node.View(); !v.Founding || !h.node.Ready(h.local(w.nowUS)) {
			t.Errorf("host %d: %+v", i, v)
		}
	}
	if share := w.admits(1_000_000); share < 0.9 {
		t.Errorf("afterwards %.2f", share)
	}
}

// A key that nobody uses is forgotten by its owner, and has its default pieces again.
func TestAnIdleKeyIsForgotten(t *testing.T) {
	w := story(t, 3)
	w.Offer("key", 5, One, 1_000_000)
	w.Run(1_000_000)
	if w.stats().Asks == 0 {
		t.Fatal("nobody asked")
	}
	w.Run(30_000_000)
	if s := w.stats(); s.Unmanaged != 1 {
		t.Errorf("forgotten: %d", s.Unmanaged)
	}
	before := w.Messages
	for range 100 {
		w.request(1, "key")
	}
	if w.Messages != before {
		t.Errorf("its default piece is not there: %d messages", w.Messages-before)
	}
	w.Offer("key", 3, Even, 2_000_000)
	if share := w.admits(2_000_000); share < 0.95 {
		t.Errorf("used again: %.2f", share)
	}
}

// More keys than there is room for cost messages and bursts, but no key is ever above its limit.
func TestMoreKeysThanRoom(t *testing.T) {
	w := New(Setup{
		Hosts: 3, Limit: strict.Limit{Rate: 10 * strict.Request, Burst: 29}, LeaseUS: 150_000, LagUS: 300, Keys: 20, Seed: 3,
	})
	w.Run(2_500_000)
	for k := range 60 {
		w.Offer(fmt.Sprint("key", k), 2, Even, 5_000_000)
	}
	w.Run(5_000_000)
	if s := w.stats(); s.Evicted == 0 || s.Admitted == 0 {
		t.Errorf("%+v", s)
	}
	for _, failure := range w.Failures {
		t.Error(failure)
	}
}

// A seed says everything: the same one does the same twice.
func TestSeedsReplay(t *testing.T) {
	skipUnderRace(t)
	for seed := range uint64(8) {
		raft := seed%2 == 1
		one, two := Swarm(seed, strict.Whole, raft, false), Swarm(seed, strict.Whole, raft, false)
		if one.Sum() != two.Sum() || one.Messages != two.Messages {
			t.Errorf("seed %d: %+v with %d messages, then %+v with %d", seed, one.Sum(), one.Messages, two.Sum(), two.Messages)
		}
	}
}

// A host that lost its file votes under a new ID: with it, the others survive the crash of another host.
func TestAHostThatLostItsFileCountsAgain(t *testing.T) {
	w := storyWith(t, 3, true)
	w.Offer("key", 5, Even, 20_000_000)
	w.Run(1_000_000)
	w.crash(0)
	w.loseFile(0)
	w.Run(500_000)
	w.start(0)
	w.Run(2_000_000)
	if w.voters[1].register.Stats().Replaced != 1 || !w.voters[0].register.Founded() {
		t.Fatalf("host 0 was not replaced: %+v", w.voters[1].register.Stats())
	}
	w.crash(1)
	w.Run(1_000_000)
	if share := w.admits(2_000_000); share < 0.9 {
		t.Errorf("two of three hosts admit %.2f", share)
	}
}

// Without the hosts of the list, nothing is founded: a host that starts alone might have lost its file.
func TestNothingIsFoundedWithoutAllHosts(t *testing.T) {
	w := New(Setup{
		Hosts: 3, Limit: strict.Limit{Rate: 1000 * strict.Request, Burst: 999}, LeaseUS: 150_000, LagUS: 300, Seed: 5,
		Raft: true,
	})
	w.crash(2)
	w.Run(5_000_000)
	for i := range 2 {
		if w.voters[i].register.Founded() || w.hosts[i].node.View().Number != 0 {
			t.Errorf("host %d: founded %v, view %d", i, w.voters[i].register.Founded(), w.hosts[i].node.View().Number)
		}
	}
	w.start(2)
	w.Run(3_000_000)
	for i, h := range w.hosts {
		if !h.node.Ready(h.local(w.nowUS)) {
			t.Errorf("host %d is not ready: view %d", i, h.node.View().Number)
		}
	}
}

// A rolling reload with other settings: the hosts with the new ones decide once they are a majority, whichever host
// leads the register; at any time, all hosts together reject for a lease and a round at most.
func TestOtherSettingsFromHostToHost(t *testing.T) {
	for leads := range 3 { // in the order of the reloads
		w := storyWith(t, 3, true)
		order := []int{0, 1, 2}
		leader, known := w.voters[0].register.Leader()
		if !known {
			t.Fatal("no host leads the register")
		}
		order[leader], order[leads] = order[leads], order[leader]
		w.Offer("key", 3, Even, 20_000_000)
		w.Run(2_000_000)
		w.settings++
		for _, i := range order {
			w.reload(i)
			quietUS := w.quiet(1_000_000)
			if most := w.LeaseUS + 20_000; quietUS > most {
				t.Errorf("host %d leads, %v are reloaded: no host decided for %d us", leader, order, quietUS)
			}
		}
		for i, h := range w.hosts {
			if !h.node.Ready(h.local(w.nowUS)) || len(h.node.View().Members) != 3 {
				t.Errorf("host %d is not ready: %+v", i, h.node.View())
			}
		}
	}
}

// quiet runs a time, and returns the longest part of it in which no host had a lease.
func (w *World) quiet(us int64) (longestUS int64) {
	sinceUS := w.nowUS
	for until := w.nowUS + us; w.nowUS < until; w.Run(1000) {
		for _, h := range w.hosts {
			if h.up && h.node.HasLease(h.local(w.nowUS)) {
				sinceUS = w.nowUS
			}
		}
		longestUS = max(longestUS, w.nowUS-sinceUS)
	}
	return longestUS
}

// Limits that become strict begin with what was counted before: no more, and no less.
func TestCountsBeforeStrictLimitsCount(t *testing.T) {
	for _, pattern := range []Pattern{Even, One} {
		w := story(t, 3)
		w.countedBefore(700)
		w.Offer("key", 20, pattern, 100_000)
		w.Run(100_000)
		if sum := w.Sum(); sum.Admitted > sum.Allowed || sum.Admitted < sum.Allowed*9/10 || sum.Allowed > 410 {
			t.Errorf("%s: %+v", pattern, sum)
		}
	}
}

// What all hosts know to be spent is what was spent: limits that are not strict any more begin with it.
func TestWhatIsSpentIsKnown(t *testing.T) {
	for _, limit := range []strict.Limit{{Rate: 1000 * strict.Request, Burst: 999}, {Rate: 20 * strict.Request, Burst: 3}} {
		w := New(Setup{Hosts: 3, Limit: limit, LeaseUS: 150_000, LagUS: 300, DriftPPM: 200, Seed: 9})
		w.Run(2_500_000)
		for _, times := range []float64{0.5, 3} {
			w.Offer("key", times, Even, 1_000_000)
			w.Run(1_010_000)
			var known int64
			for _, h := range w.hosts {
				h.node.EachSpent(h.local(w.nowUS), func(_ string, amount int64) { known += amount })
			}
			law := w.law("key")
			law.all.drain(w.nowUS)
			spent := law.all.level / (exactRequest / strict.Request)
			if most := (limit.Burst + 1) * strict.Request; known < spent-10_000 || known > most {
				t.Errorf("%+v, %.1fx: %d is known, %d is spent, %d fits", limit, times, known, spent, most)
			}
		}
		for _, failure := range w.Failures {
			t.Error(failure)
		}
	}
}

// A host that starts again while it is cut from another one does not join: its claims could not arrive there, and the
// other one could not serve the keys that it owns. It joins when the two hear each other.
func TestAHostJoinsWhenAllHearIt(t *testing.T) {
	w := storyWith(t, 3, true)
	leader, _ := w.voters[0].register.Leader() // it hears both
	one, other := (int(leader)+1)%3, (int(leader)+2)%3
	w.cutFor(5_000_000, func(a, b int) bool { return a == one && b == other || a == other && b == one })
	w.Run(1_000_000)
	w.crash(one)
	w.start(one)
	w.Run(2_000_000)
	for _, i := range []int{int(leader), other} {
		h := w.hosts[i]
		v := h.node.View()
		if _, joined := v.Of(strict.Seat(one)); joined || !h.node.Ready(h.local(w.nowUS)) {
			t.Errorf("host %d: ready %v, %+v", i, h.node.Ready(h.local(w.nowUS)), v)
		}
	}
	w.Run(3_000_000)
	for i, h := range w.hosts {
		if !h.node.Ready(h.local(w.nowUS)) || len(h.node.View().Members) != 3 {
			t.Errorf("afterwards host %d: ready %v, %+v", i, h.node.Ready(h.local(w.nowUS)), h.node.View())
		}
	}
}
