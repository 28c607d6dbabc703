package strict

import "starling/cluster/strict"

// exact is a bucket in true time: the arithmetic of one node, without rounding. Its level is in 1/10^15 request, so
// a rate in 1/10^9 request per second drains whole units in each microsecond.
type exact struct {
	rate, level, size int64
	atUS              int64
}

const exactRequest = strict.Request * 1_000_000

func (e *exact) drain(nowUS int64) {
	passedUS := nowUS - e.atUS
	e.atUS = nowUS
	if e.rate > 0 && passedUS > e.level/e.rate {
		e.level = 0
		return
	}
	e.level -= e.rate * passedUS
}

func (e *exact) admit(nowUS int64) bool {
	e.drain(nowUS)
	if e.level+exactRequest > e.size {
		return false
	}
	e.level += exactRequest
	return true
}

// keyLaw watches a key.
type keyLaw struct {
	single  exact // fed with all requests, as one node
	all     exact // fed with what was admitted
	Offered int64
	Allowed int64
	// Admitted is the sum of all hosts; Local those without a wait.
	Admitted, Local int64
	// Worst is the highest level above the size of the bucket, in requests.
	Worst float64
}

func (w *World) law(key string) *keyLaw {
	law := w.keys[key]
	if law == nil {
		bucket := exact{
			rate: w.Limit.Rate, size: (w.Limit.Burst + 1) * exactRequest, atUS: w.nowUS, level: w.leftOfBefore().level,
		}
		law = &keyLaw{single: bucket, all: bucket, Worst: -1e9}
		w.keys[key] = law
	}
	return law
}

// readingUS is how much two readings of a clock in whole microseconds can be wrong.
const readingUS = 2

// admitted checks the law: what all hosts admitted fits into one exact bucket at every moment. Each host may be wrong
// by the resolution of its clock.
func (w *World) admitted(host int, key string) {
	law := w.law(key)
	law.all.drain(w.nowUS)
	law.all.level += exactRequest
	law.Admitted++
	w.count(1, 0)
	over := law.all.level - law.all.size
	law.Worst = max(law.Worst, float64(over)/float64(exactRequest))
	if over > w.Limit.Rate*readingUS*int64(w.Hosts) {
		above := float64(over) / float64(exactRequest)
		w.failf("host %d admits a request for %q: %.3f above the bucket", host, key, above)
	}
}

func (w *World) count(admitted, allowed int64) {
	s := int(w.nowUS / 1_000_000)
	for len(w.perSecond) <= s {
		w.perSecond = append(w.perSecond, second{})
	}
	w.perSecond[s].admitted += admitted
	w.perSecond[s].allowed += allowed
}

// Sum adds up what the laws of all keys saw.
func (w *World) Sum() (sum keyLaw) {
	sum.Worst = -1e9
	for _, law := range w.keys {
		sum.Offered += law.Offered
		sum.Allowed += law.Allowed
		sum.Admitted += law.Admitted
		sum.Local += law.Local
		sum.Worst = max(sum.Worst, law.Worst)
	}
	return sum
}

// followLease notes since when a host has no lease: then the share of each key is full.
func (w *World) followLease(h *host) {
	switch {
	case h.node.HasLease(h.local(w.nowUS)):
		h.aloneUS = 0
	case h.aloneUS == 0:
		h.aloneUS, h.alone = max(w.nowUS, 1), map[string]*exact{}
	}
}

// admittedAlone checks the law of a host that decides by itself: what it admits fits into its even share, which was
// full when it lost its lease.
func (w *World) admittedAlone(i int, key string) {
	h := w.hosts[i]
	w.Alone++
	if w.followLease(h); h.aloneUS == 0 {
		w.failf("host %d admits a request for %q alone, and has a lease", i, key)
		return
	}
	share := h.alone[key]
	if share == nil {
		size := max((w.Limit.Burst+1)*exactRequest/int64(w.Hosts), exactRequest)
		share = &exact{rate: w.Limit.Rate / int64(w.Hosts), size: size, level: size, atUS: h.aloneUS}
		h.alone[key] = share
	}
	share.drain(w.nowUS)
	share.level += exactRequest
	if over := share.level - share.size; over > w.Limit.Rate*readingUS+1_000_000 {
		above := float64(over) / float64(exactRequest)
		w.failf("host %d admits a request for %q alone: %.3f above its share", i, key, above)
	}
}
