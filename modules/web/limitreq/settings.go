package limitreq

import (
	"fmt"
	"math"
	"sync/atomic"

	"starling/cluster/strict"
	"starling/conf"
	"starling/logs"
	"starling/nginx/units"
	"starling/plan"
	"starling/side"
	"starling/vars"
	"starling/web"
	"starling/zone/kinds"
)

// Settings of one block.
type Settings struct {
	Limits   []Limit
	Status   int
	LogLevel logs.Level
	DryRun   bool
}

// delayLevel is the level at which delays are logged: one lower than rejections.
func (s *Settings) delayLevel() logs.Level { return min(s.LogLevel+1, logs.Info) }

// Limit is one limit_req.
type Limit struct {
	zone                   *plan.Zone
	burstMilli, delayMilli int64 // in 1/1000 request
}

// noDelay is a delay= that no excess reaches.
const noDelay = math.MaxInt64 / 1000

// maxBurst keeps a burst in 1/1000 far from overflow.
const maxBurst = 1 << 40

// Zone is one limit_req_zone of a running configuration.
type Zone struct {
	*kinds.Bucket
	name   string
	key    vars.Template[*web.Request]
	rate   int64 // 1/1000 requests per second
	sync   bool
	strict bool // never exceeded: gate decides
	share  bool // strict_fallback=share
	gate   *strict.Gate
	long   *longKeys // of a strict zone
	counts *Counts
	noRoom logs.Repeats
}

// Counts are the API's figures of a zone. A reload keeps them.
type Counts struct {
	passed, delayed, rejected, delayedDryRun, rejectedDryRun atomic.Uint64
	// noLease are those of rejected that a strict limit rejected because this node may not decide.
	noLease atomic.Uint64
}

// part are the declarations of one configuration.
type part struct {
	zones  []*plan.Zone
	nodes  map[*plan.Zone]*conf.Node
	bursts map[*plan.Zone]int64
	limits []usedLimit
	slot   int // where a request stores its outcome
}

// usedLimit is a limit_req and where it is.
type usedLimit struct {
	Limit
	node *conf.Node
}

func partOf(p *plan.Plan) *part {
	r := plan.Part[part](p)
	if r.nodes == nil {
		r.nodes, r.bursts = map[*plan.Zone]*conf.Node{}, map[*plan.Zone]int64{}
	}
	return r
}

const use = "limit_req"

func declareZone(_ any, a *conf.Args) error {
	p := side.PlanOf(a)
	key, err := web.Side.Compile(a, a.Words[0])
	if err != nil {
		return err
	}
	z, err := p.DeclareZone(a, use)
	if err != nil {
		return err
	}
	rate := int64(1000)
	if a.Has("rate") {
		if rate, err = units.Rate(a.Value("rate")); err != nil {
			return fmt.Errorf("invalid rate \"rate=%s\"", a.Value("rate"))
		}
	}
	if before, bound := z.Value.(*Zone); bound {
		return fmt.Errorf("limit_req_zone \"%s\" is already bound to key \"%s\"", z.Name, before.key.Text())
	}
	r := partOf(p)
	if a.Has("strict") && !a.Has("sync") {
		return fmt.Errorf("\"strict\" requires \"sync\" in limit_req_zone \"%s\"", z.Name)
	}
	if a.Has("strict_fallback") && !a.Has("strict") {
		return fmt.Errorf("\"strict_fallback\" requires \"strict\" in limit_req_zone \"%s\"", z.Name)
	}
	z.Value = &Zone{
		name: z.Name, key: key, rate: rate, sync: a.Has("sync"), strict: a.Has("strict"),
		share: a.Value("strict_fallback") == "share",
	}
	z.Sync = a.Has("sync")
	r.zones = append(r.zones, z)
	r.nodes[z] = a.Node
	return nil
}

func parseLimit(a *conf.Args) (Limit, error) {
	p := side.PlanOf(a)
	z, err := p.Zones.Mention(a.Value("zone"), use, a.Node.File, a.Node.Line)
	if err != nil {
		return Limit{}, err
	}
	l := Limit{zone: z}
	if a.Has("burst") {
		if l.burstMilli, err = milli(a.Value("burst")); err != nil {
			return l, fmt.Errorf("invalid burst value \"burst=%s\"", a.Value("burst"))
		}
	}
	if a.Has("delay") {
		if l.delayMilli, err = milli(a.Value("delay")); err != nil {
			return l, fmt.Errorf("invalid delay value \"delay=%s\"", a.Value("delay"))
		}
	}
	if a.Has("nodelay") {
		l.delayMilli = noDelay
	}
	if !a.First {
		for _, other := range conf.SettingsOf[Settings](a.Scope).Limits {
			if other.zone == z {
				return l, conf.IsDuplicate
			}
		}
	}
	r := partOf(p)
	r.bursts[z] = max(r.bursts[z], l.burstMilli)
	r.limits = append(r.limits, usedLimit{l, a.Node})
	return l, nil
}

func milli(text string) (int64, error) {
	n, err := units.Number(text)
	if err != nil || n <= 0 || n > maxBurst {
		return 0, units.ErrInvalid
	}
	return n * 1000, nil
}

// link gives the zones their buckets: those of the previous configuration if the name is the same.
func link(p *plan.Plan) error {
	r := partOf(p)
	r.slot = web.Side.NewSlot(p)
	problems := r.checkStrict()
	for _, z := range r.zones {
		if err := r.linkZone(p, z); err != nil {
			problems = append(problems, conf.At(r.nodes[z], "%s", err))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

func (r *part) linkZone(p *plan.Plan, z *plan.Zone) error {
	now, burst := z.Value.(*Zone), r.bursts[z]
	if now.strict {
		now.gate = newGate(z.Name, now.key.Text(), z.Bytes, now.rate, burst/1000)
		now.gate.Share(now.share)
	}
	before := now
	_, err := plan.Continue(p, z, plan.Continuation[*Zone]{
		Refuse: func(old *Zone) error {
			if old.key.Text() == now.key.Text() {
				return nil
			}
			return fmt.Errorf(
				"limit_req \"%s\" uses the \"%s\" key while previously it used the \"%s\" key",
				z.Name,
				now.key.Text(),
				old.key.Text(),
			)
		},
		Take: func(old *Zone) {
			now.Bucket, now.counts = old.Bucket, old.counts
			if gate := now.gate; gate != nil && old.gate != nil && old.gate.Tag == gate.Tag &&
				old.gate.KeysMost == gate.KeysMost {
				now.gate, now.long = old.gate, old.long
			}
			now.bind(p.Clock)
			before = old
		},
		Change: func() {
			now.Reconfigure(kinds.Change{
				Bytes: z.Bytes, Expression: now.key.Text(), Sync: now.sync, RateMilli: now.rate,
			}, p.Clock.Now())
			now.SetBurst(burst)
			now.follow(before)
			if now.gate != nil { // that of before, perhaps
				now.gate.Share(now.share)
			}
		},
		Settle: func() { p.TellDropped(z, now.Settle(p.Clock.Now()), "limits") },
		Make: func(*Zone) {
			now.counts = &Counts{}
			now.Bucket = kinds.NewBucket(kinds.BucketConfig{
				Name: z.Name, Expression: now.key.Text(), Bytes: z.Bytes, RateMilli: now.rate, Sync: now.sync,
			})
			now.SetBurst(burst)
			now.bind(p.Clock)
		},
	})
	return err
}
