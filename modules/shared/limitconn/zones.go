// Package limitconn is the part of limit_conn that http and stream share: the declaration of zones and limits, their
// handover at a reload, and the API. Each side adds what it counts (requests or connections) and when.
package limitconn

import (
	"fmt"

	"starling/cluster/strict"
	"starling/conf"
	"starling/lib/clock"
	"starling/logs"
	"starling/nginx/units"
	"starling/plan"
	"starling/side"
	"starling/vars"
)

// Settings of one block; each side embeds them.
type Settings struct {
	Limits   []Limit
	LogLevel logs.Level
	DryRun   bool
}

// Limit is one limit_conn.
type Limit struct {
	zone *plan.Zone
	most uint32
}

// maxConnections is nginx's: its counter has two bytes.
const maxConnections = 65535

// Zone is one limit_conn_zone of a running configuration.
type Zone[C side.Subject] struct {
	*Counter
	Name          string
	Key           vars.Template[C]
	strict, share bool
}

// Strict reports whether the zone must never be exceeded.
func (z *Zone[C]) Strict() bool { return z.strict }

// SharesAlone reports whether a node that cannot decide with the others admits its share of the limit.
func (z *Zone[C]) SharesAlone() bool { return z.share }

// Gate is where the zone's connections meet the strict limits of the cluster; nil if the zone is not strict.
func (z *Zone[C]) Gate() *strict.Gate {
	if z.Counter == nil {
		return nil
	}
	return z.gate
}

// Bound is a limit with its zone.
type Bound[C side.Subject] struct {
	*Zone[C]
	Most uint32
}

// part are the declarations of one configuration on one side.
type part[C side.Subject] struct {
	zones []*plan.Zone
	nodes []*conf.Node
	used  []usedLimit
	slot  int
}

// use is the family's name among the zones of a side; the two sides do not share zones.
func use[C side.Subject](s *side.Side[C]) string { return s.Name + " limit_conn" }

// Slot stores the outcome of a request or session.
func Slot[C side.Subject](p *plan.Plan) int { return plan.Part[part[C]](p).slot }

// Bind gives limits their zones, after these are linked.
func Bind[C side.Subject](limits []Limit) []Bound[C] {
	out := make([]Bound[C], 0, len(limits))
	for _, l := range limits {
		out = append(out, Bound[C]{l.zone.Value.(*Zone[C]), l.most})
	}
	return out
}

func declare[C side.Subject](s *side.Side[C], a *conf.Args) error {
	p := side.PlanOf(a)
	key, err := s.Compile(a, a.Words[0])
	if err != nil {
		return err
	}
	z, err := p.DeclareZone(a, use(s))
	if err != nil {
		return err
	}
	if before, bound := z.Value.(*Zone[C]); bound {
		return fmt.Errorf("limit_conn_zone \"%s\" is already bound to key \"%s\"", z.Name, before.Key.Text())
	}
	if a.Has("strict") && !a.Has("sync") {
		return fmt.Errorf("\"strict\" requires \"sync\" in limit_conn_zone \"%s\"", z.Name)
	}
	if a.Has("strict_fallback") && !a.Has("strict") {
		return fmt.Errorf("\"strict_fallback\" requires \"strict\" in limit_conn_zone \"%s\"", z.Name)
	}
	z.Value = &Zone[C]{
		Name: z.Name, Key: key, strict: a.Has("strict"), share: a.Value("strict_fallback") == "share",
	}
	z.Sync = a.Has("sync")
	r := plan.Part[part[C]](p)
	r.zones, r.nodes = append(r.zones, z), append(r.nodes, a.Node)
	return nil
}

// parse reads one limit_conn; before are those of the block so far.
func parse[C side.Subject](s *side.Side[C], a *conf.Args, before []Limit) (Limit, error) {
	z, err := side.PlanOf(a).Zones.Mention(a.Words[0], use(s), a.Node.File, a.Node.Line)
	if err != nil {
		return Limit{}, err
	}
	if !a.First {
		for _, other := range before {
			if other.zone == z {
				return Limit{}, conf.IsDuplicate
			}
		}
	}
	n, err := units.Number(a.Words[1])
	if err != nil || n <= 0 {
		return Limit{}, fmt.Errorf("invalid number of connections \"%s\"", a.Words[1])
	}
	if n > maxConnections {
		return Limit{}, fmt.Errorf("connection limit must be less 65536")
	}
	l, r := Limit{zone: z, most: uint32(n)}, plan.Part[part[C]](side.PlanOf(a))
	r.used = append(r.used, usedLimit{l, a.Node})
	return l, nil
}

// Link gives the zones their counts: those of the previous configuration if name and key are the same, because the
// counted requests are still in flight. If sync changed, both count these until they end.
func Link[C side.Subject](s *side.Side[C], p *plan.Plan) error {
	r := plan.Part[part[C]](p)
	r.slot = s.NewSlot(p)
	problems := r.checkStrict()
	for i, z := range r.zones {
		now := z.Value.(*Zone[C])
		limit, keys := r.limitOf(z), strictKeys(z.Bytes)
		_, err := plan.Continue(p, z, plan.Continuation[*Zone[C]]{
			Refuse: func(old *Zone[C]) error {
				if old.Key.Text() == now.Key.Text() {
					return nil
				}
				return fmt.Errorf(
					"limit_conn_zone \"%s\" uses the \"%s\" key while previously it used the \"%s\" key",
					z.Name,
					now.Key.Text(),
					old.Key.Text(),
				)
			},
			Same: func(old *Zone[C]) bool { return old.isShared() == z.Sync && (old.gate != nil) == now.strict },
			Take: func(old *Zone[C]) { now.Counter = old.Counter },
			Change: func() {
				now.resize(z.Bytes)
				if now.gate != nil {
					now.gate.Relimit(limit, keys, clock.SteadyUS())
					now.gate.Share(now.share)
				}
			},
			Make: func(old *Zone[C]) {
				gate := newGate(s, now, limit, keys)
				if old == nil {
					now.Counter = newCounter(z, now.Key.Text(), gate, nil)
					return
				}
				now.Counter = newCounter(z, now.Key.Text(), gate, old.Counter)
				p.OnSwitch(func() { now.carryFrom(old.Counter) })
			},
		})
		if err != nil {
			problems = append(problems, conf.At(r.nodes[i], "%s", err))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}
