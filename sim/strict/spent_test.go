package strict

import (
	"testing"

	"starling/cluster/strict"
)

// endOneByOne lets the hosts end under load, within a time, as when all are reloaded. Each passes on what it knows to be
// spent of each key, to buckets that drain at the whole rate. It returns how much these have more than was spent, in
// parts of the bucket: of the key with the least, and of that with the most.
func (w *World) endOneByOne(withinUS int64) (least, most float64) {
	keys := []string{"a", "b", "c", "d", "e", "f"}
	for _, key := range keys {
		w.Offer(key, 3, Even, 2_000_000)
	}
	w.Run(1_500_000)
	known := map[string]*exact{}
	for _, key := range keys {
		known[key] = &exact{rate: w.Limit.Rate, size: (w.Limit.Burst + 1) * exactRequest, atUS: w.nowUS}
	}
	for i, h := range w.hosts {
		w.at(w.nowUS+w.rng.Int64N(withinUS+1), func() {
			h.node.EachSpent(h.local(w.nowUS), func(key string, amount int64) {
				k := known[key]
				k.drain(w.nowUS)
				k.level = min(k.level+amount*(exactRequest/strict.Request), k.size)
			})
			w.crash(i)
		})
	}
	w.Run(withinUS + 1)
	least, most = 1e9, -1e9
	for _, key := range keys {
		law := w.law(key)
		law.all.drain(w.nowUS)
		known[key].drain(w.nowUS)
		more := float64(known[key].level-law.all.level) / float64(law.all.size)
		least, most = min(least, more), max(most, more)
	}
	return least, most
}

var endings = []struct {
	limit    strict.Limit
	withinUS []int64
}{
	{strict.Limit{Rate: 20 * strict.Request, Burst: 20}, []int64{200_000, 500_000, 20_000, 0}},
	{strict.Limit{Rate: 1000 * strict.Request, Burst: 999}, []int64{0, 200_000, 500_000}},
	{strict.Limit{Rate: strict.Request / 2, Burst: 29}, []int64{0, 500_000}},
}

// ends returns the least and the most of some seeds.
func ends(t *testing.T, limit strict.Limit, withinUS int64, seeds uint64, broken strict.Mutant) (least, most float64) {
	t.Helper()
	least = 1e9
	for seed := range seeds {
		w := New(Setup{Hosts: 3, Limit: limit, LeaseUS: 150_000, LagUS: 300, DriftPPM: 200, Seed: seed, Broken: broken})
		w.Run(2_500_000)
		less, more := w.endOneByOne(withinUS)
		least, most = min(least, less), max(most, more)
		for _, failure := range w.Failures {
			t.Error(failure)
		}
	}
	return least, most
}

// Whenever the hosts end their strict limits, together or one after the other, under load and while pools move: they know
// of all that was spent, and of not much more.
func TestWhatIsSpentIsKnownWhenHostsEndUnderLoad(t *testing.T) {
	for _, c := range endings {
		for _, withinUS := range c.withinUS {
			least, most := ends(t, c.limit, withinUS, 12, strict.Whole)
			if least < -0.001 || most > 0.75 {
				t.Errorf("%+v within %d us: from %.3f to %.3f of the bucket too much", c.limit, withinUS, least, most)
			}
		}
	}
	for _, broken := range []strict.Mutant{strict.UnderWayForgotten, strict.DrainForgotten} {
		if least, _ := ends(t, endings[0].limit, endings[0].withinUS[0], 40, broken); least > -0.01 {
			t.Errorf("mutant %d forgets only %.3f of a bucket", broken, -least)
		}
	}
}
