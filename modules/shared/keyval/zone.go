// Package keyval is what the keyval families of http and stream have in common: the zones, their state
// files and their resource of the API.
package keyval

import (
	"context"
	"fmt"
	"strings"
	"time"

	"starling/conf"
	"starling/nginx/units"
	"starling/plan"
	"starling/zone/kinds"
)

// Zone is one keyval_zone of a running configuration.
type Zone struct {
	*kinds.Keyval
	Name    string
	Timeout time.Duration // 0: pairs do not expire by themselves
	spec    spec
}

// spec is what a keyval_zone says.
type spec struct {
	valueType kinds.ValueType
	timeout   time.Duration
	sync      bool
	state     string // absolute path, or empty
	node      *conf.Node
}

// typeNames are the values of type=, in the order of kinds.ValueType.
var typeNames = [...]string{kinds.TypeString: "string", kinds.TypeIP: "ip", kinds.TypePrefix: "prefix"}

// registry is what one side of one configuration declares.
type registry struct {
	specs map[*plan.Zone]spec
	order []*plan.Zone
}

// registries are those of one configuration by the names of the sides. As in NGINX Plus the two do not share zones.
type registries struct{ bySide map[string]*registry }

func registryOf(p *plan.Plan, side string) *registry {
	all := plan.Part[registries](p)
	if all.bySide[side] == nil {
		if all.bySide == nil {
			all.bySide = map[string]*registry{}
		}
		all.bySide[side] = new(registry)
	}
	return all.bySide[side]
}

// use is the family's name in plan.Zones.
func use(side string) string { return side + " keyval" }

// zoneDirective is the declaration of keyval_zone for one side.
func zoneDirective(side string, in conf.Context) conf.Directive {
	return conf.Directive{
		Name:   "keyval_zone",
		Syntax: "zone=<name>:<size> [state=<file>] [timeout=<time>] [type=string|ip|prefix] [sync]",
		In:     in,
		Repeat: true, Params: zoneParams,
		Doc: "Declares a zone of key-value pairs. They are set through the API and read with the variables of `keyval`. " +
			"With `state` they survive a restart: the API answers when a pair is on disk. With `timeout` they expire. " +
			"`type` says how a key is found: as it is, as an address within a network, or by the longest prefix. " +
			"With `sync` all nodes of the cluster share the zone; unlike NGINX Plus this needs no `timeout`, and deletions reach every node.",
		Set: func(_ any, a *conf.Args) error { return declare(a.Env.(*plan.Plan), side, a) },
	}
}

func declare(p *plan.Plan, side string, a *conf.Args) error {
	name, sizeText, found := strings.Cut(a.Value("zone"), ":")
	size, err := units.Size(sizeText)
	if !found || err != nil {
		return fmt.Errorf("invalid zone size \"zone=%s\"", a.Value("zone"))
	}
	s := spec{sync: a.Has("sync"), node: a.Node}
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
	z, err := p.Zones.Declare(name, use(side), size, a.Node.File, a.Node.Line)
	if err != nil {
		return err
	}
	r := registryOf(p, side)
	if _, twice := r.specs[z]; twice {
		return fmt.Errorf("duplicate zone \"%s\"", name)
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

// Ref is a mention of a zone by a keyval directive.
type Ref struct{ zone *plan.Zone }

// mention finds the zone=name of a keyval directive; the declaration may stand below it.
func mention(p *plan.Plan, side string, name string, at *conf.Node) (Ref, error) {
	z, err := p.Zones.Mention(name, use(side), at.File, at.Line)
	return Ref{z}, err
}

// Zone is the zone, once the configuration is linked. It does not allocate.
func (r Ref) Zone() *Zone { return r.zone.Value.(*Zone) }

// link makes the zones, or takes them over from the configuration before.
func (r *registry) link(p *plan.Plan) error {
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

func (r *registry) make(p *plan.Plan, z *plan.Zone, s spec) error {
	var before *Zone
	if old := p.OldZone(z); old != nil {
		before, _ = old.Value.(*Zone)
		if before != nil && before.spec.continuedBy(s) {
			z.Value = &Zone{Keyval: before.Keyval, Name: z.Name, Timeout: s.timeout, spec: s}
			p.OnStart(func(context.Context) error {
				before.SetTimeout(s.timeout.Milliseconds())
				return nil
			})
			return keepState(p, before.Keyval, s, true)
		}
	}
	made := &Zone{Name: z.Name, Timeout: s.timeout, spec: s, Keyval: kinds.NewKeyval(kinds.KeyvalConfig{
		Name: z.Name, Expression: "type=" + typeNames[s.valueType], Bytes: z.Bytes, Type: s.valueType,
		TimeoutMS: s.timeout.Milliseconds(), Sync: s.sync, Clock: p.StampClock(),
	})}
	z.Value = made
	if before != nil && before.spec.valueType == s.valueType {
		p.OnCarry(func(again bool) error { return made.CarryFrom(before.Keyval, again, p.Clock.Now()) })
	}
	return keepState(p, made.Keyval, s, false)
}

// continuedBy says whether a zone declared like t can be the same one in memory; else it is a new one, which gets the records if the type
// is the same. A new timeout counts for what is written from then on.
func (s spec) continuedBy(t spec) bool {
	return s.valueType == t.valueType && s.sync == t.sync && s.state == t.state
}

// zoneParams explains the parameters of keyval_zone.
var zoneParams = map[string]string{
	"zone":    "Name and size of the zone.",
	"state":   "File in which the pairs survive a restart.",
	"timeout": "Time after which a pair expires.",
	"type":    "How a key is found: `string` as it is, `ip` as an address within a network, `prefix` by the longest prefix.",
	"sync":    "The nodes of the cluster share the zone.",
}
