package limitreq

import (
	"strconv"
	"strings"

	"starling/cluster/strict"
	"starling/conf"
	"starling/lib/clock"
	"starling/logs"
	"starling/plan"
	"starling/web"
	"starling/zone"
	"starling/zone/kinds"
)

const (
	// strictKeyBytes is about what a key costs, as a holder and as an owner.
	strictKeyBytes = 1 << 10
	// strictKeysMost bounds the keys of a zone: a node tells all it has when the members change.
	strictKeysMost = 1 << 16
	// strictLimitsMost bounds the limits of a block with strict ones.
	strictLimitsMost = 64
)

// Gate is where the zone's requests meet the strict limits of the cluster; nil if the zone is not strict.
func (z *Zone) Gate() *strict.Gate { return z.gate }

// Strict reports whether the zone must never be exceeded.
func (z *Zone) Strict() bool { return z.strict }

// SharesAlone reports whether a node that cannot decide with the others admits its share of the limit.
func (z *Zone) SharesAlone() bool { return z.share }

// newGate makes the gate of a strict zone. All nodes with the same settings get the same tag.
func newGate(name, key string, bytes, rateMilli, burst int64) *strict.Gate {
	settings := []string{name, key, strconv.FormatInt(rateMilli, 10), strconv.FormatInt(burst, 10)}
	limit := strict.Limit{Rate: rateMilli * (strict.Request / 1000), Burst: burst}
	keys := int(min(max(bytes/strictKeyBytes, 1), strictKeysMost))
	return strict.NewGate(name, limit, keys, zone.KeyHash([]byte(strings.Join(settings, "\n")+"\n")))
}

// checkStrict checks what strict zones need of the limits that use them.
func (r *part) checkStrict() (problems conf.Problems) {
	first := map[*plan.Zone]usedLimit{}
	for _, l := range r.limits {
		z, declared := l.zone.Value.(*Zone)
		if !declared || !z.strict {
			continue // a zone that is missing is reported elsewhere
		}
		before, used := first[l.zone]
		if !used {
			first[l.zone] = l
		}
		switch {
		case l.burstMilli > 0 && l.delayMilli != noDelay:
			problems = append(problems, conf.At(l.node, "limit_req with the strict zone \"%s\" requires \"nodelay\": "+
				"a strict limit admits requests at once or rejects them", z.name))
		case used && before.burstMilli != l.burstMilli:
			problems = append(problems, conf.At(l.node, "limit_req with the strict zone \"%s\" must have the same "+
				"burst everywhere: %d here, %d in %s:%d", z.name, l.burstMilli/1000, before.burstMilli/1000,
				before.node.File, before.node.Line))
		case l.burstMilli/1000 > strict.BurstMost:
			problems = append(problems, conf.At(l.node, "the burst of the strict zone \"%s\" must be at most %d",
				z.name, int64(strict.BurstMost)))
		}
	}
	return problems
}

// handleStrict is handle for a block with strict limits. The others are looked at first and charged last, so only a
// request that a later strict limit rejects is charged by the strict limits before.
func (l *limiter) handleStrict(r *web.Request, outcome *web.Slot) web.Result {
	now := r.Now()
	var decided uint64 // bits of limits
	applied := false
	for i := range l.limits {
		limit := &l.limits[i]
		if limit.gate != nil && !limit.gate.Additive() {
			decided |= 1 << i
			continue
		}
		key, ok := limit.keyOf(r, zone.MaxKeyBytes)
		if !ok {
			continue
		}
		applied = true
		if excess, verdict := limit.Look(key, now, limit.burstMilli); verdict != kinds.Passed {
			return l.reject(r, outcome, limit, excess, verdict, now)
		}
	}
	for i := range l.limits {
		limit := &l.limits[i]
		if decided&(1<<i) == 0 {
			continue
		}
		key, ok := limit.strictKey(r)
		if !ok {
			continue
		}
		applied = true
		if verdict := limit.decide(key); !verdict.Admits() {
			return l.rejectStrict(r, outcome, limit, verdict)
		}
	}
	if !applied {
		return web.Declined
	}
	return l.admit(r, outcome, now, 0, -1, decided)
}

// decide asks the cluster's strict limit, and waits while the owner of the key is asked.
func (z *Zone) decide(key string) strict.Verdict {
	verdict, ticket := z.gate.Decide(key, clock.SteadyUS())
	if verdict != strict.Parked {
		return verdict
	}
	admitted := <-ticket.Decided // the gate decides in time, whatever happens to the owner
	ticket.Release()
	if admitted {
		return strict.Admitted
	}
	return strict.Rejected
}

func (l *limiter) rejectStrict(
	r *web.Request,
	outcome *web.Slot,
	limit *boundLimit,
	verdict strict.Verdict,
) web.Result {
	level, why := l.settings.LogLevel, "the cluster's limit is reached"
	switch verdict {
	case strict.RejectedAlone:
		why = "this node does not reach the majority of the members, and its share of the limit is used up"
	case strict.NoLease:
		limit.counts.noLease.Add(1)
		level = min(level, logs.Warn)
		if why = limit.gate.Closed(); why == "" {
			why = "this node does not reach the majority of the members"
		}
	}
	r.Logf(level, "limiting requests%s by strict zone \"%s\": %s", l.dryRun(), limit.name, why)
	return l.countRejected(outcome, limit)
}
