// Package keyval is the part of the keyval families that http and stream share: the zones, their state files and their
// API resource.
package keyval

import (
	"errors"
	"fmt"
	"time"

	"starling/conf"
	"starling/logs"
	"starling/nginx/units"
	"starling/plan"
	"starling/zone/kinds"
)

// Zone is one keyval_zone of a running configuration.
type Zone struct {
	*kinds.Keyval
	Name    string
	Timeout time.Duration // 0: pairs do not expire
	spec    spec
	store   *store // of its state, nil without
	// noRoom and unset limit the lines of variables that could not be set.
	noRoom, unset logs.Repeats
}

// spec is the declaration of a keyval_zone.
type spec struct {
	valueType kinds.ValueType
	timeout   time.Duration
	sync      bool
	wait      time.Duration // of a `set` for the peers, at most
	state     string        // absolute path, or empty
	node      *conf.Node
}

// typeNames are the values of type=, in the order of kinds.ValueType.
var typeNames = [...]string{kinds.TypeString: "string", kinds.TypeIP: "ip", kinds.TypePrefix: "prefix"}

// sidePart is what one side of one configuration declares.
type sidePart struct {
	specs map[*plan.Zone]spec
	order []*plan.Zone
}

// part are the zones of one configuration by the names of the sides. As in NGINX Plus the two sides do not share zones.
type part struct{ bySide map[string]*sidePart }

func partOf(p *plan.Plan, side string) *sidePart {
	all := plan.Part[part](p)
	if all.bySide[side] == nil {
		if all.bySide == nil {
			all.bySide = map[string]*sidePart{}
		}
		all.bySide[side] = new(sidePart)
	}
	return all.bySide[side]
}

// use is the family's name in plan.Zones.
func use(side string) string { return side + " keyval" }

// zoneDirective is the declaration of keyval_zone for one side.
func zoneDirective(side string, in conf.Context) conf.Directive {
	return conf.Directive{
		Name:   "keyval_zone",
		Syntax: "zone=<name>:<size> [state=<file>] [timeout=<time>] [type=string|ip|prefix] [sync[=<time>]]",
		In:     in,
		Repeat: true, Params: zoneParams,
		Doc: "Defines a zone of key-value pairs, which are set through the API and read with `keyval` variables. " +
			"With `state`, pairs survive a restart: the API acknowledges a write when it is on disk. With `timeout`, " +
			"pairs expire. `type` sets the matching of keys: exact, an address within a network, or the longest " +
			"prefix. With `sync`, all nodes of the cluster share the zone; unlike in NGINX Plus, `timeout` is not " +
			"required, and deletes are replicated. With `sync=<time>`, a request whose `set` changes a pair " +
			"continues when they have it, at most that much later.",
		Set: func(_ any, a *conf.Args) error { return declare(a.Env.(*plan.Plan), side, a) },
	}
}

// maxWait bounds how long a peer that has just stopped delays requests.
const maxWait = 10 * time.Second

func declare(p *plan.Plan, side string, a *conf.Args) error {
	z, err := declareZone(p, side, a)
	if err != nil {
		return err
	}
	s := spec{sync: a.Has("sync"), node: a.Node}
	if text := a.Value("sync"); text != "" {
		if s.wait, err = units.Time(text); err != nil || s.wait > maxWait {
			return fmt.Errorf("invalid time \"sync=%s\"", text)
		}
	}
	if a.Has("timeout") {
		if s.timeout, err = units.Time(a.Value("timeout")); err != nil || s.timeout == 0 {
			return fmt.Errorf("invalid timeout \"timeout=%s\"", a.Value("timeout"))
		}
	}
	if a.Has("state") {
		if a.Value("state") == "" {
			return fmt.Errorf("invalid state file \"state=\"")
		}
		s.state = p.PrefixPath(a.Value("state"))
	}
	for i, n := range typeNames {
		if a.Value("type") == n {
			s.valueType = kinds.ValueType(i)
		}
	}
	r := partOf(p, side)
	if _, twice := r.specs[z]; twice {
		return fmt.Errorf("duplicate zone \"%s\"", z.Name)
	}
	if r.specs == nil {
		r.specs = map[*plan.Zone]spec{}
		p.OnLink(func() error { return r.link(p) })
	}
	z.Sync = s.sync
	r.specs[z] = s
	r.order = append(r.order, z)
	return nil
}

// declareZone reads zone=name:size. The error for a zone that is too small omits the size, as in an upstream block.
func declareZone(p *plan.Plan, side string, a *conf.Args) (*plan.Zone, error) {
	z, err := p.DeclareZone(a, use(side))
	var wrong *plan.ZoneError
	if errors.As(err, &wrong) && wrong.TooSmall && !wrong.NoName {
		err = fmt.Errorf("zone %q is too small", wrong.Name)
	}
	return z, err
}

// Ref is a mention of a zone by a keyval directive.
type Ref struct{ zone *plan.Zone }

// mention finds the zone=name of a keyval directive; the declaration may follow below it.
func mention(p *plan.Plan, side string, name string, at *conf.Node) (Ref, error) {
	z, err := p.Zones.Mention(name, use(side), at.File, at.Line)
	return Ref{z}, err
}

// Zone is the zone, after the configuration is linked. It does not allocate.
func (r Ref) Zone() *Zone { return r.zone.Value.(*Zone) }

// link creates the zones, or takes them over from the previous configuration.
func (r *sidePart) link(p *plan.Plan) error {
	var problems conf.Problems
	for _, z := range r.order {
		s := r.specs[z]
		if err := r.make(p, z, s); err != nil {
			problems = append(problems, conf.At(s.node, "%s", err))
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

func (r *sidePart) make(p *plan.Plan, z *plan.Zone, s spec) error {
	now := &Zone{Name: z.Name, Timeout: s.timeout, spec: s}
	z.Value = now
	expression := "type=" + typeNames[s.valueType]
	make := func() *kinds.Keyval {
		return kinds.NewKeyval(kinds.KeyvalConfig{
			Name: z.Name, Expression: expression, Bytes: z.Bytes, Type: s.valueType,
			TimeoutMS: s.timeout.Milliseconds(), Sync: s.sync, Clock: p.StampClock(),
		})
	}
	var before *Zone
	_, err := plan.Continue(p, z, plan.Continuation[*Zone]{
		Same: func(old *Zone) bool { return old.spec.valueType == s.valueType }, // a network is not a prefix
		Take: func(old *Zone) { now.Keyval, before = old.Keyval, old },
		Change: func() {
			now.Reconfigure(kinds.Change{
				Bytes: z.Bytes, Expression: expression, Sync: s.sync, TimeoutMS: s.timeout.Milliseconds(),
			}, p.Clock.Now())
		},
		Settle: func() {
			dropped := now.Settle(p.Clock.Now())
			p.TellDropped(z, dropped, "pairs")
			if now.store != nil && dropped > 0 {
				now.store.rewrite(p)
			}
		},
		Make: func(*Zone) { now.Keyval = make() },
	})
	if err != nil {
		return err
	}
	return now.keepState(p, before, make)
}

// zoneParams explains the parameters of keyval_zone.
var zoneParams = map[string]string{
	"zone":    "Name and size of the zone.",
	"state":   "File that persists the pairs.",
	"timeout": "Time after which a pair expires.",
	"type": "Matching of keys: `string` (exact), `ip` (an address within a network) or `prefix` (the longest " +
		"prefix).",
	"sync": "Shares the zone with the nodes of the cluster. With a value, a `set` waits for them, at most so long.",
}
